package jwt_test

import (
	"errors"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

var opening = jwe.Policy{Algorithm: jwk.ECDHES, Encryption: jwe.A256GCM}

// encrypter returns an Encrypter for key with the content type cty.
func encrypter(t testing.TB, key *jwk.Key, cty string) *jwe.Encrypter {
	t.Helper()
	e, err := jwe.NewEncrypter(key, jwe.A256GCM, jwe.Header{ContentType: cty})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encrypt(t testing.TB, key *jwk.Key, cty, content string) string {
	t.Helper()
	token, err := encrypter(t, key, cty).Encrypt([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestNestedRoundTrip(t *testing.T) {
	signer, recipient := newKey(t, jwk.ES256), newKey(t, jwk.ECDHES)
	public, err := recipient.Public()
	if err != nil {
		t.Fatal(err)
	}
	c := jwt.Claims{Issuer: "https://id.example", Subject: "alice", Audience: []string{"orders"}, IssuedAt: now, Expiry: now.Add(time.Minute)}
	token, err := jwt.SignNested(signer, "at+jwt", c, map[string]string{"scope": "read"}, encrypter(t, public, "JWT"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(token, ".") != 4 {
		t.Errorf("%s", token)
	}
	tok, err := jwt.VerifyNested[map[string]any](policy(), signer, opening, recipient, token)
	if err != nil || tok.Subject() != "alice" || tok.Claims()["scope"] != "read" || tok.Key() != signer {
		t.Errorf("%v, %v", tok, err)
	}
	// The encrypted token is no token for anybody who only verifies.
	if _, err := jwt.Verify[struct{}](policy(), signer, token); !errors.Is(err, jws.ErrEncrypted) {
		t.Errorf("Verify: %v", err)
	}
	for _, cty := range []string{"", "jose", "at+jwt"} {
		if _, err := jwt.SignNested(signer, "at+jwt", c, nil, encrypter(t, public, cty)); err == nil {
			t.Errorf("encrypted with the content type %q", cty)
		}
	}
	if _, err := jwt.SignNested(signer, "at+jwt", c, nil, nil); err == nil {
		t.Error("encrypted for nobody")
	}
}

// Whoever can encrypt for us has the public key, and nothing more.
func TestThreat45NestedInnerUnverified(t *testing.T) {
	signer, recipient, stranger := newKey(t, jwk.ES256), newKey(t, jwk.ECDHES), newKey(t, jwk.ES256)
	claims := good().String()
	inner := mint(t, signer, claims)
	if _, err := jwt.VerifyNested[struct{}](policy(), signer, opening, recipient, encrypt(t, recipient, "JWT", inner)); err != nil {
		t.Fatalf("a nested token made by hand: %v", err)
	}
	head, rest, _ := strings.Cut(inner, ".")
	payload, sig, _ := strings.Cut(rest, ".")
	unsecured := "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + payload + "."
	for what, content := range map[string]string{
		"claims":                    claims,
		"nothing":                   "",
		"an unsecured JWS":          unsecured,
		"a JWS without signature":   head + "." + payload + ".",
		"half a JWS":                head + "." + payload,
		"a JWS by a stranger":       mint(t, stranger, claims),
		"a JWS with a bad byte":     head + "." + payload + ".AAAA" + sig[4:],
		"a JWE":                     encrypt(t, recipient, "JWT", claims),
		"a nested token":            encrypt(t, recipient, "JWT", inner),
		"a JWS in JSON":             `{"protected":"` + head + `","payload":"` + payload + `","signature":"` + sig + `"}`,
		"a JWS and white space":     inner + "\n",
		"a token that has expired":  mint(t, signer, good().with("exp", unix(now.Add(-time.Hour))).String()),
		"a token for somebody else": mint(t, signer, good().with("aud", `"billing"`).String()),
	} {
		tok, err := jwt.VerifyNested[struct{}](policy(), signer, opening, recipient, encrypt(t, recipient, "JWT", content))
		if err == nil || tok != nil {
			t.Errorf("%s: %v", what, tok)
		}
	}
	for _, cty := range []string{"", "json", "at+jwt", "application/x/jwt", "text/jwt"} {
		if _, err := jwt.VerifyNested[struct{}](policy(), signer, opening, recipient, encrypt(t, recipient, cty, inner)); !errors.Is(err, jwt.ErrMalformed) {
			t.Errorf("cty %q: %v", cty, err)
		}
	}
	for _, cty := range []string{"jwt", "application/JWT"} {
		if _, err := jwt.VerifyNested[struct{}](policy(), signer, opening, recipient, encrypt(t, recipient, cty, inner)); err != nil {
			t.Errorf("cty %q: %v", cty, err)
		}
	}
	// A signed token that nobody encrypted is not what was asked for.
	if _, err := jwt.VerifyNested[struct{}](policy(), signer, opening, recipient, inner); !errors.Is(err, jwe.ErrMalformed) {
		t.Errorf("a JWS: %v", err)
	}
}

func TestNestedPolicies(t *testing.T) {
	signer, recipient := newKey(t, jwk.ES256), newKey(t, jwk.ECDHES)
	token := encrypt(t, recipient, "JWT", mint(t, signer, good().String()))
	var misuse *jwt.PolicyError
	if _, err := jwt.VerifyNested[struct{}](jwt.Policy{}, signer, opening, recipient, token); !errors.As(err, &misuse) {
		t.Errorf("no policy: %v", err)
	}
	if _, err := jwt.VerifyNested[struct{}](policy(), signer, opening, nil, token); !errors.As(err, &misuse) {
		t.Errorf("no key to decrypt: %v", err)
	}
	if _, err := jwt.VerifyNested[struct{}](policy(), signer, jwe.Policy{Algorithm: jwk.ECDHES}, recipient, token); err == nil {
		t.Error("no encryption pinned")
	}
	if _, err := jwt.VerifyNested[struct{}](policy(), signer, jwe.Policy{Algorithm: jwk.ECDHES, Encryption: jwe.A128GCM}, recipient, token); !errors.Is(err, jwe.ErrEncryption) {
		t.Errorf("another encryption: %v", err)
	}
	long := strings.Repeat("A", jwt.MaxNested+1)
	if n := testing.AllocsPerRun(10, func() { jwt.VerifyNested[struct{}](policy(), signer, opening, recipient, long) }); n > 2 {
		t.Errorf("too long: %v allocations", n)
	}
	if _, err := jwt.VerifyNested[struct{}](policy(), signer, opening, recipient, long); !errors.Is(err, jws.ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
}

// The longest token there is fits, whatever the key.
func TestNestedTakesTheLongestToken(t *testing.T) {
	signer, recipient := newKey(t, jwk.HS256), newKey(t, jwk.RSAOAEP256)
	rest := jws.MaxToken*3/4 - 600
	inner := mint(t, signer, good().with("pad", `"`+strings.Repeat("x", rest)+`"`).String())
	token := encrypt(t, recipient, "JWT", inner)
	dp := jwe.Policy{Algorithm: jwk.RSAOAEP256, Encryption: jwe.A256GCM}
	if _, err := jwt.VerifyNested[struct{}](policy(), signer, dp, recipient, token); err != nil {
		t.Errorf("%d bytes around %d: %v", len(token), len(inner), err)
	}
}

func ExampleSignNested() {
	issuer, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		log.Fatal(err)
	}
	service, err := jwk.Generate(jwk.Params{Algorithm: jwk.ECDHES, Curve: "X25519"})
	if err != nil {
		log.Fatal(err)
	}
	public, err := service.Public() // all that the issuer has of it
	if err != nil {
		log.Fatal(err)
	}
	to, err := jwe.NewEncrypter(public, jwe.A256GCM, jwe.Header{ContentType: "JWT"})
	if err != nil {
		log.Fatal(err)
	}
	claims := jwt.Claims{Issuer: "https://id.example", Subject: "alice", Audience: []string{"orders"}, Expiry: time.Now().Add(time.Minute)}
	token, err := jwt.SignNested(issuer, "at+jwt", claims, nil, to)
	if err != nil {
		log.Fatal(err)
	}

	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "at+jwt", Now: time.Now}
	decrypt := jwe.Policy{Algorithm: jwk.ECDHES, Encryption: jwe.A256GCM}
	tok, err := jwt.VerifyNested[struct{}](policy, issuer, decrypt, service, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tok.Subject())
	// Output: alice
}
