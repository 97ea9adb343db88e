package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// answerLimit is how long a connection that was idle may take to begin a transaction,
// which waits for nobody. One that takes longer lost its server without a word.
const answerLimit = time.Second

// A conn is one connection and the statements prepared on it. It belongs to one
// goroutine at a time.
type conn struct {
	db    *sql.Conn
	d     *Dialect
	stmts map[string]*sql.Stmt // by text before expansion
	since uint64               // Store.silences when it was dialled
}

func (c *conn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := c.stmts[query]; ok {
		return st, nil
	}
	st, err := c.db.PrepareContext(ctx, c.d.expand(query))
	if err != nil {
		return nil, err
	}
	c.stmts[query] = st
	return st, nil
}

func (c *conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := c.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// close gives the connection back to the driver's pool, or throws it away when
// it is broken, so that no later transaction inherits its state.
func (c *conn) close(broken bool) {
	for _, st := range c.stmts {
		st.Close()
	}
	if broken {
		c.db.Raw(func(any) error { return driver.ErrBadConn })
	}
	c.db.Close()
}

// connect takes a connection from db.
func (s *Store) connect(ctx context.Context, db *sql.DB) (*conn, error) {
	since := s.silences.Load()
	raw, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: connect: %w", err)
	}
	return &conn{db: raw, d: &s.dialect, stmts: make(map[string]*sql.Stmt), since: since}, nil
}

// dial connects and makes sure that the store knows the history behind it.
func (s *Store) dial(ctx context.Context, db *sql.DB) (*conn, error) {
	c, err := s.connect(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := s.recognise(ctx, c); err != nil {
		c.close(true)
		return nil, err
	}
	return c, nil
}

// enter begins a transaction on *c, and dials where there is no connection, or one
// that went stale while it was idle. *c is nil after an error.
func (s *Store) enter(ctx context.Context, c **conn, db *sql.DB, write bool) (*txn, error) {
	if *c != nil {
		t, err := s.resume(ctx, *c, write)
		if err == nil {
			return t, nil
		}
		s.drop(c)
		if s.dialect.Again(err) {
			return nil, err // another connection would wait for the same
		}
	}
	var err error
	if *c, err = s.dial(ctx, db); err != nil {
		return nil, err
	}
	t, err := s.start(ctx, *c, write)
	if err != nil {
		s.drop(c)
	}
	return t, err
}

var errSilent = errors.New("store: the connection leads nowhere any more")

// resume begins a transaction on a connection that was idle. Where one has gone
// silent, those of its age are not asked: each would take as long.
func (s *Store) resume(ctx context.Context, c *conn, write bool) (*txn, error) {
	if s.dialect.Timeout == 0 {
		return s.start(ctx, c, write)
	}
	if c.since != s.silences.Load() {
		return nil, errSilent
	}
	soon, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	t, err := s.start(soon, c, write)
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		s.silences.CompareAndSwap(c.since, c.since+1)
		return nil, errSilent
	}
	if err != nil {
		return nil, err
	}
	t.ctx = ctx
	return t, nil
}

// drop throws *c away without waiting: a server that is silent is silent then, too.
func (s *Store) drop(c **conn) {
	broken := *c
	*c = nil
	s.dropping.Go(func() { broken.close(true) })
}
