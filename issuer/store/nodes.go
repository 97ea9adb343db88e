package store

import "time"

// maxNodes is how many nodes [Tx.Nodes] returns at most: the ones that wrote last.
const maxNodes = 64

// A NodeRow is what one of the processes that share a database tells the others.
type NodeRow struct {
	ID      string    // made up by the process, random
	Heard   string    // what it has heard from verifiers, as JSON
	At      time.Time // when SaveNode wrote it, by the database's clock
	Waits   time.Time // until then somebody at this node waits for the others, by the database's clock
	Version int64     // counts SaveNode
}

// SaveNode writes what a node has heard over what it wrote before. Of n only ID and
// Heard are looked at.
func (tx *Tx) SaveNode(n NodeRow) error {
	at, err := tx.Now()
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO nodes (id, heard, at, waits, version) VALUES ($1, $2, $3, 0, 1)
		ON CONFLICT (id) DO UPDATE SET heard = excluded.heard, at = excluded.at, version = nodes.version + 1`,
		n.ID, n.Heard, toMillis(at))
	return err
}

// MarkNode says that somebody at a node waits until then for what others hear.
func (tx *Tx) MarkNode(id string, until time.Time) error {
	at, err := tx.Now()
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO nodes (id, heard, at, waits, version) VALUES ($1, '[]', $2, $3, 1)
		ON CONFLICT (id) DO UPDATE SET waits = excluded.waits`, id, toMillis(at), toMillis(until))
	return err
}

// Nodes returns the nodes that wrote last, without what they have heard.
func (tx *Tx) Nodes() ([]NodeRow, error) {
	return list(tx, "SELECT id, at, waits, version FROM nodes ORDER BY at DESC, id LIMIT $1", []any{maxNodes},
		func(n *NodeRow) []any {
			return []any{text{&n.ID}, millis{&n.At}, millis{&n.Waits}, signed{&n.Version}}
		})
}

// Node returns the row of one node, or [ErrNotFound].
func (tx *Tx) Node(id string) (NodeRow, error) {
	var n NodeRow
	err := tx.row("SELECT id, heard, at, waits, version FROM nodes WHERE id = $1", []any{id},
		text{&n.ID}, text{&n.Heard}, millis{&n.At}, millis{&n.Waits}, signed{&n.Version})
	return n, err
}

// RemoveNodes forgets the nodes that have written nothing since before.
func (tx *Tx) RemoveNodes(before time.Time) error {
	_, err := tx.exec("DELETE FROM nodes WHERE at < $1", toMillis(before))
	return err
}
