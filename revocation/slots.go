package revocation

import (
	"math/bits"
	"sync/atomic"
)

// A slot is two words: the handle, and a mark that packs kind, flags and seq. A
// mark of zero is an empty slot, so a handle may be zero. An ordinary, an
// absolute and a quarantine entry of one handle are three slots: none of them
// weakens or prolongs another.
const (
	slotWords = 2
	slotSize  = 8 * slotWords

	seqBits   = 53 // MaxSeq
	kindShift = seqBits + 2
)

type mark uint64

func newMark(kind Kind, flags Flags, seq uint64) mark {
	// To say "has to be proved" of what is refused anyway adds nothing.
	if flags&Absolute != 0 {
		flags = Absolute
	}
	return mark(kind)<<kindShift | mark(flags)<<seqBits | mark(seq)
}

func (m mark) seq() uint64  { return uint64(m & MaxSeq) }
func (m mark) flags() Flags { return Flags(m>>seqBits) & allFlags }
func (m mark) kind() Kind   { return Kind(m >> kindShift) }

// class is kind and flags together: what two marks share that describe the
// same rule at different seq.
func (m mark) class() mark { return m >> seqBits }

// held reports whether the entry must not be evicted for lack of room, because
// raising the low-water mark would not make up for it: the thief picks rsq.
func (m mark) held() bool { return m.flags() != 0 }

// permanent reports whether the entry never expires.
func (m mark) permanent() bool { return m.kind() == Key && m.flags()&Absolute != 0 }

// slots is a flat hash table with open addressing and linear probing, for one
// writer and any number of readers. Nothing moves or disappears in it.
type slots struct {
	words  []uint64 // read and written with atomics only, once it is shared
	used   atomic.Int64
	mul    uint64 // secret and odd: places cannot be predicted, so that nobody who
	add    uint64 // chooses handles can make long runs
	length uint64 // len(words) / slotWords
}

func newSlots(n int, mul, add uint64) *slots {
	return &slots{words: make([]uint64, n*slotWords), mul: mul | 1, add: add, length: uint64(n)}
}

// start returns where the search for h begins: the mixed handle as a fraction
// of the length, which need not be a power of two.
func (s *slots) start(h Handle) uint64 {
	i, _ := bits.Mul64(uint64(h)*s.mul+s.add, s.length)
	return i
}

// find collects what is held about a target.
func (s *slots) find(t Target) (f finding) {
	for i := s.start(t.Handle); ; {
		// The mark first: it is written last.
		m := mark(atomic.LoadUint64(&s.words[i*slotWords]))
		if m == 0 {
			return f
		}
		if m.kind() == t.Kind && atomic.LoadUint64(&s.words[i*slotWords+1]) == uint64(t.Handle) {
			f.flags |= m.flags()
			if m.flags() == 0 {
				f.plain = m.seq()
			}
		}
		if i++; i == s.length {
			i = 0
		}
	}
}

// put adds an entry, or raises the seq of the same rule, and reports whether it
// took a slot. There must be an empty one left. Only the writer calls it.
func (s *slots) put(h Handle, m mark) (added bool) {
	for i := s.start(h); ; {
		word := &s.words[i*slotWords]
		old := mark(atomic.LoadUint64(word))
		if old == 0 {
			// The handle is there before the mark says so.
			atomic.StoreUint64(&s.words[i*slotWords+1], uint64(h))
			atomic.StoreUint64(word, uint64(m))
			s.used.Add(1)
			return true
		}
		if old.class() == m.class() && Handle(s.words[i*slotWords+1]) == h {
			if m.seq() > old.seq() {
				atomic.StoreUint64(word, uint64(m))
			}
			return false
		}
		if i++; i == s.length {
			i = 0
		}
	}
}

// each calls f for every entry until f returns false. It is safe beside the
// writer, and then sees at least all entries that were there when it began.
func (s *slots) each(f func(Handle, mark) bool) {
	for i := 0; i < len(s.words); i += slotWords {
		if m := mark(atomic.LoadUint64(&s.words[i])); m != 0 {
			if !f(Handle(atomic.LoadUint64(&s.words[i+1])), m) {
				return
			}
		}
	}
}

func (s *slots) size() int { return len(s.words) * 8 }
