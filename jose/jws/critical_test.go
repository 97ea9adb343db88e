package jws_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// handlers understand the extensions of those names, whatever their values.
func handlers(names ...string) map[string]func(jws.Header, jsontext.Value) error {
	m := make(map[string]func(jws.Header, jsontext.Value) error)
	for _, name := range names {
		m[name] = func(jws.Header, jsontext.Value) error { return nil }
	}
	return m
}

var errNotToday = errors.New("not today")

func TestCriticalExtension(t *testing.T) {
	key := newKey(t, jwk.ES256)
	h, err := jws.Header{Type: "x"}.WithCritical("http://example.com/UNDEFINED", true)
	if err != nil {
		t.Fatal(err)
	}
	if h, err = h.WithCritical("day", []string{"tuesday"}); err != nil {
		t.Fatal(err)
	}
	s, err := jws.NewSigner(key, h)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	o := jws.Options{Critical: handlers("http://example.com/UNDEFINED", "never")}
	o.Critical["day"] = func(h jws.Header, value jsontext.Value) error {
		asked = append(asked, fmt.Sprintf("%s %s", h.Type, value))
		return nil
	}
	for _, f := range forms {
		token, err := f.sign(s, []byte("p"))
		if err != nil {
			t.Fatal(err)
		}
		asked = nil
		m, err := f.verify(o, key, token, []byte("p"))
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if !slices.Equal(asked, []string{`x ["tuesday"]`}) {
			t.Errorf("%s: asked %q", f.name, asked)
		}
		if v, ok := m.Header().Member("crit"); !ok || string(v) != `["http://example.com/UNDEFINED","day"]` {
			t.Errorf("%s: %s", f.name, v)
		}
		if _, err := f.verify(jws.Options{Critical: handlers("day")}, key, token, []byte("p")); !errors.Is(err, jws.ErrCritical) {
			t.Errorf("%s: one of two understood: %v", f.name, err)
		}
		asked = nil
		if _, err := f.verify(o, newKey(t, jwk.ES256), token, []byte("p")); !errors.Is(err, jwk.ErrSignature) || asked != nil {
			t.Errorf("%s: asked about what nobody signed: %v, %q", f.name, err, asked)
		}
		refusing := jws.Options{Critical: handlers("http://example.com/UNDEFINED")}
		refusing.Critical["day"] = func(jws.Header, jsontext.Value) error { return errNotToday }
		if m, err := f.verify(refusing, key, token, []byte("p")); !errors.Is(err, errNotToday) || m != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

// A function that is not there understands nothing.
func TestCriticalWithoutFunction(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := craft(t, key, `{"alg":"HS256","crit":["x"],"x":1}`, "p")
	for _, o := range []jws.Options{{}, {Critical: map[string]func(jws.Header, jsontext.Value) error{"x": nil}}} {
		if _, err := o.Verify(key, token); !errors.Is(err, jws.ErrCritical) {
			t.Error(err)
		}
	}
}

// Who signs cannot demand what nobody may demand.
func TestCriticalRefusedToSign(t *testing.T) {
	for _, name := range []string{"", "alg", "kid", "typ", "cty", "crit", "b64", "enc", "jwk", "jku", "x5c", "x5u", "x5t", "x5t#S256", "zip", "p2c", "\xff"} {
		if _, err := (jws.Header{}).WithCritical(name, "x"); err == nil {
			t.Errorf("WithCritical(%q)", name)
		}
	}
	h := jws.Header{}.WithUnencoded().WithUnencoded()
	again, err := h.WithCritical("x", 1)
	if err != nil {
		t.Fatal(err)
	}
	if again, err = again.WithCritical("x", 2); err != nil {
		t.Fatal(err)
	}
	if v, _ := again.Member("crit"); string(v) != `["b64","x"]` {
		t.Errorf("%s", v)
	}
	if v, _ := again.Member("x"); string(v) != "2" {
		t.Errorf("%s", v)
	}
	if v, _ := h.Member("crit"); string(v) != `["b64"]` || !h.Unencoded() || (jws.Header{}).Unencoded() {
		t.Errorf("%s", v)
	}
}

// Names in crit are looked at one after another, and there are at most as many as
// the application knows.
func TestCriticalFlood(t *testing.T) {
	key := newKey(t, jwk.HS256)
	o := jws.Options{Critical: handlers("x")}
	token := craft(t, key, `{"alg":"HS256","x":1,"crit":[`+strings.Repeat(`"x",`, 900)+`"x"]}`, "p")
	if _, err := o.Verify(key, token); !errors.Is(err, jws.ErrCritical) {
		t.Error(err)
	}
}
