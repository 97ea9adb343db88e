package verifier_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// Metadata without the line that names the feed would make a verifier forget all
// that was revoked: at once, or when it next starts from disk.
func TestThreat133MetadataWithoutTheFeed(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		dir := t.TempDir()
		keep := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, keep)
		o.revoke(revocation.Session, "gone-0")
		pass(time.Minute)
		o.set(func() { o.noFeed = true })
		pass(15 * time.Minute) // metadata are read again
		allRefused(t, o, v, 1)
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		again := o.ready(t, keep)
		pass(time.Minute)
		allRefused(t, o, again, 1)
		again.Close()
		o.shut()
		allRefused(t, o, o.ready(t, keep), 1)
	})
}

// Who leaves the feed, or the signed keys, out of the metadata of the first contact is
// not believed with keys of his own: the credential says that there are both.
func TestThreat133FirstMetadataWithoutTheFeed(t *testing.T) {
	named := func(o *origin) string { return credential + "\nroot " + o.root.Thumbprint() }
	for name, test := range map[string]struct {
		left   string
		config func(o *origin, c *verifier.Config)
	}{
		"credential":          {"counterfoil_feed", func(_ *origin, c *verifier.Config) { c.Credential = credential }},
		"credential and root": {"counterfoil_feed", func(o *origin, c *verifier.Config) { c.Credential = named(o) }},
		"root":                {"counterfoil_feed", func(o *origin, c *verifier.Config) { c.Credential, c.Root = "", o.root.Thumbprint() }},
		"mirror":              {"counterfoil_feed", func(o *origin, c *verifier.Config) { c.Credential, c.FeedURLs = "", []string{o.iss + "/mirror"} }},
		"signed keys":         {"signed_jwks_uri", func(o *origin, c *verifier.Config) { c.Credential = named(o) }},
		"credential not yet readable": {"signed_jwks_uri", func(_ *origin, c *verifier.Config) {
			c.Credential, c.CredentialFile = "", filepath.Join(t.TempDir(), "later")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				signing(o)
				o.door(oauth.WellKnownOpenID, func(w http.ResponseWriter, r *http.Request) {
					rec := httptest.NewRecorder()
					o.answer(rec, r)
					var m map[string]any
					if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil || m[test.left] == nil {
						w.WriteHeader(http.StatusNotFound)
						return
					}
					delete(m, test.left)
					json.NewEncoder(w).Encode(m)
				})
				v := o.verifier(t, func(c *verifier.Config) { test.config(o, c) })
				pass(time.Minute)
				if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) || !strings.Contains(err.Error(), "metadata name no") {
					t.Errorf("Ready: %v", err)
				}
				if err := verify(t, v, o.token(t, nil)); !errors.Is(err, verifier.ErrNotReady) {
					t.Errorf("by keys of whoever answers: %v", err)
				}
			})
		})
	}
}

// Nothing proves a token yet, so one that would have to be proved does not pass.
func TestThreat86QuarantinedWithoutProof(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		entry := o.entry(revocation.Key, o.signing[0].KeyID())
		entry.Flags = revocation.Quarantine
		o.append(entry)
		pass(time.Second)
		if err := verify(t, v, o.token(t, nil)); !errors.Is(err, verifier.ErrUnproved) {
			t.Errorf("got %v", err)
		}
	})
}

// A root key that comes with its private half is in other hands by now.
func TestThreat41PrivateRootKey(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		private := must(o.root.MarshalPrivate())
		o.door("/revocation/key", func(w http.ResponseWriter, _ *http.Request) {
			var answer map[string]json.RawMessage
			o.set(func() {
				if err := json.Unmarshal(o.keyAnswer(), &answer); err != nil {
					panic(err)
				}
			})
			answer["root"] = private
			json.NewEncoder(w).Encode(answer)
		})
		v := o.verifier(t, nil)
		pass(5 * time.Second)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("Ready with a private root key: %v", err)
		}
		o.door("/revocation/key", nil)
		pass(5 * time.Second)
		if err := v.Ready(); err != nil {
			t.Errorf("with the public one: %v", err)
		}
	})
}
