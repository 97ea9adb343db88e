package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"strings"
	"time"
)

// MaxAuditText is the length in bytes that each text of an audit row is cut to.
const MaxAuditText = 4 << 10

// An AuditRow says who did what. N and Hash are the store's to set.
type AuditRow struct {
	N       uint64
	At      time.Time // milliseconds; zero: the time of the commit
	Actor   string
	Action  string
	Subject string
	Detail  string
	Hash    [32]byte // SHA-256 over the Hash before and this row
}

const auditColumns = "n, at, actor, action, subject, detail, hash"

func (a *AuditRow) dest() []any {
	return []any{
		number{&a.N}, millis{&a.At}, text{&a.Actor}, text{&a.Action}, text{&a.Subject}, text{&a.Detail}, digest{&a.Hash},
	}
}

// after returns the hash of the row a that follows one with hash prev:
// SHA-256(prev ‖ n ‖ at ‖ for each text its length and its bytes), numbers as 8
// bytes, big-endian. Lengths keep "ab","c" apart from "a","bc".
func (a *AuditRow) after(prev [32]byte) [32]byte {
	b := append(make([]byte, 0, 512), prev[:]...)
	b = binary.BigEndian.AppendUint64(b, a.N)
	b = binary.BigEndian.AppendUint64(b, uint64(toMillis(a.At)))
	for _, s := range [...]string{a.Actor, a.Action, a.Subject, a.Detail} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	return sha256.Sum256(b)
}

// AppendAudit writes a row of the audit trail. It is numbered and chained at
// the end of the batch, so that nodes hold each other up no longer than the
// commit takes; if that fails, so does the whole Update. Text that a database
// cannot keep is replaced, and longer text than [MaxAuditText] cut.
func (tx *Tx) AppendAudit(a AuditRow) error {
	if err := tx.admit(nil); err != nil {
		return err
	}
	if !tx.t.write {
		return errReadOnly
	}
	for _, s := range [...]*string{&a.Actor, &a.Action, &a.Subject, &a.Detail} {
		*s = auditText(*s)
	}
	tx.t.audit = append(tx.t.audit, a)
	return nil
}

func auditText(s string) string {
	if len(s) > MaxAuditText {
		s = s[:MaxAuditText]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// flushAudit numbers, chains and writes the rows of the batch.
func (t *txn) flushAudit() error {
	if len(t.audit) == 0 {
		return nil
	}
	tx := &Tx{t: t}
	var n uint64
	var hash [32]byte
	var now time.Time
	err := tx.row("SELECT n, hash, {now} FROM audit_head WHERE id = 1{lock}", nil, number{&n}, digest{&hash}, millis{&now})
	if err != nil {
		return err
	}
	now = t.s.at(now)
	for _, a := range t.audit {
		n++
		a.N = n
		if a.At.IsZero() {
			a.At = now
		}
		hash = a.after(hash)
		_, err := tx.exec("INSERT INTO audit ("+auditColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7)",
			int64(a.N), toMillis(a.At), a.Actor, a.Action, a.Subject, a.Detail, hash[:])
		if err != nil {
			return err
		}
	}
	_, err = tx.exec("UPDATE audit_head SET n = $1, hash = $2 WHERE id = 1", int64(n), hash[:])
	return err
}

// Audit returns up to limit rows after number n, in order; 0 means all. Rows
// of the running transaction are not among them.
func (tx *Tx) Audit(n uint64, limit int) ([]AuditRow, error) {
	return list(tx, "SELECT "+auditColumns+" FROM audit WHERE n > $1 ORDER BY n LIMIT $2",
		[]any{int64(n), all(limit)}, (*AuditRow).dest)
}

// AuditOf returns the row of the audit trail that has a hash, or [ErrNotFound]. It
// reads the whole trail.
func (tx *Tx) AuditOf(hash [32]byte) (AuditRow, error) {
	var a AuditRow
	err := tx.row("SELECT "+auditColumns+" FROM audit WHERE hash = $1", []any{hash[:]}, a.dest()...)
	return a, err
}

// VerifyAudit recomputes the chain. It returns how many rows are whole, counted
// from the first, and the number of the first one that is changed, missing or
// more than there should be; 0 means that all is well.
//
// Somebody who can write to the database can make a new chain from any row on.
// To notice that, keep a hash elsewhere and look for it with [Tx.AuditOf].
func (tx *Tx) VerifyAudit() (whole, broken uint64, err error) {
	var hash, end [32]byte
	var last uint64
	err = tx.row("SELECT n, hash FROM audit_head WHERE id = 1", nil, number{&last}, digest{&end})
	if err != nil {
		return 0, 0, err
	}
	var a AuditRow
	intact := true
	err = tx.rows("SELECT "+auditColumns+" FROM audit ORDER BY n", nil, func(r *sql.Rows) error {
		if err := r.Scan(a.dest()...); err != nil {
			return err
		}
		next := AuditRow{N: whole + 1, At: a.At, Actor: a.Actor, Action: a.Action, Subject: a.Subject, Detail: a.Detail}
		if a.N != next.N || a.Hash != next.after(hash) {
			intact = false
			return errStop
		}
		whole, hash = a.N, a.Hash
		return nil
	})
	if err == nil && (!intact || whole != last || hash != end) {
		return whole, whole + 1, nil
	}
	return whole, 0, err
}
