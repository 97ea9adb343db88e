package differ_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

const (
	issuer   = "https://id.example"
	audience = "orders"
	now      = 1_795_430_000
)

func clock() time.Time { return time.Unix(now, 0) }

var (
	policy      = jwt.Policy{Issuer: issuer, Audience: audience, Type: "at+jwt", Now: clock, Leeway: jwt.NoLeeway}
	rivalPolicy = rivals.Policy{Issuer: issuer, Audience: audience, Now: clock}
)

// A token is an input: a compact JWT and the key it is to be verified with.
type token struct {
	key  *testKey
	text string

	header, claims              []byte // as whoever forgives most reads them
	headerMembers, claimMembers []member
}

func newToken(key *testKey, text string) token {
	tok := token{key: key, text: text}
	if parts := strings.Split(text, "."); len(parts) == 3 {
		tok.header, tok.claims = loosely(parts[0]), loosely(parts[1])
		tok.headerMembers, tok.claimMembers = membersOf(tok.header), membersOf(tok.claims)
	}
	return tok
}

func (t token) String() string {
	shown := t.text
	if len(shown) > 4000 {
		shown = shown[:4000] + "…"
	}
	return fmt.Sprintf("key %s for %s\nheader %.2000q\nclaims %.2000q\ntoken  %q", t.key.name, t.key.alg, t.header, t.claims, shown)
}

// Seeds that everybody accepts.
var (
	headers = []string{
		`{"alg":"%s","kid":"k1","typ":"at+jwt"}`,
		`{"typ":"application/at+jwt","kid":"k1","cty":"x","alg":"%s","x":{"y":[1,2]}}`,
	}
	claimSets = []string{
		`{"iss":"https://id.example","sub":"alice","aud":["orders","billing"],"exp":1795430300,"iat":1795429990,"jti":"1","client_id":"web","scope":"a b","sid":"s","roles":["x","y"],"tenant":"t","email":"e@example.org","auth_time":1795429000,"rsq":116909000000000}`,
		`{"aud":"orders","exp":1795430300,"nbf":1795429999,"sub":"bób","iss":"https://id.example","cnf":{"jkt":"x"},"n":1.5e3}`,
	}
	headerWords = vocabulary{
		names: []string{"alg", "kid", "typ", "cty", "crit", "b64", "enc", "zip", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "nonce", "p2c", "epk", "exp", "iss", "x", ""},
		values: []string{
			`"k1"`, `"K1"`, `"k2"`, `"at+jwt"`, `"AT+JWT"`, `"application/at+jwt"`, `"JWT"`, `"at+jwt "`, `"none"`, `"None"`, `"HS256"`, `"ES256"`, `"RS256"`, `"EdDSA"`, `"Ed25519"`, `"A256GCM"`, `"DEF"`,
			`["exp"]`, `["b64"]`, `["alg"]`, `[]`, `true`, `false`, `{"kty":"oct","k":"AAAA"}`, `"https://evil.example/jwks"`, `["MIIB"]`,
		},
	}
	claimWords = vocabulary{
		names: []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "sid", "roles", "tenant", "email", "auth_time", "rsq", "cnf", "x", ""},
		values: []string{
			`"https://id.example"`, `"https://id.example/"`, `"HTTPS://id.example"`, `["https://id.example"]`, `"orders"`, `["orders"]`, `["billing"]`, `["Orders"]`, `["orders",null]`, `["orders",1]`, `[["orders"]]`, `"alice"`,
			`1795430300`, `1795430000`, `1795430001`, `1795429999`, `1795516400`, `1795516401`, `1795520000`, `1795430300.5`, `1795430000.5`, `1.7954303e9`, `17954303e2`, `1795430300.0`, `"1795430300"`, `179543030000`, `-1795430300`,
			`["x"]`, `["x",null]`, `"x"`, `{"jkt":"x"}`,
		},
	}
)

// craft makes a token out of a script: header and claims are bent and signed as
// they stand, or spelled or signed in another way, or the token is damaged
// afterwards.
func craft(key *testKey, header, claims string, s *script) token {
	header = strings.ReplaceAll(header, "%s", key.alg)
	respell, sign := func(segment string) string { return segment }, key.sign
	switch how := s.choose(17); {
	case s.ended():
	case how < 5:
		header = s.bend(header, headerWords)
	case how < 12:
		claims = s.bend(claims, claimWords)
	case how < 13:
		header, claims = s.bend(header, headerWords), s.bend(claims, claimWords)
	case how < 15:
		respell = s.respell
	case how < 16:
		sign = func(input string) []byte { return key.signOddly(input, s) }
	default:
		input := encode([]byte(header)) + "." + encode([]byte(claims))
		return newToken(key, s.damage(input+"."+encode(sign(input))))
	}
	input := respell(encode([]byte(header))) + "." + respell(encode([]byte(claims)))
	return newToken(key, input+"."+respell(encode(sign(input))))
}

// verifyToken asks everybody about a token.
func verifyToken(tok token) (ours verdict, theirs []verdict) {
	ours = ask("Counterfoil", func() (string, error) {
		if tok.key.ours == nil {
			return "", jwk.ErrWeakKey
		}
		got, err := jwt.Verify[rivals.Access](policy, tok.key.ours, tok.text)
		if err != nil {
			return "", err
		}
		return meaningOf(rivals.Claims{
			Issuer: got.Issuer(), Subject: got.Subject(), ID: got.ID(), Audience: got.Audience(), Access: got.Claims(),
			Expiry: unix(got.Expiry()), IssuedAt: unix(got.IssuedAt()), NotBefore: unix(got.NotBefore()),
		}), nil
	})
	for _, r := range tok.key.theirs {
		theirs = append(theirs, ask(r.library, func() (string, error) {
			if r.err != nil {
				return "", r.err
			}
			got, err := r.verify(tok.text)
			return meaningOf(got), err
		}))
	}
	return ours, theirs
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func meaningOf(c rivals.Claims) string { return fmt.Sprintf("%+q", fmt.Sprintf("%+v", c)) }

var tokens = &oracle[token]{strict: strictTokens, lenient: lenientTokens}

func checkToken(t testing.TB, tok token) {
	t.Helper()
	ours, theirs := verifyToken(tok)
	tokens.judge(t, tok, ours, theirs)
}

// tokenRuns is the number of tokens of the first key, HS256, in the deterministic run.
const tokenRuns = 10_000

// TestTokens is the fuzz target without the fuzzer: the same inputs every time.
func TestTokens(t *testing.T) {
	t.Run("keys", func(t *testing.T) {
		for i, key := range append(goodKeys(), oddKeys()...) {
			t.Run(key.alg+" "+key.name, func(t *testing.T) {
				t.Parallel()
				for run := range runs(i, key) {
					checkToken(t, randomToken(key, uint64(i), uint64(run)))
				}
			})
		}
	})
	tokens.report(t)
}

// runs is less where a signature takes longer.
func runs(i int, key *testKey) int {
	switch {
	case i == 0:
		return tokenRuns
	case key.alg == "ES384" || key.alg == "ES512":
		return tokenRuns / 200
	}
	return tokenRuns / 20
}

func randomToken(key *testKey, stream, run uint64) token {
	s := randomScript(stream, run)
	header, claims := pick(s, headers), pick(s, claimSets)
	return craft(key, header, claims, s)
}

// FuzzToken bends header and claims and signs them again. Without a script it
// signs what the fuzzer made of them.
func FuzzToken(f *testing.F) {
	for i := range uint8(len(goodKeys())) {
		f.Add(i, headers[0], claimSets[0], []byte{})
		f.Add(i, headers[1], claimSets[1], []byte{1, 2, 3, 4, 5, 6, 7, 8})
	}
	keys := append(goodKeys(), oddKeys()...)
	f.Fuzz(func(t *testing.T, key uint8, header, claims string, choices []byte) {
		checkToken(t, craft(keys[int(key)%len(keys)], header, claims, &script{choices}))
	})
}

// FuzzRawToken leaves the whole token to the fuzzer.
func FuzzRawToken(f *testing.F) {
	keys := goodKeys()
	for i, key := range keys {
		f.Add(uint8(i), craft(key, headers[0], claimSets[0], &script{}).text)
	}
	f.Fuzz(func(t *testing.T, key uint8, text string) {
		checkToken(t, newToken(keys[int(key)%len(keys)], text))
	})
}
