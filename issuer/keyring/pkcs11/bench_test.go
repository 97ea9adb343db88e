//go:build pkcs11 && cgo

package pkcs11_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// BenchmarkSign signs in SoftHSM, and verifies as package jwk does. Hardware is
// slower, and most of it signs several at once.
func BenchmarkSign(b *testing.B) {
	token := openNew(b)
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.EdDSA, jwk.RS256} {
		key, _, err := token.MakeKey(b.Context(), jwk.Params{Algorithm: alg, KeyID: "bench-" + string(alg)})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(alg), func(b *testing.B) {
			for b.Loop() {
				if _, err := key.SignContext(b.Context(), []byte("input")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUnwrap opens a content encryption key by the key-encryption key.
func BenchmarkUnwrap(b *testing.B) {
	kek, err := openNew(b).KEK(b.Context(), pkcs11.Make)
	if err != nil {
		b.Fatal(err)
	}
	w, err := kek.WrapKey(make([]byte, 32), jwk.WrapParams{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := kek.UnwrapKey(w); err != nil {
			b.Fatal(err)
		}
	}
}
