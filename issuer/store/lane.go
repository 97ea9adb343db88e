package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxBatch is how many Updates share a commit at most.
	maxBatch = 256

	// gatherWindow is how long a batch goes on taking in Updates that arrive
	// while it runs. An idle lane commits at once.
	gatherWindow = 10 * time.Millisecond

	// maxAgain is how often an Update that met a deadlock is tried again.
	maxAgain = 5
)

// Update runs fn in a transaction and makes it durable: when Update returns
// nil, what fn wrote is on disk. An error of fn undoes what fn wrote, and only
// that, and is returned as it is. Any other error is an [ErrUnavailable].
//
// Concurrent Updates share a transaction and its commit. fn therefore may run
// more than once, sees what other Updates of its batch wrote before it, runs in
// another goroutine, and must touch nothing but tx and variables that it sets
// anew each time. It must not call Update. A panic in fn is returned as an error.
//
// When ctx ends before fn has begun, fn is dropped and ctx's error returned.
// Once begun, it runs to its end and Update returns its true outcome. An error
// that wraps [ErrUncertain] leaves open whether fn was done.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return trouble(err)
	}
	o := &op{fn: fn, answer: make(chan error, 1)}
	if !s.queue.put(o) {
		return trouble(ErrClosed)
	}
	select {
	case err := <-o.answer:
		return err
	case <-ctx.Done():
		if o.state.CompareAndSwap(opWaiting, opDropped) {
			return trouble(ctx.Err())
		}
		return <-o.answer
	}
}

// An op is one call of Update on its way through a lane.
type op struct {
	fn     func(tx *Tx) error
	answer chan error // capacity 1
	state  atomic.Int32

	// Owned by the lane once claimed.
	err   error
	again bool     // err may go away when tried again
	wants []string // sessions whose rows to wait for first
}

const (
	opWaiting int32 = iota
	opClaimed
	opDropped  // its caller has gone
	opAnswered // the lane is done with it
)

func (o *op) reply(err error) {
	if o.state.CompareAndSwap(opClaimed, opAnswered) {
		o.answer <- err
	}
}

// A queue holds the ops that no lane has taken yet. It is as long as there are
// callers waiting, and needs no bound of its own.
type queue struct {
	wake chan struct{} // capacity 1; holds a value while there may be ops, closed by close

	mu     sync.Mutex
	ops    []*op
	closed bool
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) put(o *op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.ops = append(q.ops, o)
	q.rouse()
	return true
}

// rouse makes a lane look; q.mu is held.
func (q *queue) rouse() {
	if q.closed {
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take claims up to n ops without waiting. What was dropped meanwhile is left out.
func (q *queue) take(n int) []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []*op
	for len(q.ops) > 0 && len(taken) < n {
		o := q.ops[0]
		q.ops[0] = nil
		q.ops = q.ops[1:]
		if o.state.CompareAndSwap(opWaiting, opClaimed) {
			taken = append(taken, o)
		}
	}
	if len(q.ops) > 0 {
		q.rouse()
	}
	return taken
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ops)
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	close(q.wake)
}

// A lane runs batches, one after another, on a connection of its own.
type lane struct {
	s *Store
	c *conn // nil: not dialled
}

// run goes on until the queue is closed and empty.
func (l *lane) run() {
	finished := false
	defer func() {
		l.hangUp(!finished)
		if finished {
			l.s.lanes.Done()
			return
		}
		// An op ended its goroutine, as testing.T.FailNow does: go on in another.
		go l.run()
	}()
	for range l.s.queue.wake {
		// Those who were just answered may be about to come again.
		runtime.Gosched()
		l.batch(l.s.queue.take(maxBatch))
	}
	for ops := l.s.queue.take(maxBatch); len(ops) > 0; ops = l.s.queue.take(maxBatch) {
		l.batch(ops)
	}
	finished = true
}

func (l *lane) hangUp(broken bool) {
	if l.c != nil {
		l.c.close(broken)
		l.c = nil
	}
}

// batch runs ops and answers each of them.
func (l *lane) batch(ops []*op) {
	if len(ops) == 0 {
		return
	}
	b := &batch{lane: l, ops: ops}
	defer b.abandon()

	err := b.try(false)
	if err != nil && !errors.Is(err, ErrUncertain) && !errors.Is(err, context.DeadlineExceeded) {
		l.s.counters.reruns.Add(1)
		err = b.try(true)
	}
	b.settle(err)
	for _, o := range b.ops {
		if !o.again {
			l.answer(o)
		}
	}
	for _, o := range b.ops {
		if o.again {
			l.alone(o)
			l.answer(o)
		}
	}
}

// answer tells the caller of an op.
func (l *lane) answer(o *op) {
	l.s.counters.updates.Add(1)
	o.reply(o.err)
}

// alone tries an op that met a deadlock, or a row that was taken, again: in
// transactions of its own, in which it can wait.
func (l *lane) alone(o *op) {
	for range maxAgain {
		b := &batch{lane: l, ops: []*op{o}}
		b.settle(b.try(true))
		if !o.again {
			return
		}
	}
}

// A batch is the ops that share a transaction.
type batch struct {
	*lane
	ops []*op
}

// settle gives every op the error that hit all of them.
func (b *batch) settle(err error) {
	if err == nil {
		return
	}
	again := !errors.Is(err, ErrUncertain) && b.s.dialect.Again(err)
	for _, o := range b.ops {
		o.err, o.again = trouble(err), again
	}
}

// abandon answers the ops that a panic or Goexit left without an answer.
func (b *batch) abandon() {
	for _, o := range b.ops {
		o.reply(trouble(errGone))
	}
}

var (
	errGone = errors.New("store: the transaction's goroutine ended")
	errUndo = errors.New("store: an operation has to be undone")
)

// try runs all ops in one transaction and commits it. Without isolate it gives
// up (errUndo) when one op fails after it wrote; with isolate a savepoint
// around each op undoes that op alone. An error is about the transaction as a
// whole: then no op has an outcome.
func (b *batch) try(isolate bool) (err error) {
	ctx, cancel := b.s.bound(context.Background())
	defer cancel()
	t, err := b.s.enter(ctx, &b.c, b.s.writes, true)
	if err != nil {
		return err
	}
	defer func() {
		t.rollback()
		if t.broken != nil {
			b.hangUp(true)
		}
	}()
	if err := t.await(b.wants()); err != nil {
		return err
	}
	if err := b.run(t, isolate); err != nil {
		return err
	}
	return b.finish(t)
}

// wants names the sessions that ops found taken when they ran before.
func (b *batch) wants() (ids []string) {
	for _, o := range b.ops {
		ids = append(ids, o.wants...)
	}
	return ids
}

// bound ends a transaction with a server that has gone without a word. TCP alone
// would wait for a quarter of an hour.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.dialect.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.dialect.Timeout)
}

// run calls every op. Those that append to the log come last, so that the row
// all nodes have to lock is held for the shortest time and after all others.
func (b *batch) run(t *txn, isolate bool) error {
	var last []*op
	t.mayDefer = true
	until := time.Now().Add(gatherWindow)
	for i := 0; i < len(b.ops); i++ {
		deferred, err := t.call(b.ops[i], isolate)
		if err != nil {
			return err
		}
		if deferred {
			last = append(last, b.ops[i])
		}
		if i == len(b.ops)-1 && !isolate && time.Now().Before(until) {
			b.ops = append(b.ops, b.s.queue.take(maxBatch-len(b.ops))...)
		}
	}
	t.mayDefer = false
	for _, o := range last {
		if _, err := t.call(o, isolate); err != nil {
			return err
		}
	}
	return nil
}

// finish writes what waited for the end and commits.
func (b *batch) finish(t *txn) error {
	if err := t.flushAudit(); err != nil {
		return err
	}
	if err := t.commit(); err != nil {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	b.s.counters.commits.Add(1)
	if t.appended {
		b.s.signal()
	}
	return nil
}

// call runs one op. deferred means that it has to be called again at the end.
func (t *txn) call(o *op, isolate bool) (deferred bool, err error) {
	if isolate {
		if err := t.control("SAVEPOINT op"); err != nil {
			return false, err
		}
	}
	audit, appended := len(t.audit), t.appended
	tx := &Tx{t: t}
	o.err = protect(o.fn, tx)
	tx.over = true
	if o.err == nil && t.broken != nil {
		// fn swallowed an error of the database: it cannot have succeeded.
		o.err = fmt.Errorf("store: %w", t.broken)
	}
	if o.err == nil && tx.wants != nil {
		o.err = errBlocked // swallowed as well
	}
	if t.broken != nil || tx.wants != nil {
		o.err = trouble(o.err)
	}
	o.wants = append(o.wants, tx.wants...)
	o.again = tx.wants != nil || t.broken != nil && t.s.dialect.Again(t.broken)
	if o.err == nil && !tx.deferred {
		return false, t.release(isolate)
	}
	t.audit, t.appended = t.audit[:audit], appended
	if t.broken == nil && !tx.wrote {
		return tx.deferred, t.release(isolate)
	}
	if !isolate {
		return false, errUndo
	}
	return tx.deferred, t.undo()
}

// release forgets the savepoint, if there is one, and keeps what was done.
func (t *txn) release(isolate bool) error {
	if !isolate {
		return nil
	}
	return t.control("RELEASE SAVEPOINT op")
}

// undo goes back to the savepoint. Locks taken since are gone with it.
func (t *txn) undo() error {
	t.broken, t.head = nil, nil
	if err := t.control("ROLLBACK TO SAVEPOINT op"); err != nil {
		return err
	}
	return t.release(true)
}

// protect calls fn and turns a panic into an error.
func protect(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			tx.wrote = true // who knows
			err = fmt.Errorf("store: panic in a transaction: %v", v)
		}
	}()
	return fn(tx)
}
