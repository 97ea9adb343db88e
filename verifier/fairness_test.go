package verifier_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/verifier"
)

// Under quarantine a thief keeps more connections waiting, each with a forged token of
// its own, than one answer can name; first-seen honest tokens are proved all the same.
func TestThreat86HonestTokensInAFlood(t *testing.T) {
	const (
		connections = 1500
		rounds      = 2
		roundTrip   = 5 * time.Millisecond
	)
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, func(c *verifier.Config) { c.CacheTokens = -1 })
		a.o.quarantine()
		pass(time.Second)
		a.set(func() { a.delay = roundTrip })
		var forged [connections][rounds]string
		for i := range forged {
			for n := range forged[i] {
				forged[i][n] = a.forge(claims{"i": i, "n": n})
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		var thief sync.WaitGroup
		for i := range forged {
			thief.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if _, err := v.Verify(ctx, forged[i][n%rounds]); err == nil {
						t.Error("a forged token passed")
					}
					time.Sleep(time.Millisecond) // the least that a connection takes
				}
			})
		}
		var slowest time.Duration
		for n := range 5 {
			token := a.genuine(claims{"n": n})
			began := time.Now()
			if err := verify(t, v, token); err != nil {
				t.Errorf("honest token %d: %v after %v", n, err, time.Since(began))
			}
			slowest = max(slowest, time.Since(began))
			pass(3 * time.Millisecond)
		}
		stop()
		thief.Wait()
		s := v.Status().Seen
		t.Logf("slowest honest token %v; %d forged refused, %d requests without a verdict, %d reports", slowest, s.Forged, s.Unproved, s.Reports)
	})
}

// A token that is known to be forged takes no place.
func TestThreat86KnownForgeryDoesNotWait(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		forged := a.forge(nil)
		a.set(func() { a.examine = unavailable })
		verifier.Show(v, "one", 32, 100) // there is no room to keep it
		verifier.Show(v, "other", 32, 100)
		verify(t, v, forged)
		pass(time.Second)
		a.o.quarantine()
		pass(time.Second)
		a.set(func() { a.seen = hang })
		began := time.Now()
		if err := verify(t, v, forged); !errors.Is(err, verifier.ErrForged) || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
