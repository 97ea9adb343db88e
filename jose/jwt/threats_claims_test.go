package jwt_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// refuseClaim fails unless the token is refused for that claim.
func refuseClaim(t *testing.T, p jwt.Policy, key *jwk.Key, claim, token string) {
	t.Helper()
	var wrong *jwt.ClaimError
	if err := refuse(t, p, key, token); !errors.As(err, &wrong) || wrong.Claim != claim {
		t.Errorf("%v, not for %s", err, claim)
	}
}

func TestThreat49ExpMissing(t *testing.T) {
	key := newKey(t, jwk.HS256)
	refuseClaim(t, policy(), key, "exp", mint(t, key, good().with("exp", "").String()))
	p := policy()
	p.InsecureSkipIssuer, p.InsecureSkipAudience, p.InsecureSkipType = true, true, true
	p.Issuer, p.Audience, p.Type = "", "", ""
	accept(t, p, key, mint(t, key, good().String()))
	refuseClaim(t, p, key, "exp", mint(t, key, `{}`))
}

func TestThreat50Expired(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, leeway := range []time.Duration{0, time.Second, 2 * time.Minute, jwt.MaxLeeway} {
		p := policy()
		p.Leeway = leeway
		if leeway == 0 {
			leeway = jwt.DefaultLeeway
		}
		accept(t, p, key, mint(t, key, good().with("iat", "").with("exp", unix(now.Add(-leeway))).String()))
		past := now.Add(-leeway - time.Second)
		var expired *jwt.ExpiredError
		err := refuse(t, p, key, mint(t, key, good().with("iat", "").with("exp", unix(past)).String()))
		if !errors.As(err, &expired) || !expired.Expiry.Equal(past) {
			t.Errorf("leeway %v: %v", leeway, err)
		}
	}
}

// An ExpiredError promises that nothing else is wrong.
func TestThreat50ExpiredIsToldLast(t *testing.T) {
	key := newKey(t, jwk.HS256)
	expired := good().with("exp", unix(now.Add(-time.Hour)))
	alsoWrong := claimSet{"iss": `"other"`, "aud": `"other"`, "nbf": unix(now.Add(time.Hour)), "jti": "1", "iat": unix(now.Add(time.Hour))}
	for claim, text := range alsoWrong {
		var told *jwt.ExpiredError
		if err := refuse(t, policy(), key, mint(t, key, expired.with(claim, text).String())); errors.As(err, &told) {
			t.Errorf("%s is wrong as well", claim)
		}
	}
	type claims struct {
		Scope int `json:"scope"`
	}
	if _, err := jwt.Verify[claims](policy(), key, mint(t, key, expired.with("scope", `"a b"`).String())); !errors.Is(err, jwt.ErrMalformed) {
		t.Error(err)
	}
}

func TestThreat51FromTheFuture(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, leeway := range []time.Duration{0, jwt.NoLeeway, 2 * time.Minute, jwt.MaxLeeway} {
		p := policy()
		p.Leeway = leeway
		switch leeway {
		case 0:
			leeway = jwt.DefaultLeeway
		case jwt.NoLeeway:
			leeway = 0
		}
		late := good().with("exp", unix(now.Add(time.Hour)))
		for _, claim := range []string{"nbf", "iat"} {
			accept(t, p, key, mint(t, key, late.with(claim, unix(now.Add(leeway))).String()))
			var early *jwt.NotYetError
			err := refuse(t, p, key, mint(t, key, late.with(claim, unix(now.Add(leeway+time.Second))).String()))
			if !errors.As(err, &early) || early.Claim != claim {
				t.Errorf("leeway %v: %v", leeway, err)
			}
		}
	}
}

func TestThreat52LifeTooLong(t *testing.T) {
	key := newKey(t, jwk.HS256)
	life := func(d time.Duration) string {
		return good().with("iat", unix(now)).with("exp", unix(now.Add(d))).String()
	}
	for _, c := range []struct {
		policy, key, allowed time.Duration
	}{
		{0, 0, jwt.DefaultMaxLife},
		{time.Hour, 0, time.Hour},
		{0, 15 * time.Minute, 15 * time.Minute},
		{time.Minute, time.Hour, time.Minute},
		{48 * time.Hour, 0, 48 * time.Hour},
	} {
		p, limited := policy(), key.WithLimits(jwk.Limits{MaxLife: c.key})
		p.MaxLife = c.policy
		accept(t, p, limited, mint(t, key, life(c.allowed)))
		refuseClaim(t, p, limited, "exp", mint(t, key, life(c.allowed+time.Second)))
	}
}

// A token cannot hide its age: without iat it counts from now, and under a key
// with a limit iat must be there.
func TestThreat52LifeWithoutIat(t *testing.T) {
	key := newKey(t, jwk.HS256)
	p := policy()
	p.MaxLife = time.Hour
	ageless := good().with("iat", "")
	accept(t, p, key, mint(t, key, ageless.with("exp", unix(now.Add(time.Hour))).String()))
	refuseClaim(t, p, key, "exp", mint(t, key, ageless.with("exp", unix(now.Add(time.Hour+jwt.DefaultLeeway+time.Second))).String()))
	for _, l := range []jwk.Limits{{MaxLife: time.Hour}, {From: now.Add(-time.Hour)}, {Until: now.Add(time.Hour)}} {
		refuseClaim(t, p, key.WithLimits(l), "iat", mint(t, key, ageless.String()))
	}
}

func TestThreat53IssuerExactness(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, iss := range []string{
		"https://id.example/", "https://ID.example", "HTTPS://id.example", "https://id.example ", " https://id.example", "http://id.example",
		"https://id.example:443", "https://id.example/tenant-b", "https://id.example.", "https://id.example#", "https://id.example?",
		"https://user@id.example", "https://id.еxample", "https://id.example\u0000", "https://id.ex%61mple", "https://id.example\n", "",
	} {
		text := string(must(wire.Marshal(iss)))
		refuseClaim(t, policy(), key, "iss", mint(t, key, good().with("iss", text).String()))
	}
	for _, text := range []string{"", "null", "1", `["https://id.example"]`, `{"iss":"https://id.example"}`} {
		refuseClaim(t, policy(), key, "iss", mint(t, key, good().with("iss", text).String()))
	}
	// One character written in two ways is two issuers.
	p := policy()
	p.Issuer = "https://caf\u00e9.example"
	accept(t, p, key, mint(t, key, good().with("iss", `"https://caf\u00e9.example"`).String()))
	refuseClaim(t, p, key, "iss", mint(t, key, good().with("iss", `"https://cafe\u0301.example"`).String()))
}

// A set may hold the keys of several issuers. Each is good for its own tokens.
func TestThreat54KeyBelongsToIssuer(t *testing.T) {
	a := must(jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: "k", Limits: jwk.Limits{Issuer: "https://id.example"}}))
	b := must(jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: "b", Limits: jwk.Limits{Issuer: "https://other.example"}}))
	keys := must(jwk.NewSet(a, b))
	accept(t, policy(), keys, mint(t, a, good().String()))
	forged := craft(t, b, `{"alg":"ES256","kid":"b","typ":"at+jwt"}`, good().String())
	var limit *jwt.LimitError
	if err := refuse(t, policy(), keys, forged); !errors.As(err, &limit) || limit.Claim != "iss" {
		t.Error(err)
	}
	p := policy()
	p.Issuer, p.InsecureSkipIssuer = "", true
	refuseClaim(t, p, b, "iss", forged) // the key's limit is no part of the policy
	refuseClaim(t, p, b, "iss", craft(t, b, `{"alg":"ES256","kid":"b","typ":"at+jwt"}`, good().with("iss", "").String()))
}

func TestThreat55Audience(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, aud := range []string{`"orders"`, `["orders"]`, `["orders","billing"]`, `["billing","orders"]`, `["orders","orders"]`} {
		accept(t, policy(), key, mint(t, key, good().with("aud", aud).String()))
	}
	for _, aud := range []string{
		"", "null", `""`, "[]", `[""]`, `"billing"`, `["billing"]`, `"Orders"`, `"orders "`, `"orders billing"`, `"orders,billing"`,
		`"order"`, `"orders2"`, `["order","s"]`, "0", "true", "{}", `{"orders":true}`, `["orders",1]`, `["orders",null]`, `[["orders"]]`, `[null]`,
	} {
		refuseClaim(t, policy(), key, "aud", mint(t, key, good().with("aud", aud).String()))
	}
	// Even where nobody asks, an audience that is none is not accepted.
	p := policy()
	p.Audience, p.InsecureSkipAudience = "", true
	for _, aud := range []string{"null", "[]", "0", `["orders",1]`} {
		refuseClaim(t, p, key, "aud", mint(t, key, good().with("aud", aud).String()))
	}
	accept(t, p, key, mint(t, key, good().with("aud", "").String()))
}

func TestThreat56TypeConfusion(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, typ := range []string{`"at+jwt"`, `"application/at+jwt"`, `"AT+JWT"`, `"Application/At+Jwt"`} {
		accept(t, policy(), key, craft(t, key, `{"alg":"HS256","typ":`+typ+`}`, good().String()))
	}
	for _, typ := range []string{
		`"JWT"`, `"id_token"`, `"logout+jwt"`, `"secevent+jwt"`, `"dpop+jwt"`, `"statuslist+jwt"`, `"revocations+jwt"`, `"token-introspection+jwt"`,
		`""`, `"at"`, `"at+jwt "`, `"at+jwt;x"`, `"text/at+jwt"`, `"application/application/at+jwt"`, `"at_jwt"`, `"application/"`,
	} {
		refuseClaim(t, policy(), key, "typ", craft(t, key, `{"alg":"HS256","typ":`+typ+`}`, good().String()))
	}
	refuseClaim(t, policy(), key, "typ", craft(t, key, `{"alg":"HS256"}`, good().String()))
	refuseClaim(t, policy(), key, "typ", craft(t, key, `{"alg":"HS256","cty":"at+jwt"}`, good().with("typ", `"at+jwt"`).String()))
	for _, typ := range []string{"null", "1", `["at+jwt"]`} {
		refuse(t, policy(), key, craft(t, key, `{"alg":"HS256","typ":`+typ+`}`, good().String()))
	}
	// The key may be for fewer types than the policy lets through.
	p := policy()
	p.Type, p.InsecureSkipType = "", true
	limited := key.WithLimits(jwk.Limits{Types: []string{"at+jwt"}})
	accept(t, p, limited, mint(t, key, good().String()))
	refuseClaim(t, p, limited, "typ", craft(t, key, `{"alg":"HS256","typ":"JWT"}`, good().String()))
	refuseClaim(t, p, limited, "typ", craft(t, key, `{"alg":"HS256"}`, good().String()))
}

func TestThreat57Substitution(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := mint(t, key, good().with("aud", `"orders"`).String())
	accept(t, policy(), key, token)
	elsewhere := policy()
	elsewhere.Audience = "billing"
	refuseClaim(t, elsewhere, key, "aud", token)
	// A key for one audience cannot name a second one beside it.
	limited := key.WithLimits(jwk.Limits{Audiences: []string{"orders", "stock"}})
	accept(t, policy(), limited, token)
	accept(t, policy(), limited, mint(t, key, good().with("aud", `["stock","orders"]`).String()))
	refuseClaim(t, elsewhere, limited, "aud", mint(t, key, good().with("aud", `["orders","billing"]`).String()))
	elsewhere.Audience, elsewhere.InsecureSkipAudience = "", true
	refuseClaim(t, elsewhere, limited, "aud", mint(t, key, good().with("aud", "").String()))
}

// A client that registers under the name of a user gets tokens whose sub is that
// name. What tells them apart is client_id, which never stands in for sub.
func TestThreat58ClientNamedLikeAUser(t *testing.T) {
	type access struct {
		Subject  string `json:"sub"`
		ClientID string `json:"client_id"`
	}
	key := newKey(t, jwk.HS256)
	users := must(jwt.Verify[access](policy(), key, mint(t, key, good().with("client_id", `"web"`).String())))
	clients := must(jwt.Verify[access](policy(), key, mint(t, key, good().with("client_id", `"alice"`).String())))
	if users.Claims() == clients.Claims() || clients.Claims().ClientID != clients.Subject() {
		t.Errorf("%+v, %+v", users.Claims(), clients.Claims())
	}
	nobody := must(jwt.Verify[access](policy(), key, mint(t, key, good().with("sub", "").with("client_id", `"alice"`).String())))
	if nobody.Subject() != "" || nobody.Claims().Subject != "" {
		t.Errorf("client_id became sub: %+v", nobody.Claims())
	}
}

func TestThreat59ClaimsAreOpaque(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, s := range []string{
		"x' UNION SELECT '1", "*)(uid=*))(|(uid=*", "http://169.254.169.254/latest", "../../etc/passwd", "$(id)", "<script>alert(1)</script>",
		"a\x00b", "a\r\nSet-Cookie: x=y", "${jndi:ldap://x}", "%s%n", strings.Repeat("a", 3000),
	} {
		text := string(must(wire.Marshal(s)))
		claims := good().with("sub", text).with("jti", text).with("scope", text)
		tok := accept(t, policy(), key, mint(t, key, claims.String()))
		more, err := jwt.As[struct {
			Scope string `json:"scope"`
		}](tok)
		if err != nil {
			t.Fatal(err)
		}
		if tok.Subject() != s || tok.ID() != s || more.Claims().Scope != s {
			t.Errorf("%q came back as %q", s, tok.Subject())
		}
		// As an issuer it is compared, never looked up, and not repeated.
		if err := refuse(t, policy(), key, mint(t, key, good().with("iss", text).String())); err != nil && strings.Contains(err.Error(), s) {
			t.Errorf("the error repeats it: %v", err)
		}
	}
}

func TestThreat60EveryClaimOfEveryKind(t *testing.T) {
	type access struct {
		Scope    string   `json:"scope"`
		ClientID string   `json:"client_id"`
		Roles    []string `json:"roles"`
	}
	key := newKey(t, jwk.HS256)
	for _, claim := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"} {
		for _, text := range []string{"null", "true", "false", "0", `"x"`, "{}", "[]", "-1", "1.5", `""`, `[null]`} {
			token := mint(t, key, good().with(claim, text).String())
			switch fine := text == `"x"` || text == `""`; {
			case fine && (claim == "sub" || claim == "jti"),
				(text == "0" || text == "1.5") && claim == "nbf":
				accept(t, policy(), key, token)
			default:
				refuse(t, policy(), key, token)
			}
			jwt.Verify[access](policy(), key, token)
			jwt.Verify[map[string]any](policy(), key, token)
			if u, err := jwt.ParseUnverified(token); err == nil {
				u.UnverifiedIssuer()
				u.UnverifiedClaims()
			}
		}
	}
	// Claims of the caller's own type are held to that type.
	for _, text := range []string{"true", "0", "{}", "[]", "1.5"} {
		token := mint(t, key, good().with("scope", text).String())
		if _, err := jwt.Verify[access](policy(), key, token); !errors.Is(err, jwt.ErrMalformed) {
			t.Errorf("scope %s: %v", text, err)
		}
	}
}

// Without a leeway the clock is taken at its word. With one, each bound moves by
// it once.
func TestThreat118Moments(t *testing.T) {
	key := newKey(t, jwk.HS256)
	at := func(p jwt.Policy, moment time.Time) jwt.Policy {
		p.Now = func() time.Time { return moment }
		return p
	}
	exact := policy()
	exact.Leeway = jwt.NoLeeway
	token := mint(t, key, `{"iss":"https://id.example","aud":"orders","nbf":1000.5,"iat":1000.5,"exp":2000.5}`)
	half := func(s int64) time.Time { return time.Unix(s, 500_000_000) }
	accept(t, at(exact, half(1000)), key, token) // now == nbf
	refuse(t, at(exact, half(1000).Add(-1)), key, token)
	refuse(t, at(exact, half(2000)), key, token) // now == exp
	accept(t, at(exact, half(2000).Add(-1)), key, token)

	forgiving := policy()
	forgiving.Leeway = 10 * time.Second
	accept(t, at(forgiving, half(990)), key, token)
	refuse(t, at(forgiving, half(990).Add(-1)), key, token)
	accept(t, at(forgiving, half(2010)), key, token)
	refuse(t, at(forgiving, half(2010).Add(1)), key, token)
}

// One check that is waived waives no other.
func TestThreat118OneCheckDoesNotTurnOffAnother(t *testing.T) {
	key := newKey(t, jwk.HS256)
	checks := map[string]struct {
		waive func(*jwt.Policy)
		bad   string
	}{
		"iss": {func(p *jwt.Policy) { p.Issuer, p.InsecureSkipIssuer = "", true }, mint(t, key, good().with("iss", `"other"`).String())},
		"aud": {func(p *jwt.Policy) { p.Audience, p.InsecureSkipAudience = "", true }, mint(t, key, good().with("aud", `"other"`).String())},
		"typ": {func(p *jwt.Policy) { p.Type, p.InsecureSkipType = "", true }, craft(t, key, `{"alg":"HS256","typ":"JWT"}`, good().String())},
	}
	timely := map[string]string{
		"exp": good().with("exp", unix(now.Add(-time.Hour))).String(),
		"nbf": good().with("nbf", unix(now.Add(time.Hour))).String(),
		"iat": good().with("iat", unix(now.Add(time.Hour))).with("exp", unix(now.Add(2*time.Hour))).String(),
	}
	for waived, check := range checks {
		p := policy()
		check.waive(&p)
		accept(t, p, key, check.bad)
		for name, other := range checks {
			if name != waived {
				refuseClaim(t, p, key, name, other.bad)
			}
		}
		for _, claims := range timely {
			refuse(t, p, key, mint(t, key, claims))
		}
		refuse(t, p, newKey(t, jwk.HS256), check.bad) // and the signature is always checked
	}
	for name, p := range map[string]jwt.Policy{"Algorithms": {Algorithms: []jwk.Algorithm{jwk.HS256}}, "MaxLife": {MaxLife: time.Hour}, "Leeway": {Leeway: time.Minute}} {
		whole := policy()
		whole.Algorithms, whole.MaxLife, whole.Leeway = p.Algorithms, p.MaxLife, p.Leeway
		for claim, check := range checks {
			if err := refuse(t, whole, key, check.bad); err == nil {
				t.Errorf("naming %s turns off %s", name, claim)
			}
		}
		for _, claims := range timely {
			refuse(t, whole, key, mint(t, key, claims))
		}
	}
}
