package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Tx is what an Update or View may do. It is good until the function that
// received it returns, and belongs to the goroutine of that function.
type Tx struct {
	t        *txn
	over     bool     // the function has returned
	wrote    bool     // something is written that would have to be undone
	deferred bool     // wants to append, and is asked to come again at the end
	wants    []string // sessions it needs whose rows another transaction holds
}

// A txn is a transaction of the database. An Update's is shared by the calls of
// one batch, each with its own Tx.
type txn struct {
	s     *Store
	c     *conn
	ctx   context.Context
	write bool

	broken   error      // first error of the database since the last savepoint
	ended    bool       // committed or rolled back
	head     *Head      // the locked row of the log; nil while not held
	headAt   time.Time  // the database's time when it was locked
	audit    []AuditRow // written just before the commit
	appended bool       // the log grew
	mayDefer bool       // an append may still be put off to the end of the batch
}

var (
	errOver     = errors.New("store: transaction used after its function returned")
	errReadOnly = errors.New("store: write in a View")
	errStop     = errors.New("store: enough rows")
	errDeferred = errors.New("store: put off to the end of the batch")
	errBlocked  = errors.New("store: a row is held by another transaction")
)

// start begins a transaction on c.
func (s *Store) start(ctx context.Context, c *conn, write bool) (*txn, error) {
	begin := s.dialect.BeginView
	if write {
		begin = s.dialect.BeginUpdate
	}
	if _, err := c.exec(ctx, begin); err != nil {
		return nil, fmt.Errorf("store: begin: %w", err)
	}
	return &txn{s: s, c: c, ctx: ctx, write: write}, nil
}

// control runs a statement that steers the transaction itself.
func (t *txn) control(query string) error {
	if _, err := t.c.exec(t.ctx, query); err != nil {
		t.fail(err)
		return fmt.Errorf("store: %s: %w", strings.ToLower(query), err)
	}
	return nil
}

func (t *txn) fail(err error) {
	if t.broken == nil {
		t.broken = err
	}
}

func (t *txn) commit() error {
	err := t.control("COMMIT")
	t.ended = err == nil
	return err
}

// rollback undoes everything unless the transaction has ended.
func (t *txn) rollback() {
	if t.ended {
		return
	}
	t.ended = true
	ctx, cancel := t.s.bound(context.WithoutCancel(t.ctx))
	defer cancel()
	if _, err := t.c.exec(ctx, "ROLLBACK"); err != nil {
		t.fail(err)
	}
}

// exec runs a statement that writes and returns how many rows it touched.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	if !tx.t.write {
		return 0, errReadOnly
	}
	if err := tx.admit(args); err != nil {
		return 0, err
	}
	n, err := tx.t.c.exec(tx.t.ctx, query, args...)
	tx.wrote = tx.wrote || n > 0 || err != nil
	return n, tx.seen(err)
}

// rows calls each for every row of a query, until it says errStop.
func (tx *Tx) rows(query string, args []any, each func(r *sql.Rows) error) error {
	if err := tx.admit(args); err != nil {
		return err
	}
	st, err := tx.t.c.prepare(tx.t.ctx, query)
	if err != nil {
		return tx.seen(err)
	}
	rows, err := st.QueryContext(tx.t.ctx, args...)
	if err != nil {
		return tx.seen(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err == errStop {
			return nil
		} else if err != nil {
			return tx.seen(err)
		}
	}
	return tx.seen(rows.Err())
}

// row reads the only row of a query; without one the error is [ErrNotFound].
func (tx *Tx) row(query string, args []any, dest ...any) error {
	found := false
	err := tx.rows(query, args, func(r *sql.Rows) error {
		found = true
		return r.Scan(dest...)
	})
	if err == nil && !found {
		return ErrNotFound
	}
	return err
}

// list collects the rows of a query, each filled through the places that dest
// names.
func list[T any](tx *Tx, query string, args []any, dest func(*T) []any) ([]T, error) {
	var all []T
	err := tx.rows(query, args, func(r *sql.Rows) error {
		var one T
		if err := r.Scan(dest(&one)...); err != nil {
			return err
		}
		all = append(all, one)
		return nil
	})
	return all, err
}

// claim locks the row of a session that other Updates may want, too. A batch
// holds many such rows, and two batches that wait for each other's would stand
// still until the database notices. So nobody waits who holds anything: an op
// that finds the row taken gives up for now (errBlocked), and is run again in a
// transaction that begins by waiting for it.
func (tx *Tx) claim(id string) error {
	if tx.t.s.dialect.LockFree == "" {
		return nil
	}
	err := tx.row("SELECT id FROM sessions WHERE id = $1{lockfree}", []any{id}, text{new(string)})
	if err != ErrNotFound {
		return err
	}
	err = tx.row("SELECT id FROM sessions WHERE id = $1", []any{id}, text{new(string)})
	if err != nil {
		return ignore(ErrNotFound, err)
	}
	tx.wants = append(tx.wants, id)
	return errBlocked
}

// await locks the rows of sessions in the order that everybody keeps to. The
// transaction holds nothing yet.
func (t *txn) await(ids []string) error {
	tx := &Tx{t: t}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		err := tx.row("SELECT id FROM sessions WHERE id = $1{lock}", []any{id}, text{new(string)})
		if err := ignore(ErrNotFound, err); err != nil {
			return err
		}
	}
	return nil
}

func ignore(one, err error) error {
	if err == one {
		return nil
	}
	return err
}

// seen notes an error of the database: from here on the transaction is in
// doubt, and its batch cannot commit as it is.
func (tx *Tx) seen(err error) error {
	if err == nil {
		return nil
	}
	tx.t.fail(err)
	return fmt.Errorf("store: %w", err)
}

// admit refuses what must not reach the database: a Tx that is over, and texts
// that PostgreSQL would answer with an error that spoils the whole batch.
func (tx *Tx) admit(args []any) error {
	if tx.over {
		return errOver
	}
	for _, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			return ErrText
		}
	}
	return nil
}

// Now returns the database's clock, or the process' where the database has none,
// in milliseconds.
func (tx *Tx) Now() (time.Time, error) {
	var at time.Time
	if tx.t.s.dialect.Now == "" {
		return tx.t.s.at(at), tx.admit(nil)
	}
	err := tx.row("SELECT {now}", nil, millis{&at})
	return at, err
}

// at returns what the database said, or the process' clock where it has none.
func (s *Store) at(database time.Time) time.Time {
	if s.dialect.Now == "" {
		return s.now().UTC().Truncate(time.Millisecond)
	}
	return database
}
