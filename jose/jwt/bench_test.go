package jwt_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// benchmarked is an algorithm of each family.
var benchmarked = []jwk.Algorithm{jwk.HS256, jwk.RS256, jwk.PS256, jwk.ES256, jwk.Ed25519}

// benchmarkAccess is an access token as an issuer of ours makes it.
type benchmarkAccess struct {
	ClientID  string `json:"client_id"`
	Scope     string `json:"scope"`
	SessionID string `json:"sid"`
	RSQ       uint64 `json:"rsq"`
}

func benchmarkToken(b *testing.B, key *jwk.Key) string {
	c := registered()
	c.ID, c.NotBefore = "AAAAAAAAAAAAAAAAAAAAAAAAAAA", time.Time{}
	token, err := jwt.Sign(key, "at+jwt", c, benchmarkAccess{"web", "orders:read orders:write", "6f1c2a9be0d84c57", 117600000000042})
	if err != nil {
		b.Fatal(err)
	}
	return token
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range benchmarked {
		key := newKey(b, alg)
		token := benchmarkToken(b, key)
		u, err := jwt.Verify[none](policy(), key, token)
		if err != nil {
			b.Fatal(err)
		}
		input := []byte(u.SigningInput())
		sig := must(wire.Decode(token[len(input)+1:]))
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				key.Verify(input, sig)
			}
		})
		b.Run(string(alg)+"/registered", func(b *testing.B) { benchmarkVerify[none](b, key, token) })
		b.Run(string(alg)+"/typed", func(b *testing.B) { benchmarkVerify[benchmarkAccess](b, key, token) })
	}
}

func benchmarkVerify[T any](b *testing.B, key *jwk.Key, token string) {
	p := policy()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jwt.Verify[T](p, key, token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProfiles has what each profile costs, beside a policy without one.
func BenchmarkProfiles(b *testing.B) {
	key := newKey(b, jwk.HS256)
	for _, k := range kinds() {
		token := k.mint(b, key, k.types[0], k.claims)
		b.Run(strings.ReplaceAll(k.name, " ", "_"), func(b *testing.B) { benchmarkPolicy(b, k.policy(), key, token) })
		if k.name == "access token" {
			b.Run("type_only", func(b *testing.B) { benchmarkPolicy(b, policy(), key, token) })
		}
	}
}

func benchmarkPolicy(b *testing.B, p jwt.Policy, key *jwk.Key, token string) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jwt.Verify[none](p, key, token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range benchmarked {
		key := newKey(b, alg)
		input := make([]byte, 480)
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				key.Sign(input)
			}
		})
		b.Run(string(alg)+"/jwt", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchmarkToken(b, key)
			}
		})
	}
}

func BenchmarkRefuseDots(b *testing.B) {
	key, p := newKey(b, jwk.HS256), policy()
	flood := strings.Repeat(".", 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		jwt.Verify[none](p, key, flood)
	}
}
