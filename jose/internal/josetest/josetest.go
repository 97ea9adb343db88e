// Package josetest makes keys and tokens for the tests of jose, sensible ones and
// others, and watches over errors.
//
//	key := josetest.Key(t, jwk.ES256, "k")
//	token := josetest.Craft(t, key, `{"alg":"none"}`, `{}`)
package josetest

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// Algorithms are all that sign.
var Algorithms = []jwk.Algorithm{
	jwk.HS256, jwk.HS384, jwk.HS512,
	jwk.RS256, jwk.RS384, jwk.RS512,
	jwk.PS256, jwk.PS384, jwk.PS512,
	jwk.ES256, jwk.ES384, jwk.ES512,
	jwk.Ed25519, jwk.EdDSA,
	jwk.MLDSA44, jwk.MLDSA65, jwk.MLDSA87,
}

// RSA returns the one RSA key of a test binary, since they take long to make.
var RSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// Key makes a key that signs. All RSA keys have the same material.
func Key(t testing.TB, alg jwk.Algorithm, kid string) *jwk.Key {
	t.Helper()
	p := jwk.Params{Algorithm: alg, KeyID: kid}
	var key *jwk.Key
	var err error
	if alg[0] == 'R' || alg[0] == 'P' {
		var material *rsa.PrivateKey
		if material, err = RSA(); err == nil {
			key, err = jwk.New(material, p)
		}
	} else {
		key, err = jwk.Generate(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Craft signs exactly the header and payload given.
func Craft(t testing.TB, key *jwk.Key, header, payload string) string {
	t.Helper()
	input := wire.Encode([]byte(header)) + "." + wire.Encode([]byte(payload))
	return input + "." + wire.Encode(Signature(t, key, input))
}

// SignWith signs a token with header parameters in pairs of name and value.
func SignWith(t testing.TB, key *jwk.Key, pairs ...any) string {
	t.Helper()
	var h jws.Header
	for i := 0; i < len(pairs); i += 2 {
		var err error
		if h, err = h.With(pairs[i].(string), pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	token, err := jws.Sign(key, h, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Signature signs a signing input.
func Signature(t testing.TB, key *jwk.Key, input string) []byte {
	t.Helper()
	sig, err := key.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// Leaks fails the test if err quotes ten characters of the token or of what one
// of its segments says.
func Leaks(t testing.TB, err error, token string) {
	t.Helper()
	const window = 10
	text := err.Error()
	parts := []string{token}
	for segment := range strings.SplitSeq(token[:min(len(token), jws.MaxToken)], ".") {
		if b, err := wire.Decode(segment); err == nil {
			parts = append(parts, string(b))
		}
	}
	for i := 0; i+window <= len(text); i++ {
		for _, part := range parts {
			if strings.Contains(part, text[i:i+window]) {
				t.Errorf("error quotes the token: %q", text)
				return
			}
		}
	}
}
