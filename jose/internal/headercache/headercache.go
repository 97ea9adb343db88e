// Package headercache remembers parsed headers by the exact bytes of their
// segment. A sender writes the same header into message after message, so that a
// reader meets very few. One who writes another into each gains nothing by it and
// drives no other header out.
package headercache

import (
	"hash/maphash"
	"maps"
	"strings"
	"sync/atomic"
)

// Bounds of a Cache: 64 headers of 512 bytes each are 32 KiB and what they parse to.
const (
	MaxHeaders = 64
	MaxHeader  = 512 // bytes of the encoded segment
)

// A Cache holds parsed headers. It is for those of messages that proved good: what
// anybody can send must not get in. The zero Cache is empty and ready. It is safe
// for concurrent use.
type Cache[H any] struct {
	known atomic.Pointer[known[H]] // replaced as a whole; neither it nor a header in it is written to

	// Hashes of headers that came once. Each has one place, and makes way there
	// for the next that has the same.
	once [MaxHeaders]atomic.Uint64
}

type known[H any] struct {
	last   string // the latest, compared first: mostly there is no other
	header *H
	all    map[string]*H
}

// Find returns the header of a segment, which must not be written to, or nil.
func (c *Cache[H]) Find(segment string) *H {
	k := c.known.Load()
	switch {
	case k == nil:
		return nil
	case k.last == segment:
		return k.header
	}
	return k.all[segment]
}

// Keep takes over h as the header of a segment the second time it is called for
// that, unless the segment is too long. A full Cache starts over; of two headers
// that come at once one is forgotten until its next message.
func (c *Cache[H]) Keep(segment string, h *H) {
	old := c.known.Load()
	if len(segment) > MaxHeader || old != nil && old.all[segment] != nil || !c.again(segment) {
		return
	}
	segment = strings.Clone(segment)
	next := &known[H]{last: segment, header: h, all: map[string]*H{segment: h}}
	if old != nil && len(old.all) < MaxHeaders {
		maps.Copy(next.all, old.all)
	}
	c.known.CompareAndSwap(old, next)
}

var seed = maphash.MakeSeed()

// again reports whether it was asked about segment before, as far as it remembers.
func (c *Cache[H]) again(segment string) bool {
	hash := maphash.String(seed, segment) | 1 // an empty place is 0
	return c.once[hash>>1%MaxHeaders].Swap(hash) == hash
}
