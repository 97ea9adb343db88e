package jwt_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// registered are claims that policy accepts.
func registered() jwt.Claims {
	return jwt.Claims{
		Issuer: "https://id.example", Audience: []string{"orders"}, Subject: "alice", ID: "j1",
		IssuedAt: now, NotBefore: now, Expiry: now.Add(time.Minute),
	}
}

func TestSignAndVerify(t *testing.T) {
	type access struct {
		Scope string   `json:"scope"`
		Roles []string `json:"roles,omitempty"`
	}
	for _, alg := range algorithms {
		key := newKey(t, alg)
		token, err := jwt.Sign(key, "at+jwt", registered(), access{Scope: "a b"})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := jwt.Verify[access](policy(), key, token)
		if err != nil {
			t.Fatal(err)
		}
		if tok.Subject() != "alice" || tok.Claims().Scope != "a b" || tok.Header().Algorithm != alg {
			t.Errorf("%+v", tok)
		}
	}
}

func TestClaimsOnTheWire(t *testing.T) {
	key := newKey(t, jwk.HS256)
	half := registered()
	half.IssuedAt = now.Add(500 * time.Millisecond)
	two := registered()
	two.Audience = []string{"orders", "billing"}
	const rest = `"sub":"alice","aud":"orders","iat":1795435200,"nbf":1795435200,"exp":1795435260`
	const all = `{"jti":"j1","iss":"https://id.example",` + rest
	for _, c := range []struct {
		claims jwt.Claims
		extra  any
		want   string
	}{
		{registered(), nil, all + `}`},
		{registered(), struct{}{}, all + `}`},
		{registered(), jsontext.Value(` { "b" : [1, 2] , "a":"<&>" } `), all + `,"b":[1,2],"a":"<&>"}`},
		{registered(), map[string]any{"z": 1, "a": nil}, all + `,"a":null,"z":1}`},
		{half, nil, all + `}`},
		{two, nil, `{"jti":"j1","iss":"https://id.example","sub":"alice","aud":["orders","billing"],"iat":1795435200,"nbf":1795435200,"exp":1795435260}`},
		{jwt.Claims{}, nil, `{}`},
		{jwt.Claims{}, map[string]int{"x": 1}, `{"x":1}`},
		{jwt.Claims{IssuedAt: time.Unix(0, 0)}, nil, `{"iat":0}`},
	} {
		token, err := jwt.Sign(key, "JWT", c.claims, c.extra)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(must(jws.Verify(key, token)).Payload()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"} {
		var wrong *jwt.ClaimError
		for _, extra := range []any{map[string]any{name: "x"}, map[string]any{name: nil}} {
			if _, err := jwt.Sign(key, "at+jwt", registered(), extra); !errors.As(err, &wrong) || wrong.Claim != name {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := jwt.Sign(key, "at+jwt", jwt.Claims{}, extra); !errors.As(err, &wrong) || wrong.Claim != name {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := jwt.Sign(key, "at+jwt", registered(), jsontext.Value(`{"\u0065xp":4000000000}`)); err == nil {
		t.Error("an escaped exp")
	}
	var none *struct{ X int }
	for _, extra := range []any{[]int{1}, "x", 1, none, func() {}, jsontext.Value(`{"a":1,"a":2}`), jsontext.Value(`{`), map[string]string{"x": "\xff"}} {
		if _, err := jwt.Sign(key, "at+jwt", registered(), extra); err == nil {
			t.Errorf("extra %T", extra)
		}
	}
	for name, spoil := range map[string]func(*jwt.Claims){
		"before 1970": func(c *jwt.Claims) { c.IssuedAt = time.Unix(-1, 0) },
		"too late":    func(c *jwt.Claims) { c.Expiry = time.Unix(1<<53, 0) },
		"not UTF-8":   func(c *jwt.Claims) { c.Subject = "\xff" },
	} {
		c := registered()
		spoil(&c)
		if _, err := jwt.Sign(key, "at+jwt", c, nil); err == nil {
			t.Error(name)
		}
	}
	if _, err := jwt.Sign(key, "", registered(), nil); err == nil {
		t.Error("no typ")
	}
	public := must(newKey(t, jwk.ES256).Public())
	if _, err := jwt.Sign(public, "at+jwt", registered(), nil); !errors.Is(err, jwk.ErrNotPrivate) {
		t.Error(err)
	}
}
