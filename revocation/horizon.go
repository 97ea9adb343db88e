package revocation

import (
	"slices"
	"time"
)

const (
	// maxMarks bounds how finely the time of entries is known, and markSpacing
	// says how finely at best. Coarser only holds entries longer.
	maxMarks    = 1024
	markSpacing = time.Second
)

// A timeMark says that every entry up to seq had been applied at a time.
type timeMark struct {
	at  time.Duration // on the feed's clock
	seq uint64
}

// horizon knows which entries are older than the retention. Its only time is
// the as_of of what has been applied.
type horizon struct {
	clock     feedClock
	retention time.Duration
	shorter   time.Duration // the retention from shorterAt on; 0 for no change
	shorterAt time.Duration // on the feed's clock
	marks     []timeMark    // oldest first
	expired   uint64        // every entry up to here has passed its retention
}

// set changes the retention: longer at once, shorter after the old one.
func (h *horizon) set(d time.Duration) {
	switch {
	case d >= h.retention:
		h.retention, h.shorter = d, 0
	case d != h.shorter && d > 0:
		h.shorter, h.shorterAt = d, h.clock.elapsed+h.retention
	}
}

// advance takes the as_of of what has been applied up to head.
func (h *horizon) advance(asOf time.Time, head uint64) {
	h.clock.advance(asOf)
	now := h.clock.elapsed
	if h.shorter > 0 && now > h.shorterAt {
		h.retention, h.shorter = h.shorter, 0
	}
	h.note(timeMark{now, head})
	n := 0
	for n < len(h.marks) && now-h.marks[n].at > h.retention {
		h.expired = max(h.expired, h.marks[n].seq)
		n++
	}
	h.marks = slices.Delete(h.marks, 0, n)
}

// note remembers m unless it says nothing new. When there is no room, every
// second mark of the older half goes; the one after it answers in its place.
func (h *horizon) note(m timeMark) {
	if n := len(h.marks); n > 0 {
		last := &h.marks[n-1]
		if m.at == last.at {
			last.seq = max(last.seq, m.seq)
			return
		}
		if m.seq <= last.seq || m.at-last.at < markSpacing {
			return
		}
	} else if m.seq <= h.expired {
		return
	}
	if len(h.marks) == maxMarks {
		kept := h.marks[:0]
		for i, old := range h.marks {
			if i%2 == 1 || i > maxMarks/2 {
				kept = append(kept, old)
			}
		}
		h.marks = kept
	}
	h.marks = append(h.marks, m)
}
