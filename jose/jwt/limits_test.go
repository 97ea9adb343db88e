package jwt_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

func refuseLimit(t *testing.T, p jwt.Policy, key *jwk.Key, claim, token string) {
	t.Helper()
	var limit *jwt.LimitError
	if err := refuse(t, p, key, token); !errors.As(err, &limit) || limit.Claim != claim {
		t.Errorf("%v, not a limit of %s", err, claim)
	}
	refuseClaim(t, p, key, claim, token)
}

func TestLimitsWindow(t *testing.T) {
	born := now.Add(-time.Minute)
	issued := func(at time.Time) string { return good().with("iat", unix(at)).String() }
	key := newKey(t, jwk.HS256).WithLimits(jwk.Limits{From: born, Until: born.Add(30 * time.Second)})
	for _, at := range []time.Time{born, born.Add(10 * time.Second), born.Add(30 * time.Second)} {
		accept(t, policy(), key, mint(t, key, issued(at)))
	}
	for _, at := range []time.Time{born.Add(-time.Second), born.Add(31 * time.Second), now} {
		refuseLimit(t, policy(), key, "iat", mint(t, key, issued(at)))
	}
}

func TestLimitsTenant(t *testing.T) {
	key := newKey(t, jwk.HS256).WithLimits(jwk.Limits{Tenant: "a"})
	accept(t, policy(), key, mint(t, key, good().with("tenant", `"a"`).String()))
	for _, tenant := range []string{"", `"b"`, `""`, `"A"`} {
		refuseLimit(t, policy(), key, "tenant", mint(t, key, good().with("tenant", tenant).String()))
	}
	for _, tenant := range []string{"null", "1", `["a"]`} {
		refuseLimit(t, policy(), key, "tenant", mint(t, key, good().with("tenant", tenant).String()))
	}
	// To whom the key sets no limit, the claim is like any that is not registered.
	free := newKey(t, jwk.HS256)
	for _, tenant := range []string{"null", "42", `["a"]`, `{"id":"a"}`, "true", `"a"`} {
		accept(t, policy(), free, mint(t, free, good().with("tenant", tenant).String()))
	}
}

func TestLimitsSubject(t *testing.T) {
	key := newKey(t, jwk.HS256).WithLimits(jwk.Limits{Subject: "alice"})
	accept(t, policy(), key, mint(t, key, good().String()))
	for _, sub := range []string{"", `"root"`, `""`, `"Alice"`} {
		refuseLimit(t, policy(), key, "sub", mint(t, key, good().with("sub", sub).String()))
	}
}

// A key for few claims makes no other, whatever its value and however it is spelled.
func TestLimitsClaims(t *testing.T) {
	key := newKey(t, jwk.HS256).WithLimits(jwk.Limits{Claims: []string{"iss", "aud", "sub", "jti", "iat", "exp"}})
	accept(t, policy(), key, mint(t, key, good().String()))
	accept(t, policy(), key, mint(t, key, good().with("jti", "").String())) // it need not make them all
	for _, claim := range []string{"scope", "roles", "Sub", "su\u0062x", "nonce", ""} {
		refuseLimit(t, policy(), key, "claims", mint(t, key, good().with(claim, "null").String()))
	}
}

// Under a tagged key the tag stands at a fixed place, so that nobody's JSON
// decoder has a say in where it is.
func TestLimitsTagged(t *testing.T) {
	const jti = "AAAAAAAAAAAAAAAAAAAAAAAAAAA" // 27 characters: 20 bytes and two spare bits
	key := newKey(t, jwk.HS256).WithLimits(jwk.Limits{Tagged: true})
	rest := `,` + strings.TrimPrefix(good().with("jti", "").String(), "{")
	accept(t, policy(), key, mint(t, key, `{"jti":"`+jti+`"`+rest))
	for _, payload := range []string{
		`{` + rest[1:],
		` {"jti":"` + jti + `"` + rest,
		`{ "jti":"` + jti + `"` + rest,
		`{"jti" :"` + jti + `"` + rest,
		`{"jti": "` + jti + `"` + rest,
		`{"\u006ati":"` + jti + `"` + rest,
		`{"x":1,"jti":"` + jti + `"` + rest,
		`{"jti":"` + jti[:26] + `B"` + rest, // a second spelling of the same bytes
		`{"jti":"` + jti[:26] + `"` + rest,
		`{"jti":"` + jti + `A"` + rest,
		`{"jti":"` + jti[:26] + `="` + rest,
		`{"jti":"` + jti[:26] + `+"` + rest,
		`{"jti":"` + jti[:21] + `\u0041"` + rest,
		`{"jti":"` + rest,
	} {
		if err := refuse(t, policy(), key, mint(t, key, payload)); err != nil && !errors.Is(err, jwt.ErrMalformed) {
			refuseLimit(t, policy(), key, "jti", mint(t, key, payload))
		}
	}
	// Nothing but access tokens, whatever the policy wants.
	p := policy()
	for _, typ := range []string{"JWT", "logout+jwt", "revocations+jwt"} {
		p.Type = typ
		token := craft(t, key, `{"alg":"HS256","typ":"`+typ+`"}`, `{"jti":"`+jti+`"`+rest)
		refuseLimit(t, p, key, "typ", token)
	}
}
