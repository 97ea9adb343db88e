package jwt_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

var (
	algorithms = josetest.Algorithms
	craft      = josetest.Craft
)

// newKey makes a key with the kid "k".
func newKey(t testing.TB, alg jwk.Algorithm) *jwk.Key {
	t.Helper()
	return josetest.Key(t, alg, "k")
}

// now is the time in all tests.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// policy is what the tokens below are made for.
func policy() jwt.Policy {
	return jwt.Policy{
		Issuer: "https://id.example", Audience: "orders", Type: "at+jwt",
		Now: func() time.Time { return now },
	}
}

// A claimSet holds claims by name as JSON texts. A text of "" leaves one out.
type claimSet map[string]string

func unix(at time.Time) string { return string(must(wire.Marshal(at.Unix()))) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// good are claims that policy accepts.
func good() claimSet {
	return claimSet{
		"iss": `"https://id.example"`, "aud": `"orders"`, "sub": `"alice"`, "jti": `"j1"`,
		"iat": unix(now.Add(-time.Minute)), "exp": unix(now.Add(time.Minute)),
	}
}

// with is a copy with one claim changed.
func (c claimSet) with(name, text string) claimSet {
	c = maps.Clone(c)
	c[name] = text
	return c
}

func (c claimSet) String() string {
	var members []string
	for name, text := range c {
		if text != "" {
			members = append(members, string(must(wire.Marshal(name)))+":"+text)
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// mint signs claims under an ordinary header.
func mint(t testing.TB, key *jwk.Key, payload string) string {
	t.Helper()
	return craft(t, key, `{"alg":"`+string(key.Algorithm())+`","kid":"k","typ":"at+jwt"}`, payload)
}

type none = struct{}

// accept fails unless the token verifies.
func accept(t testing.TB, p jwt.Policy, keys jwk.Source, token string) *jwt.Token[none] {
	t.Helper()
	tok, err := jwt.Verify[none](p, keys, token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return tok
}

// refuse fails if the token verifies, or if the error tells anything about it.
func refuse(t testing.TB, p jwt.Policy, keys jwk.Source, token string) error {
	t.Helper()
	tok, err := jwt.Verify[none](p, keys, token)
	if err == nil {
		t.Errorf("accepted: %.300s", payloadOf(token))
		return nil
	}
	if tok != nil {
		t.Errorf("a token beside error %v", err)
	}
	text := err
	var claim *jwt.ClaimError
	if errors.As(err, &claim) { // the name is the policy's, however the token spells it
		text = errors.New(strings.ReplaceAll(err.Error(), claim.Claim, ""))
	}
	josetest.Leaks(t, text, token)
	return err
}

func payloadOf(token string) string {
	if s := strings.Split(token, "."); len(s) > 1 {
		if b, err := wire.Decode(s[1]); err == nil {
			return string(b)
		}
	}
	return token
}
