package jwk_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// FuzzParsePublic holds whatever is read as a public key to having no private
// part, and to being what Parse reads.
func FuzzParsePublic(f *testing.F) {
	f.Add(generated(f, jwk.ES256).public().json(f))
	f.Add(generated(f, jwk.Ed25519).json(f))
	f.Add(generated(f, jwk.HS256).json(f))
	f.Add(generated(f, jwk.MLDSA44).json(f))
	f.Add(rsaJWK().public().with("alg", "RS256").with("d", nil).json(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := jwk.ParsePublic(data)
		if err != nil {
			if k != nil {
				t.Fatal("a key beside an error")
			}
			return
		}
		same, err := jwk.Parse(data)
		if err != nil || k.IsPrivate() || k.IsSymmetric() || same.Thumbprint() != k.Thumbprint() {
			t.Fatalf("%v: %v", k, err)
		}
	})
}

// checkChain holds certificates to their bounds, and to being written as they were
// read.
func checkChain(t *testing.T, chain []*x509.Certificate, err error) {
	if err != nil {
		if chain != nil || !errors.Is(err, jwk.ErrMalformed) && !errors.Is(err, jwk.ErrUnsupported) && !errors.Is(err, jwk.ErrWeakKey) && !errors.Is(err, jwk.ErrEncrypted) {
			t.Fatalf("%d certificates, %v", len(chain), err)
		}
		return
	}
	if len(chain) == 0 || len(chain) > jwk.MaxCertificates {
		t.Fatalf("%d certificates", len(chain))
	}
	again, err := jwk.ParseX5C(mustJSON(t, x5c(chain)))
	if err != nil || len(again) != len(chain) || !again[0].Equal(chain[0]) {
		t.Fatalf("not the same again: %v", err)
	}
}

func FuzzParseX5C(f *testing.F) {
	a := josetest.NewAuthority(f)
	_, chain := certified(f, a, jwk.ES256)
	f.Add(mustJSON(f, x5c(chain)))
	f.Add(mustJSON(f, x5c(chain[:1])))
	f.Add([]byte(`["AA=="]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		chain, err := jwk.ParseX5C(data)
		checkChain(t, chain, err)
	})
}

func FuzzParseCertificates(f *testing.F) {
	a := josetest.NewAuthority(f)
	_, chain := certified(f, a, jwk.ES256)
	var text bytes.Buffer
	for _, cert := range chain {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(text.Bytes())
	f.Add(append([]byte("\n \r\n"), text.Bytes()...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		chain, err := jwk.ParseCertificates(data)
		checkChain(t, chain, err)
	})
}
