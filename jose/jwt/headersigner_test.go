package jwt_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

func TestHeaderSigner(t *testing.T) {
	key := josetest.Key(t, jwk.ES256, "k")
	h, err := jws.Header{Type: "at+jwt"}.With("jku", "https://id.example/jwks")
	if err != nil {
		t.Fatal(err)
	}
	s, err := jwt.NewHeaderSigner(key, h)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	token, err := s.Sign(jwt.Claims{Issuer: "i", Audience: []string{"a"}, IssuedAt: now, Expiry: now.Add(time.Minute)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := jwt.Verify[map[string]any](jwt.Policy{Type: "at+jwt", Issuer: "i", Audience: "a", Now: time.Now}, key, token)
	if err != nil {
		t.Fatal(err)
	}
	if jku, _ := got.Header().Member("jku"); string(jku) != `"https://id.example/jwks"` {
		t.Errorf("jku is %s", jku)
	}
	for name, h := range map[string]jws.Header{"no typ": {}, "b64": jws.Header{Type: "JWT"}.WithUnencoded()} {
		if s, err := jwt.NewHeaderSigner(key, h); s != nil || err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
