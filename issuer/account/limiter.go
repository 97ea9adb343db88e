package account

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// A Rate is a bucket that holds Burst attempts and gets one back each Interval.
type Rate struct {
	Burst    int
	Interval time.Duration
}

// cells is the number of buckets of a Limiter, 512 KiB together. Names that share
// a cell share its limit; the hash that assigns cells is keyed by a secret of the
// process, so that nobody can aim.
const cells = 1 << 16

// A Limiter holds one bucket for each of any number of names, in memory that does
// not grow. It never forgets an attempt early. It is safe for concurrent use.
type Limiter struct {
	rate  Rate
	now   func() time.Time
	start time.Time
	seed  maphash.Seed
	full  []atomic.Int64 // when each bucket will be full again, in ns after start
}

// NewLimiter returns a Limiter that reads the time from now; nil is time.Now.
func NewLimiter(rate Rate, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	return &Limiter{rate: rate, now: now, start: now(), seed: maphash.MakeSeed(), full: make([]atomic.Int64, cells)}
}

// Take takes one attempt out of the bucket called name. It returns 0, or how long
// to wait until there is one.
//
// This is the generic cell rate algorithm: one number for each bucket.
func (l *Limiter) Take(name string) time.Duration {
	now := int64(l.now().Sub(l.start))
	cell := l.cell(name)
	for {
		old := cell.Load()
		full := max(old, now) + int64(l.rate.Interval)
		if excess := full - now - int64(l.rate.Burst)*int64(l.rate.Interval); excess > 0 {
			return time.Duration(excess)
		}
		if cell.CompareAndSwap(old, full) {
			return 0
		}
	}
}

// GiveBack puts an attempt back that Take took.
func (l *Limiter) GiveBack(name string) { l.cell(name).Add(-int64(l.rate.Interval)) }

func (l *Limiter) cell(name string) *atomic.Int64 {
	return &l.full[maphash.String(l.seed, name)%cells]
}
