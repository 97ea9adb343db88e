package jwt_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// idPolicy is a policy for ID tokens that answer "n1", with a few fields changed.
func idPolicy(change func(*jwt.IDToken)) jwt.Policy {
	id := jwt.IDToken{Nonce: "n1"}
	if change != nil {
		change(&id)
	}
	p := policy()
	p.Type, p.Profile = "", id
	return p
}

func mintID(t testing.TB, key *jwk.Key, c claimSet) string {
	t.Helper()
	return craft(t, key, `{"alg":"`+string(key.Algorithm())+`"}`, c.String())
}

func goodID() claimSet { return good().with("nonce", `"n1"`) }

func TestIDTokenNonce(t *testing.T) {
	key := newKey(t, jwk.HS256)
	accept(t, idPolicy(nil), key, mintID(t, key, goodID()))
	for _, nonce := range []string{"", `"n2"`, `"N1"`, `"n1 "`, `""`, "null", "1", `["n1"]`} {
		refuseClaim(t, idPolicy(nil), key, "nonce", mintID(t, key, goodID().with("nonce", nonce)))
	}
	skip := idPolicy(func(id *jwt.IDToken) { id.Nonce, id.InsecureSkipNonce = "", true })
	accept(t, skip, key, mintID(t, key, good()))
	accept(t, skip, key, mintID(t, key, goodID()))
}

// OpenID Connect Core 1.0, Section 3.1.3.7, steps 3 to 5.
func TestIDTokenAuthorizedParty(t *testing.T) {
	key := newKey(t, jwk.HS256)
	both := goodID().with("aud", `["orders","stock"]`)
	accept(t, idPolicy(nil), key, mintID(t, key, goodID().with("azp", `"orders"`)))
	accept(t, idPolicy(nil), key, mintID(t, key, both.with("azp", `"orders"`)))
	refuseClaim(t, idPolicy(nil), key, "azp", mintID(t, key, both))
	refuseClaim(t, idPolicy(nil), key, "azp", mintID(t, key, both.with("azp", `"stock"`)))
	for _, azp := range []string{`"stock"`, `""`, "null", "1"} {
		refuseClaim(t, idPolicy(nil), key, "azp", mintID(t, key, goodID().with("azp", azp)))
	}
	accept(t, idPolicy(nil), key, mintID(t, key, goodID().with("client_id", `"orders"`)))
	refuseClaim(t, idPolicy(nil), key, "client_id", mintID(t, key, goodID().with("client_id", `"stock"`)))

	app := idPolicy(func(id *jwt.IDToken) { id.AuthorizedParty = "app" })
	accept(t, app, key, mintID(t, key, goodID().with("azp", `"app"`)))
	refuseClaim(t, app, key, "azp", mintID(t, key, goodID()))
	refuseClaim(t, app, key, "azp", mintID(t, key, goodID().with("azp", `"orders"`)))
	app.Audience, app.InsecureSkipAudience = "", true
	accept(t, app, key, mintID(t, key, goodID().with("azp", `"app"`)))
	refuseClaim(t, app, key, "azp", mintID(t, key, goodID()))
}

// OpenID Connect Core 1.0, Appendix A.3 and A.4, has at_hash and c_hash of
// published values under RS256.
func TestIDTokenHashes(t *testing.T) {
	const (
		accessToken, atHash = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"
		code, cHash         = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk", "LDktKdoQak3Pk0cnXxCltA"
	)
	key := newKey(t, jwk.RS256)
	both := idPolicy(func(id *jwt.IDToken) { id.AccessToken, id.Code = accessToken, code })
	claims := goodID().with("at_hash", `"`+atHash+`"`).with("c_hash", `"`+cHash+`"`)
	accept(t, both, key, mintID(t, key, claims))
	for claim, other := range map[string]string{"at_hash": cHash, "c_hash": atHash} {
		for _, text := range []string{"", `"` + other + `"`, `""`, "null", "1"} {
			refuseClaim(t, both, key, claim, mintID(t, key, claims.with(claim, text)))
		}
	}
}

// Each algorithm hashes with its own function.
func TestIDTokenHashOfEachAlgorithm(t *testing.T) {
	const accessToken = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
	hashes := map[string]string{ // as openssl makes them
		"256": "77QmUPtjPfzWtF2AnpK9RQ",
		"384": "jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs",
		"512": "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM",
	}
	p := idPolicy(func(id *jwt.IDToken) { id.AccessToken = accessToken })
	for _, alg := range algorithms {
		key := newKey(t, alg)
		want := string(alg[len(alg)-3:])
		if alg == jwk.Ed25519 || alg == jwk.EdDSA {
			want = "512"
		}
		for size, hash := range hashes {
			token := mintID(t, key, goodID().with("at_hash", `"`+hash+`"`))
			if size == want {
				accept(t, p, key, token)
			} else {
				refuseClaim(t, p, key, "at_hash", token)
			}
		}
	}
}

func TestIDTokenMaxAge(t *testing.T) {
	key := newKey(t, jwk.HS256)
	p := idPolicy(func(id *jwt.IDToken) { id.MaxAge = time.Hour })
	p.Leeway = time.Second
	at := func(age time.Duration) string {
		return mintID(t, key, goodID().with("auth_time", unix(now.Add(-age))))
	}
	accept(t, p, key, at(0))
	accept(t, p, key, at(time.Hour+time.Second))
	refuseClaim(t, p, key, "auth_time", at(time.Hour+2*time.Second))
	var early *jwt.NotYetError
	if err := refuse(t, p, key, at(-2*time.Second)); !errors.As(err, &early) || early.Claim != "auth_time" {
		t.Error(err)
	}
	for _, text := range []string{"", "null", `"1"`, "-1", "1e400", "true"} {
		refuseClaim(t, p, key, "auth_time", mintID(t, key, goodID().with("auth_time", text)))
	}
}

func TestIDTokenContextClass(t *testing.T) {
	key := newKey(t, jwk.HS256)
	p := idPolicy(func(id *jwt.IDToken) { id.ACR = []string{"phr", "phrh"} })
	accept(t, p, key, mintID(t, key, goodID().with("acr", `"phrh"`)))
	for _, acr := range []string{"", `"0"`, `""`, "null", `["phr"]`} {
		refuseClaim(t, p, key, "acr", mintID(t, key, goodID().with("acr", acr)))
	}
}

func TestIDTokenSubject(t *testing.T) {
	key := newKey(t, jwk.HS256)
	accept(t, idPolicy(nil), key, mintID(t, key, goodID().with("sub", `"`+strings.Repeat("a", 255)+`"`)))
	refuseClaim(t, idPolicy(nil), key, "sub", mintID(t, key, goodID().with("sub", `"`+strings.Repeat("a", 256)+`"`)))
	refuseClaim(t, idPolicy(nil), key, "sub", mintID(t, key, goodID().with("sub", `""`)))
}
