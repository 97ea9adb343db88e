package dpop_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth/dpop"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const accessToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU" // RFC 9449, Section 7.1

func policy() dpop.Policy { return dpop.Policy{Now: func() time.Time { return now }} }

// A prover makes proofs, good ones and bad ones.
type prover struct {
	key             *jwk.Key
	header, payload members
}

// members is a JSON object: names and JSON texts. A text of "" leaves one out.
type members map[string]string

func (m members) String() string {
	var parts []string
	for name, text := range m {
		if text != "" {
			parts = append(parts, `"`+name+`":`+text)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func newProver(t testing.TB, alg jwk.Algorithm) prover {
	t.Helper()
	key, err := jwk.Generate(jwk.Params{Algorithm: alg})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(accessToken))
	return prover{
		key:    key,
		header: members{"typ": `"dpop+jwt"`, "alg": `"` + string(alg) + `"`, "jwk": public(t, key)},
		payload: members{
			"jti": `"-BwC3ESc6acc2lTc"`, "htm": `"GET"`, "htu": `"https://rs.example/orders"`, "iat": unix(now),
			"ath": `"` + wire.Encode(sum[:]) + `"`, "nonce": `"n1"`,
		},
	}
}

func unix(at time.Time) string { return fmt.Sprint(at.Unix()) }

// public is the public part of a key as a JWK.
func public(t testing.TB, key *jwk.Key) string {
	t.Helper()
	pub, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	text, err := wire.Marshal(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (p prover) with(name, text string) prover {
	p.payload = maps.Clone(p.payload)
	p.payload[name] = text
	return p
}

func (p prover) withHeader(name, text string) prover {
	p.header = maps.Clone(p.header)
	p.header[name] = text
	return p
}

func (p prover) proof(t testing.TB) string {
	return sign(t, p.key, p.header.String(), p.payload.String())
}

func sign(t testing.TB, key *jwk.Key, header, payload string) string {
	t.Helper()
	input := wire.Encode([]byte(header)) + "." + wire.Encode([]byte(payload))
	sig, err := key.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + wire.Encode(sig)
}

// request is what the proofs of p are good for.
func (p prover) request() dpop.Request {
	return dpop.Request{
		Method: "GET", URL: "https://rs.example/orders", AccessToken: accessToken, Thumbprint: p.key.Thumbprint(), Nonces: []string{"n0", "n1"},
	}
}

func accept(t testing.TB, p dpop.Policy, r dpop.Request, proof string) *dpop.Proof {
	t.Helper()
	got, err := dpop.Verify(p, r, proof)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return got
}

// refuse fails if the proof is good, or if the error tells anything about it.
func refuse(t testing.TB, p dpop.Policy, r dpop.Request, proof string) error {
	t.Helper()
	got, err := dpop.Verify(p, r, proof)
	if err == nil || got != nil {
		t.Errorf("accepted %v, %v", got, err)
		return err
	}
	for segment := range strings.SplitSeq(proof, ".") {
		if len(segment) >= 10 && strings.Contains(err.Error(), segment[:10]) {
			t.Errorf("error quotes the proof: %v", err)
		}
	}
	return err
}

// refuseClaim wants the error to be about one claim.
func refuseClaim(t testing.TB, claim string, r dpop.Request, proof string) {
	t.Helper()
	var wrong *jwt.ClaimError
	if err := refuse(t, policy(), r, proof); !errors.As(err, &wrong) || wrong.Claim != claim {
		t.Errorf("%s: %v", claim, err)
	}
}

func TestVerifyWithEveryAlgorithm(t *testing.T) {
	for _, alg := range []jwk.Algorithm{
		jwk.ES256, jwk.ES384, jwk.ES512, jwk.Ed25519, jwk.EdDSA, jwk.RS256, jwk.RS384, jwk.RS512, jwk.PS256, jwk.PS384, jwk.PS512,
		jwk.MLDSA44, jwk.MLDSA65, jwk.MLDSA87,
	} {
		p := newProver(t, alg)
		got := accept(t, policy(), p.request(), p.proof(t))
		if got.Thumbprint() != p.key.Thumbprint() || got.ID() != "-BwC3ESc6acc2lTc" || !got.IssuedAt().Equal(now) || got.Nonce() != "n1" {
			t.Errorf("%s: %+v", alg, got)
		}
		if got.Key().IsPrivate() || !got.Key().Accepts(string(alg)) {
			t.Errorf("%s: %v", alg, got.Key().Algorithm())
		}
		narrow := policy()
		narrow.Algorithms = []jwk.Algorithm{jwk.HS256}
		if err := refuse(t, narrow, p.request(), p.proof(t)); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// The published proof of RFC 9449, Section 7.1 (and 4.2 but for the token).
func TestPublishedProof(t *testing.T) {
	const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19." +
		"eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9." +
		"2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	p := dpop.Policy{Now: func() time.Time { return time.Unix(1562262618, 0) }}
	r := dpop.Request{
		Method: "GET", URL: "https://resource.example.org/protectedresource", AccessToken: accessToken,
		Thumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", // Section 6.1
	}
	accept(t, p, r, proof)
}

func TestThreat101FieldMatrix(t *testing.T) {
	p := newProver(t, jwk.ES256)
	accept(t, policy(), p.request(), p.proof(t))
	for claim, texts := range map[string][]string{
		"htm":   {"", `""`, `"POST"`, `"get"`, `"GET "`, "null", "1", `["GET"]`},
		"htu":   {"", `""`, `"https://rs.example/"`, `"https://rs.example/orders/1"`, `"http://rs.example/orders"`, `"https://evil.example/orders"`, `"/orders"`, `"https://rs.example:444/orders"`, `"https://u@rs.example/orders"`, "null", "1"},
		"ath":   {"", `""`, `"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQE"`, `"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo="`, "null"},
		"jti":   {"", `""`, "null", "1", `"` + strings.Repeat("j", dpop.MaxID+1) + `"`},
		"nonce": {"", `""`, `"n2"`, `"N1"`, "null"},
		"iat":   {"", "null", `"1"`, "-1", "1e400", "true"},
	} {
		for _, text := range texts {
			refuseClaim(t, claim, p.request(), p.with(claim, text).proof(t))
		}
	}
	for _, text := range []string{"", `"JWT"`, `"at+jwt"`, `"dpop"`, `"dpop+jwt "`} {
		refuseClaim(t, "typ", p.request(), p.withHeader("typ", text).proof(t))
	}
	for _, text := range []string{"", `""`, `"none"`, `"NONE"`, `"HS256"`, `"ES384"`, `"RS256"`, `"PS256"`, `"Ed25519"`, "null"} {
		refuse(t, policy(), p.request(), p.withHeader("alg", text).proof(t))
	}
	if _, err := dpop.FromHeader([]string{p.proof(t), p.proof(t)}); !errors.Is(err, dpop.ErrManyTimes) {
		t.Error(err)
	}
	refuse(t, policy(), p.request(), p.proof(t)+", "+p.proof(t))
	refuse(t, policy(), p.request(), "")
}

func TestThreat101KeyInTheHeader(t *testing.T) {
	p := newProver(t, jwk.ES256)
	refuseClaim(t, "jwk", p.request(), p.withHeader("jwk", "").proof(t))
	private, err := p.key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	if err := refuse(t, policy(), p.request(), p.withHeader("jwk", string(private)).proof(t)); !errors.Is(err, jwk.ErrPrivate) {
		t.Errorf("private: %v", err)
	}
	// Private members of another type of key, which nothing would look at.
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		spoilt := strings.Replace(public(t, p.key), "{", `{"`+member+`":"AQAB",`, 1)
		refuse(t, policy(), p.request(), p.withHeader("jwk", spoilt).proof(t))
	}
	for _, text := range []string{"null", "{}", "[]", `"x"`, "1", `{"kty":"EC"}`, `{"kty":"oct","k":"` + strings.Repeat("A", 43) + `"}`, public(t, newProver(t, jwk.Ed25519).key)} {
		refuse(t, policy(), p.request(), p.withHeader("jwk", text).proof(t))
	}
	if err := refuse(t, policy(), p.request(), p.withHeader("jwk", public(t, newProver(t, jwk.ES256).key)).proof(t)); !errors.Is(err, jwk.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	// The key is taken from jwk and from nowhere else.
	plain := p.withHeader("jwk", "").withHeader("kid", `"k"`).withHeader("jku", `"https://evil.example/jwks"`)
	refuseClaim(t, "jwk", p.request(), plain.proof(t))
}

// A secret in the header verifies whatever it signed, and is nobody's.
func TestThreat101SymmetricProof(t *testing.T) {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	p := newProver(t, jwk.ES256)
	p.key = key
	p = p.withHeader("alg", `"HS256"`).withHeader("jwk", string(secret))
	r := p.request()
	refuse(t, policy(), r, p.proof(t))
	careless := policy()
	careless.Algorithms = []jwk.Algorithm{jwk.HS256}
	if err := refuse(t, careless, r, p.proof(t)); !errors.Is(err, jwk.ErrPrivate) && !errors.Is(err, jwk.ErrSymmetric) {
		t.Error(err)
	}
}

func TestThreat101Freshness(t *testing.T) {
	p := newProver(t, jwk.ES256)
	at := func(d time.Duration) string { return p.with("iat", unix(now.Add(d))).proof(t) }
	accept(t, policy(), p.request(), at(5*time.Second))
	accept(t, policy(), p.request(), at(-65*time.Second))
	var early *jwt.NotYetError
	if err := refuse(t, policy(), p.request(), at(6*time.Second)); !errors.As(err, &early) {
		t.Error(err)
	}
	var expired *jwt.ExpiredError
	if err := refuse(t, policy(), p.request(), at(-66*time.Second)); !errors.As(err, &expired) {
		t.Error(err)
	}
	exact := policy()
	exact.MaxAge, exact.Leeway = 10*time.Second, jwt.NoLeeway
	accept(t, exact, p.request(), at(-9*time.Second))
	refuse(t, exact, p.request(), at(-10*time.Second))
	refuse(t, exact, p.request(), at(time.Second))
	// A proof makes itself no younger, and may say that it is over.
	forever := p.with("exp", unix(now.Add(time.Hour))).with("iat", unix(now.Add(-time.Hour)))
	refuse(t, policy(), p.request(), forever.proof(t))
	accept(t, policy(), p.request(), p.with("exp", unix(now.Add(time.Hour))).proof(t))
	refuse(t, policy(), p.request(), p.with("exp", unix(now.Add(-time.Minute))).proof(t))
}

func TestThreat103NonceLeftOut(t *testing.T) {
	p := newProver(t, jwk.ES256)
	r := p.request()
	for _, nonces := range [][]string{{"n2"}, {""}, {"", "n2"}} {
		r.Nonces = nonces
		refuseClaim(t, "nonce", r, p.proof(t))
		refuseClaim(t, "nonce", r, p.with("nonce", "").proof(t))
	}
	r.Nonces = nil
	accept(t, policy(), r, p.proof(t))
	accept(t, policy(), r, p.with("nonce", "").proof(t))
}

func TestThreat104OtherKeyOtherToken(t *testing.T) {
	p, thief := newProver(t, jwk.ES256), newProver(t, jwk.ES256)
	refuseClaim(t, "jkt", p.request(), thief.proof(t))
	other := p.request()
	other.AccessToken = "another.token"
	refuseClaim(t, "ath", other, p.proof(t))
	// At the token endpoint there is no access token yet; the key may be bound.
	endpoint := p.request()
	endpoint.AccessToken, endpoint.TokenEndpoint = "", true
	accept(t, policy(), endpoint, p.with("ath", "").proof(t))
	refuseClaim(t, "jkt", endpoint, thief.proof(t))
	endpoint.Thumbprint = ""
	accept(t, policy(), endpoint, thief.proof(t))
}

// Tokens of every other kind, signed by the key that they bring along.
func TestThreat56OtherTokensAsProof(t *testing.T) {
	p := newProver(t, jwk.ES256)
	for _, typ := range []string{"", `"JWT"`, `"at+jwt"`, `"logout+jwt"`, `"secevent+jwt"`, `"client-authentication+jwt"`, `"statuslist+jwt"`} {
		refuseClaim(t, "typ", p.request(), p.withHeader("typ", typ).proof(t))
	}
	// And a proof is no token of another kind, not even to whom its key is known.
	for _, profile := range []jwt.Profile{
		jwt.AccessToken{}, jwt.IDToken{Nonce: "n1"}, jwt.IDToken{InsecureSkipNonce: true}, jwt.LogoutToken{Untyped: true}, jwt.SecurityEventToken{},
		jwt.ClientAssertion{Untyped: true}, jwt.StatusListToken{URI: "https://rs.example/orders"},
	} {
		claims := p.with("iss", `"i"`).with("aud", `"a"`).with("sub", `"i"`).with("exp", unix(now.Add(time.Minute)))
		tok, err := jwt.Verify[struct{}](jwt.Policy{Issuer: "i", Audience: "a", Profile: profile, Now: policy().Now}, p.key, claims.proof(t))
		if err == nil {
			t.Errorf("%T: %v", profile, tok)
		}
	}
}

func TestSameURL(t *testing.T) {
	p := newProver(t, jwk.ES256)
	for _, c := range []struct {
		request, htu string
		same         bool
	}{
		{"https://rs.example/a", "https://rs.example/a?x=1#y", true},
		{"https://rs.example/a?q=1#f", "https://rs.example/a", true},
		{"https://rs.example/a", "HTTPS://RS.Example:443/a", true},
		{"http://rs.example:80/a", "http://rs.example/a", true},
		{"https://rs.example", "https://rs.example/", true},
		{"https://rs.example:/a", "https://rs.example/a", true},
		{"https://rs.example/%7Ea/%c3%a9", "https://rs.example/~a/%C3%A9", true},
		{"https://rs.example/é", "https://rs.example/%C3%A9", true},
		{"https://rs.example/x/../a/./b", "https://rs.example/a/b", true},
		{"https://rs.example/%2E%2e/a", "https://rs.example/a", true},
		{"https://rs.example/../../a", "https://rs.example/a", true},
		{"https://rs.example/a/..", "https://rs.example/", true},
		{"https://[::1]:443/a", "https://[::1]/a", true},
		{"https://[::1]:8443/a", "https://[::1]/a", false},
		{"https://bank.example/a", "https://ban\u212a.example/a", false}, // which Unicode has for a capital K
		{"https://rs.example/a", "https://rs.example/A", false},
		{"https://rs.example/a", "https://rs.example/a/", false},
		{"https://rs.example/a", "https://rs.example//a", false},
		{"https://rs.example/a", "//rs.example/a", false},
		{"https://rs.example//evil.example/a", "https://evil.example/a", false},
		{"https://rs.example/a%2Fb", "https://rs.example/a/b", false},
		{"https://rs.example/a%252Fb", "https://rs.example/a%2Fb", false},
		{"https://rs.example:8443/a", "https://rs.example/a", false},
		{"https://rs.example:443/a", "http://rs.example:443/a", false},
		{"https://rs.example/a", "https:rs.example/a", false},
		{"https://rs.example/a", "ftp://rs.example/a", false},
		{"https://rs.example/a", "https://rs.example.evil.example/a", false},
		{"https://rs.example/a", "https://rs.example@evil.example/a", false},
		{"https://rs.example/a", "https://rs.example/%zz", false},
	} {
		r := p.request()
		r.URL = c.request
		proof := p.with("htu", string(must(wire.Marshal(c.htu)))).proof(t)
		if c.same {
			accept(t, policy(), r, proof)
		} else {
			refuseClaim(t, "htu", r, proof)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestRequestIncomplete(t *testing.T) {
	p := newProver(t, jwk.ES256)
	for field, spoil := range map[string]func(*dpop.Policy, *dpop.Request){
		"Method":       func(_ *dpop.Policy, r *dpop.Request) { r.Method = "" },
		"URL":          func(_ *dpop.Policy, r *dpop.Request) { r.URL = "/orders" },
		"Thumbprint":   func(_ *dpop.Policy, r *dpop.Request) { r.Thumbprint = "" },
		"AccessToken":  func(_ *dpop.Policy, r *dpop.Request) { r.AccessToken = "" },
		"AccessToken ": func(_ *dpop.Policy, r *dpop.Request) { r.TokenEndpoint = true },
		"Nonces":       func(_ *dpop.Policy, r *dpop.Request) { r.Nonces = []string{} },
		"Now":          func(p *dpop.Policy, _ *dpop.Request) { p.Now = nil },
		"MaxLife":      func(p *dpop.Policy, _ *dpop.Request) { p.MaxAge = -1 },
		"Leeway":       func(p *dpop.Policy, _ *dpop.Request) { p.Leeway = time.Hour },
		"Algorithms":   func(p *dpop.Policy, _ *dpop.Request) { p.Algorithms = []jwk.Algorithm{} },
	} {
		policy, request := policy(), p.request()
		spoil(&policy, &request)
		for _, proof := range []string{p.proof(t), ""} {
			var wrong *jwt.PolicyError
			err := refuse(t, policy, request, proof)
			if !errors.As(err, &wrong) || wrong.Field != strings.TrimSpace(field) {
				t.Errorf("%s: %v", field, err)
			}
			if code := dpop.ErrorCode(err); code != "server_error" {
				t.Errorf("%s: %s", field, code)
			}
		}
	}
}

// Anybody can make proofs. They must not push the headers of honest tokens out of
// the cache that makes those cheap to verify.
func TestProofsDoNotFillTheCacheOfHeaders(t *testing.T) {
	access := newProver(t, jwk.Ed25519)
	token := sign(t, access.key, `{"alg":"Ed25519","typ":"at+jwt","x":"this test's"}`, "{}")
	verify := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := jws.Verify(access.key, token); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	first := verify()
	known, flooded := verify(), first
	for range 5 { // of which the least counts: others allocate too
		known = min(known, verify())
		for range 65 {
			p := newProver(t, jwk.Ed25519)
			accept(t, policy(), p.request(), p.proof(t))
		}
		flooded = min(flooded, verify())
	}
	if known >= first || flooded > known {
		t.Errorf("%d allocations at first, %d for a known header, %d after a flood of proofs", first, known, flooded)
	}
}

func TestErrorCode(t *testing.T) {
	p := newProver(t, jwk.ES256)
	for want, proof := range map[string]string{
		"invalid_dpop_proof": p.with("htm", `"POST"`).proof(t),
		"use_dpop_nonce":     p.with("nonce", "").proof(t),
	} {
		if got := dpop.ErrorCode(refuse(t, policy(), p.request(), proof)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, err := range []error{dpop.ErrNoProof, dpop.ErrManyTimes, jwk.ErrSignature, jwk.ErrPrivate} {
		if got := dpop.ErrorCode(err); got != dpop.InvalidProof {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func TestFromHeader(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   string
		err    error
	}{
		{nil, "", dpop.ErrNoProof},
		{[]string{""}, "", dpop.ErrNoProof},
		{[]string{"a.b.c"}, "a.b.c", nil},
		{[]string{"a.b.c", ""}, "", dpop.ErrManyTimes},
		{[]string{"a.b.c", "a.b.c"}, "", dpop.ErrManyTimes},
	} {
		if got, err := dpop.FromHeader(c.values); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %q, %v", c.values, got, err)
		}
	}
}

// FuzzVerify signs whatever header and claims it is given with the key that the
// header should bring. What is then accepted must be for this request in the eyes
// of a looser reader too.
func FuzzVerify(f *testing.F) {
	p := newProver(f, jwk.Ed25519)
	f.Add(p.header.String(), p.payload.String())
	f.Add(p.withHeader("jwk", "null").header.String(), p.with("htu", `"https://rs.example:443/./orders?x"`).payload.String())
	f.Add(p.withHeader("typ", `"DPOP+JWT"`).header.String(), p.with("exp", "1e3").payload.String())
	f.Fuzz(func(t *testing.T, header, payload string) {
		got, err := dpop.Verify(policy(), p.request(), sign(t, p.key, header, payload))
		if err != nil {
			if got != nil {
				t.Fatal("a proof beside an error")
			}
			return
		}
		var c struct {
			ID     string         `json:"jti"`
			Method string         `json:"htm"`
			URL    string         `json:"htu"`
			Issued jsontext.Value `json:"iat"`
		}
		if err := wire.Unmarshal([]byte(payload), &c); err != nil || c.ID == "" || c.Method != "GET" || len(c.Issued) == 0 ||
			!strings.Contains(strings.ToLower(c.URL), "rs.example") || got.Thumbprint() != p.key.Thumbprint() {
			t.Fatalf("%q: %v", payload, err)
		}
	})
}

// FuzzURL looks for a URL that is not the same as itself, and for two that are the
// same with different hosts.
func FuzzURL(f *testing.F) {
	p := newProver(f, jwk.Ed25519)
	f.Add("https://rs.example/a/../b?c")
	f.Add("https://rs.example//evil/%2e%2e/")
	f.Fuzz(func(t *testing.T, htu string) {
		text, err := wire.Marshal(htu)
		if err != nil {
			return
		}
		proof := p.with("htu", string(text)).proof(t)
		r := p.request()
		r.URL = htu
		_, err = dpop.Verify(policy(), r, proof)
		var policyError *jwt.PolicyError
		if err != nil && !errors.As(err, &policyError) {
			t.Fatalf("%q is not itself: %v", htu, err)
		}
		if _, err := dpop.Verify(policy(), p.request(), proof); err == nil && !strings.Contains(strings.ToLower(htu), "//rs.example") {
			t.Fatalf("%q passes for %s", htu, p.request().URL)
		}
	})
}
