package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// A conn is one connection and the statements prepared on it. It belongs to one
// goroutine at a time.
type conn struct {
	db    *sql.Conn
	d     *Dialect
	stmts map[string]*sql.Stmt // by text before expansion
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
	raw, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: connect: %w", err)
	}
	return &conn{db: raw, d: &s.dialect, stmts: make(map[string]*sql.Stmt)}, nil
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
