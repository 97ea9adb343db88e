package jwe

import "github.com/counterfoil/counterfoil/jose/internal/headercache"

// headers are those of messages that were decrypted: under dir, A*KW and RSA-OAEP a
// sender writes the same one again and again. Whoever has a public key can make
// such, and at worst a header is then read anew, which is little beside decrypting
// with RSA.
var headers headercache.Cache[params]

// lookupHeader is parseProtected, but for headers that are known.
func lookupHeader(segment string) (*params, error) {
	if p := headers.Find(segment); p != nil {
		return p, nil
	}
	return parseProtected(segment)
}

// rememberHeader keeps the header of a decrypted message, unless it belongs to
// that message alone.
func rememberHeader(segment string, p *params) {
	w := &p.wrapped
	if w.EPK != nil || w.IV != nil || w.P2S != nil || w.EK != nil {
		return
	}
	cached := *p
	cached.cached = true
	headers.Keep(segment, &cached)
}
