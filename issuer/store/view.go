package store

import "context"

// View runs fn in a read-only transaction that sees one state of the database
// throughout. fn runs once, in the caller's goroutine; ctx ends its queries, and so
// does the time that a batch may take. An error of fn is returned as it is, any
// other one is an [ErrUnavailable].
func (s *Store) View(ctx context.Context, fn func(tx *Tx) error) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	c, err := s.borrow(ctx)
	if err != nil {
		return trouble(err)
	}
	defer func() { s.views <- c }()

	t, err := s.enter(ctx, &c, s.reads, false)
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
