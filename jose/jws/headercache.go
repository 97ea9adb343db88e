package jws

import "github.com/counterfoil/counterfoil/jose/internal/headercache"

// headers are those that were under a valid signature: nobody without a key can
// fill the cache.
var headers headercache.Cache[Header]

// lookupHeader is parseHeader, but for headers that are known.
func lookupHeader(segment string) (h *Header, known bool, err error) {
	if h := headers.Find(segment); h != nil {
		return h, true, nil
	}
	parsed, err := parseHeader(segment)
	return &parsed, false, err
}

// rememberHeader keeps the header of a verified token. A header with a key in it
// may well be verified by that key (RFC 9449): that is anybody's.
func rememberHeader(segment string, h *Header) {
	if !has(h.members, "jwk") {
		headers.Keep(segment, h)
	}
}
