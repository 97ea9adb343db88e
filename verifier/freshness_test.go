package verifier_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
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

// Somebody answers for the issuer with what he recorded while the log was quiet.
// However he arranges it, a table does not become younger by old news.
func TestThreat134RecordedManifests(t *testing.T) {
	const recorded = 60
	for name, pick := range map[string]func(n int) int{
		"one":             func(int) int { return 0 },
		"two in turn":     func(n int) int { return n % 2 },
		"all in order":    func(n int) int { return n % recorded },
		"backward":        func(n int) int { return recorded - 1 - n%recorded },
		"the newest last": func(n int) int { return min(n, recorded-1) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				dir := t.TempDir()
				keep := func(c *verifier.Config) { c.StateDir = dir }
				v := o.ready(t, keep)
				var old []string
				for range recorded {
					old = append(old, o.signManifest())
					pass(time.Second)
				}
				pass(time.Minute)
				o.shut()
				silent := time.Now()
				token := o.token(t, nil)
				o.revoke(revocation.Subject, "user-1")
				var n atomic.Int64 // answers may overlap
				o.door("", hang)
				o.door("/revocation/manifest", func(w http.ResponseWriter, _ *http.Request) {
					io.WriteString(w, old[pick(int(n.Add(1)-1))])
				})
				o.open()
				check := func(v *verifier.Verifier) {
					t.Helper()
					st := v.Status()
					if real := time.Since(silent); st.Age < real-time.Second {
						t.Fatalf("%v of age %v after %v of old news", st.State, st.Age, real)
					}
					if _, err := v.Check(t.Context(), token, verifier.Route{Sensitive: true}); !errors.Is(err, verifier.ErrStale) {
						t.Fatalf("sensitive route: %v", err)
					}
				}
				pass(lateAndMore)
				for range 2 * recorded {
					check(v)
					pass(time.Second)
				}
				v.Close()
				v = o.verifier(t, keep) // what is on disk knows the date too
				for range 10 {
					check(v)
					pass(time.Second)
				}
				o.door("", nil)
				o.door("/revocation/manifest", nil)
				pass(5 * time.Second)
				if st := v.Status(); st.State > verifier.Late {
					t.Errorf("after the truth has come back: %v of age %v", st.State, st.Age)
				}
				if err := verify(t, v, token); !refusedAs(err, revocation.Subject) {
					t.Errorf("revoked in the meantime: %v", err)
				}
			})
		})
	}
}

// lateAndMore is when a table that is not fed is stale.
const lateAndMore = verifier.LateFor + time.Second

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
