package verifier_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// entriesOfBench is how many revocations the table holds.
const entriesOfBench = 100_000

// BenchmarkVerify is a check of one token against a full table, beside the bare
// signature check and the check of the token alone.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.EdDSA} {
		o := newOrigin(b, "https://id.example")
		o.signing = []*jwk.Key{generate(b, alg)}
		token := o.bench(b)
		v := o.benchVerifier(b)
		public, err := o.signing[0].Public()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			i := strings.LastIndexByte(token, '.')
			sig, err := wire.Decode(token[i+1:])
			if err != nil {
				b.Fatal(err)
			}
			input := []byte(token[:i])
			b.ReportAllocs()
			for b.Loop() {
				if err := public.Verify(input, sig); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/jwt", func(b *testing.B) {
			policy := jwt.Policy{Issuer: o.iss, Audience: audience, Type: "at+jwt", Now: time.Now}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jwt.Verify[verifier.Access](policy, public, token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/verifier", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/lookup", func(b *testing.B) {
			tok, err := v.Verify(context.Background(), token)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := verifier.Lookup(context.Background(), v, tok); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/verifier parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := v.Verify(context.Background(), token); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// bench fills the log and mints a token that knows all of it.
func (o *origin) bench(b *testing.B) string {
	b.Helper()
	var entries []revocation.Entry
	for i := range entriesOfBench {
		entries = append(entries, o.entry(revocation.Session, fmt.Sprintf("gone-%d", i)))
	}
	o.append(entries...)
	o.takeSnapshot(b)
	return o.token(b, claims{"cnf": nil})
}

// benchVerifier opens a verifier, loads its table and cuts it off, so that the
// origin's own work is not measured.
func (o *origin) benchVerifier(b *testing.B) *verifier.Verifier {
	b.Helper()
	cfg := o.config()
	cfg.OpenWhenBlind = true
	v, err := verifier.Open(context.Background(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { v.Close() })
	for deadline := time.Now().Add(time.Minute); v.Ready() != nil || v.Status().Entries < entriesOfBench; {
		if time.Now().After(deadline) {
			b.Fatalf("not ready: %v", v.Ready())
		}
	}
	o.shut()
	return v
}
