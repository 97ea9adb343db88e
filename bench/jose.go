package main

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// sliceTime is how long one operation runs before the next takes its turn:
// short, so that what disturbs the machine disturbs them alike.
const sliceTime = 20 * time.Millisecond

// access is a realistic set of typed claims.
type access struct {
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Session  string   `json:"sid"`
	Roles    []string `json:"roles"`
	Tenant   string   `json:"tenant"`
	Email    string   `json:"email"`
	RSQ      uint64   `json:"rsq"`
}

// joseCost compares verifying and signing a token with the bare operation of
// the key: same process, same bytes, CPU time, slice by slice.
func joseCost(s settings) ([]section, error) {
	sec := section{
		title: "Verify and sign against the bare operation",
		notes: "One token of realistic size into a typed struct, all checks of the policy included. " +
			"CPU time of the process; each ratio is the median over the rounds of that round's quotient. " +
			"The difference is JSON: the claims are read twice, once for the checks and once into the struct.",
		head: []string{"algorithm", "token bytes", "bare verify", "verify", "×", "bare sign", "sign", "×"},
	}
	for _, alg := range []jwk.Algorithm{jwk.HS256, jwk.RS256, jwk.PS256, jwk.ES256, jwk.ES384, jwk.Ed25519} {
		row, err := costOf(s, alg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", alg, err)
		}
		sec.rows = append(sec.rows, row)
	}
	return []section{sec}, nil
}

func costOf(s settings, alg jwk.Algorithm) ([]string, error) {
	key, err := jwk.Generate(jwk.Params{Algorithm: alg, KeyID: "2026-11"})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	claims := jwt.Claims{
		Issuer: "https://id.example", Subject: "5f1c2f3e-8d1a-4c57-9a51-1f0c9a5b7e11", Audience: []string{"orders", "billing"},
		IssuedAt: now, Expiry: now.Add(15 * time.Minute), ID: "AAECAwQFBgcICQoLDA0ODxAREhM",
	}
	extra := access{
		ClientID: "web-frontend", Scope: "orders:read orders:write profile", Session: "gP0rYhAq8n2QdJm5c1xk2w",
		Roles: []string{"buyer", "approver"}, Tenant: "acme", Email: "someone@example.org", RSQ: 116909000000000,
	}
	token, err := jwt.Sign(key, "at+jwt", claims, extra)
	if err != nil {
		return nil, err
	}
	parsed, err := jws.Parse(token)
	if err != nil {
		return nil, err
	}
	verifyKey := key
	if !key.IsSymmetric() {
		if verifyKey, err = key.Public(); err != nil {
			return nil, err
		}
	}
	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "at+jwt", Now: time.Now}
	input, signature := []byte(parsed.SigningInput()), parsed.Signature()
	var failed error
	keep := func(err error) {
		if err != nil {
			failed = err
		}
	}
	times := interleave(s.rounds, []func(){
		func() { keep(verifyKey.Verify(input, signature)) },
		func() { _, err := jwt.Verify[access](policy, verifyKey, token); keep(err) },
		func() { _, err := key.Sign(input); keep(err) },
		func() { _, err := jwt.Sign(key, "at+jwt", claims, extra); keep(err) },
	})
	if failed != nil {
		return nil, failed
	}
	return []string{string(alg), fmt.Sprint(len(token)),
		nanos(times[0]), nanos(times[1]), ratio(times[1], times[0]),
		nanos(times[2]), nanos(times[3]), ratio(times[3], times[2])}, nil
}

// interleave runs each operation for one slice in turn, for the given number
// of rounds, and returns the CPU nanoseconds an operation took, by operation
// and round.
func interleave(rounds int, ops []func()) [][]float64 {
	times := make([][]float64, len(ops))
	for range rounds {
		for i, op := range ops {
			times[i] = append(times[i], slice(op))
		}
	}
	return times
}

func slice(op func()) float64 {
	n, begin, end := 0, cpuTime(), time.Now().Add(sliceTime)
	for batch := 1; time.Now().Before(end); batch = min(2*batch, 64) {
		for range batch {
			op()
		}
		n += batch
	}
	return float64(cpuTime()-begin) / float64(n)
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // cannot happen with valid arguments
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func nanos(times []float64) string { return fmt.Sprintf("%.0f ns", median(times)) }

func ratio(a, b []float64) string {
	quotients := make([]float64, len(a))
	for i := range a {
		quotients[i] = a[i] / b[i]
	}
	return fmt.Sprintf("%.2f", median(quotients))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
