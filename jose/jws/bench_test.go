package jws_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// benchmarked is an algorithm of each family.
var benchmarked = []jwk.Algorithm{jwk.HS256, jwk.RS256, jwk.PS256, jwk.ES256, jwk.Ed25519}

var benchmarkPayload = make([]byte, 360) // of a token of some 500 bytes

func BenchmarkSign(b *testing.B) {
	for _, alg := range benchmarked {
		s, err := jws.NewSigner(newKey(b, alg), jws.Header{Type: "at+jwt"})
		if err != nil {
			b.Fatal(err)
		}
		input := make([]byte, 540)
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Key().Sign(input)
			}
		})
		b.Run(string(alg)+"/jws", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Sign(benchmarkPayload)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range benchmarked {
		key := newKey(b, alg)
		token, err := jws.Sign(key, jws.Header{Type: "at+jwt"}, benchmarkPayload)
		if err != nil {
			b.Fatal(err)
		}
		u, err := jws.Parse(token)
		if err != nil {
			b.Fatal(err)
		}
		input := []byte(u.SigningInput())
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				key.Verify(input, u.Signature())
			}
		})
		b.Run(string(alg)+"/jws", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				jws.Verify(key, token)
			}
		})
	}
}
