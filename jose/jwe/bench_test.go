package jwe_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// pairs are those whose cost is looked at.
var benchPairs = []struct {
	alg jwk.Algorithm
	crv string
	enc jwe.Encryption
}{
	{jwk.Dir, "", jwe.A256GCM}, {jwk.Dir, "", jwe.A128CBCHS256}, {jwk.A256KW, "", jwe.A256GCM}, {jwk.A256GCMKW, "", jwe.A256GCM}, {jwk.A256KW, "", jwe.A256CBCHS512},
	{jwk.ECDHES, "", jwe.A256GCM}, {jwk.ECDHES, "X25519", jwe.A256GCM}, {jwk.ECDHESA256KW, "P-384", jwe.A256GCM},
	{jwk.RSAOAEP256, "", jwe.A256GCM},
}

const benchSize = 645 // bytes, of a typical token

func BenchmarkEncrypt(b *testing.B) {
	for _, p := range benchPairs {
		b.Run(string(p.alg)+p.crv+"/"+string(p.enc), func(b *testing.B) {
			k := newKey(b, jwk.Params{Algorithm: p.alg, Curve: p.crv})
			e, err := jwe.NewEncrypter(k, p.enc, jwe.Header{ContentType: "JWT"})
			if err != nil {
				b.Fatal(err)
			}
			plaintext := make([]byte, benchSize)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Encrypt(plaintext); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecrypt(b *testing.B) {
	for _, p := range benchPairs {
		b.Run(string(p.alg)+p.crv+"/"+string(p.enc), func(b *testing.B) {
			k := newKey(b, jwk.Params{Algorithm: p.alg, Curve: p.crv})
			token, err := jwe.Encrypt(k, p.enc, "JWT", make([]byte, benchSize))
			if err != nil {
				b.Fatal(err)
			}
			policy := jwe.Policy{Algorithm: p.alg, Encryption: p.enc}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jwe.Decrypt(k, policy, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
