package verifier_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/verifier"
)

// Whoever sets a verifier's clock back, by a time server or a virtual machine's host,
// gains no time for a token: the feed says what time it is.
func TestThreat82SlowClockHidesNothing(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		const slow = 20 * time.Minute
		var behind atomic.Int64
		behind.Store(int64(slow))
		v := a.o.ready(t, func(c *verifier.Config) {
			c.Now = func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }
		})
		at := time.Now().Add(-slow)
		over := a.forge(claims{"iat": at.Unix(), "exp": at.Add(tokenLife).Unix()})
		for range 2 { // new, and remembered
			if _, expired := errors.AsType[*jwt.ExpiredError](verify(t, v, over)); !expired {
				t.Errorf("over: %v", verify(t, v, over))
			}
			pass(time.Second)
		}
		if s := v.Status(); s.ClockBehind < slow-time.Second || s.State != verifier.Fresh {
			t.Errorf("%v, %v", s.ClockBehind, s.State)
		}
		// As soon as it is right, it counts again.
		behind.Store(0)
		pass(2 * time.Second)
		if err := verify(t, v, a.genuine(nil)); err != nil {
			t.Error(err)
		}
		if s := v.Status(); s.ClockBehind > time.Second {
			t.Errorf("set right: %v", s.ClockBehind)
		}
	})
}

// An issuer whose clock was wrong for a while refuses nobody for longer than that.
func TestIssuersClockSetRight(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		token := a.genuine(nil)
		a.o.shift(time.Hour)
		pass(2 * time.Second)
		if _, expired := errors.AsType[*jwt.ExpiredError](verify(t, v, token)); !expired {
			t.Error("accepted an hour later")
		}
		a.o.shift(0)
		pass(2 * time.Second)
		if err := verify(t, v, token); err != nil {
			t.Error(err)
		}
	})
}
