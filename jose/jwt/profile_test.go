package jwt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// A kind is one kind of token as somebody honest makes it, as like to the others
// as its specification allows: all are of one issuer for one audience.
type kind struct {
	name    string
	types   []string // "typ" of the header, as JSON; "" is absent
	claims  claimSet
	profile jwt.Profile
}

const listURI = "https://id.example/status/1"

// kinds are all of them. The profiles that take tokens without a "typ" stand
// beside those that do not.
func kinds() []kind {
	of := func(typ string) []string {
		return []string{`"` + typ + `"`, `"application/` + typ + `"`, `"` + strings.ToUpper(typ) + `"`}
	}
	untyped := []string{"", `"JWT"`, `"jwt"`, `"application/jwt"`}
	logout := good().with("events", `{"http://schemas.openid.net/event/backchannel-logout":{}}`).with("sid", `"s1"`)
	assertion := good().with("sub", `"https://id.example"`)
	return []kind{
		{"access token", of("at+jwt"), good().with("client_id", `"orders"`).with("scope", `"openid"`), jwt.AccessToken{}},
		{"ID token", untyped, good().with("nonce", `"n1"`), jwt.IDToken{Nonce: "n1"}},
		{"ID token without nonce", untyped, good(), jwt.IDToken{InsecureSkipNonce: true}},
		{"logout token", of("logout+jwt"), logout, jwt.LogoutToken{}},
		{"untyped logout token", append(of("logout+jwt"), untyped...), logout, jwt.LogoutToken{Untyped: true}},
		{"security event token", of("secevent+jwt"), logout.with("exp", "").with("sub", ""), jwt.SecurityEventToken{}},
		{"client assertion", of("client-authentication+jwt"), assertion, jwt.ClientAssertion{}},
		{"untyped client assertion", append(of("client-authentication+jwt"), untyped...), assertion, jwt.ClientAssertion{Untyped: true}},
		{
			"status list token", of("statuslist+jwt"),
			good().with("sub", `"`+listURI+`"`).with("status_list", `{"bits":1,"lst":"eNrbuRgAAhcBXQ"}`).with("ttl", "60"), jwt.StatusListToken{URI: listURI},
		},
		{"DPoP proof", of("dpop+jwt"), good().with("htm", `"GET"`).with("htu", `"https://rs.example/"`), jwt.DPoPProof{}},
	}
}

func kindOf(t testing.TB, name string) kind {
	t.Helper()
	i := slices.IndexFunc(kinds(), func(k kind) bool { return k.name == name })
	if i < 0 {
		t.Fatal("no such kind: ", name)
	}
	return kinds()[i]
}

func (k kind) policy() jwt.Policy {
	p := policy()
	p.Type, p.Profile = "", k.profile
	return p
}

// mint signs claims under one of the types.
func (k kind) mint(t testing.TB, key *jwk.Key, typ string, claims claimSet) string {
	if typ != "" {
		typ = `,"typ":` + typ
	}
	return craft(t, key, `{"alg":"`+string(key.Algorithm())+`"`+typ+`}`, claims.String())
}

// passes says which claims a profile takes beside those of its own kind.
func passes(profile, claims string) bool {
	trim := func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "untyped "), " without nonce") }
	// Who skips the nonce takes tokens that have one; the other way round not.
	return profile == claims || trim(profile) == trim(claims) && profile != "ID token"
}

// Every kind of claims, under every type, at every policy: only what belongs
// together passes. The type alone would do, and so would the claims alone, so
// that neither a signer that lets others choose the type nor one that lets them
// choose a claim turns one kind into another.
func TestThreat56OnlyTheDiagonalPasses(t *testing.T) {
	key := newKey(t, jwk.HS256)
	var passed, all int
	for _, claims := range kinds() {
		for _, header := range kinds() {
			for _, typ := range header.types {
				token := header.mint(t, key, typ, claims.claims)
				for _, policy := range kinds() {
					want := slices.Contains(policy.types, typ) && passes(policy.name, claims.name)
					_, err := jwt.Verify[none](policy.policy(), key, token)
					if (err == nil) != want {
						t.Errorf("claims of %s, typ %s, policy for %s: %v", claims.name, typ, policy.name, err)
					}
					var claim *jwt.ClaimError
					if err != nil && !errors.As(err, &claim) {
						t.Errorf("refused for another reason: %v", err)
					}
					if all++; err == nil {
						passed++
					}
				}
			}
		}
	}
	t.Logf("%d of %d passed", passed, all)
}

// A token that claims to be everything at once is at most what its type says.
func TestThreat56TokenOfEveryKind(t *testing.T) {
	key := newKey(t, jwk.HS256)
	everything := claimSet{}
	for _, k := range kinds() {
		for name, text := range k.claims {
			if text != "" {
				everything[name] = text
			}
		}
	}
	for _, header := range kinds() {
		for _, typ := range header.types {
			token := header.mint(t, key, typ, everything)
			for _, policy := range kinds() {
				if _, err := jwt.Verify[none](policy.policy(), key, token); err == nil && !slices.Contains(policy.types, typ) {
					t.Errorf("typ %s passes for %s", typ, policy.name)
				}
			}
		}
	}
	// And under no type at all it is nothing.
	for _, name := range []string{"ID token", "ID token without nonce", "untyped logout token", "untyped client assertion"} {
		k := kindOf(t, name)
		for _, typ := range []string{"", `"JWT"`} {
			refuse(t, k.policy(), key, k.mint(t, key, typ, everything))
		}
	}
}

// Tokens as they were before there were types for them, at a policy for ID
// tokens.
func TestThreat56UntypedTokensAsIDToken(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, profile := range []jwt.Profile{jwt.IDToken{Nonce: "n1"}, jwt.IDToken{InsecureSkipNonce: true}} {
		k := kindOf(t, "ID token")
		k.profile = profile
		for _, typ := range k.types {
			accept(t, k.policy(), key, k.mint(t, key, typ, k.claims))
			for claim, text := range map[string]string{
				"scope": `"openid"`, "scp": `["read"]`, "events": `{}`, "status_list": `{}`, "htm": `"GET"`, "htu": `"https://rs.example/"`,
				"sub": `"https://id.example"`,
			} {
				refuseClaim(t, k.policy(), key, claim, k.mint(t, key, typ, k.claims.with(claim, text)))
			}
		}
	}
}

// Each claim that a profile requires: absent, null, empty and of other kinds.
func TestThreat60RequiredClaimsOfEveryKind(t *testing.T) {
	key := newKey(t, jwk.HS256)
	required := map[string][]string{
		"access token":             {"iss", "sub", "aud", "exp", "iat", "jti", "client_id"},
		"ID token":                 {"iss", "sub", "aud", "exp", "iat", "nonce"},
		"logout token":             {"iss", "aud", "exp", "iat", "jti", "events"},
		"untyped logout token":     {"iss", "aud", "exp", "iat", "jti", "events"},
		"security event token":     {"iss", "aud", "iat", "jti", "events"},
		"client assertion":         {"iss", "sub", "aud", "exp", "jti"},
		"untyped client assertion": {"iss", "sub", "aud", "exp", "jti"},
		"status list token":        {"iss", "aud", "sub", "iat", "status_list"},
		"DPoP proof":               {"iss", "aud", "iat", "jti", "htm", "htu"},
	}
	for name, claims := range required {
		k := kindOf(t, name)
		accept(t, k.policy(), key, k.mint(t, key, k.types[0], k.claims))
		for _, claim := range claims {
			for _, text := range []string{"", "null", "true", "false", `""`, "[]", "-1", "[null]", "1e400", `{"a":1}`} {
				token := k.mint(t, key, k.types[0], k.claims.with(claim, text))
				if claim == "status_list" && text == `{"a":1}` {
					accept(t, k.policy(), key, token) // to be read by package statuslist
					continue
				}
				refuseClaim(t, k.policy(), key, claim, token)
			}
		}
	}
}

func TestProfileForbids(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for name, claims := range map[string][]string{
		"logout token":         {"nonce"},
		"security event token": {"exp", "sub"},
		"ID token":             {"events", "scope", "scp", "status_list", "htm", "htu"},
	} {
		k := kindOf(t, name)
		for _, claim := range claims {
			for _, text := range []string{`"x"`, "4000000000", "{}"} {
				refuse(t, k.policy(), key, k.mint(t, key, k.types[0], k.claims.with(claim, text)))
			}
			refuse(t, k.policy(), key, k.mint(t, key, k.types[0], k.claims.with(claim, "null")))
		}
	}
}

func TestLogoutToken(t *testing.T) {
	key := newKey(t, jwk.HS256)
	k := kindOf(t, "logout token")
	mint := func(c claimSet) string { return k.mint(t, key, k.types[0], c) }
	accept(t, k.policy(), key, mint(k.claims.with("sid", "")))
	accept(t, k.policy(), key, mint(k.claims.with("sub", "")))
	refuseClaim(t, k.policy(), key, "sub", mint(k.claims.with("sub", "").with("sid", "")))
	refuseClaim(t, k.policy(), key, "sub", mint(k.claims.with("sub", `""`).with("sid", "")))
	for _, sid := range []string{`""`, "1", "null", "[]"} {
		refuseClaim(t, k.policy(), key, "sid", mint(k.claims.with("sid", sid)))
	}
	const event = `"http://schemas.openid.net/event/backchannel-logout"`
	accept(t, k.policy(), key, mint(k.claims.with("events", `{"urn:x":null,`+event+`:{"x":1}}`)))
	for _, events := range []string{"{}", `{"urn:x":{}}`, `{` + event + `:null}`, `{` + event + `:true}`, `{` + event + `:[]}`, `{"HTTP://schemas.openid.net/event/backchannel-logout":{}}`} {
		refuseClaim(t, k.policy(), key, "events", mint(k.claims.with("events", events)))
	}
}

// RFC 8417, Section 4: what is not to pass for another kind, nor another kind for
// it.
func TestThreat80SecurityEventConfusion(t *testing.T) {
	key := newKey(t, jwk.HS256)
	k := kindOf(t, "security event token")
	mint := func(c claimSet) string { return k.mint(t, key, k.types[0], c) }
	accept(t, k.policy(), key, mint(k.claims))
	accept(t, k.policy(), key, mint(k.claims.with("sub_id", `{"format":"opaque","id":"u1"}`)))
	refuseClaim(t, k.policy(), key, "sub_id", mint(k.claims.with("sub_id", `"u1"`)))
	refuseClaim(t, k.policy(), key, "sub", mint(k.claims.with("sub", `"alice"`)))
	refuseClaim(t, k.policy(), key, "exp", mint(k.claims.with("exp", unix(now.Add(time.Minute)))))
	refuseClaim(t, k.policy(), key, "iss", mint(k.claims.with("iss", `"https://other.example"`)))
	refuseClaim(t, k.policy(), key, "aud", mint(k.claims.with("aud", `"billing"`)))
	refuseClaim(t, k.policy(), key, "events", mint(k.claims.with("events", "{}")))
	refuseClaim(t, k.policy(), key, "events", mint(k.claims.with("events", `{"urn:x":{},"urn:y":1}`)))
	for _, typ := range []string{"", `"JWT"`, `"at+jwt"`, `"logout+jwt"`, `"secevent"`} {
		refuseClaim(t, k.policy(), key, "typ", k.mint(t, key, typ, k.claims))
	}
}

// Without "exp" a token is good for the longest life that the policy allows.
func TestTokensWithoutExpiry(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, name := range []string{"security event token", "status list token", "DPoP proof"} {
		k := kindOf(t, name)
		p := k.policy()
		p.MaxLife, p.Leeway = time.Minute, jwt.NoLeeway
		aged := func(age time.Duration) string {
			return k.mint(t, key, k.types[0], k.claims.with("exp", "").with("iat", unix(now.Add(-age))))
		}
		if tok := accept(t, p, key, aged(59*time.Second)); !tok.Expiry().IsZero() {
			t.Errorf("%s: expires %v", name, tok.Expiry())
		}
		var expired *jwt.ExpiredError
		if err := refuse(t, p, key, aged(time.Minute)); !errors.As(err, &expired) || !expired.Expiry.Equal(now) {
			t.Errorf("%s: %v", name, err)
		}
		var early *jwt.NotYetError
		if err := refuse(t, p, key, aged(-time.Second)); !errors.As(err, &early) {
			t.Errorf("%s: %v", name, err)
		}
		p.Leeway = 10 * time.Second
		accept(t, p, key, aged(70*time.Second))
		refuse(t, p, key, aged(71*time.Second))
		// A key with a longest life signs nothing that lasts.
		limited := key.WithLimits(jwk.Limits{MaxLife: time.Hour})
		refuseClaim(t, p, limited, "exp", aged(0))
	}
	// "exp" counts where it is there, and makes no token older.
	k := kindOf(t, "status list token")
	p := k.policy()
	p.MaxLife = time.Hour
	var expired *jwt.ExpiredError
	if err := refuse(t, p, key, k.mint(t, key, k.types[0], k.claims.with("exp", unix(now.Add(-time.Hour))))); !errors.As(err, &expired) {
		t.Error(err)
	}
	years := k.claims.with("exp", unix(now.Add(10_000*time.Hour)))
	accept(t, p, key, k.mint(t, key, k.types[0], years))
	if err := refuse(t, p, key, k.mint(t, key, k.types[0], years.with("iat", unix(now.Add(-2*time.Hour))))); !errors.As(err, &expired) {
		t.Error(err)
	}
}

func TestClientAssertion(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, name := range []string{"client assertion", "untyped client assertion"} {
		k := kindOf(t, name)
		mint := func(c claimSet) string { return k.mint(t, key, k.types[0], c) }
		accept(t, k.policy(), key, mint(k.claims.with("aud", `["orders"]`)))
		refuseClaim(t, k.policy(), key, "sub", mint(k.claims.with("sub", `"alice"`)))
		refuseClaim(t, k.policy(), key, "iss", mint(k.claims.with("iss", `"https://id.example/"`)))
		for _, aud := range []string{`["orders","https://other.example"]`, `["orders","orders"]`, `"https://id.example/token"`, `["https://id.example/token"]`} {
			refuseClaim(t, k.policy(), key, "aud", mint(k.claims.with("aud", aud)))
		}
		for field, spoil := range map[string]func(*jwt.Policy){
			"InsecureSkipIssuer":   func(p *jwt.Policy) { p.Issuer, p.InsecureSkipIssuer = "", true },
			"InsecureSkipAudience": func(p *jwt.Policy) { p.Audience, p.InsecureSkipAudience = "", true },
		} {
			refusePolicy(t, k, field, spoil)
		}
	}
}

func TestStatusListToken(t *testing.T) {
	key := newKey(t, jwk.HS256)
	k := kindOf(t, "status list token")
	mint := func(c claimSet) string { return k.mint(t, key, k.types[0], c) }
	for _, ttl := range []string{"", "0.5", "31622400"} {
		accept(t, k.policy(), key, mint(k.claims.with("ttl", ttl)))
	}
	for _, sub := range []string{"https://id.example/status/2", listURI + "/", "HTTPS://id.example/status/1"} {
		refuseClaim(t, k.policy(), key, "sub", mint(k.claims.with("sub", `"`+sub+`"`)))
	}
	for _, ttl := range []string{"0", "-1", `"60"`, "null", "31622401", "1000000000", "1e400", "[]"} {
		refuseClaim(t, k.policy(), key, "ttl", mint(k.claims.with("ttl", ttl)))
	}
}

// Issuer and Audience may be left out where the kind has none, and count where
// they are given.
func TestProfilesForAnybody(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, name := range []string{"status list token", "DPoP proof"} {
		k := kindOf(t, name)
		token := k.mint(t, key, k.types[0], k.claims.with("iss", "").with("aud", ""))
		p := k.policy()
		refuseClaim(t, p, key, "iss", token)
		p.Issuer = ""
		refuseClaim(t, p, key, "aud", token)
		p.Audience = ""
		accept(t, p, key, token)
	}
}

// refusePolicy fails unless the policy of k, spoilt, is an error about that field
// for every token.
func refusePolicy(t *testing.T, k kind, field string, spoil func(*jwt.Policy)) {
	t.Helper()
	key := newKey(t, jwk.HS256)
	p := k.policy()
	spoil(&p)
	for _, token := range []string{k.mint(t, key, k.types[0], k.claims), "x.y.z"} {
		var wrong *jwt.PolicyError
		if err := refuse(t, p, key, token); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s, %s: %v", k.name, field, err)
		}
	}
}

func TestProfilePolicyIncomplete(t *testing.T) {
	for _, k := range kinds() {
		refusePolicy(t, k, "Type", func(p *jwt.Policy) { p.Type = "at+jwt" })
		refusePolicy(t, k, "Type", func(p *jwt.Policy) { p.InsecureSkipType = true })
		refusePolicy(t, k, "Now", func(p *jwt.Policy) { p.Now = nil })
		if k.name != "status list token" && k.name != "DPoP proof" {
			refusePolicy(t, k, "Issuer", func(p *jwt.Policy) { p.Issuer = "" })
			refusePolicy(t, k, "Audience", func(p *jwt.Policy) { p.Audience = "" })
		}
	}
	id := kindOf(t, "ID token")
	for field, profile := range map[string]jwt.Profile{
		"Profile.Nonce":        jwt.IDToken{},
		"Profile.Nonce ":       jwt.IDToken{Nonce: "n1", InsecureSkipNonce: true},
		"Profile.MaxAge":       jwt.IDToken{Nonce: "n1", MaxAge: -1},
		"Profile.ACR":          jwt.IDToken{Nonce: "n1", ACR: []string{}},
		"Profile.URI":          jwt.StatusListToken{},
		"InsecureSkipAudience": jwt.IDToken{Nonce: "n1"},
	} {
		refusePolicy(t, id, strings.TrimSpace(field), func(p *jwt.Policy) {
			p.Profile = profile
			if field == "InsecureSkipAudience" {
				p.Audience, p.InsecureSkipAudience = "", true
			}
		})
	}
}

// One check that is waived, or named, waives no other under a profile either.
func TestThreat118ProfilesKeepEveryCheck(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, k := range kinds() {
		mint := func(c claimSet) string { return k.mint(t, key, k.types[0], c) }
		refuseClaim(t, k.policy(), key, "iss", mint(k.claims.with("iss", `"https://other.example"`)))
		refuseClaim(t, k.policy(), key, "aud", mint(k.claims.with("aud", `"billing"`)))
		refuse(t, k.policy(), key, mint(k.claims.with("nbf", unix(now.Add(time.Hour)))))
		refuse(t, k.policy(), key, mint(k.claims.with("iat", unix(now.Add(time.Hour)))))
		refuse(t, k.policy(), key, mint(k.claims.with("exp", unix(now.Add(-time.Hour)))))
		life := k.claims.with("iat", unix(now.Add(-25*time.Hour))).with("exp", unix(now.Add(time.Minute)))
		refuse(t, k.policy(), key, mint(life))
		refuse(t, k.policy(), newKey(t, jwk.HS256), mint(k.claims))
		p := k.policy()
		p.Algorithms = []jwk.Algorithm{jwk.ES256}
		refuse(t, p, key, mint(k.claims))
		limited := key.WithLimits(jwk.Limits{Types: []string{"x+jwt"}})
		refuseClaim(t, k.policy(), limited, "typ", mint(k.claims))
	}
}

// A profile costs an access token nothing on the heap. The race detector makes
// pools forget now and then, so that several measurements are compared.
func TestAccessTokenProfileAllocatesNothingMore(t *testing.T) {
	key := newKey(t, jwk.HS256)
	k := kindOf(t, "access token")
	token := k.mint(t, key, k.types[0], k.claims)
	allocs := func(p jwt.Policy) float64 {
		return testing.AllocsPerRun(100, func() { accept(t, p, key, token) })
	}
	plain, profile := allocs(policy()), allocs(k.policy())
	for range 5 {
		plain, profile = max(plain, allocs(policy())), min(profile, allocs(k.policy()))
	}
	if profile > plain {
		t.Errorf("%v allocations, %v with the profile", plain, profile)
	}
}
