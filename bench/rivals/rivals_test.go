package rivals_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"reflect"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/bench/rivals"
)

var (
	now    = time.Unix(1_795_430_000, 0)
	policy = rivals.Policy{Issuer: "https://id.example", Audience: "orders", Now: func() time.Time { return now }}
)

func claims() rivals.Claims {
	return rivals.Claims{
		Issuer: "https://id.example", Subject: "alice", ID: "1", Audience: []string{"orders", "billing"},
		IssuedAt: now.Unix() - 10, Expiry: now.Unix() + 300,
		Access: rivals.Access{
			ClientID: "web", Scope: "a b", Session: "s", Roles: []string{"x", "y"}, Tenant: "t", Email: "e@example.org",
			AuthTime: now.Unix() - 20, RSQ: 1 << 47,
		},
	}
}

func keys(t *testing.T) map[string][2]any {
	t.Helper()
	secret := make([]byte, 64)
	rand.Read(secret)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][2]any{"EdDSA": {edPrivate, edPublic}}
	for _, size := range []string{"256", "384", "512"} {
		all["HS"+size] = [2]any{secret, secret}
		all["RS"+size] = [2]any{rsaKey, &rsaKey.PublicKey}
		all["PS"+size] = [2]any{rsaKey, &rsaKey.PublicKey}
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		all[alg] = [2]any{key, &key.PublicKey}
	}
	return all
}

// A rival that is used wrongly would be compared unfairly: each must accept what
// it signed, hand out every claim, and refuse what the policy does not want.
func TestEveryLibraryAsAPolicyWants(t *testing.T) {
	for alg, key := range keys(t) {
		for _, lib := range rivals.JWT {
			t.Run(alg+" "+lib.Name, func(t *testing.T) {
				sign, err := lib.Signer(alg, "k", key[0])
				if err != nil {
					t.Fatal(err)
				}
				verify, err := lib.Verifier(alg, "k", key[1], policy)
				if err != nil {
					t.Fatal(err)
				}
				exercise(t, sign, verify)
			})
		}
	}
}

func exercise(t *testing.T, sign rivals.Sign, verify rivals.Verify) {
	tests := []struct {
		name   string
		change func(*rivals.Claims)
		ok     bool
	}{
		{"good", func(*rivals.Claims) {}, true},
		{"expired", func(c *rivals.Claims) { c.Expiry = now.Unix() - 1 }, false},
		{"another issuer", func(c *rivals.Claims) { c.Issuer = "https://id.example.evil" }, false},
		{"another audience", func(c *rivals.Claims) { c.Audience = []string{"billing"} }, false},
		{"issued in the future", func(c *rivals.Claims) { c.IssuedAt = now.Unix() + 200 }, false},
	}
	for _, tt := range tests {
		c := claims()
		tt.change(&c)
		token, err := sign(c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := verify(token)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil && !reflect.DeepEqual(got, c) {
			t.Errorf("%s: read as %+v, signed as %+v", tt.name, got, c)
		}
		if _, err := verify(token[:len(token)-8] + "AAAAAAAA"); err == nil {
			t.Errorf("%s: accepted with another signature", tt.name)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for _, lib := range rivals.JWT {
		if _, err := lib.Verifier("XX256", "k", "no key", policy); err == nil {
			t.Errorf("%s has an algorithm XX256", lib.Name)
		}
	}
}
