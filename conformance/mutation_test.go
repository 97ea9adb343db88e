package conformance_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// Row 11 of the threats, for each algorithm: a token has one spelling, so that
// every bit of it and its whole length matter, also those bits that another
// decoder of base64url would pass over.

func TestThreat11EveryBitAndLengthOfAJWS(t *testing.T) {
	keys := newKeys(t)
	for _, alg := range signatureAlgorithms {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			key, err := keys.make(jwk.Params{Algorithm: alg, KeyID: "k"}, 0)
			if err != nil {
				t.Fatal(err)
			}
			token, err := jws.Sign(key, jws.Header{Type: "example"}, []byte(message))
			if err != nil {
				t.Fatal(err)
			}
			everyMutation(t, token, func(token string) error {
				_, err := jws.Verify(key, token)
				return err
			})
		})
	}
}

// Of tokens longer than longToken, which are those of ML-DSA, one bit in
// longStride is flipped, else they would take half a minute: the first of one byte,
// the second of the next, and so on, and all of the last byte.
const (
	longToken  = 2 << 10 // bytes
	longStride = 9       // bits; has no factor in common with 8
)

// everyMutation flips each bit of token and cuts it at each length, and wants
// read to refuse them all. The token itself must be good.
func everyMutation(t *testing.T, token string, read func(string) error) {
	t.Helper()
	if err := read(token); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	stride := 1
	if len(token) > longToken {
		stride = longStride
	}
	b := []byte(token)
	for n := range len(b) * 8 {
		i, bit := n/8, n%8
		if n%stride != 0 && i < len(b)-1 {
			continue
		}
		b[i] ^= 1 << bit
		if read(string(b)) == nil {
			t.Errorf("accepted with bit %d of byte %d of %d flipped", bit, i, len(b))
		}
		b[i] ^= 1 << bit
	}
	for i := range token {
		if read(token[:i]) == nil {
			t.Errorf("accepted when cut to %d of %d bytes", i, len(token))
		}
	}
}
