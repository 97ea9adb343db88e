package jws_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// algorithms are all that sign.
var algorithms = []jwk.Algorithm{
	jwk.HS256, jwk.HS384, jwk.HS512,
	jwk.RS256, jwk.RS384, jwk.RS512,
	jwk.PS256, jwk.PS384, jwk.PS512,
	jwk.ES256, jwk.ES384, jwk.ES512,
	jwk.Ed25519, jwk.EdDSA,
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newKey makes a key with the algorithm as its kid. All RSA keys are the same
// one, since they take long to make.
func newKey(t testing.TB, alg jwk.Algorithm) *jwk.Key {
	t.Helper()
	p := jwk.Params{Algorithm: alg, KeyID: string(alg)}
	var key *jwk.Key
	var err error
	if alg[0] == 'R' || alg[0] == 'P' {
		var material *rsa.PrivateKey
		if material, err = rsaKey(); err == nil {
			key, err = jwk.New(material, p)
		}
	} else {
		key, err = jwk.Generate(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// craft signs exactly the header and payload given, sensible or not.
func craft(t testing.TB, key *jwk.Key, header, payload string) string {
	t.Helper()
	input := wire.Encode([]byte(header)) + "." + wire.Encode([]byte(payload))
	return input + "." + wire.Encode(signature(t, key, input))
}

func signature(t testing.TB, key *jwk.Key, input string) []byte {
	t.Helper()
	sig, err := key.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return sig
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
	leaks(t, err, token)
	return err
}

// leaks fails if the error quotes ten characters of the token or of what one of
// its segments says.
func leaks(t testing.TB, err error, token string) {
	t.Helper()
	const window = 10
	text := err.Error()
	parts := []string{token}
	for segment := range strings.SplitSeq(token[:min(len(token), jws.MaxToken)], ".") {
		if b, err := wire.Decode(segment); err == nil {
			parts = append(parts, string(b))
		}
	}
	for i := 0; i+window <= len(text); i++ {
		for _, part := range parts {
			if strings.Contains(part, text[i:i+window]) {
				t.Errorf("error quotes the token: %q", text)
				return
			}
		}
	}
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
