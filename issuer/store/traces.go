package store

import "time"

const (
	// MaxTraces is how many forged tokens of one key leave a trace.
	MaxTraces = 256

	// MaxSightings is how many reporters of one token are kept.
	MaxSightings = 16
)

// A Trace is what a forged token says of itself.
type Trace struct {
	KeyID  string
	Hash   [32]byte // as of a [Forgery]
	At     time.Time
	Says   Said
	SeenBy []Sighting // KeepTrace leaves it alone
}

// Said are the claims of a forged token, as text for a person. A thief chose all of
// them: whoever writes a Said makes it short, and harmless on a terminal.
type Said struct {
	TokenID  string    `json:"jti,omitzero"`
	Subject  string    `json:"sub,omitzero"`
	Audience []string  `json:"aud,omitempty"`
	Scope    string    `json:"scope,omitzero"`
	Roles    []string  `json:"roles,omitempty"`
	ClientID string    `json:"client_id,omitzero"`
	IssuedAt time.Time `json:"iat,omitzero"`
	Expiry   time.Time `json:"exp,omitzero"`
	Level0   string    `json:"level0,omitzero"`    // what a verifier says of the token without an auditor
	NotKept  []string  `json:"not_kept,omitempty"` // of these claims some or all was too long, or of another type
}

// A Sighting says when a reporter first showed a token.
type Sighting struct {
	Reporter string    `json:"reporter"`
	At       time.Time `json:"at"`
}

// KeepTrace keeps what a token says, unless it is known or [MaxTraces] of its key are.
func (tx *Tx) KeepTrace(t Trace) error {
	says, err := jsonText(t.Says)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO traces (kid, hash, at, says) SELECT $1, $2, $3, $4
		WHERE (SELECT count(*) FROM traces WHERE kid = $1) < $5 ON CONFLICT DO NOTHING`,
		t.KeyID, t.Hash[:], toMillis(t.At), says, int64(MaxTraces))
	return err
}

// KeepSighting says who has shown a token that has left a trace, unless that is known
// or [MaxSightings] of it are.
func (tx *Tx) KeepSighting(kid string, hash [32]byte, s Sighting) error {
	_, err := tx.exec(`INSERT INTO sightings (kid, hash, reporter, at) SELECT $1, $2, $3, $4
		WHERE EXISTS (SELECT 1 FROM traces WHERE kid = $1 AND hash = $2)
		AND (SELECT count(*) FROM sightings WHERE kid = $1 AND hash = $2) < $5 ON CONFLICT DO NOTHING`,
		kid, hash[:], s.Reporter, toMillis(s.At), int64(MaxSightings))
	return err
}

// Traces returns those of a key, the oldest first.
func (tx *Tx) Traces(kid string) ([]Trace, error) {
	traces, err := list(tx, "SELECT kid, hash, at, says FROM traces WHERE kid = $1 ORDER BY at, hash", []any{kid},
		func(t *Trace) []any {
			return []any{text{&t.KeyID}, digest{&t.Hash}, millis{&t.At}, parsed{&t.Says}}
		})
	if err != nil {
		return nil, err
	}
	type sighting struct {
		hash [32]byte
		Sighting
	}
	sightings, err := list(tx, "SELECT hash, reporter, at FROM sightings WHERE kid = $1 ORDER BY at, reporter", []any{kid},
		func(s *sighting) []any { return []any{digest{&s.hash}, text{&s.Reporter}, millis{&s.At}} })
	by := make(map[[32]byte][]Sighting, len(traces))
	for _, s := range sightings {
		by[s.hash] = append(by[s.hash], s.Sighting)
	}
	for i := range traces {
		traces[i].SeenBy = by[traces[i].Hash]
	}
	return traces, err
}

// RemoveTraces forgets those of before a time.
func (tx *Tx) RemoveTraces(before time.Time) error {
	n, err := tx.exec("DELETE FROM traces WHERE at < $1", toMillis(before))
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.exec(`DELETE FROM sightings WHERE NOT EXISTS
		(SELECT 1 FROM traces t WHERE t.kid = sightings.kid AND t.hash = sightings.hash)`)
	return err
}
