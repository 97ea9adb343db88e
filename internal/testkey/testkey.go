// Package testkey makes keys and tokens that tests of several packages need and that
// the product never makes.
package testkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Published makes a key, and the text of its public half as an issuer's database holds
// it.
func Published(t testing.TB, p jwk.Params) (key *jwk.Key, public []byte) {
	t.Helper()
	key, err := jwk.Generate(p)
	if err != nil {
		t.Fatal(err)
	}
	half, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = half.MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	return key, public
}

// Unnamed signs what a token says with a key for ES256 that the header does not name,
// as most libraries do unless they are told to.
func Unnamed(t testing.TB, key *jwk.Key, token string) string {
	t.Helper()
	input := wire.Encode([]byte(`{"alg":"ES256","typ":"at+jwt"}`)) + "." + strings.Split(token, ".")[1]
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, private(t, key), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + wire.Encode(signature)
}

func private(t testing.TB, key *jwk.Key) *ecdsa.PrivateKey {
	t.Helper()
	text, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	var members struct {
		D string `json:"d"`
	}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	d, err := wire.Decode(members.D)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}
