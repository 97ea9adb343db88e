package verifier_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// A cache that says so is as old as what it holds, from the first answer on.
func TestThreat134CacheBetweenUs(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		const behind = 8 * time.Second
		o.shift(-behind)
		o.door("/revocation/manifest", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Age", "8")
			o.answer(w, r)
		})
		v := o.verifier(t, nil)
		pass(3 * time.Second)
		if st := v.Status(); st.State != verifier.Stale || st.Age < behind {
			t.Errorf("by way of a cache of 8 s: %v of age %v", st.State, st.Age)
		}
		if _, err := v.Check(t.Context(), o.token(t, nil), verifier.Route{Sensitive: true}); !errors.Is(err, verifier.ErrStale) {
			t.Errorf("sensitive route: %v", err)
		}
	})
}

// However fast a restart was, nobody knows what was revoked in between.
func TestThreat74FastRestartIsStale(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		dir := t.TempDir()
		keep := func(c *verifier.Config) { c.StateDir = dir }
		before := o.ready(t, keep)
		pass(time.Minute)
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		o.shut()
		v := o.verifier(t, keep)
		if st := v.Status(); st.State != verifier.Stale {
			t.Errorf("started from disk: %v of age %v", st.State, st.Age)
		}
		if _, err := v.Check(t.Context(), o.token(t, nil), verifier.Route{Sensitive: true}); !errors.Is(err, verifier.ErrStale) {
			t.Errorf("sensitive route: %v", err)
		}
	})
}

// Entries of a snapshot do not say under which handle key they are. Only the
// manifest does, and a key that nobody looks up revokes nothing.
func TestThreat133ManifestUnderAnotherHandleKey(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		other := handleKey(bytes.Repeat([]byte{9}, 32)).ID()
		o.set(func() { o.manifest = func(m *revocation.Manifest) { m.HandleKeyID = other } })
		v := o.verifier(t, nil)
		pass(5 * time.Second)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("Ready with a feed under another handle key: %v", err)
		}
		o.set(func() { o.manifest = nil })
		pass(5 * time.Second)
		if err := v.Ready(); err != nil {
			t.Errorf("with the handle key that the root vouches for: %v", err)
		}
	})
}
