package jws_test

import (
	"io"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// BenchmarkVerifyForms is a payload of a token in each form, beside the bare
// operation of BenchmarkVerify.
func BenchmarkVerifyForms(b *testing.B) {
	key := newKey(b, jwk.HS256)
	s := newSigner(b, key, false)
	for _, f := range forms {
		token, err := f.sign(s, benchmarkPayload)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(f.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.verify(jws.Options{}, key, token, benchmarkPayload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifyReader is a payload of 16 MiB in a reader, beside its hash alone.
func BenchmarkVerifyReader(b *testing.B) {
	const size = 16 << 20
	key := newKey(b, jwk.ES256)
	b.Run("bare", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			io.Copy(key.NewStream(), zeros(size))
		}
	})
	for name, unencoded := range map[string]bool{"base64url": false, "b64=false": true} {
		token, err := newSigner(b, key, unencoded).SignReader(zeros(size))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := all.VerifyReader(key, token, zeros(size)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
