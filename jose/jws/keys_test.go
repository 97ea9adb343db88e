package jws_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

var (
	algorithms = josetest.Algorithms
	craft      = josetest.Craft
	signature  = josetest.Signature
)

// newKey makes a key with the algorithm as its kid.
func newKey(t testing.TB, alg jwk.Algorithm) *jwk.Key {
	t.Helper()
	return josetest.Key(t, alg, string(alg))
}

// accept fails unless the token verifies, and returns its payload.
func accept(t testing.TB, keys jwk.Source, token string) *jws.Message {
	t.Helper()
	m, err := jws.Verify(keys, token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return m
}

// refuse fails if the token verifies, or if the error tells anything about it.
func refuse(t testing.TB, keys jwk.Source, token string) error {
	t.Helper()
	m, err := jws.Verify(keys, token)
	if err == nil {
		t.Errorf("accepted: %.80q", token)
		return nil
	}
	if m != nil {
		t.Errorf("a message beside error %v", err)
	}
	josetest.Leaks(t, err, token)
	return err
}

func segments(t testing.TB, token string) (header, payload, signature string) {
	t.Helper()
	s := strings.Split(token, ".")
	if len(s) != 3 {
		t.Fatalf("%d segments", len(s))
	}
	return s[0], s[1], s[2]
}

// A token that is only parsed is still somebody's: printing what holds it must
// not print it.
func TestTokensDoNotPrint(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := craft(t, key, hello, "payload")
	u, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	m := accept(t, key, token)
	var out strings.Builder
	text, lines := slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))
	for _, holder := range []any{u, *u, []*jws.Unverified{u}, struct{ U *jws.Unverified }{u}, struct{ U jws.Unverified }{*u}, m, *m} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", holder)
		}
		text.Info("m", "token", holder)
		lines.Info("m", "token", holder)
	}
	h, p, s := segments(t, token)
	sig := u.Signature()[:4]
	for _, part := range []string{h, p, s, fmt.Sprintf("%x", sig), strings.Trim(fmt.Sprint(sig), "[]")} {
		if strings.Contains(out.String(), part) {
			t.Errorf("%q is printed: %.300s", part, out.String())
		}
	}
}
