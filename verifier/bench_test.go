package verifier_test

import (
	"context"
	"fmt"
	"runtime"
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

// BenchmarkVerify is a check of one token against a full table, as one that comes
// for the first time and as one that comes again, beside the bare signature check
// and the check of the token alone.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.EdDSA} {
		o := newOrigin(b, "https://id.example")
		o.signing = []*jwk.Key{generate(b, alg)}
		token := o.bench(b)
		v := o.benchVerifier(b, func(c *verifier.Config) { c.CacheTokens = -1 })
		again := o.benchVerifier(b, nil)
		o.shut() // so that its own work is not measured
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
		b.Run(string(alg)+"/verifier", func(b *testing.B) { benchCheck(b, v, token) })
		b.Run(string(alg)+"/cached", func(b *testing.B) { benchCheck(b, again, token) })
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
		b.Run(string(alg)+"/verifier parallel", func(b *testing.B) { benchParallel(b, v, token) })
		b.Run(string(alg)+"/cached parallel", func(b *testing.B) { benchParallel(b, again, token) })
		if v.Status().CacheHits != 0 || again.Status().CacheHits == 0 {
			b.Error("the cache answered where it should not, or did not where it should")
		}
	}
}

func benchCheck(b *testing.B, v *verifier.Verifier, token string) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func benchParallel(b *testing.B, v *verifier.Verifier, token string) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.Verify(context.Background(), token); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkCacheMemory is what a remembered token holds in memory, with its share
// of the maps (B/cached), beside the length of the token (B/token).
func BenchmarkCacheMemory(b *testing.B) {
	o := newOrigin(b, "https://id.example")
	o.bench(b)
	v := o.benchVerifier(b, nil)
	o.shut()
	before, size, id := liveHeap(), 0, 0
	for b.Loop() {
		for range verifier.DefaultCacheTokens {
			id++
			token := o.token(b, claims{"jti": fmt.Sprintf("%027d", id)})
			if _, err := v.Verify(context.Background(), token); err != nil {
				b.Fatal(err)
			}
			size = len(token)
		}
	}
	b.ReportMetric(float64(liveHeap()-before)/float64(v.Status().CachedTokens), "B/cached")
	b.ReportMetric(float64(size), "B/token")
}

func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools keep through one
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
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
	return o.token(b, nil)
}

// benchVerifier opens a verifier and loads its table.
func (o *origin) benchVerifier(b *testing.B, change func(*verifier.Config)) *verifier.Verifier {
	b.Helper()
	cfg := o.config()
	cfg.OpenWhenBlind = true
	if change != nil {
		change(&cfg)
	}
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
	return v
}

// BenchmarkFirstSight is the check of a token that comes for the first time, under a
// key whose tokens are reported and under one whose are not; and of one that came
// before, where nothing is remembered but what was reported. The auditor is away, so
// that its own work is not measured.
func BenchmarkFirstSight(b *testing.B) {
	o := newOrigin(b, "https://id.example")
	o.bench(b)
	a := o.audit(b)
	v := o.benchVerifier(b, func(c *verifier.Config) { c.CacheTokens = -1 })
	tokens := make([]string, 4096)
	for i := range tokens {
		tokens[i] = a.genuine(claims{"n": i})
	}
	o.shut()
	first := func(b *testing.B, check func(token string) error) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if i%len(tokens) == 0 {
				b.StopTimer()
				verifier.ForgetReports(v)
				b.StartTimer()
			}
			if err := check(tokens[i%len(tokens)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	}
	whole := func(token string) error { _, err := v.Verify(context.Background(), token); return err }
	b.Run("reported", func(b *testing.B) { first(b, whole) })
	b.Run("not reported", func(b *testing.B) {
		verifier.StopReports(v, true)
		defer verifier.StopReports(v, false)
		first(b, whole)
	})
	tok, err := v.Verify(context.Background(), tokens[0])
	if err != nil {
		b.Fatal(err)
	}
	b.Run("report alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			verifier.ForgetReport(v, tok)
			verifier.Note(v, tok, tokens[0])
		}
	})
	b.Run("seen before, alone", func(b *testing.B) {
		verifier.MarkProved(v, tok)
		b.ReportAllocs()
		for b.Loop() {
			verifier.Note(v, tok, tokens[0])
		}
	})
}
