package verifier

import (
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// State says how well this verifier knows what has been revoked.
type State uint8

// The states, by the age of the table: the time since the request was sent whose
// answer named the last head that the table has reached.
const (
	Unfed State = iota // the issuer has no feed, or it is not known yet whether it has one
	Fresh              // up to FreshFor
	Late               // up to LateFor: normal, and counted
	Stale              // ordinary routes are open, sensitive ones answer 503
	Blind              // older than the longest life of a token: closed
)

const (
	// FreshFor is the age up to which a table is fresh.
	FreshFor = time.Second
	// LateFor is the age up to which a table is late and no worse.
	LateFor = 5 * time.Second
)

var stateNames = [...]string{"unfed", "fresh", "late", "stale", "blind"}

// String returns the name of a state in lower case.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return stateNames[s]
}

func stateAt(age, maxLife time.Duration) State {
	switch {
	case age <= FreshFor:
		return Fresh
	case age <= LateFor:
		return Late
	case age <= max(maxLife, LateFor):
		return Stale
	}
	return Blind
}

// age is how old the table is.
func (f *feed) age() time.Duration {
	if since := f.freshAt.Load(); since != nil {
		return time.Since(*since)
	}
	return 1<<63 - 1
}

// probe is a head that the feed stated, and the moment at which a table that
// has reached it was still up to date.
type probe struct {
	head revocation.Position
	at   time.Time
}

// maxProbes bounds the heads that wait to be reached: half a minute of them.
const maxProbes = 32

// expect notes a stated head. Callers hold f.mu.
func (f *feed) expect(p probe) {
	if len(f.probes) < maxProbes {
		f.probes = append(f.probes, p)
	}
	f.reached()
}

// reached makes the table as fresh as the heads that it has reached allow.
// Callers hold f.mu.
func (f *feed) reached() {
	head := f.table.Head()
	kept := f.probes[:0]
	for _, p := range f.probes {
		if head.Before(p.head) {
			kept = append(kept, p)
			continue
		}
		if now := f.freshAt.Load(); now == nil || p.at.After(*now) {
			f.freshAt.Store(&p.at)
		}
	}
	f.probes = kept
	f.ahead.forget(head.Seq)
}

// clockDrift is by how much two honest clocks may drift apart, as a fraction:
// what NTP slews at most.
const clockDrift = 500e-6

// maxSkew is by how much our own clock may disagree with an issuer's that was set
// back, for the new time to be taken over.
const maxSkew = time.Minute

// maxBehind is by how much our clock may be behind the issuer's before somebody is told.
const maxBehind = 30 * time.Second

// compareClocks takes from a manifest by how much our clock is behind the issuer's.
// Callers hold f.mu.
func (f *feed) compareClocks(asOf time.Time) {
	behind := max(asOf.Sub(f.cfg.Now()), 0)
	if before := time.Duration(f.behind.Swap(int64(behind))); behind > maxBehind && before <= maxBehind {
		f.log.Warn("our clock is behind the issuer's: tokens end by the issuer's", "iss", f.cfg.Issuer, "behind", behind.Truncate(time.Second))
	}
}

// delay finds out how old an answer was when it came, without trusting any two
// clocks to agree: whoever hands out the answers of ten seconds ago shifts the
// gap between the two by ten seconds, and an as_of that stands still shifts it
// more and more. It cannot know of a delay that was there from the beginning: that is
// no longer than [probeTimeout], since the first answer was signed for our question.
type delay struct {
	start  time.Time
	newest time.Time     // the highest as_of taken
	known  bool          // whether bound is
	bound  time.Duration // our clock less the issuer's is at most this
	since  time.Time     // when bound was found
}

// gap returns our clock at t less the issuer's at asOf.
func (d *delay) gap(t, asOf time.Time) time.Duration {
	return t.Sub(d.start) - asOf.Sub(d.start.Round(0))
}

// limit returns the bound with the drift of the time since then.
func (d *delay) limit(at time.Time) time.Duration {
	return d.bound + time.Duration(clockDrift*float64(at.Sub(d.since)))
}

func (d *delay) setBound(bound time.Duration, at time.Time) {
	d.known, d.bound, d.since = true, bound, at
}

// origin takes an answer of the issuer itself, and returns the moment at which
// it was surely up to date: when its request was sent, or earlier if it is an
// old answer.
func (d *delay) origin(sent, received, asOf time.Time) time.Time {
	if d.start.IsZero() {
		d.start = sent
	}
	if asOf.Before(d.newest) {
		return d.setBack(sent, received, asOf)
	}
	d.newest = asOf
	if g := d.gap(received, asOf); !d.known || g < d.limit(received) {
		d.setBound(g, received)
	}
	return sent.Add(-max(d.gap(sent, asOf)-d.limit(received), 0))
}

// setBack takes an answer from before another one. Either the issuer's clock was
// set back, or somebody repeats what he has recorded, perhaps an hour of it in
// the right order: as_of alone cannot tell. Our own clock can, so that the answer
// is as old as it says. A clock that was set back to a wrong time is thus taken
// for silence, until it passes the old one; its tokens are refused by their dates
// all the same.
func (d *delay) setBack(sent, received, asOf time.Time) time.Time {
	age := received.Sub(asOf).Abs() // as_of has no monotonic reading
	if age <= maxSkew {
		d.newest = asOf
		d.setBound(d.gap(received, asOf)-age, received)
	}
	return sent.Add(-age)
}

// cached takes an answer that came over a cache or a mirror, which is as old as
// its as_of by our clock, or by the issuer's if more is known about that.
func (d *delay) cached(sent, received, asOf time.Time) time.Time {
	age := max(received.Sub(asOf), received.Sub(sent)) // as_of has no monotonic reading
	if d.known {
		age = max(age, d.gap(received, asOf)-d.limit(received))
	}
	return received.Add(-age)
}
