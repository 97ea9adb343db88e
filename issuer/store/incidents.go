package store

import (
	"time"
)

const (
	// MaxForgeries is how many forged tokens of one key are kept, each with an
	// entry in the revocation log at most. Further ones are counted.
	MaxForgeries = 16

	// MaxAlarms is how many alarms wait for the webhook at most.
	MaxAlarms = 1000

	// MaxProbes is how many records [Tx.Probes] returns.
	MaxProbes = 8192
)

// An IncidentState is how far the answer to a forgery has come.
type IncidentState string

// The states of an incident. One that was only noted can become any other; else
// they follow one another in this order.
const (
	IncidentNoted       IncidentState = "noted"       // alarmed, and nothing else done
	IncidentQuarantined IncidentState = "quarantined" // entries for the first forged tokens and for the key are in the log
	IncidentSwitched    IncidentState = "switched"    // another key signs
	IncidentKilled      IncidentState = "killed"      // the key was given up
	IncidentClosed      IncidentState = "closed"      // a person said that it is over

	// IncidentMisconfigured is the state of the notary: its own tags were not found
	// right, and nothing can be told of others.
	IncidentMisconfigured IncidentState = "misconfigured"
)

// An Incident tells what was done about one key that somebody else signs with. It
// has one row for each kid. Times are the database's, in milliseconds, and zero
// for what has not happened.
type Incident struct {
	KeyID string
	State IncidentState
	Drill bool // the key is one that an exercise made

	TokenID   string // jti of the first forged token
	Level0    string // what a verifier says of that token without an auditor
	Reporter  string // who was the first to show one
	Successor string // kid of the key that took over

	Tokens  uint64 // distinct forged tokens
	Entries uint64 // of them with an entry in the log

	QuarantineSeq uint64
	KillSeq       uint64

	Found       time.Time
	Seen        time.Time // the newest forged token
	Alarmed     time.Time // the webhook took the first alarm
	Quarantined time.Time
	Switched    time.Time
	Drained     time.Time // no session had its newest token under the key
	Killed      time.Time
	Closed      time.Time

	Held      bool  // another key was given up lately: a person has to kill this one
	Automatic bool  // the issuer killed the key, and nobody else
	Version   int64 // counts UpdateIncident
}

const incidentColumns = `kid, state, drill, held, automatic, jti, level0, reporter, successor, tokens, entries,
	quarantine_seq, kill_seq, found, seen, alarmed, quarantined, switched, drained, killed, closed, version`

func (i *Incident) dest() []any {
	return []any{
		text{&i.KeyID}, text{(*string)(&i.State)}, flag{&i.Drill}, flag{&i.Held}, flag{&i.Automatic}, text{&i.TokenID},
		text{&i.Level0}, text{&i.Reporter}, text{&i.Successor}, number{&i.Tokens}, number{&i.Entries},
		number{&i.QuarantineSeq}, number{&i.KillSeq}, millis{&i.Found}, millis{&i.Seen}, millis{&i.Alarmed},
		millis{&i.Quarantined}, millis{&i.Switched}, millis{&i.Drained}, millis{&i.Killed}, millis{&i.Closed},
		signed{&i.Version},
	}
}

// values are the columns that both InsertIncident and UpdateIncident write. The
// numbers of tokens and the time of the newest have methods of their own.
func (i *Incident) values() []any {
	return []any{
		i.KeyID, string(i.State), bit(i.Drill), bit(i.Held), bit(i.Automatic), i.TokenID, i.Level0, i.Reporter, i.Successor,
		int64(i.Entries), int64(i.QuarantineSeq), int64(i.KillSeq), toMillis(i.Found), toMillis(i.Quarantined),
		toMillis(i.Switched), toMillis(i.Drained), toMillis(i.Killed), toMillis(i.Closed),
	}
}

// InsertIncident adds an incident, of Tokens forged tokens. [ErrExists] means that
// the key has one.
func (tx *Tx) InsertIncident(i Incident) error {
	n, err := tx.exec(`INSERT INTO incidents (kid, state, drill, held, automatic, jti, level0, reporter, successor, entries,
		quarantine_seq, kill_seq, found, quarantined, switched, drained, killed, closed, tokens, seen, alarmed, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 0, 1)
		ON CONFLICT DO NOTHING`, append(i.values(), int64(i.Tokens), toMillis(i.Seen))...)
	return one(n, err, ErrExists)
}

// UpdateIncident writes all but Tokens, Seen and Alarmed over the row of i.KeyID if
// i.Version is still that of the row, and is [ErrConflict] otherwise.
func (tx *Tx) UpdateIncident(i Incident) error {
	n, err := tx.exec(`UPDATE incidents SET state = $2, drill = $3, held = $4, automatic = $5, jti = $6, level0 = $7,
		reporter = $8, successor = $9, entries = $10, quarantine_seq = $11, kill_seq = $12, found = $13, quarantined = $14,
		switched = $15, drained = $16, killed = $17, closed = $18, version = version + 1
		WHERE kid = $1 AND version = $19`, append(i.values(), i.Version)...)
	return one(n, err, ErrConflict)
}

// Incident returns the incident of a key, or [ErrNotFound].
func (tx *Tx) Incident(kid string) (Incident, error) {
	var i Incident
	err := tx.row("SELECT "+incidentColumns+" FROM incidents WHERE kid = $1", []any{kid}, i.dest()...)
	return i, err
}

// Incidents returns all incidents, the newest first.
func (tx *Tx) Incidents() ([]Incident, error) {
	return list(tx, "SELECT "+incidentColumns+" FROM incidents ORDER BY found DESC, kid", nil, (*Incident).dest)
}

// OpenIncidents returns those whose answer is under way.
func (tx *Tx) OpenIncidents() ([]Incident, error) {
	return list(tx, "SELECT "+incidentColumns+" FROM incidents WHERE state IN ($1, $2) ORDER BY found, kid",
		[]any{string(IncidentQuarantined), string(IncidentSwitched)}, (*Incident).dest)
}

// KeysKilledSince returns how many keys that have signed the issuer has given up by
// itself since a time, exercises left out. Call it after [Tx.Revoke], which locks what
// two nodes that give up keys at once would both have to pass.
func (tx *Tx) KeysKilledSince(since time.Time) (uint64, error) {
	var n uint64
	err := tx.row(`SELECT count(*) FROM incidents i WHERE automatic = 1 AND drill = 0 AND killed > $1
		AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.kid = i.kid AND k.activated = 0)`,
		[]any{toMillis(since)}, number{&n})
	return n, err
}

// CountForgeries adds to the number of distinct forged tokens of a key.
func (tx *Tx) CountForgeries(kid string, tokens uint64, seen time.Time) error {
	_, err := tx.exec("UPDATE incidents SET tokens = tokens + $2, seen = $3 WHERE kid = $1", kid, int64(tokens), toMillis(seen))
	return err
}

// A Forgery is a forged token that was among the first of its key.
type Forgery struct {
	KeyID   string
	Hash    [32]byte // SHA-256 of what is signed: a signature has a second form
	TokenID string   // may be empty
	Seq     uint64   // of the token's entry in the log; 0: it has none
	At      time.Time
}

// InsertForgery keeps a forged token. [ErrExists] means that it is known.
func (tx *Tx) InsertForgery(f Forgery) error {
	n, err := tx.exec("INSERT INTO forgeries (kid, hash, jti, seq, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
		f.KeyID, f.Hash[:], f.TokenID, int64(f.Seq), toMillis(f.At))
	return one(n, err, ErrExists)
}

// Forgeries returns the forged tokens of a key, the oldest first.
func (tx *Tx) Forgeries(kid string) ([]Forgery, error) {
	return list(tx, "SELECT kid, hash, jti, seq, at FROM forgeries WHERE kid = $1 ORDER BY at, hash", []any{kid},
		func(f *Forgery) []any {
			return []any{text{&f.KeyID}, digest{&f.Hash}, text{&f.TokenID}, number{&f.Seq}, millis{&f.At}}
		})
}

// Undrained reports whether a session is alive whose newest access token was made
// before the given time, and does not expire for more than the life of one: since
// made after.
func (tx *Tx) Undrained(before, after time.Time) (bool, error) {
	now, err := tx.Now()
	if err != nil {
		return false, err
	}
	var n uint64
	err = tx.row(`SELECT count(*) FROM (SELECT id FROM sessions WHERE rotated_at <= $1 AND rotated_at > $2
		AND revoked_seq = 0 AND (expires = 0 OR expires > $3) LIMIT 1) AS newest`,
		[]any{toMillis(before), toMillis(after), toMillis(now)}, number{&n})
	return n > 0, err
}
