package jwt_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// A policy that says too little, or too much, is an error for every token, good
// or bad.
func TestPolicyIncomplete(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := mint(t, key, good().String())
	for name, c := range map[string]struct {
		field string
		spoil func(*jwt.Policy)
	}{
		"no issuer":          {"Issuer", func(p *jwt.Policy) { p.Issuer = "" }},
		"no audience":        {"Audience", func(p *jwt.Policy) { p.Audience = "" }},
		"no type":            {"Type", func(p *jwt.Policy) { p.Type = "" }},
		"no clock":           {"Now", func(p *jwt.Policy) { p.Now = nil }},
		"issuer twice":       {"Issuer", func(p *jwt.Policy) { p.InsecureSkipIssuer = true }},
		"audience twice":     {"Audience", func(p *jwt.Policy) { p.InsecureSkipAudience = true }},
		"type twice":         {"Type", func(p *jwt.Policy) { p.InsecureSkipType = true }},
		"no algorithm":       {"Algorithms", func(p *jwt.Policy) { p.Algorithms = []jwk.Algorithm{} }},
		"leeway too long":    {"Leeway", func(p *jwt.Policy) { p.Leeway = jwt.MaxLeeway + 1 }},
		"leeway negative":    {"Leeway", func(p *jwt.Policy) { p.Leeway = -time.Second }},
		"longest life below": {"MaxLife", func(p *jwt.Policy) { p.MaxLife = -1 }},
		"token below":        {"MaxToken", func(p *jwt.Policy) { p.MaxToken = -1 }},
		"token above":        {"MaxToken", func(p *jwt.Policy) { p.MaxToken = jws.MaxToken + 1 }},
	} {
		p := policy()
		c.spoil(&p)
		for _, tok := range []string{token, "", "x.y.z"} {
			var wrong *jwt.PolicyError
			if err := refuse(t, p, key, tok); !errors.As(err, &wrong) || wrong.Field != c.field {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var wrong *jwt.PolicyError
	if err := refuse(t, policy(), nil, token); !errors.As(err, &wrong) {
		t.Errorf("no keys: %v", err)
	}
	if err := refuse(t, jwt.Policy{}, key, token); !errors.As(err, &wrong) {
		t.Errorf("empty: %v", err)
	}
	accept(t, policy(), key, token)
}

func TestErrorsOfKeys(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := mint(t, key, good().String())
	same := must(jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "k"}))
	other := must(jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "other"}))
	if err := refuse(t, policy(), same, token); !errors.Is(err, jwk.ErrSignature) {
		t.Error(err)
	}
	if err := refuse(t, policy(), other, token); !errors.Is(err, jwk.ErrUnknownKey) {
		t.Error(err)
	}
	if err := refuse(t, policy(), newKey(t, jwk.ES256), token); !errors.Is(err, jwk.ErrAlgorithm) {
		t.Error(err)
	}
}

// Claims are looked at only under a good signature: who cannot sign learns
// nothing of the policy.
func TestClaimsComeAfterTheSignature(t *testing.T) {
	key := newKey(t, jwk.HS256)
	thief := must(jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "k"}))
	for _, claims := range []string{
		"", "[]", "{}", good().with("exp", "").String(), good().with("exp", unix(now.Add(-time.Hour))).String(), good().with("iss", `"other"`).String(),
	} {
		if err := refuse(t, policy(), key, mint(t, thief, claims)); !errors.Is(err, jwk.ErrSignature) {
			t.Errorf("%s: %v", claims, err)
		}
	}
}
