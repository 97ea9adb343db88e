package jwt_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A JWS as RFC 7797 makes it, with claims that would all be good, is no JWT
// (Section 7 there), although package jws can read it.
func TestThreat43UnencodedTokenIsNoJWT(t *testing.T) {
	key := newKey(t, jwk.HS256)
	p := policy()
	p.Issuer = "https://id" // no dot, so that the claims may stand in a compact token
	claims := good().with("iss", `"https://id"`).String()
	accept(t, p, key, mint(t, key, claims))
	s, err := jws.NewSigner(key, jws.Header{Type: "at+jwt"}.WithUnencoded())
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := (jws.Options{Unencoded: true}).Verify(key, token); err != nil || string(m.Payload()) != claims {
		t.Fatalf("not a token of RFC 7797: %v", err)
	}
	if err := refuse(t, p, key, token); !errors.Is(err, jws.ErrCritical) {
		t.Error(err)
	}
}
