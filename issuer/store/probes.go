package store

import "time"

// A Probe is a record that a node's notary tagged, of no token. As long as tokens
// of its time may be alive, an auditor that does not find it right is not the one
// to call any of them forged.
type Probe struct {
	KeyID  string // the key for which it was tagged
	Node   string
	At     time.Time // milliseconds
	Record []byte    // a report of one record
}

// InsertProbe keeps a probe.
func (tx *Tx) InsertProbe(p Probe) error {
	_, err := tx.exec("INSERT INTO probes (kid, node, at, record) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		p.KeyID, p.Node, toMillis(p.At), p.Record)
	return err
}

// Probes returns the newest [MaxProbes] probes made after a time, the newest first.
func (tx *Tx) Probes(after time.Time) ([]Probe, error) {
	return list(tx, "SELECT kid, node, at, record FROM probes WHERE at > $1 ORDER BY at DESC, kid, node LIMIT $2",
		[]any{toMillis(after), int64(MaxProbes)}, func(p *Probe) []any {
			return []any{text{&p.KeyID}, text{&p.Node}, millis{&p.At}, bytes{&p.Record}}
		})
}

// RemoveProbes forgets the probes made before a time.
func (tx *Tx) RemoveProbes(before time.Time) error {
	_, err := tx.exec("DELETE FROM probes WHERE at < $1", toMillis(before))
	return err
}
