package jws_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func generateECDSA() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// A certificate chain has room of its own, and nothing else has a part in it.
func TestThreat2OversizeChain(t *testing.T) {
	key := newKey(t, jwk.HS256)
	header := func(others, chain int) string {
		const form = `{"alg":"HS256","kid":"HS256","x":"%s","x5c":["%s"]}`
		return fmt.Sprintf(form, strings.Repeat("x", others-len(form)+len(`["%s"]`)+2), strings.Repeat("A", chain-len(`[""]`)))
	}
	accept(t, key, craft(t, key, header(jws.MaxHeader, 10), ""))
	accept(t, key, craft(t, key, header(200, jws.MaxChain), ""))
	for _, h := range []string{
		header(jws.MaxHeader+1, 10), header(200, jws.MaxChain+1), header(jws.MaxHeader+100, 5000),
		strings.Replace(header(200, 5000), "x5c", "x5d", 1),
	} {
		if err := refuse(t, key, craft(t, key, h, "")); !errors.Is(err, jws.ErrTooLarge) {
			t.Errorf("%d bytes: %v", len(h), err)
		}
	}
	for chain, want := range map[int]error{jws.MaxChain: nil, jws.MaxChain + 1: jws.ErrTooLarge} {
		h, err := jws.Header{}.With("x5c", []string{strings.Repeat("A", chain-len(`[""]`))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.NewSigner(key, h); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", chain, err)
		}
	}
}
