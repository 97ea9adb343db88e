package jws

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

// headers holds parsed headers by the exact bytes of their segment. An issuer
// writes the same header into every token, so that a verifier meets very few.
// Only headers under a valid signature get in: nobody without a key can fill it.
// The map is replaced whole and never written to.
var headers atomic.Pointer[map[string]Header]

// lookupHeader is parseHeader, but for headers seen before.
func lookupHeader(segment string) (Header, error) {
	if known := headers.Load(); known != nil {
		if h, ok := (*known)[segment]; ok {
			return h, nil
		}
	}
	return parseHeader(segment)
}

// rememberHeader keeps the header of a verified token. A full cache starts over;
// of two that write at once one is forgotten until its next token.
func rememberHeader(u *Unverified) {
	segment, _, _ := strings.Cut(u.input, ".")
	if len(segment) > maxCachedHeader {
		return
	}
	old := headers.Load()
	next := make(map[string]Header)
	if old != nil {
		if _, ok := (*old)[segment]; ok {
			return
		}
		if len(*old) < maxCachedHeaders {
			maps.Copy(next, *old)
		}
	}
	next[strings.Clone(segment)] = u.header
	headers.CompareAndSwap(old, &next)
}
