package migrating_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// A difference is a token, or a set, on which the four programs do not agree.
// The signature is good wherever that is not the point.
type difference struct {
	what, why string
	header    string                                  // default: an honest one
	claims    string                                  // default: honest ones
	token     func(string) string                     // changes the token at the end
	set       func(testing.TB, map[string]any) []byte // default: of the one key
}

const (
	header = `{"alg":"ES256","kid":"2026-01","typ":"at+jwt"}`
	claims = `{"iss":"https://id.example","sub":"alice","aud":"orders","iat":NOW,"exp":LATER,"scope":"orders:read"}`
)

var differences = []difference{
	{what: "`exp` yesterday and `EXP` tomorrow", why: "names of claims are case-sensitive, RFC 7519 §10.1.1",
		claims: strings.Replace(claims, `"exp":LATER`, `"exp":EARLIER,"EXP":LATER`, 1)},
	{what: "no `exp`", why: "a token that never ends is refused, and there is no switch",
		claims: strings.Replace(claims, `,"exp":LATER`, ``, 1)},
	{what: "`exp: null`", why: "a claim that is there has its type, RFC 7519 §4.1.4",
		claims: strings.Replace(claims, `"exp":LATER`, `"exp":null`, 1)},
	{what: "valid for ten years", why: "`MaxLife`, a day unless the policy says otherwise",
		claims: strings.Replace(claims, `"exp":LATER`, `"exp":MUCHLATER`, 1)},
	{what: "`scope` twice", why: "no duplicate names at any depth, RFC 7493 §2.3",
		claims: strings.Replace(claims, `"scope":"orders:read"`, `"scope":"none","scope":"orders:read"`, 1)},
	{what: "a second JSON object after the claims", why: "nothing stands after the value", claims: claims + `{}`},
	{what: "an ID token in place of an access token", why: "every policy names a type, RFC 8725 §3.11",
		header: strings.Replace(header, "at+jwt", "JWT", 1)},
	{what: "no `typ`", why: "the same", header: strings.Replace(header, `,"typ":"at+jwt"`, ``, 1)},
	{what: "an extension in `crit` that nobody knows", why: "RFC 7515 §4.1.11",
		header: strings.Replace(header, `}`, `,"crit":["x"],"x":1}`, 1)},
	{what: "`crit: []`", why: "RFC 7515 §4.1.11", header: strings.Replace(header, `}`, `,"crit":[]}`, 1)},
	{what: "a line break inside the signature", why: "base64url without line breaks, RFC 7515 §2",
		token: func(token string) string { return token[:len(token)-4] + "\n" + token[len(token)-4:] }},
	{what: "another last character, for the same bytes", why: "unused bits are zero, RFC 4648 §3.5: a token has one spelling",
		token: otherSpelling},
	{what: "a set with a key of an unknown type beside", why: "such a key is left out, and `Skipped` says so",
		set: func(t testing.TB, key map[string]any) []byte {
			return setOf(t, key, map[string]any{"kty": "new", "kid": "2"})
		}},
	{what: "a set in which two keys have the `kid`", why: "which one is meant cannot be known: the set is refused",
		set: func(t testing.TB, key map[string]any) []byte {
			return setOf(t, key, publicJWK(t, newKey(t), "2026-01"))
		}},
	{what: "a key that says `use: enc`", why: "a key for encryption verifies nothing, RFC 7517 §4.2",
		set: func(t testing.TB, key map[string]any) []byte {
			key["use"] = "enc"
			return setOf(t, key)
		}},
	{what: "a key whose `alg` is ES384, on P-256", why: "a key has one algorithm, and it fits the key, RFC 8725 §3.1",
		set: func(t testing.TB, key map[string]any) []byte {
			key["alg"] = "ES384"
			return setOf(t, key)
		}},
}

// otherSpelling changes bits of the last character that base64 does not use.
func otherSpelling(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

// make makes the token and the set of d.
func (d difference) make(t testing.TB) (set []byte, token string) {
	t.Helper()
	priv := newKey(t)
	now := time.Now()
	text := strings.NewReplacer(
		"NOW", fmt.Sprint(now.Unix()), "MUCHLATER", fmt.Sprint(now.AddDate(10, 0, 0).Unix()),
		"LATER", fmt.Sprint(now.Add(time.Hour).Unix()), "EARLIER", fmt.Sprint(now.Add(-24*time.Hour).Unix()),
	).Replace(or(d.claims, claims))
	token = sign(t, priv, or(d.header, header), text)
	if d.token != nil {
		token = d.token(token)
	}
	key := publicJWK(t, priv, "2026-01")
	if d.set != nil {
		return d.set(t, key), token
	}
	return setOf(t, key), token
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// sign makes a JWS of any text.
func sign(t testing.TB, priv *ecdsa.PrivateKey, header, claims string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode([]byte(claims))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, priv, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + encode(sig)
}

// An honest token, made in the same way, is taken by all: what is refused below is
// refused for what it says.
func TestHonestTokenIsTaken(t *testing.T) {
	set, token := difference{}.make(t)
	for _, p := range programs {
		if subject, _, err := p.verify(set, token); err != nil || subject != "alice" {
			t.Errorf("%s: %q, %v", p.name, subject, err)
		}
	}
}

// table is the table of docs/migrating.md. golang-jwt gets its keys from us, so
// that it has no opinion on sets.
func table(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| | Counterfoil | golang-jwt | go-jose | jwx | why |\n|---|---|---|---|---|---|\n")
	for _, d := range differences {
		fmt.Fprintf(&b, "| %s |", d.what)
		set, token := d.make(t)
		for _, p := range programs {
			answer := "taken"
			if _, _, err := p.verify(set, token); err != nil {
				answer = "refused"
			}
			if d.set != nil && p.name == "golang-jwt" {
				answer = "–"
			}
			fmt.Fprintf(&b, " %s |", answer)
		}
		fmt.Fprintf(&b, " %s |\n", d.why)
	}
	return b.String()
}

const page = "../../docs/migrating.md"

func TestPageHasTheTable(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if want := table(t); !strings.Contains(string(text), want) {
		t.Errorf("%s does not have this table:\n%s", page, want)
	}
}
