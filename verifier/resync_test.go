package verifier_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// relay serves the tail by way of somebody who changes what is sent, in every
// answer.
func relay(o *origin, change func(events []string) []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		after, ok := o.position(r)
		if !ok {
			w.WriteHeader(http.StatusGone)
			return
		}
		events, _ := o.frames(after)
		for _, e := range change(events) {
			fmt.Fprintf(w, "data: %s\n\n", e)
		}
		if !r.URL.Query().Has("wait") {
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}
}

// Between the snapshot and the head every frame counts: a verifier that starts
// is not ready before it has all of them.
func TestThreat68FramesMissingAfterTheSnapshot(t *testing.T) {
	for name, change := range map[string]func(events []string) []string{
		"the first": func(e []string) []string { return e[1:] },
		"the third": func(e []string) []string { return slices.Delete(e, min(2, len(e)), min(3, len(e))) },
		"all":       func([]string) []string { return nil },
		"the order": func(e []string) []string { slices.Reverse(e); return e },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				snapshotAndMore(t, o, 20, 5)
				o.door("/revocation/tail", relay(o, change))
				startsOnlyWith(t, o, 25)
			})
		})
	}
}

// Frames that the feed key signed in another history, under the same numbers,
// do not continue this snapshot.
func TestThreat70FramesOfAnotherHistoryAfterTheSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		for i := range 25 {
			o.revoke(revocation.Session, fmt.Sprintf("other-%d", i))
		}
		other, _ := o.frames(o.base + 20)
		o.set(func() { o.entries = nil })
		snapshotAndMore(t, o, 20, 5)
		o.door("/revocation/tail", relay(o, func([]string) []string { return other }))
		startsOnlyWith(t, o, 25)
	})
}

// snapshotAndMore makes a log of which the first n entries are in a snapshot and
// the rest comes in one frame each.
func snapshotAndMore(t *testing.T, o *origin, n, rest int) {
	t.Helper()
	revokeSessions(o, n)
	o.takeSnapshot(t)
	for i := range rest {
		o.revoke(revocation.Session, fmt.Sprintf("gone-%d", n+i))
	}
	o.set(func() { o.cut = 1 })
}

// startsOnlyWith wants a verifier to be not ready while the tail lies, and to
// know all n entries as soon as it does not.
func startsOnlyWith(t *testing.T, o *origin, n int) {
	t.Helper()
	v := o.verifier(t, nil)
	for range 5 {
		if err := verify(t, v, o.token(t, claims{"sid": "gone-22"})); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("with a part of the log: %v", err)
		}
		pass(time.Second)
	}
	o.door("/revocation/tail", nil)
	pass(5 * time.Second)
	if err := v.Ready(); err != nil {
		t.Errorf("with the whole log: %v", err)
	}
	allRefused(t, o, v, n)
}

// To stay open when blind is a promise about ordinary routes.
func TestThreat73SensitiveRoutesCloseWhenBlind(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, func(c *verifier.Config) { c.OpenWhenBlind = true })
		o.shut()
		pass(tokenLife + time.Minute)
		token := o.token(t, nil)
		if _, err := v.Check(t.Context(), token, verifier.Route{}); err != nil {
			t.Errorf("ordinary route: %v", err)
		}
		if _, err := v.Check(t.Context(), token, verifier.Route{Sensitive: true}); !errors.Is(err, verifier.ErrBlind) {
			t.Errorf("sensitive route: %v", err)
		}
	})
}

// What is on disk came from the root that was believed then. A root that is
// pinned afterwards counts for more.
func TestThreat133RootPinnedAfterTheStateWasSaved(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		dir := t.TempDir()
		saved := o.ready(t, func(c *verifier.Config) { c.StateDir = dir })
		pass(time.Minute)
		if err := saved.Close(); err != nil {
			t.Fatal(err)
		}
		o.shut()
		for name, test := range map[string]struct {
			root string
			want error
		}{
			"the same root": {o.root.Thumbprint(), nil},
			"another root":  {o.feedKey.Thumbprint(), verifier.ErrNotReady},
		} {
			v := o.verifier(t, func(c *verifier.Config) { c.StateDir, c.Root = dir, test.root })
			if err := verify(t, v, o.token(t, nil)); !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
		}
	})
}
