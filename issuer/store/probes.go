package store

import "time"

// A Probe is a record that a node's notary tagged, of no token. As long as tokens
// of its time may be alive, an auditor that does not find it right is not the one
// to call any of them forged.
type Probe struct {
	KeyID  string // the key for which it was tagged
	Node   string
	At     time.Time // milliseconds
	Dies   time.Time // when no token of that time and node is accepted any more; milliseconds
	Record []byte    // a report of one record
}

// InsertProbe keeps a probe.
func (tx *Tx) InsertProbe(p Probe) error {
	_, err := tx.exec("INSERT INTO probes (kid, node, at, dies, record) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
		p.KeyID, p.Node, toMillis(p.At), toMillis(p.Dies), p.Record)
	return err
}

// Probes returns the newest [MaxProbes] probes that have not died by now, the newest
// first.
func (tx *Tx) Probes(now time.Time) ([]Probe, error) {
	return list(tx, "SELECT kid, node, at, dies, record FROM probes WHERE dies > $1 ORDER BY at DESC, kid, node LIMIT $2",
		[]any{toMillis(now), int64(MaxProbes)}, func(p *Probe) []any {
			return []any{text{&p.KeyID}, text{&p.Node}, millis{&p.At}, millis{&p.Dies}, bytes{&p.Record}}
		})
}

// RemoveProbes forgets the probes that have died by now.
func (tx *Tx) RemoveProbes(now time.Time) error {
	_, err := tx.exec("DELETE FROM probes WHERE dies <= $1", toMillis(now))
	return err
}
