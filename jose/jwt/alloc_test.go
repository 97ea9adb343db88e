//go:build !race

package jwt_test

import (
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// An access token as applications have them: two lists and a dozen other claims.
type allocAccess struct {
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Roles    []string `json:"roles"`
	Tenant   string   `json:"tenant"`
	AuthTime int64    `json:"auth_time"`
}

func TestVerifyAllocatesTheTokenAndItsPayload(t *testing.T) {
	key, p := newKey(t, jwk.HS256), policy()
	c := registered()
	c.Audience = []string{"orders", "billing"}
	token := must(jwt.Sign(key, "at+jwt", c, allocAccess{"web", "orders:read", []string{"buyer", "approver"}, "acme", 1795430000}))
	for range 2 { // the first fills what is used again
		jwt.Verify[allocAccess](p, key, token)
	}
	n := testing.AllocsPerRun(100, func() {
		if _, err := jwt.Verify[allocAccess](p, key, token); err != nil {
			t.Fatal(err)
		}
	})
	if n > 3 { // payload, token, roles
		t.Errorf("%v allocations", n)
	}
}

func TestOversizeCostsNoMemory(t *testing.T) {
	key, p := newKey(t, jwk.HS256), policy()
	for _, token := range []string{strings.Repeat(".", 10<<20), strings.Repeat("A", 10<<20), strings.Repeat("{", 10<<20)} {
		if n := testing.AllocsPerRun(10, func() { jwt.Verify[allocAccess](p, key, token) }); n != 0 {
			t.Errorf("%.3q…: %v allocations", token, n)
		}
	}
}

func TestSignerAllocates(t *testing.T) {
	key := newKey(t, jwk.HS256)
	s, err := jwt.NewSigner(key, "at+jwt")
	if err != nil {
		t.Fatal(err)
	}
	var extra any = allocAccess{"web", "orders:read", []string{"buyer"}, "acme", 1795430000}
	c := registered()
	s.Sign(c, extra)
	n := testing.AllocsPerRun(100, func() {
		if _, err := s.Sign(c, extra); err != nil {
			t.Fatal(err)
		}
	})
	if n > 3 { // token, signature and one to spare
		t.Errorf("%v allocations", n)
	}
}
