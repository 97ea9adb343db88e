package keyring_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Tokens get their "iat" from the clock of the store. A node whose own clock is an hour
// off must not open or close the window of a key by it: every honest token under the
// key would be refused.
func TestWindowsGoByTheClockOfTheStore(t *testing.T) {
	for name, off := range map[string]time.Duration{"node ahead": -time.Hour, "node behind": time.Hour} {
		t.Run(name, func(t *testing.T) {
			now := func() time.Time { return time.Now().Add(off) } // as the store sees it
			st := opened(t)(sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"), sqlite.Config{Issuer: issuerURL, Now: now}))
			ring := open(t, st, keyring.Config{KEK: newKEK(t)})
			allows := func(kid, what string) {
				t.Helper()
				key, err := ring.Public().Find(kid, "ES256")
				if err != nil {
					t.Fatal(err)
				}
				if l := key.Limits(); now().Before(l.From) || !l.Until.IsZero() && now().After(l.Until) {
					t.Errorf("%s: a token of now is outside %v..%v", what, l.From, l.Until)
				}
			}
			first := kids(ring, jwk.ES256, keyring.Active)[0]
			allows(first, "the first key")
			done, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true})
			if err != nil {
				t.Fatal(err)
			}
			allows(first, "the key that was replaced")
			allows(done.To, "the standby that had to sign at once")
			if due := ring.Plans()[0].Due.Sub(now()); (due - keyring.DefaultRotateEvery).Abs() > time.Minute {
				t.Errorf("the next rotation is due in %v", due)
			}
			if err := ring.Expire(t.Context()); err != nil {
				t.Fatal(err)
			}
			allows(first, "after a round of Expire")
		})
	}
}

// A clock that was an hour ahead when the keys were made, and was then put right: a
// rotation that waits for nobody makes tokens good again.
func TestRotationAfterTheClockWasPutRight(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now})
	now.advance(-time.Hour)
	done, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ring.Public().Find(done.To, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	if from := key.Limits().From; now.Now().Before(from) {
		t.Errorf("a token of now lies before %v", from)
	}
}
