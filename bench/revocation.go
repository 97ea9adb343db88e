package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/verifier"
)

const (
	verifiers       = 100
	revocationTimes = 200
)

// revocationLatency follows a revocation from the moment its request is sent
// until the last of 100 verifiers in this process refuses the token.
func revocationLatency(s settings) ([]section, error) {
	iss, err := startIssuer(s, "issuer-revocation")
	if err != nil {
		return nil, err
	}
	defer iss.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	all := make([]*verifier.Verifier, verifiers)
	for i := range all {
		v, err := verifier.Open(ctx, verifier.Config{Issuer: iss.url, Audience: "api"})
		if err != nil {
			return nil, err
		}
		defer v.Close()
		all[i] = v
	}
	for _, v := range all {
		for v.Ready() != nil {
			if ctx.Err() != nil {
				return nil, v.Ready()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	var first, last []time.Duration
	for range revocationTimes {
		f, l, err := revokeOnce(ctx, iss, all)
		if err != nil {
			return nil, err
		}
		first, last = append(first, f), append(last, l)
	}
	sec := section{
		title: "Revocation",
		notes: fmt.Sprintf("%d verifiers in one process, each with a feed connection of its own; a session is revoked over HTTP, %d times. Time runs from before the request to the refusal.", verifiers, revocationTimes),
		head:  []string{"until", "p50", "p99", "max"},
		rows:  [][]string{percentiles("the first verifier refuses", first), percentiles("the last verifier refuses", last)},
	}
	return []section{sec}, nil
}

func revokeOnce(ctx context.Context, iss *issuer, all []*verifier.Verifier) (first, last time.Duration, err error) {
	held, err := iss.signIn()
	if err != nil {
		return 0, 0, err
	}
	for _, v := range all {
		if _, err := v.Verify(ctx, held.Access); err != nil {
			return 0, 0, fmt.Errorf("before the revocation: %w", err)
		}
	}
	took := make([]time.Duration, len(all))
	before := all[0].Status().Head
	begin := time.Now()
	if err := iss.revoke(held.Refresh); err != nil {
		return 0, 0, err
	}
	var wg sync.WaitGroup
	for i, v := range all {
		wg.Go(func() { took[i] = untilRefused(ctx, v, held.Access, before, begin) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return 0, 0, errors.New("a verifier still accepts the token")
	}
	return slices.Min(took), slices.Max(took), nil
}

// untilRefused waits until the verifier's head has moved, and then for the
// refusal. Asking for the refusal each millisecond, at 100 verifiers, would
// measure little but signature checks.
func untilRefused(ctx context.Context, v *verifier.Verifier, token string, before uint64, begin time.Time) time.Duration {
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if v.Status().Head <= before {
			continue
		}
		if _, err := v.Verify(ctx, token); err != nil {
			return time.Since(begin)
		}
	}
	return 0
}

func percentiles(name string, took []time.Duration) []string {
	slices.Sort(took)
	n := len(took)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	return []string{name, ms(took[n/2]), ms(took[n*99/100]), ms(took[n-1])}
}
