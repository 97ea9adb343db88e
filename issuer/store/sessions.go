package store

import "time"

// A Session is one sign-in of one user on one device. It is all that is kept
// of refresh tokens. Times are kept in milliseconds.
type Session struct {
	ID       string // "sid"; never used again
	UserID   string // empty: a client by itself
	ClientID string
	Tenant   string
	Device   string // thumbprint of the key it is bound to; may be empty
	Audience string
	Scope    string

	// Born is the head of the log at authentication: [Standing.Head], read
	// before the password was hashed. An entry after it ends the session.
	Born     uint64
	AuthTime time.Time

	Created   time.Time
	Expires   time.Time // zero: no end
	RotatedAt time.Time

	// The refresh token that is good now.
	Counter    uint64
	Epoch      uint64   // epoch of the log at the last rotation
	SecretHash [32]byte // SHA-256 of its secret
	Holder     [32]byte // hash of what binds it to whoever got it

	RevokedSeq uint64 // entry that revoked the session; 0: alive
}

const sessionColumns = `s.id, s.user_id, s.client_id, s.tenant, s.device, s.audience, s.scope, s.born, s.auth_time,
	s.created, s.expires, s.rotated_at, s.counter, s.epoch, s.secret_hash, s.holder, s.revoked_seq`

func (s *Session) dest() []any {
	return []any{
		text{&s.ID}, text{&s.UserID}, text{&s.ClientID}, text{&s.Tenant}, text{&s.Device}, text{&s.Audience},
		text{&s.Scope}, number{&s.Born}, millis{&s.AuthTime}, millis{&s.Created}, millis{&s.Expires},
		millis{&s.RotatedAt}, number{&s.Counter}, number{&s.Epoch}, digest{&s.SecretHash}, digest{&s.Holder},
		number{&s.RevokedSeq},
	}
}

// CreateSession adds a session; s.RevokedSeq is ignored. [ErrExists] means that
// the ID is taken. Call it in the transaction whose [Standing.Permits] allowed it.
func (tx *Tx) CreateSession(s Session) error {
	n, err := tx.exec(`INSERT INTO sessions (id, user_id, client_id, tenant, device, audience, scope, born, auth_time,
		created, expires, rotated_at, counter, epoch, secret_hash, holder, revoked_seq)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0) ON CONFLICT DO NOTHING`,
		s.ID, s.UserID, s.ClientID, s.Tenant, s.Device, s.Audience, s.Scope, int64(s.Born), toMillis(s.AuthTime),
		toMillis(s.Created), toMillis(s.Expires), toMillis(s.RotatedAt), int64(s.Counter), int64(s.Epoch),
		s.SecretHash[:], s.Holder[:])
	return one(n, err, ErrExists)
}

// A Rotation replaces the refresh token of a session.
type Rotation struct {
	ID         string
	From, To   uint64 // the counter that must be in the row, and the one to put there
	FromEpoch  uint64 // the epoch that must be in the row
	Epoch      uint64 // the one to put there: Standing.Epoch
	SecretHash [32]byte
	Holder     [32]byte
	At         time.Time // Standing.Now
}

// RotateSession puts the next refresh token into a session's row. It does so
// only while the row has the counter r.From and the epoch r.FromEpoch and is
// not revoked, and is [ErrConflict] otherwise, whatever was read before. r.To
// may be any number: after a restore a counter ahead becomes the row's.
func (tx *Tx) RotateSession(r Rotation) error {
	n, err := tx.exec(`UPDATE sessions SET counter = $1, epoch = $2, secret_hash = $3, holder = $4, rotated_at = $5
		WHERE id = (SELECT f.id FROM sessions f WHERE f.id = $6{lockfree}) AND counter = $7 AND epoch = $8 AND revoked_seq = 0`,
		int64(r.To), int64(r.Epoch), r.SecretHash[:], r.Holder[:], toMillis(r.At), r.ID, int64(r.From), int64(r.FromEpoch))
	if err != nil || n > 0 {
		return err
	}
	// Either the row has changed, or another transaction is about to change it.
	if err := tx.claim(r.ID); err != nil {
		return err
	}
	return ErrConflict
}

// Session returns the session with an ID, to look at: to mint from it, see
// [Tx.Standing].
func (tx *Tx) Session(id string) (Session, error) {
	var s Session
	err := tx.row("SELECT "+sessionColumns+" FROM sessions s WHERE s.id = $1", []any{id}, s.dest()...)
	return s, err
}

// A SessionFilter says which sessions are wanted; empty fields do not matter.
type SessionFilter struct {
	UserID   string
	ClientID string
	Alive    bool   // not revoked and not expired; a revoked user's are still alive in this sense
	After    string // an ID: only those after it
	Limit    int    // 0: all
}

// Sessions returns the sessions that pass a filter, by ID.
func (tx *Tx) Sessions(f SessionFilter) ([]Session, error) {
	now, err := tx.Now()
	if err != nil {
		return nil, err
	}
	query, args := "SELECT "+sessionColumns+" FROM sessions s WHERE s.id > $1", []any{f.After, all(f.Limit)}
	where := func(condition string, arg any) {
		args = append(args, arg)
		query += " AND " + condition + "$" + string(rune('0'+len(args)))
	}
	if f.UserID != "" {
		where("s.user_id = ", f.UserID)
	}
	if f.ClientID != "" {
		where("s.client_id = ", f.ClientID)
	}
	if f.Alive {
		where("s.revoked_seq = 0 AND (s.expires = 0 OR s.expires > ", toMillis(now))
		query += ")"
	}
	return list(tx, query+" ORDER BY s.id LIMIT $2", args, (*Session).dest)
}

// RemoveSessions deletes up to limit sessions that expired before the given
// time and returns how many. Leave a session in place until its last access
// token has expired, so that revoking it still finds it.
func (tx *Tx) RemoveSessions(expiredBefore time.Time, limit int) (int, error) {
	n, err := tx.exec(`DELETE FROM sessions WHERE id IN
		(SELECT id FROM sessions WHERE expires > 0 AND expires < $1 ORDER BY expires LIMIT $2)`,
		toMillis(expiredBefore), int64(limit))
	return int(n), err
}
