package jwt_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// FuzzVerify signs whatever header and claims it is given. A token that is then
// accepted must satisfy the policy in the eyes of the ordinary, looser JSON
// decoder too, and must be accepted again with the same claims.
func FuzzVerify(f *testing.F) {
	secret := sha256.Sum256([]byte("FuzzVerify")) // the same in every run, for the corpus
	key, err := jwk.New(secret[:], jwk.Params{Algorithm: jwk.HS256, KeyID: "k"})
	if err != nil {
		f.Fatal(err)
	}
	const header = `{"alg":"HS256","kid":"k","typ":"at+jwt"}`
	f.Add(header, good().String())
	f.Add(header, good().with("aud", `["a","orders"]`).with("nbf", "1.5e3").String())
	f.Add(header, good().with("exp", `1e400`).with("EXP", "4000000000").String())
	f.Add(`{"alg":"none","alg":"HS256"}`, good().with("x", `[[{"y":null}]]`).String())
	f.Add(`{"alg":"HS256","crit":[],"typ":"application/at+jwt"}`, `{"\u0065xp":1,"exp":2}{}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := craft(t, key, header, payload)
		tok, err := jwt.Verify[map[string]any](policy(), key, token)
		if err != nil {
			if tok != nil {
				t.Fatal("a token beside an error")
			}
			return
		}
		checkClaims(t, payload)
		again, err := jwt.Verify[map[string]any](policy(), key, token)
		if err != nil || string(again.Payload()) != payload || string(tok.Payload()) != payload || again.ID() != tok.ID() {
			t.Fatalf("not the same again: %v", err)
		}
		if u, err := jwt.ParseUnverified(token); err != nil || u.UnverifiedIssuer() != tok.Issuer() {
			t.Fatalf("verified, and not to be parsed: %v", err)
		}
	})
}

// FuzzVerifyUnsigned feeds tokens that nobody has signed.
func FuzzVerifyUnsigned(f *testing.F) {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "k"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
	f.Add("....")
	f.Fuzz(func(t *testing.T, token string) {
		var policyError *jwt.PolicyError
		if _, err := jwt.Verify[none](policy(), key, token); err == nil || errors.As(err, &policyError) {
			t.Fatalf("%q: %v", token, err)
		}
		jwt.ParseUnverified(token)
	})
}

// FuzzVerifyNested encrypts whatever it is given: without a signature nothing comes
// out of it.
func FuzzVerifyNested(f *testing.F) {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "k"})
	if err != nil {
		f.Fatal(err)
	}
	recipient, err := jwk.Generate(jwk.Params{Algorithm: jwk.Dir, Encryption: jwe.A256GCM})
	if err != nil {
		f.Fatal(err)
	}
	p := jwe.Policy{Algorithm: jwk.Dir, Encryption: jwe.A256GCM}
	f.Add("JWT", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
	f.Add("jwt", good().String())
	f.Add("application/jwt", "....")
	f.Fuzz(func(t *testing.T, cty, content string) {
		e, err := jwe.NewEncrypter(recipient, jwe.A256GCM, jwe.Header{ContentType: cty})
		if err != nil {
			return
		}
		token, err := e.Encrypt([]byte(content))
		if err != nil {
			return
		}
		var policyError *jwt.PolicyError
		tok, err := jwt.VerifyNested[none](policy(), key, p, recipient, token)
		if tok != nil || err == nil || errors.As(err, &policyError) || errors.Is(err, jwe.ErrDecrypt) {
			t.Fatalf("%q: %v", content, err)
		}
	})
}

func checkClaims(t *testing.T, payload string) {
	var c map[string]any
	if err := json.Unmarshal([]byte(payload), &c); err != nil {
		t.Fatalf("the ordinary decoder refuses %q: %v", payload, err)
	}
	exp, ok := c["exp"].(float64)
	if !ok || exp < 0 || math.Abs(exp) >= 1<<53 || exp < float64(now.Add(-jwt.DefaultLeeway).Unix()) {
		t.Fatalf("exp of %q", payload)
	}
	if c["iss"] != policy().Issuer {
		t.Fatalf("iss of %q", payload)
	}
	latest := float64(now.Add(jwt.DefaultLeeway).Unix())
	born := latest
	for _, claim := range []string{"nbf", "iat"} {
		v, present := c[claim]
		if n, ok := v.(float64); present && (!ok || n < 0 || n > latest) {
			t.Fatalf("%s of %q", claim, payload)
		} else if present && claim == "iat" {
			born = n
		}
	}
	if exp-born > (jwt.DefaultMaxLife + time.Second).Seconds() {
		t.Fatalf("life of %q", payload)
	}
	found := c["aud"] == policy().Audience
	if list, ok := c["aud"].([]any); ok {
		for _, aud := range list {
			found = found || aud == policy().Audience
		}
	}
	if !found {
		t.Fatalf("aud of %q", payload)
	}
}
