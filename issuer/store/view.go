package store

import "context"

// View runs fn in a read-only transaction that sees one state of the database
// throughout. fn runs once, in the caller's goroutine; ctx ends its queries, and so
// does the time that a batch may take. An
// error of fn is returned as it is, any other one is an [ErrUnavailable].
func (s *Store) View(ctx context.Context, fn func(tx *Tx) error) error {
	if s.dialect.Timeout > 0 { // a server that has gone without a word holds nobody for longer
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.dialect.Timeout)
		defer cancel()
	}
	c, err := s.borrow(ctx)
	if err != nil {
		return trouble(err)
	}
	defer func() { s.views <- c }()

	t, err := s.look(ctx, &c)
	if err != nil {
		return trouble(err)
	}
	tx := &Tx{t: t}
	defer func() {
		tx.over = true
		t.rollback()
		if t.broken != nil {
			c.close(true)
			c = nil
		}
	}()
	if err = fn(tx); t.broken != nil {
		err = trouble(err)
	}
	return err
}

// look begins a transaction on *c and dials where there is no connection, or
// one that went stale while it was idle. *c is nil after an error.
func (s *Store) look(ctx context.Context, c **conn) (*txn, error) {
	if *c != nil {
		if t, err := s.start(ctx, *c, false); err == nil {
			return t, nil
		}
		(*c).close(true)
	}
	var err error
	if *c, err = s.dial(ctx, s.reads); err != nil {
		return nil, err
	}
	t, err := s.start(ctx, *c, false)
	if err != nil {
		(*c).close(true)
		*c = nil
	}
	return t, err
}

// borrow waits for a place, which may have no connection yet.
func (s *Store) borrow(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-s.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case c := <-s.views:
		return c, nil
	case <-s.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
