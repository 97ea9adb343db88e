package forgery

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// What one reporter may send. Each has its own bounds, so that what one does is
// nobody else's trouble.
const (
	recordRate    = 200_000 // a second, and as many at once
	evidenceRate  = 20      // a second
	evidenceBurst = 64

	maxJunk     = 16               // pieces of evidence that prove nothing,
	junkTime    = 10 * time.Minute // within this time,
	junkSilence = time.Minute      // and this is how long no more is taken

	maxReporters = 4096 // remembered; a credential is one, for evidence at each address
	maxAddresses = 16   // of a credential; further ones share what they may
)

// A LimitedError reports a reporter that sends too much; answer 429 with Retry-After.
type LimitedError struct {
	RetryAfter time.Duration
}

// Error implements error.
func (e *LimitedError) Error() string {
	return fmt.Sprintf("too much from this reporter, next in %v", e.RetryAfter.Round(time.Second))
}

// A source is who sends. Evidence counts by address too, so that whoever has taken a
// credential does not crowd out the verifier that it belongs to.
type source struct {
	name string
	from netip.Addr // of the client, of its /64 for IPv6; zero for records, and beyond maxAddresses
}

func newSource(name string, from netip.Addr) source {
	from = from.Unmap().WithZone("")
	if from.Is6() {
		from = netip.PrefixFrom(from, 64).Masked().Addr()
	}
	return source{name, from}
}

// reporters hold the bounds of each reporter.
type reporters struct {
	now func() time.Time

	mu        sync.Mutex
	of        map[source]*reporter
	addresses map[string]int // by name, how many in of have one
	peak      int
}

type reporter struct {
	records  bucket
	evidence bucket
	junk     [maxJunk]time.Time // of the last pieces that proved nothing, a ring
	next     int                // place of the oldest
	silent   time.Time          // until then no evidence is taken
}

func newReporters(now func() time.Time) *reporters {
	return &reporters{now: now, of: make(map[source]*reporter), addresses: make(map[string]int)}
}

// takeRecords charges name with n records.
func (r *reporters) takeRecords(name string, n int) error {
	return r.with(source{name: name}, func(one *reporter, now time.Time) time.Duration {
		return one.records.take(now, n, time.Second/recordRate, recordRate)
	})
}

// takeEvidence charges a source with a piece of evidence.
func (r *reporters) takeEvidence(from source) error {
	return r.with(from, func(one *reporter, now time.Time) time.Duration {
		if wait := one.silent.Sub(now); wait > 0 && wait <= junkSilence {
			return wait
		}
		return one.evidence.take(now, 1, time.Second/evidenceRate, evidenceBurst)
	})
}

// noteJunk notes that what a source has shown proves nothing, and reports whether that
// was once too often.
func (r *reporters) noteJunk(from source) (silenced bool) {
	_ = r.with(from, func(one *reporter, now time.Time) time.Duration {
		one.junk[one.next], one.next = now, (one.next+1)%maxJunk
		if oldest := one.junk[one.next]; !oldest.IsZero() && now.Sub(oldest) <= junkTime {
			one.silent, one.junk, silenced = now.Add(junkSilence), [maxJunk]time.Time{}, true
		}
		return 0
	})
	return silenced
}

// with runs fn on the bounds of a source, and makes an error of the time to wait.
func (r *reporters) with(from source, fn func(one *reporter, now time.Time) time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	one := r.of[from]
	if one == nil && r.crowded(from.name, now) {
		from.from = netip.Addr{}
		one = r.of[from]
	}
	if one == nil {
		if len(r.of) >= maxReporters && !r.forget(now) {
			return &LimitedError{RetryAfter: time.Second}
		}
		one = r.add(from)
	}
	if wait := fn(one, now); wait > 0 {
		return &LimitedError{RetryAfter: wait}
	}
	return nil
}

// crowded reports whether a name has as many addresses as it may.
func (r *reporters) crowded(name string, now time.Time) bool {
	if r.addresses[name] >= maxAddresses {
		r.forget(now)
	}
	return r.addresses[name] >= maxAddresses
}

func (r *reporters) add(from source) *reporter {
	one := new(reporter)
	r.of[from] = one
	r.peak = max(r.peak, len(r.of))
	if from.from.IsValid() {
		r.addresses[from.name]++
	}
	return one
}

func (r *reporters) remove(from source) {
	delete(r.of, from)
	if !from.from.IsValid() {
		return
	}
	if r.addresses[from.name]--; r.addresses[from.name] == 0 {
		delete(r.addresses, from.name)
	}
}

// forget makes room by forgetting who has nothing on account, and reports whether
// there is any.
func (r *reporters) forget(now time.Time) bool {
	for from, one := range r.of {
		if one.idle(now) {
			r.remove(from)
		}
	}
	return len(r.of) < maxReporters
}

func (one *reporter) idle(now time.Time) bool {
	newest := one.junk[(one.next+maxJunk-1)%maxJunk]
	return !one.records.full.After(now) && !one.evidence.full.After(now) && !one.silent.After(now) && now.Sub(newest) > junkTime
}

// A bucket is full again at a time; that is all it remembers (the generic cell rate
// algorithm).
type bucket struct{ full time.Time }

// take takes n out of a bucket that holds burst and gets one back each interval. It
// returns 0, or how long to wait until it has n.
func (b *bucket) take(now time.Time, n int, interval time.Duration, burst int) time.Duration {
	room := time.Duration(burst) * interval
	owed := min(max(b.full.Sub(now), 0), room) // not more, though the clock went back
	owed += time.Duration(n) * interval
	if owed > room {
		return owed - room
	}
	b.full = now.Add(owed)
	return 0
}
