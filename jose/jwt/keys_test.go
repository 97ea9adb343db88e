package jwt_test

import (
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
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

// newKey makes a key with the kid "k". All RSA keys are the same one, since they
// take long to make.
func newKey(t testing.TB, alg jwk.Algorithm) *jwk.Key {
	t.Helper()
	p := jwk.Params{Algorithm: alg, KeyID: "k"}
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

// craft signs exactly the header and payload given, sensible or not.
func craft(t testing.TB, key *jwk.Key, header, payload string) string {
	t.Helper()
	input := wire.Encode([]byte(header)) + "." + wire.Encode([]byte(payload))
	sig, err := key.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + wire.Encode(sig)
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
	leaks(t, err, token)
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
