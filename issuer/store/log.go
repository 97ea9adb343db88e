package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// MaxSessionTokenEntries is how many live token entries a session may
	// have. The next one becomes an entry of the session.
	MaxSessionTokenEntries = 32

	// MaxTrim is how many entries one TrimLog drops at most.
	MaxTrim = 10_000
)

var errNumbers = errors.New("store: the log has no numbers left")

// A Head is the state of the revocation log.
type Head struct {
	Epoch    uint64
	Base     uint64          // seq before the first entry of Epoch
	Seq      uint64          // of the last entry; Base in a new epoch
	C        revocation.Link // chain after the entry Seq
	LowWater uint64          // highest seq that is no longer held; 0: none was dropped
	LowC     revocation.Link // chain after the entry LowWater, so that a reader can begin there
}

func (h *Head) dest() []any {
	return []any{
		number{&h.Epoch}, number{&h.Base}, number{&h.Seq}, digest{(*[32]byte)(&h.C)},
		number{&h.LowWater}, digest{(*[32]byte)(&h.LowC)},
	}
}

// A LogRecord is one entry of the revocation log.
type LogRecord struct {
	Seq   uint64
	Epoch uint64
	Entry revocation.Entry
	C     revocation.Link // chain after this entry
	At    time.Time       // database time of the append, in milliseconds
}

const logColumns = "seq, epoch, kind, flags, handle, c, at"

// logRow holds the columns that do not scan into a LogRecord as they are.
type logRow struct {
	LogRecord
	kind, flags, handle uint64
}

func (r *logRow) dest() []any {
	return []any{
		number{&r.Seq}, number{&r.Epoch}, number{&r.kind}, number{&r.flags}, number{&r.handle},
		digest{(*[32]byte)(&r.C)}, millis{&r.At},
	}
}

func (r *logRow) record() LogRecord {
	r.Entry = revocation.Entry{
		Kind:   revocation.Kind(r.kind),
		Flags:  revocation.Flags(r.flags),
		Handle: revocation.Handle(r.handle),
	}
	return r.LogRecord
}

const headQuery = "SELECT epoch, base, seq, c, low_water, low_c FROM log_head WHERE id = 1"

// Head returns the state of the log. It is for publishing the log; the head
// that goes into a token as rsq comes from [Tx.Standing].
func (tx *Tx) Head() (Head, error) {
	var h Head
	err := tx.row(headQuery, nil, h.dest()...)
	return h, err
}

// Log returns up to limit entries after the given seq, in order, of all epochs.
// Between the epochs numbers are missing. So they are below the low-water
// mark, where only absolute entries of keys are kept.
func (tx *Tx) Log(after uint64, limit int) ([]LogRecord, error) {
	rows, err := list(tx, "SELECT "+logColumns+" FROM log WHERE seq > $1 ORDER BY seq LIMIT $2",
		[]any{int64(after), int64(limit)}, (*logRow).dest)
	records := make([]LogRecord, len(rows))
	for i := range rows {
		records[i] = rows[i].record()
	}
	return records, err
}

// Link returns the chain after the entry seq of the present epoch, or at its
// base. [ErrNotFound] means that a reader who stands there has to start over.
func (tx *Tx) Link(seq uint64) (revocation.Link, error) {
	h, err := tx.Head()
	if err != nil {
		return revocation.Link{}, err
	}
	switch {
	case seq == h.Seq:
		return h.C, nil
	case seq == h.Base:
		return revocation.Origin(tx.t.s.issuer, h.Epoch, h.Base), nil
	case seq == h.LowWater && seq > h.Base:
		return h.LowC, nil
	}
	var c revocation.Link
	err = tx.row("SELECT c FROM log WHERE seq = $1 AND epoch = $2",
		[]any{int64(seq), int64(h.Epoch)}, digest{(*[32]byte)(&c)})
	return c, err
}

// A Revocation is what [Tx.Revoke] writes down.
type Revocation struct {
	Entry revocation.Entry

	// Value is what Entry.Handle stands for: a jti, sid, user ID, thumbprint,
	// client ID, tenant or kid. It is empty for Everything.
	Value string

	// Session is the sid of a token, if it has one, and SessionEntry the entry
	// that revokes that session. Leave them empty for a forged token: nothing
	// it names may be revoked. They are ignored for other kinds.
	Session      string
	SessionEntry revocation.Entry
}

func (r *Revocation) check() error {
	if r.Entry.Kind < revocation.Token || r.Entry.Kind > revocation.Everything {
		return errors.New("store: revocation without a kind")
	}
	if (r.Value == "") != (r.Entry.Kind == revocation.Everything) {
		return errors.New("store: a revocation has a value, except of everything")
	}
	if r.ofSession() && r.SessionEntry.Kind != revocation.Session {
		return errors.New("store: revocation of a token of a session without the session's entry")
	}
	return nil
}

// ofSession reports whether r is about a token that counts against a session.
func (r *Revocation) ofSession() bool {
	return r.Entry.Kind == revocation.Token && r.Session != ""
}

// Revoke appends an entry to the log and writes into the rows that a grant is
// checked against what it needs to be refused: sessions are marked, users,
// devices, clients, tenants and everything get a new valid_from. It returns the
// entry as it stands in the log.
//
// A token or session that is revoked already gets no second entry, and the one
// it has is returned (only with its Seq and Entry, if the log has dropped it).
// The entry of a token becomes one of its session when that has
// [MaxSessionTokenEntries] live ones.
//
// Revoke first and write other things afterwards: the function is then put off
// to the end of its batch, where the log's only row is locked.
func (tx *Tx) Revoke(r Revocation) (LogRecord, error) {
	if err := r.check(); err != nil {
		return LogRecord{}, err
	}
	sid := r.Session
	if r.Entry.Kind == revocation.Session {
		sid = r.Value
	}
	if r.Entry.Kind == revocation.Session || r.ofSession() {
		was, err := tx.lockSession(sid)
		if err != nil {
			return LogRecord{}, err
		}
		if was != 0 {
			return tx.record(was, r.Entry)
		}
	}
	if tx.putOff() {
		return LogRecord{}, errDeferred
	}
	switch {
	case r.Entry.Kind == revocation.Session:
		return tx.revokeSession(sid, r.Entry)
	case r.ofSession():
		return tx.revokeToken(r)
	}
	rec, err := tx.append(r.Entry, "")
	if err != nil {
		return LogRecord{}, err
	}
	return rec, tx.raiseValidFrom(r.Entry.Kind, r.Value, rec.Seq)
}

// lockSession locks a session's row and returns its revoked_seq. A session
// without a row counts as alive: its tokens may outlive it.
func (tx *Tx) lockSession(sid string) (uint64, error) {
	if err := tx.claim(sid); err != nil {
		return 0, err
	}
	var seq uint64
	err := tx.row("SELECT revoked_seq FROM sessions WHERE id = $1", []any{sid}, number{&seq})
	return seq, ignore(ErrNotFound, err)
}

// putOff reports whether the running function has to come again at the end of
// its batch. It cannot once it has written.
func (tx *Tx) putOff() bool {
	tx.deferred = tx.deferred || tx.t.mayDefer && !tx.wrote && tx.t.head == nil
	return tx.deferred
}

func (tx *Tx) revokeSession(sid string, e revocation.Entry) (LogRecord, error) {
	rec, err := tx.append(e, "")
	if err != nil {
		return LogRecord{}, err
	}
	_, err = tx.exec("UPDATE sessions SET revoked_seq = $1 WHERE id = $2 AND revoked_seq = 0", int64(rec.Seq), sid)
	return rec, err
}

func (tx *Tx) revokeToken(r Revocation) (LogRecord, error) {
	live, err := list(tx, "SELECT "+logColumns+" FROM log WHERE session = $1 AND session <> '' ORDER BY seq",
		[]any{r.Session}, (*logRow).dest)
	if err != nil {
		return LogRecord{}, err
	}
	for i := range live {
		if rec := live[i].record(); rec.Entry == r.Entry {
			return rec, nil
		}
	}
	if len(live) >= MaxSessionTokenEntries {
		return tx.revokeSession(r.Session, r.SessionEntry)
	}
	return tx.append(r.Entry, r.Session)
}

// TokenRevoked reports whether the log holds an entry of the token e stands
// for, or sid, its session, is revoked. sid may be empty. It is for the
// issuer's own endpoints, which have no table.
func (tx *Tx) TokenRevoked(e revocation.Entry, sid string) (bool, error) {
	var token, session uint64
	err := tx.row(`SELECT (SELECT count(*) FROM log WHERE kind = 1 AND handle = $1 AND flags & $2 = 0),
		(SELECT count(*) FROM sessions WHERE id = $3 AND revoked_seq <> 0)`,
		[]any{int64(e.Handle), int64(revocation.Quarantine), sid}, number{&token}, number{&session})
	return token+session > 0, err
}

// record returns the entry with number seq, or what is known of it.
func (tx *Tx) record(seq uint64, e revocation.Entry) (LogRecord, error) {
	var r logRow
	err := tx.row("SELECT "+logColumns+" FROM log WHERE seq = $1", []any{int64(seq)}, r.dest()...)
	if errors.Is(err, ErrNotFound) {
		return LogRecord{Seq: seq, Entry: e}, nil
	}
	return r.record(), err
}

func (tx *Tx) raiseValidFrom(kind revocation.Kind, value string, seq uint64) error {
	switch kind {
	case revocation.Subject, revocation.Device, revocation.Client, revocation.Tenant, revocation.Everything:
	default:
		return nil
	}
	_, err := tx.exec(`INSERT INTO valid_from (kind, value, seq) VALUES ($1, $2, $3)
		ON CONFLICT (kind, value) DO UPDATE SET seq = excluded.seq`, int64(kind), value, int64(seq))
	return err
}

// append takes the next number and chains the entry. The row it locks is held
// until the commit, so that nobody sees a seq before all lower ones.
func (tx *Tx) append(e revocation.Entry, session string) (LogRecord, error) {
	h, err := tx.lockHead()
	if err != nil {
		return LogRecord{}, err
	}
	if h.Seq >= revocation.MaxSeq {
		return LogRecord{}, errNumbers
	}
	rec := LogRecord{Seq: h.Seq + 1, Epoch: h.Epoch, Entry: e, At: tx.t.headAt}
	rec.C = h.C.Next(rec.Seq, e)
	_, err = tx.exec("INSERT INTO log ("+logColumns+", session) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		int64(rec.Seq), int64(rec.Epoch), int64(e.Kind), int64(e.Flags), int64(e.Handle),
		rec.C[:], toMillis(rec.At), session)
	if err != nil {
		return LogRecord{}, err
	}
	_, err = tx.exec("UPDATE log_head SET seq = $1, c = $2 WHERE id = 1", int64(rec.Seq), rec.C[:])
	if err != nil {
		return LogRecord{}, err
	}
	h.Seq, h.C = rec.Seq, rec.C
	tx.t.appended = true
	return rec, nil
}

// lockHead locks the log's row and returns a copy that append keeps true.
func (tx *Tx) lockHead() (*Head, error) {
	if tx.t.head != nil {
		return tx.t.head, nil
	}
	if !tx.t.write {
		return nil, errReadOnly
	}
	var h Head
	var at time.Time
	err := tx.row("SELECT epoch, base, seq, c, low_water, low_c, {now} FROM log_head WHERE id = 1{lock}", nil,
		append(h.dest(), millis{&at})...)
	if err != nil {
		return nil, err
	}
	tx.t.head, tx.t.headAt = &h, tx.t.s.at(at)
	return &h, nil
}

// TrimLog drops entries appended before the given time, oldest first, at most
// [MaxTrim] of them, and raises the low-water mark to the last one dropped. It
// returns how many it dropped; call it again while that is MaxTrim. Absolute
// entries of keys stay for ever.
func (tx *Tx) TrimLog(before time.Time) (int, error) {
	h, err := tx.lockHead()
	if err != nil {
		return 0, err
	}
	// The clock may have gone back at times, so an older number can carry a
	// later time. The cut is below the first entry that has to stay.
	const droppable = `FROM log WHERE NOT (kind = $1 AND flags & $2 <> 0)
		AND seq < COALESCE((SELECT seq FROM log WHERE at >= $3 ORDER BY seq LIMIT 1), $4)`
	args := []any{int64(revocation.Key), int64(revocation.Absolute), toMillis(before), int64(h.Seq + 1), int64(MaxTrim)}
	var last, count uint64
	err = tx.row("SELECT max(seq), count(*) FROM (SELECT seq "+droppable+" ORDER BY seq LIMIT $5) AS oldest",
		args, number{&last}, number{&count})
	if err != nil || count == 0 {
		return 0, err
	}
	var lowC revocation.Link
	err = tx.row("SELECT c FROM log WHERE seq = $1", []any{int64(last)}, digest{(*[32]byte)(&lowC)})
	if err != nil {
		return 0, err
	}
	_, err = tx.exec("DELETE FROM log WHERE seq <= $1 AND NOT (kind = $2 AND flags & $3 <> 0)",
		int64(last), int64(revocation.Key), int64(revocation.Absolute))
	if err != nil {
		return 0, err
	}
	if last <= h.LowWater {
		return int(count), nil
	}
	_, err = tx.exec("UPDATE log_head SET low_water = $1, low_c = $2 WHERE id = 1", int64(last), lowC[:])
	if err != nil {
		return 0, err
	}
	h.LowWater, h.LowC = last, lowC
	return int(count), nil
}

// String names a position without its chain.
func (h Head) String() string { return fmt.Sprintf("%d.%d", h.Epoch, h.Seq) }
