package revocation

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultCap is the default of TableConfig.Cap.
	DefaultCap = 64 << 20

	// MinCap is the smallest cap: room for one full frame, twice.
	MinCap = 64 << 10

	// DefaultRetention is the default of TableConfig.Retention: safe for any
	// token that package jwt accepts with its own defaults.
	DefaultRetention = 24*time.Hour + RetentionSlack

	// MaxHeld bounds how many absolute and quarantine entries a table holds. A
	// small table holds fewer: a quarter of its slots.
	MaxHeld = 1 << 16

	minSlots = 64

	// A table is rebuilt when it is fuller than maxLoad, into one that is filled
	// to targetLoad: between 21 and 27 bytes an entry. In percent.
	maxLoad    = 75
	targetLoad = 60

	// unloaded is the low-water mark of a table that knows nothing: above
	// every rsq.
	unloaded = MaxSeq + 1
)

// TableConfig says how much a table may hold. Issuer is required.
type TableConfig struct {
	Issuer    string
	Cap       int           // bytes of entries, old and new array together while it grows; default DefaultCap, at least MinCap
	Retention time.Duration // longest life of a token + RetentionSlack; default DefaultRetention; entries may stay a sixteenth longer
}

// A Table is a verifier's copy of what one issuer has revoked. Check and the
// other reading methods never wait and may run beside a writing one; writing
// methods wait for each other.
//
// Memory is bounded: beyond Cap the oldest entries go, and the low-water mark
// rises above them. That refuses more tokens, never fewer.
type Table struct {
	iss      string
	maxSlots int // of one array: two of them fit the cap
	maxHeld  int
	mul, add uint64

	view atomic.Pointer[view]
	head atomic.Pointer[Position]
	asOf atomic.Int64 // Unix milliseconds; 0 before the first frame
	peak atomic.Int64 // bytes

	mu      sync.Mutex // of the writer; guards what follows
	horizon horizon
	dropped uint64        // the low-water mark, also before the first Load
	held    int           // entries that eviction passes over
	forked  bool          // another history was seen, and not loaded yet
	rebuilt time.Duration // on the feed's clock
}

// A view is what one Check sees, replaced whole: entries and the mark below
// which they are no longer held belong together.
type view struct {
	*slots
	low     uint64 // unloaded until the first Load
	flooded bool   // more absolute entries came than fit
}

// NewTable returns an empty table, which refuses every token until it is
// loaded.
func NewTable(cfg TableConfig) (*Table, error) {
	if cfg.Issuer == "" || len(cfg.Issuer) > maxIssuer {
		return nil, errors.New("revocation: TableConfig.Issuer is required, of at most 512 bytes")
	}
	if cfg.Cap == 0 {
		cfg.Cap = DefaultCap
	}
	if cfg.Cap < MinCap || cfg.Retention < 0 {
		return nil, errors.New("revocation: TableConfig.Cap is below 64 KiB, or Retention is negative")
	}
	if cfg.Retention == 0 {
		cfg.Retention = DefaultRetention
	}
	maxSlots := cfg.Cap / 2 / slotSize
	t := &Table{
		iss:      cfg.Issuer,
		maxSlots: maxSlots,
		maxHeld:  min(MaxHeld, maxSlots/4),
		mul:      rand.Uint64(),
		add:      rand.Uint64(),
		horizon:  horizon{retention: cfg.Retention},
	}
	t.head.Store(&Position{})
	t.show(view{slots: newSlots(minSlots, t.mul, t.add), low: unloaded})
	return t, nil
}

func (t *Table) show(v view) { t.view.Store(&v) }

// Head returns the position up to which every entry has been applied.
func (t *Table) Head() Position { return *t.head.Load() }

// LowWater returns the mark below which an rsq is refused: the highest seq that
// is no longer held. Before the first Load it is above MaxSeq.
func (t *Table) LowWater() uint64 { return t.view.Load().low }

// AsOf returns the newest as_of among the applied frames and loaded snapshots:
// zero before the first.
func (t *Table) AsOf() time.Time {
	if ms := t.asOf.Load(); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// Len returns the number of entries, those included that have expired and wait
// for the next rebuild.
func (t *Table) Len() int {
	return int(t.view.Load().used.Load())
}

// Bytes returns the memory of the entries.
func (t *Table) Bytes() int { return t.view.Load().size() }

// Peak returns the highest memory of the entries so far, both arrays counted
// during a rebuild. It is at most the cap.
func (t *Table) Peak() int { return int(t.peak.Load()) }

// SetRetention changes how long entries are held. A longer time holds at once,
// a shorter one only after the old one has passed, since tokens minted under
// the old rule are still about.
func (t *Table) SetRetention(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.horizon.set(d)
}

// Consider says what to think of a position in a verified manifest: nil if it
// is the head or lies ahead, ErrStale below it, ErrFork if it tells another
// history. It changes nothing.
func (t *Table) Consider(p Position) error {
	head := t.Head()
	switch {
	case p.Before(head):
		return ErrStale
	case p.Epoch == head.Epoch && p.Seq == head.Seq && p.C != head.C:
		return ErrFork
	// A new epoch numbers above every seq of the old one. Otherwise its entries
	// could not revoke the tokens that know the old head.
	case p.Epoch > head.Epoch && p.Seq <= head.Seq:
		return ErrFork
	}
	return nil
}

// Apply continues the table with a verified frame, which may overlap what is
// held. When it returns nil, every Check from then on knows the frame's entries.
//
// Errors, each of which leaves the head in place: ErrIssuer; ErrChain and
// ErrFormat for a frame that did not come from OpenFrame; ErrStale for one that
// ends below the head; ErrGap when entries are missing or an epoch begins, and
// a snapshot has to be loaded; ErrFork, after which the frame's entries are in
// force all the same.
func (t *Table) Apply(f *Frame) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.Issuer != t.iss {
		return ErrIssuer
	}
	if err := f.check(); err != nil {
		return err
	}
	switch err := t.joins(f); err {
	case nil:
	case ErrFork:
		t.forked = true
		t.putAll(f)
		return ErrFork
	default:
		return err
	}
	t.putAll(f)
	end := f.End()
	t.head.Store(&end)
	t.advance(f.AsOf)
	return nil
}

// joins reports whether the frame begins at, or runs through, the head.
func (t *Table) joins(f *Frame) error {
	head := t.Head()
	switch {
	case f.End().Before(head):
		return ErrStale
	case f.Epoch != head.Epoch || f.First > head.Seq+1:
		return ErrGap
	}
	known := head.Seq + 1 - f.First // entries of the frame that are held
	if f.C0.Chain(f.First, f.Entries[:known]) != head.C {
		return ErrFork
	}
	return nil
}

func (t *Table) putAll(f *Frame) {
	for i, e := range f.Entries {
		t.put(Record{f.First + uint64(i), e})
	}
}

// Load adds a verified snapshot to what is held and moves to its position. It
// never removes a rule: the low-water mark becomes the higher of both.
//
// Errors, each of which leaves the head in place: ErrIssuer; ErrFormat for a
// snapshot that did not come from DecodeSnapshot; ErrStale; ErrFork, after
// which the snapshot's entries are in force all the same.
func (t *Table) Load(s *Snapshot) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.Issuer != t.iss {
		return ErrIssuer
	}
	if err := s.check(); err != nil {
		return err
	}
	err := t.Consider(s.Position)
	if err != nil && err != ErrFork {
		return err
	}
	t.forked = t.forked || err == ErrFork
	for _, r := range s.Records {
		t.put(r)
	}
	if err == ErrFork {
		return ErrFork
	}
	t.forked = false
	v := *t.view.Load()
	t.dropped = max(t.dropped, s.LowWater)
	v.low = t.dropped
	t.show(v)
	position := s.Position
	t.head.Store(&position)
	t.advance(s.AsOf)
	return nil
}
