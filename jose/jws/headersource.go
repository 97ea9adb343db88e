package jws

import "github.com/counterfoil/counterfoil/jose/jwk"

// A HeaderSource is a [jwk.Source] that chooses a key by more of the protected
// header than "kid" and "alg", such as a certificate chain in "x5c". A Source that
// is one is asked by FindHeader and not by Find.
//
// The header has not been verified and may come from anybody: a HeaderSource
// returns a key only if it trusts the key by its own lights. Like Find, FindHeader
// does no I/O and never waits, and its errors are those of Find. The key it
// returns must be for the header's algorithm, or the token is refused.
type HeaderSource interface {
	FindHeader(h Header) (*jwk.Key, error)
}

// findKey asks keys for the key that belongs to h.
func findKey(keys jwk.Source, h *Header) (*jwk.Key, error) {
	key, err := askFor(keys, h)
	if err != nil {
		return nil, err
	}
	// Not every Source is ours: one may return no key, or one for another algorithm.
	return key.Find("", string(h.Algorithm))
}

func askFor(keys jwk.Source, h *Header) (*jwk.Key, error) {
	switch keys := keys.(type) {
	case nil:
		return nil, jwk.ErrUnknownKey
	case *jwk.Key, *jwk.Set: // most are, and the question below takes longer
	case HeaderSource:
		return keys.FindHeader(*h)
	}
	return keys.Find(h.KeyID, string(h.Algorithm))
}
