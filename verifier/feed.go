package verifier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// probeEvery is how often the head is asked for beside the stream.
	probeEvery = time.Second
	// probeTimeout bounds one such question. Others are asked meanwhile, up to
	// maxInFlight, so that one that hangs does not make the table old.
	probeTimeout = 3 * time.Second
	maxInFlight  = 4
	// hedgeAfter is when a mirror is asked because the origin has not answered.
	hedgeAfter = 500 * time.Millisecond
	// urgentSpacing lies between two fetches that lagging tokens asked for.
	urgentSpacing = 50 * time.Millisecond

	requestTimeout  = 5 * time.Second
	snapshotTimeout = time.Minute // of a whole resync
	maxManifest     = jws.MaxToken
	maxKeyAnswer    = 128 << 10

	// A session that ends is begun again after these pauses, doubling.
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second

	// logSpacing lies between two log lines about one outage: its errors differ
	// in port numbers and the like.
	logSpacing = 30 * time.Second
)

// errResync ends a session of which the table can no longer be continued.
var errResync = errors.New("the table cannot be continued from where it is")

// feed follows the revocation feed of one issuer.
//
// Requests read table, lookup and freshAt and never wait. Everything else is
// done by run and the goroutines of a session, which write under mu.
type feed struct {
	cfg   *Config
	log   *slog.Logger
	at    []endpoint // the issuer's own first, then mirrors
	keys  *keySource
	table *revocation.Table
	state *stateDir

	reports *reporter

	lookup   atomic.Pointer[lookup]    // nil until keyed and loaded
	freshAt  atomic.Pointer[time.Time] // when the table was last known to be up to date
	live     atomic.Bool               // the feed's key has answered a question of this process
	answered atomic.Pointer[answer]    // the last word of the origin
	behind   atomic.Int64              // our clock, against the issuer's when it was last heard; nanoseconds
	ahead    ahead
	counts   counts
	keyed    chan struct{} // closed when it is known who signs the feed

	canaries atomic.Pointer[jwk.Set] // public halves of keys that nobody signs with but a thief; nil if there are none
	nameless allowance               // of tokens that name no key, and may be a canary's

	wanted  chan struct{} // somebody waits in next
	applied chan struct{} // the table has moved: acknowledge it
	moving  atomic.Bool   // it has moved since the last acknowledgement
	dirty   atomic.Bool   // there is something to save
	reload  atomic.Bool   // the table must be loaded anew
	savedAt *time.Time    // freshAt of the table on disk; whoever saves owns it

	savedHead revocation.Position // which that table has reached at least; likewise

	mu       sync.Mutex // orders the writers; never held across I/O
	next     *round     // the fetch that lagging tokens wait for; nil if none is wanted
	anchor   *anchor    // nil until the root key is known
	probes   []probe
	delay    delay
	unheard  error // what came in place of the answer that makes us live; nil with it
	evidence evidence
	flock    canaryKeys
	keySet   string    // the one that was last fetched for
	keysAt   time.Time // and when
	err      error     // of the last session or probe; nil when all is well
	logged   time.Time // when err was last logged
}

// round is one fetch of head and entries.
type round struct{ done chan struct{} }

// newFeed makes a feed from what is on disk. base comes out of the issuer's
// metadata.
func newFeed(cfg *Config, base string, keys *keySource, state *stateDir) (*feed, error) {
	if err := checkOrigin(cfg.Issuer, base); err != nil {
		return nil, err
	}
	f := &feed{
		cfg: cfg, log: cfg.Log, keys: keys, state: state,
		wanted: make(chan struct{}, 1), applied: make(chan struct{}, 1), keyed: make(chan struct{}),
	}
	for i, base := range append([]string{base}, cfg.FeedURLs...) {
		e, err := newEndpoint(cfg, base, i > 0)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			e.authorize = f.authorize
		}
		f.at = append(f.at, e)
	}
	f.reports = newReporter(cfg, f.at[0], f.feedKeys)
	return f, f.restore()
}

// checkOrigin keeps the credential at the issuer's own origin, whatever the
// metadata say.
func checkOrigin(issuer, base string) error {
	iss, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	u, err := url.Parse(base)
	if err != nil || !fetch.SameOrigin(iss, u) {
		return errors.New("metadata put the revocation feed on another origin than the issuer's")
	}
	return nil
}

// run follows the feed until ctx ends.
func (f *feed) run(ctx context.Context) {
	pause := minPause
	for ctx.Err() == nil {
		began := time.Now()
		err := f.session(ctx)
		if ctx.Err() != nil {
			return
		}
		f.note(err)
		f.show(ctx, err)
		if time.Since(began) > maxPause {
			pause = minPause
		}
		sleep(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, maxPause)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// note keeps the last error for Ready and Status, and logs it when it is new.
func (f *feed) note(err error) {
	f.mu.Lock()
	before := f.err
	f.err = err
	news := err != nil && (before == nil || before.Error() != err.Error() && time.Since(f.logged) > logSpacing)
	if news {
		f.logged = time.Now()
	}
	f.mu.Unlock()
	switch {
	case news:
		f.log.Warn("revocation feed not followed", "iss", f.cfg.Issuer, "err", err)
	case err == nil && before != nil:
		f.log.Info("revocation feed followed again", "iss", f.cfg.Issuer)
	}
}

// session connects, brings the table up to date and follows the log until
// something happens after which it has to begin anew.
func (f *feed) session(ctx context.Context) error {
	m, err := f.connect(ctx)
	if err == nil && f.table.Head().Epoch < m.Epoch {
		f.showLast(ctx) // whoever began that epoch may not have known of it
	}
	f.show(ctx, err)
	fork := errors.Is(err, revocation.ErrFork)
	if err != nil && !fork {
		return err
	}
	if fork || f.mustLoad(m) {
		if err := f.resync(ctx, m); err != nil {
			return err
		}
	}
	f.note(f.lacking(ctx))
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	wg.Go(func() { f.stream(ctx, stop) })
	wg.Go(func() { f.acknowledge(ctx) })
	f.pulse(ctx, stop)
	wg.Wait()
	return context.Cause(ctx)
}

// connect gets the keys of the feed where they are missing, and a manifest that
// it verifies with them.
func (f *feed) connect(ctx context.Context) (*revocation.Manifest, error) {
	m, err := f.probe(ctx)
	if !errors.Is(err, errNotKeyed) {
		return m, err
	}
	if err := f.fetchKeys(ctx); err != nil {
		return nil, err
	}
	return f.probe(ctx)
}

// mustLoad reports whether the table has to be loaded anew before the tail can
// continue it.
func (f *feed) mustLoad(m *revocation.Manifest) bool {
	head := f.table.Head()
	return head.Epoch != m.Epoch || head.Seq < m.Base || f.reload.Load()
}

// resync adds everything that the issuer holds live to the table, up to the
// head of m. The table forgets nothing by it: after a fork the rules of both
// sides are in force.
func (f *feed) resync(ctx context.Context, m *revocation.Manifest) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	f.counts.resyncs.Add(1)
	snapshot, err := f.collect(ctx, m)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.table.Load(snapshot); err != nil {
		f.alarm(err)
		return fmt.Errorf("snapshot: %w", err)
	}
	f.reload.Store(false)
	f.moved()
	return nil
}

// collect puts together the snapshot of m and the frames between it and the
// head.
func (f *feed) collect(ctx context.Context, m *revocation.Manifest) (*revocation.Snapshot, error) {
	s, err := f.snapshot(ctx, m)
	if err != nil {
		return nil, err
	}
	c := collection{Snapshot: s, held: f.table.Head()}
	if p := s.Position; p.Epoch == c.held.Epoch && p.Seq == c.held.Seq {
		c.passed = p.C
	}
	for s.Position.Seq < m.Head {
		before := s.Position
		err := f.tailAny(ctx, before, func(token string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			frame, err := f.anchor.openFrame(f.cfg.Issuer, token)
			if err != nil {
				return err
			}
			return c.extend(frame)
		})
		if err != nil {
			return nil, err
		}
		if s.Position == before {
			return nil, revocation.ErrGap
		}
	}
	if c.forked() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.alarm(revocation.ErrFork)
	}
	return s, nil
}

func (f *feed) snapshot(ctx context.Context, m *revocation.Manifest) (*revocation.Snapshot, error) {
	if m.Snapshot == nil {
		return m.Start(), nil
	}
	var shards [][]byte
	for _, name := range m.Snapshot.Shards {
		shard, err := f.readAny(ctx, "/snapshot/"+name, int64(revocation.MaxShardSize))
		if err != nil {
			return nil, err
		}
		shards = append(shards, shard)
	}
	return revocation.DecodeSnapshot(m, shards)
}

// collection is a snapshot that grows by frames. It notices when it passes our
// own head with another history.
type collection struct {
	*revocation.Snapshot
	held   revocation.Position
	passed revocation.Link // the chain at held.Seq; zero if not seen
}

// extend adds a frame that begins at the snapshot's position, or runs through it.
func (c *collection) extend(frame *revocation.Frame) error {
	at, end := c.Position, frame.End()
	switch {
	case frame.Epoch != at.Epoch || frame.First > at.Seq+1:
		return revocation.ErrGap
	case end.Seq < at.Seq:
		return nil
	}
	known := at.Seq + 1 - frame.First
	if frame.C0.Chain(frame.First, frame.Entries[:known]) != at.C {
		return revocation.ErrFork
	}
	if at.Epoch == c.held.Epoch && frame.First <= c.held.Seq && c.held.Seq <= end.Seq {
		c.passed = frame.C0.Chain(frame.First, frame.Entries[:c.held.Seq+1-frame.First])
	}
	for i, entry := range frame.Entries[known:] {
		c.Records = append(c.Records, revocation.Record{Seq: at.Seq + 1 + uint64(i), Entry: entry})
	}
	c.Position = end
	return nil
}

func (c *collection) forked() bool {
	return c.passed != revocation.Link{} && c.passed != c.held.C
}

// publish replaces what checks look at, and lets them begin once handle keys and
// table are there. Callers hold f.mu.
func (f *feed) publish() {
	if f.anchor == nil || f.table.Head() == (revocation.Position{}) {
		return
	}
	keys, ok := f.anchor.handleKeys()
	if !ok {
		return
	}
	next := &lookup{keys: keys, maxLife: f.anchor.MaxLife(), witnesses: f.anchor.WitnessKeys()}
	if now := f.lookup.Load(); now == nil || !now.equal(next) {
		f.lookup.Store(next)
		f.dirty.Store(true)
	}
}

// apply adds a frame that came over the stream. An error other than nil means
// that the stream it came from is of no more use.
func (f *feed) apply(token string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	frame, err := f.anchor.openFrame(f.cfg.Issuer, token)
	if err != nil {
		f.counts.refused.Add(1)
		return fmt.Errorf("frame: %w", err)
	}
	before := f.table.Head()
	switch err := f.table.Apply(frame); {
	case err == nil:
	case errors.Is(err, revocation.ErrStale):
		return nil // a duplicate, or an old frame: everything in it is held
	default:
		f.alarm(err)
		f.reload.Store(true)
		return fmt.Errorf("frame: %w", err)
	}
	f.evidence.keep(token, frame, f.anchor.Statement())
	f.anchor.Advance(frame.AsOf)
	f.table.SetRetention(f.anchor.Retention())
	if f.table.Head() != before {
		f.moved()
	}
	f.reached()
	return nil
}

// moved tells everybody that the table has a new head. Callers hold f.mu.
func (f *feed) moved() {
	f.dirty.Store(true)
	f.publish()
	f.reached()
	f.moving.Store(true)
	signal(f.applied)
}

// alarm counts and logs what no honest feed shows. Callers hold f.mu.
func (f *feed) alarm(err error) {
	switch {
	case errors.Is(err, revocation.ErrFork):
		if f.counts.forks.Add(1) == 1 {
			f.log.Error("revocation log has two histories: the rules of both are kept", "iss", f.cfg.Issuer, "seq", f.table.Head().Seq)
		}
	case errors.Is(err, revocation.ErrStale):
		if f.counts.rollbacks.Add(1) == 1 {
			f.log.Error("revocation feed went back: refused", "iss", f.cfg.Issuer, "seq", f.table.Head().Seq)
		}
	case errors.Is(err, revocation.ErrGap):
		f.counts.gaps.Add(1)
	default:
		f.counts.refused.Add(1)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting already
	}
}

// counts are for Status. Each only grows.
type counts struct {
	late, stale                                     atomic.Uint64 // checks in these states
	ahead, forks, rollbacks, gaps, refused, resyncs atomic.Uint64
	streams, polls, ackErrors                       atomic.Uint64
}
