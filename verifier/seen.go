package verifier

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// DefaultSeenBytes is the default of Config.SeenBytes: room for a million
	// tokens.
	DefaultSeenBytes = 32 << 20
	// MinSeenBytes is the least that Config.SeenBytes may be.
	MinSeenBytes = 64 << 10

	seenShards   = 64
	minSeenSlots = 16 // of a shard
	// seenWindow is how many slots follow the one where a token would best be, for
	// it to be in.
	seenWindow = 16
	// seenLoad is how full a shard may be before it grows, in percent.
	seenLoad = 75
)

// A seenID names a token: the front of a MAC over what its signature covers, by a
// secret of this process. Nobody can aim at a token that is held, and one with the
// jti of another is another.
type seenID [16]byte

// A sight is what is kept of a token about which the auditor has spoken.
type sight struct {
	id     seenID
	expiry uint32 // Unix seconds after which it may go; 0 in an empty slot
	proof  proofState
}

// sightSize is the memory of a sight in bytes.
const sightSize = 24

// A seenSet remembers tokens until they expire, in memory that has a hard cap. At
// the cap the one of a few goes that expires first. What was forgotten is new when
// it comes again, so that it is reported twice and never overlooked.
type seenSet struct {
	limit     int64         // bytes
	bytes     atomic.Int64  // of all slots, those of a shard that grows counted twice
	peak      atomic.Int64  // highest value of bytes
	held      atomic.Int64  // tokens, expired ones included
	forgotten atomic.Uint64 // tokens that went before they expired
	shards    [seenShards]seenShard
}

type seenShard struct {
	mu    sync.Mutex
	slots []sight
	used  int
}

// newSeenSet returns an empty set of at most limit bytes, at least MinSeenBytes.
func newSeenSet(limit int) *seenSet {
	s := &seenSet{limit: int64(limit)}
	for i := range s.shards {
		s.shards[i].slots = make([]sight, minSeenSlots)
	}
	s.reserve(seenShards * minSeenSlots * sightSize)
	return s
}

func (s *seenSet) shard(id seenID) *seenShard { return &s.shards[id[15]%seenShards] }

// find returns what is known of a token: unreported if nothing is.
func (s *seenSet) find(id seenID) proofState {
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if slot := sh.find(id); slot != nil {
		return slot.proof
	}
	return unreported
}

func (sh *seenShard) find(id seenID) *sight {
	for i := range seenWindow {
		switch slot := sh.at(id, i); {
		case slot.expiry == 0:
			return nil
		case slot.id == id:
			return slot
		}
	}
	return nil
}

// at returns slot i of the window of id.
func (sh *seenShard) at(id seenID, i int) *sight {
	best, _ := bits.Mul64(binary.BigEndian.Uint64(id[:]), uint64(len(sh.slots)))
	if i += int(best); i >= len(sh.slots) {
		i -= len(sh.slots)
	}
	return &sh.slots[i]
}

// add remembers what the auditor said of a token. now is in Unix seconds.
func (s *seenSet) add(new sight, now uint32) {
	new.expiry = max(new.expiry, 1)
	sh := s.shard(new.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if slot := sh.find(new.id); slot != nil {
		*slot = new
		return
	}
	if sh.used*100 >= len(sh.slots)*seenLoad {
		s.grow(sh, now)
	}
	s.put(sh, new, now)
}

// put takes a free slot, that of an expired token, or that of the one in the
// window which expires first.
func (s *seenSet) put(sh *seenShard, new sight, now uint32) {
	var first *sight
	for i := range seenWindow {
		slot := sh.at(new.id, i)
		if slot.expiry == 0 {
			sh.used++
			s.held.Add(1)
			*slot = new
			return
		}
		if first == nil || slot.expiry < first.expiry {
			first = slot
		}
	}
	if first.expiry > now {
		s.forgotten.Add(1)
	}
	*first = new
}

// grow leaves out what has expired, and gives a shard more slots if that does not
// make it half empty. When old and new slots together would break the cap it does
// nothing.
func (s *seenSet) grow(sh *seenShard, now uint32) {
	old, n := sh.slots, len(sh.slots)
	if !s.reserve(2 * int64(n) * sightSize) {
		return
	}
	live := 0
	for i := range old {
		if old[i].expiry > now {
			live++
		}
	}
	if live > n/2 {
		n *= 2
	}
	s.held.Add(-int64(sh.used))
	sh.slots, sh.used = make([]sight, n), 0
	for i := range old {
		if old[i].expiry > now {
			s.put(sh, old[i], now)
		}
	}
	s.bytes.Add(int64(n-3*len(old)) * sightSize)
}

// reserve counts more memory, unless it would be too much.
func (s *seenSet) reserve(n int64) bool {
	total := s.bytes.Add(n)
	if total > s.limit {
		s.bytes.Add(-n)
		return false
	}
	for peak := s.peak.Load(); total > peak && !s.peak.CompareAndSwap(peak, total); {
		peak = s.peak.Load()
	}
	return true
}
