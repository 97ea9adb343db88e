package jwe

import (
	"maps"
	"strings"
	"sync/atomic"
)

// Limits of the header cache: at most 64 headers of at most 512 bytes each.
const (
	maxCachedHeaders = 64
	maxCachedHeader  = 512 // bytes of the encoded segment
)

// headers holds parsed headers by the exact bytes of their segment: under dir,
// A*KW and RSA-OAEP a sender writes the same one again and again. Only headers of
// messages that were decrypted get in. Whoever has a public key can make such, and
// at worst a header is then read anew, which is little beside decrypting with RSA.
// The map is replaced whole and never written to.
var headers atomic.Pointer[map[string]*params]

// lookupHeader is parseProtected, but for headers seen before.
func lookupHeader(segment string) (*params, error) {
	if known := headers.Load(); known != nil {
		if p, ok := (*known)[segment]; ok {
			return p, nil
		}
	}
	return parseProtected(segment)
}

// rememberHeader keeps the header of a decrypted message, unless it belongs to
// that message alone. A full cache starts over; of two that write at once one is
// forgotten until its next message.
func rememberHeader(segment string, p *params) {
	w := &p.wrapped
	if len(segment) > maxCachedHeader || w.EPK != nil || w.IV != nil || w.P2S != nil || w.EK != nil {
		return
	}
	old := headers.Load()
	if old != nil && (*old)[segment] != nil {
		return
	}
	keepHeader(old, segment, p)
}

func keepHeader(old *map[string]*params, segment string, p *params) {
	next := make(map[string]*params)
	if old != nil && len(*old) < maxCachedHeaders {
		maps.Copy(next, *old)
	}
	cached := *p
	cached.cached = true
	next[strings.Clone(segment)] = &cached
	headers.CompareAndSwap(old, &next)
}
