package jwt_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

func TestTokenAccessors(t *testing.T) {
	key := newKey(t, jwk.ES256)
	claims := good().with("aud", `["orders","billing"]`).with("nbf", unix(now)).String()
	tok := must(jwt.Verify[map[string]jsontext.Value](policy(), key, mint(t, key, claims)))
	if tok.Issuer() != "https://id.example" || tok.Subject() != "alice" || tok.ID() != "j1" ||
		!slices.Equal(tok.Audience(), []string{"orders", "billing"}) ||
		!tok.IssuedAt().Equal(now.Add(-time.Minute)) || !tok.NotBefore().Equal(now) || !tok.Expiry().Equal(now.Add(time.Minute)) {
		t.Errorf("%+v", tok)
	}
	if tok.Key() != key || tok.Header().Type != "at+jwt" || string(tok.Payload()) != claims || string(tok.Claims()["sub"]) != `"alice"` {
		t.Errorf("%+v", tok)
	}
}

func TestTokenDoesNotChange(t *testing.T) {
	key := newKey(t, jwk.HS256)
	claims := good().String()
	tok := accept(t, policy(), key, mint(t, key, claims))
	tok.Audience()[0] = "billing"
	tok.Payload()[0] = 'x'
	if tok.Audience()[0] != "orders" || string(tok.Payload()) != claims {
		t.Error("a caller changed a token")
	}
}

func TestAs(t *testing.T) {
	type access struct {
		Scope string `json:"scope"`
	}
	key := newKey(t, jwk.HS256)
	tok := accept(t, policy(), key, mint(t, key, good().with("scope", `"read"`).String()))
	as, err := jwt.As[access](tok)
	if err != nil {
		t.Fatal(err)
	}
	if as.Claims().Scope != "read" || as.Subject() != tok.Subject() || as.Key() != tok.Key() {
		t.Errorf("%+v", as)
	}
	if _, err := jwt.As[[]string](tok); !errors.Is(err, jwt.ErrMalformed) {
		t.Error(err)
	}
}

// A Token that no verification made says nothing at all.
func TestTokenDeclaredByHand(t *testing.T) {
	for name, use := range map[string]func(*jwt.Token[none]){
		"Claims":  func(t *jwt.Token[none]) { t.Claims() },
		"Subject": func(t *jwt.Token[none]) { t.Subject() },
		"Expiry":  func(t *jwt.Token[none]) { t.Expiry() },
		"Key":     func(t *jwt.Token[none]) { t.Key() },
		"Payload": func(t *jwt.Token[none]) { t.Payload() },
		"As":      func(t *jwt.Token[none]) { jwt.As[map[string]any](t) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			use(new(jwt.Token[none]))
		})
	}
}

func TestUnverified(t *testing.T) {
	key := newKey(t, jwk.HS256)
	claims := good().with("exp", unix(now.Add(-time.Hour))).String()
	token := mint(t, key, claims)
	u, err := jwt.ParseUnverified(token[:len(token)-4] + "AAAA")
	if err != nil {
		t.Fatal(err)
	}
	if u.UnverifiedIssuer() != "https://id.example" || string(u.UnverifiedClaims()) != claims || u.UnverifiedHeader().KeyID != "k" {
		t.Errorf("%+v", u)
	}
	u.UnverifiedClaims()[0] = 'x'
	if string(u.UnverifiedClaims()) != claims {
		t.Error("a caller changed it")
	}
	for _, iss := range []string{"", "null", "1", `["https://id.example"]`} {
		u, err := jwt.ParseUnverified(mint(t, key, good().with("iss", iss).String()))
		if err != nil || u.UnverifiedIssuer() != "" {
			t.Errorf("%s: %v", iss, err)
		}
	}
}

// Neither a token that verifies nor one that is only parsed prints itself.
func TestTokensDoNotPrint(t *testing.T) {
	key := newKey(t, jwk.ES256)
	token := mint(t, key, good().String())
	u := must(jwt.ParseUnverified(token))
	tok := accept(t, policy(), key, token)
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	for _, holder := range []any{u, *u, []*jwt.Unverified{u}, struct{ U *jwt.Unverified }{u}, tok, *tok, []*jwt.Token[none]{tok}, struct{ t jwt.Token[none] }{*tok}, struct{ t *jwt.Token[none] }{tok}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", holder)
		}
		log.Info("m", "token", holder)
	}
	for segment := range strings.SplitSeq(token, ".") {
		if strings.Contains(out.String(), segment) {
			t.Errorf("%.20s… is printed", segment)
		}
	}
}
