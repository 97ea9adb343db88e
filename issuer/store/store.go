package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Config says whose store it is.
type Config struct {
	// Issuer is the "iss" of everything this store is about; the revocation
	// log's chain starts from it. Required for a new store. Later it may be
	// empty; another value than the first is [ErrIssuer].
	Issuer string

	// Now is the clock of a database that has none (SQLite); default time.Now.
	// PostgreSQL's own clock is used in any case, since several nodes share it.
	Now func() time.Time
}

// A Store is a database of one issuer. Its methods may be called concurrently.
type Store struct {
	dialect Dialect
	issuer  string
	now     func() time.Time

	writes, reads *sql.DB // may be the same

	queue   *queue
	lanes   sync.WaitGroup
	views   chan *conn    // idle ones; nil stands for one not dialled yet
	changed chan struct{} // capacity 1

	identity atomic.Pointer[string] // last one seen to agree with the store
	silences atomic.Uint64          // how often a connection was found to lead nowhere
	dropping sync.WaitGroup         // connections that are being closed
	counters counters

	closing sync.Once
	closed  chan struct{}
}

// Open brings the schema of a database up to date and starts the lanes. It is
// called by sqlite.Open and postgres.Open, which own what a database needs
// before and after. The Store owns writes and reads from here on, also when
// Open fails.
func Open(ctx context.Context, d Dialect, writes, reads *sql.DB, cfg Config) (*Store, error) {
	s := &Store{
		dialect: d,
		now:     cfg.Now,
		writes:  writes,
		reads:   reads,
		queue:   newQueue(),
		views:   make(chan *conn, d.Views),
		changed: make(chan struct{}, 1),
		closed:  make(chan struct{}),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.begin(ctx, cfg.Issuer); err != nil {
		return nil, errors.Join(err, s.closePools())
	}
	for range d.Views {
		s.views <- nil
	}
	for range d.Lanes {
		s.lanes.Add(1)
		go (&lane{s: s}).run()
	}
	return s, nil
}

func (s *Store) begin(ctx context.Context, issuer string) error {
	if err := migrate(ctx, &s.dialect, s.writes); err != nil {
		return err
	}
	c, err := s.connect(ctx, s.writes)
	if err != nil {
		return err
	}
	err = s.claim(ctx, c, issuer)
	if err == nil {
		err = s.recognise(ctx, c)
	}
	c.close(err != nil)
	return err
}

// Issuer returns the "iss" that the store belongs to.
func (s *Store) Issuer() string { return s.issuer }

// Shared reports whether other processes may use the same database. Where none
// can (SQLite), nobody has to be told anything.
func (s *Store) Shared() bool { return s.dialect.Now != "" }

// Changed returns a channel that receives after a local commit that appended to
// the revocation log. Signals merge, and each goes to one receiver: the feed.
// What other nodes append is found only by looking.
func (s *Store) Changed() <-chan struct{} { return s.changed }

func (s *Store) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Close lets the Updates already handed in finish, waits for running Views, and
// closes the database. Calling it again does nothing.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.closed)
		s.queue.close()
		s.lanes.Wait()
		for range s.dialect.Views {
			if c := <-s.views; c != nil {
				c.close(false)
			}
		}
		s.dropping.Wait()
		err = s.closePools()
	})
	return err
}

func (s *Store) closePools() error {
	err := s.reads.Close()
	if s.writes != s.reads {
		err = errors.Join(err, s.writes.Close())
	}
	if err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// Stats says what the lanes do, and have done since Open.
type Stats struct {
	Lanes   int    // batches that may run at once
	Waiting int    // calls of Update that no lane has taken yet
	Updates uint64 // calls of Update that were run and answered
	Commits uint64 // transactions committed for them
	Reruns  uint64 // batches run a second time to keep one call's error from the others
}

type counters struct{ updates, commits, reruns atomic.Uint64 }

// Stats returns the counts so far.
func (s *Store) Stats() Stats {
	c := &s.counters
	return Stats{Lanes: s.dialect.Lanes, Waiting: s.queue.length(), Updates: c.updates.Load(), Commits: c.commits.Load(), Reruns: c.reruns.Load()}
}
