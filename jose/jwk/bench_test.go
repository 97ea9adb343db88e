package jwk_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

var signingInput = make([]byte, 558) // as long as that of a usual token

func BenchmarkSign(b *testing.B) {
	for _, alg := range []jwk.Algorithm{jwk.HS256, jwk.RS256, jwk.PS256, jwk.ES256, jwk.Ed25519} {
		k := accept(b, generated(b, alg))
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustSign(b, k, signingInput)
			}
		})
	}
}

// BenchmarkVerify measures each algorithm beside the bare operation.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []jwk.Algorithm{jwk.HS256, jwk.RS256, jwk.PS256, jwk.ES256, jwk.ES512, jwk.Ed25519} {
		k := accept(b, generated(b, alg))
		sig := mustSign(b, k, signingInput)
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := k.Verify(signingInput, sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, verify := range bare(b) {
		b.Run("bare/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !verify() {
					b.Fatal("does not verify")
				}
			}
		})
	}
}

func bare(b *testing.B) map[string]func() bool {
	sum := sha256.Sum256(signingInput)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	rsSig, _ := rsa.SignPKCS1v15(rand.Reader, rs, crypto.SHA256, sum[:])
	es, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	esSig, _ := ecdsa.SignASN1(rand.Reader, es, sum[:])
	pub, ed, _ := ed25519.GenerateKey(rand.Reader)
	edSig := ed25519.Sign(ed, signingInput)
	mac := hmac.New(sha256.New, sum[:])
	var buf, buf2 [32]byte
	mac.Write(signingInput)
	hsSig := mac.Sum(buf2[:0])
	return map[string]func() bool{
		"HS256": func() bool {
			mac.Reset()
			mac.Write(signingInput)
			return hmac.Equal(mac.Sum(buf[:0]), hsSig)
		},
		"RS256": func() bool {
			sum := sha256.Sum256(signingInput)
			return rsa.VerifyPKCS1v15(&rs.PublicKey, crypto.SHA256, sum[:], rsSig) == nil
		},
		"ES256": func() bool {
			sum := sha256.Sum256(signingInput)
			return ecdsa.VerifyASN1(&es.PublicKey, sum[:], esSig)
		},
		"Ed25519": func() bool { return ed25519.Verify(pub, signingInput, edSig) },
	}
}
