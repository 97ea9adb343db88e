package store

import "context"

// View runs fn in a read-only transaction that sees one state of the database
// throughout. fn runs in the caller's goroutine; ctx ends its queries.
func (s *Store) View(ctx context.Context, fn func(tx *Tx) error) error {
	c, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	broken := true
	defer func() { s.giveBack(c, broken) }()

	t, err := s.start(ctx, c, false)
	if err != nil {
		return err
	}
	tx := &Tx{t: t}
	defer func() {
		tx.over = true
		t.rollback()
		broken = t.broken != nil
	}()
	return fn(tx)
}

// borrow waits for an idle connection.
func (s *Store) borrow(ctx context.Context) (*conn, error) {
	select {
	case <-s.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case c := <-s.views:
		if c != nil {
			return c, nil
		}
	case <-s.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := s.dial(ctx, s.reads)
	if err != nil {
		s.views <- nil
	}
	return c, err
}

func (s *Store) giveBack(c *conn, broken bool) {
	if broken {
		c.close(true)
		c = nil
	}
	s.views <- c
}
