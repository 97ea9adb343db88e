package store

import (
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// A StandingQuery names what a decision to mint rests on. Empty fields are not
// asked for. Of a session the user, client, tenant and device are taken from
// its row; a device and tenant given beside it must be good as well.
type StandingQuery struct {
	Session  string // sid
	UserID   string
	UserName string // for a sign-in, in place of UserID
	ClientID string
	Tenant   string // beside that of the session and the user
	Device   string // thumbprint of the key that a token is to be bound to
	KeyID    string // the kid that will sign
}

// A Standing is what one statement saw of the head of the log and of
// everything that a decision to mint rests on. Nothing that commits later is in
// it, and nothing that committed before Head is missing; therefore a token with
// Head as its rsq is refused by every entry that this decision did not know.
type Standing struct {
	Epoch uint64
	Head  uint64    // the token's rsq
	Now   time.Time // of the database, in milliseconds

	Session *Session // nil: no such row, or not asked for
	User    *User
	Client  *Client // nil also for a client that was never registered

	TenantValidFrom uint64 // the later one of the tenants of session, user and query
	DeviceValidFrom uint64 // the later one of the devices of session and query
	IssuerValidFrom uint64
	KeyState        KeyState // of StandingQuery.KeyID; empty: no such key

	query           StandingQuery
	clientValidFrom uint64 // also of a client without a row
}

const standingQuery = `SELECT h.epoch, h.seq, {now},
	(SELECT max(v.seq) FROM valid_from v WHERE v.kind = 6 AND v.value <> ''
		AND v.value IN (s.tenant, u.tenant, $5)),
	(SELECT max(v.seq) FROM valid_from v WHERE v.kind = 4 AND v.value <> ''
		AND v.value IN (s.device, $6)),
	(SELECT v.seq FROM valid_from v WHERE v.kind = 8 AND v.value = ''),
	(SELECT max(v.seq) FROM valid_from v WHERE v.kind = 5 AND v.value <> ''
		AND v.value IN (s.client_id, $4)),
	(SELECT k.state FROM keys k WHERE k.kid = $7),
	` + sessionColumns + `, ` + userColumns + `, ` + clientColumns + `
	FROM log_head h
	LEFT JOIN sessions s ON s.id = $1
	LEFT JOIN users u ON u.id = COALESCE(NULLIF(s.user_id, ''), NULLIF($2, ''), (SELECT n.id FROM users n WHERE n.name = $3))
	LEFT JOIN clients c ON c.id = COALESCE(NULLIF(s.client_id, ''), $4)
	WHERE h.id = 1`

// Standing reads, in one statement, the head of the log and every row that a
// decision to mint rests on. Two statements would not do: a revocation that
// commits between them is then in the head and not in the rows, and escapes.
func (tx *Tx) Standing(q StandingQuery) (*Standing, error) {
	var session Session
	var user User
	var client Client
	st := &Standing{query: q}
	dest := []any{
		number{&st.Epoch}, number{&st.Head}, millis{&st.Now}, number{&st.TenantValidFrom},
		number{&st.DeviceValidFrom}, number{&st.IssuerValidFrom}, number{&st.clientValidFrom},
		text{(*string)(&st.KeyState)},
	}
	dest = append(append(append(dest, session.dest()...), user.dest()...), client.dest()...)
	args := []any{q.Session, q.UserID, q.UserName, q.ClientID, q.Tenant, q.Device, q.KeyID}
	if err := tx.row(standingQuery, args, dest...); err != nil {
		return nil, err
	}
	st.Now = tx.t.s.at(st.Now)
	if session.ID != "" {
		st.Session = &session
	}
	if user.ID != "" {
		st.User = &user
	}
	if client.ID != "" {
		st.Client = &client
	}
	return st, nil
}

// Permits reports whether a grant that was born at the given head may mint now:
// nil, or [ErrDisabled], [ErrExpired], [ErrKeyInactive], [ErrNotFound] for a
// user or session that was asked for and does not exist, or a [*RevokedError].
// born is [Session.Born], or for a sign-in under way the head at its begin.
func (st *Standing) Permits(born uint64) error {
	if err := st.exists(); err != nil {
		return err
	}
	if st.User != nil && st.User.Disabled || st.Client != nil && st.Client.Disabled {
		return ErrDisabled
	}
	if err := st.revoked(born); err != nil {
		return err
	}
	if s := st.Session; s != nil && !s.Expires.IsZero() && !st.Now.Before(s.Expires) {
		return ErrExpired
	}
	if st.query.KeyID != "" && st.KeyState != KeyActive {
		return ErrKeyInactive
	}
	return nil
}

func (st *Standing) exists() error {
	q := &st.query
	if q.Session != "" && st.Session == nil {
		return fmt.Errorf("%w: session", ErrNotFound)
	}
	asked := q.UserID != "" || q.UserName != "" || st.Session != nil && st.Session.UserID != ""
	if asked && st.User == nil {
		return fmt.Errorf("%w: user", ErrNotFound)
	}
	return nil
}

// revoked compares a grant with what was revoked since it was born. A session
// keeps its own mark, because its revocation never ends.
func (st *Standing) revoked(born uint64) error {
	if st.Session != nil {
		if seq := st.Session.RevokedSeq; seq != 0 {
			return &RevokedError{Kind: revocation.Session, Seq: seq}
		}
		born = min(born, st.Session.Born)
	}
	var user uint64
	if st.User != nil {
		user = st.User.ValidFrom
	}
	for _, from := range []RevokedError{
		{revocation.Subject, user},
		{revocation.Client, st.clientValidFrom},
		{revocation.Tenant, st.TenantValidFrom},
		{revocation.Device, st.DeviceValidFrom},
		{revocation.Everything, st.IssuerValidFrom},
	} {
		if born < from.Seq {
			return &from
		}
	}
	return nil
}
