package verifier

import (
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwks"
)

// Status is a moment in the life of a Verifier, for people and metrics. Counters
// only grow.
type Status struct {
	Issuer string
	Ready  error // nil when tokens can be checked
	Feed   bool  // the issuer has a revocation feed
	State  State
	Age    time.Duration // of the table; what State is made of

	Epoch    uint64
	Head     uint64 // seq up to which every entry has been applied
	LowWater uint64 // an rsq below it is refused
	Entries  int
	Bytes    int       // memory of the entries
	AsOf     time.Time // by the issuer's clock; zero before the first frame

	ClockBehind time.Duration // our clock, against the issuer's when it was last heard; zero where it is ahead

	Root string // RFC 7638 thumbprint of the pinned root key
	Keys jwks.Status

	CachedTokens int    // verified tokens remembered
	CachedBytes  int    // memory of them
	CacheHits    uint64 // checks that needed no signature check

	LateChecks  uint64 // checks made while late
	StaleChecks uint64 // and while stale
	Ahead       uint64 // tokens refused for a number that does not exist
	Forks       uint64 // two histories seen
	Rollbacks   uint64 // lower positions refused
	Gaps        uint64 // missing entries noticed
	Refused     uint64 // what the feed's keys did not vouch for
	Resyncs     uint64 // times the table was loaded anew
	Streams     uint64 // connections to the tail
	Polls       uint64 // long polls, where streams bring nothing
	AckErrors   uint64 // acknowledgements that did not arrive
	LastError   error  // of feed or discovery; nil when all is well

	Seen SeenStatus // what becomes of tokens whose key is tagged
}

// Status returns the present state.
func (v *Verifier) Status() Status {
	s := Status{Issuer: v.cfg.Issuer, Ready: v.Ready()}
	v.mu.Lock()
	s.LastError = v.problem
	v.mu.Unlock()
	if r := v.keys.remote.Load(); r != nil { // also one that is not believed
		s.Keys = r.Status()
	} else if v.cfg.Keys != nil {
		s.Keys.Keys = v.cfg.Keys.Len()
	}
	if v.cache != nil {
		s.CachedTokens, s.CachedBytes = v.cache.size()
		s.CacheHits = v.cached.Load()
	}
	if f := v.feed(); f != nil {
		f.describe(&s)
	}
	return s
}

func (f *feed) describe(s *Status) {
	s.Feed, s.Age = true, f.age()
	if l := f.lookup.Load(); l != nil {
		s.State = stateAt(s.Age, l.maxLife)
	}
	s.ClockBehind = time.Duration(f.behind.Load())
	head := f.table.Head()
	s.Epoch, s.Head, s.LowWater = head.Epoch, head.Seq, f.table.LowWater()
	s.Entries, s.Bytes, s.AsOf = f.table.Len(), f.table.Bytes(), f.table.AsOf()
	c := &f.counts
	s.LateChecks, s.StaleChecks, s.Ahead = c.late.Load(), c.stale.Load(), c.ahead.Load()
	s.Forks, s.Rollbacks, s.Gaps, s.Refused = c.forks.Load(), c.rollbacks.Load(), c.gaps.Load(), c.refused.Load()
	s.Resyncs, s.Streams, s.Polls, s.AckErrors = c.resyncs.Load(), c.streams.Load(), c.polls.Load(), c.ackErrors.Load()
	s.Seen = f.reports.status()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.anchor != nil {
		s.Root = f.anchor.root.Thumbprint()
	}
	if f.err != nil {
		s.LastError = f.err
	}
}

// problem returns what went wrong last, if there is a feed: keys are fetched when it is
// known who signs it.
func (f *feed) problem() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// ready says what keeps checks closed.
func (f *feed) ready() error {
	l := f.lookup.Load()
	if l != nil && (stateAt(f.age(), l.maxLife) != Blind || f.cfg.OpenWhenBlind) {
		return nil
	}
	if l == nil {
		return errors.Join(ErrNotReady, f.problem())
	}
	return errors.Join(ErrBlind, f.problem())
}
