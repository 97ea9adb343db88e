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
// They are replaced as a whole; neither that nor a header is ever written to.
var headers atomic.Pointer[knownHeaders]

type knownHeaders struct {
	last   string // the latest, compared first: mostly there is no other
	header *Header
	all    map[string]*Header
}

// lookupHeader is parseHeader, but for headers that are known.
func lookupHeader(segment string) (h *Header, known bool, err error) {
	if h := knownHeader(segment); h != nil {
		return h, true, nil
	}
	parsed, err := parseHeader(segment)
	return &parsed, false, err
}

func knownHeader(segment string) *Header {
	cache := headers.Load()
	switch {
	case cache == nil:
		return nil
	case cache.last == segment:
		return cache.header
	}
	return cache.all[segment]
}

// rememberHeader keeps the header of a verified token. A full cache starts over;
// of two that write at once one is forgotten until its next token. A header with
// a key in it may well be verified by that key (RFC 9449): that is anybody's.
func rememberHeader(segment string, h *Header) {
	if len(segment) > maxCachedHeader || has(h.members, "jwk") {
		return
	}
	old := headers.Load()
	segment = strings.Clone(segment)
	next := &knownHeaders{last: segment, header: h, all: make(map[string]*Header)}
	if old != nil {
		if old.all[segment] != nil {
			return
		}
		if len(old.all) < maxCachedHeaders {
			maps.Copy(next.all, old.all)
		}
	}
	next.all[segment] = h
	headers.CompareAndSwap(old, next)
}
