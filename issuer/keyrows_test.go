//go:build unix

package issuer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testkey"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// plant writes a key of an intruder's into the database, as published as can be.
func plant(t *testing.T, st *store.Store, kid string, state store.KeyState) {
	t.Helper()
	_, data := testkey.Published(t, jwk.Params{Algorithm: jwk.ES256, KeyID: kid})
	err := st.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertKey(store.KeyRow{
			KID: kid, Use: keyring.UseAccess, Alg: "ES256", State: state, Sealed: "a.b.c.d.e", Public: data,
			Published: time.Now(), Activated: time.Now(), MAC: make([]byte, 32),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A running issuer publishes no key that somebody wrote into its database, whichever
// database that is, and goes on.
func TestPlantedKeyIsNotPublished(t *testing.T) {
	for name, nodes := range map[string]func(t *testing.T) []*node{
		"SQLite":     func(t *testing.T) []*node { return []*node{newNode(t)} },
		"PostgreSQL": func(t *testing.T) []*node { a, b := newNodes(t); return []*node{a, b} },
	} {
		t.Run(name, func(t *testing.T) {
			all := nodes(t)
			before := all[0].manifest(t)
			plant(t, all[0].store, "planted-1", store.KeyStandby)
			plant(t, all[0].store, "planted-2", store.KeyRetiring)
			for _, n := range all {
				eventually(t, "the node to have seen them", func() bool {
					return strings.Count(n.do(t, 200, "GET", "/admin/keys", "").body, `"refused"`) == 2
				})
				for _, path := range []string{"/jwks", "/jwks.jwt", "/revocation/key"} {
					if strings.Contains(n.get(t, path).body, "planted") {
						t.Errorf("%s has a planted key", path)
					}
				}
				if s := n.signedSet(t); s.Keys.Len() != 3 || s.KeySet != before.KeySet {
					t.Errorf("%d keys, %s was %s", s.Keys.Len(), s.KeySet, before.KeySet)
				}
			}
			for _, n := range all {
				if _, err := n.ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
					t.Error(err)
				}
			}
			eventually(t, "the audit trail to say so", func() bool {
				return strings.Count(all[0].do(t, 200, "GET", "/admin/audit", "").body, `"key.refuse"`) == 2
			})
		})
	}
}

// Another key signs the feed at every node soon after one was told to, and after all
// of them have started again.
func TestFeedKeyIsReplaced(t *testing.T) {
	a, b := newNodes(t)
	before := b.trust(t)
	sets := [2]string{a.get(t, "/jwks.jwt").body, b.get(t, "/jwks.jwt").body}
	var done keyring.FeedRotation
	a.do(t, 200, "POST", "/admin/keys/feed", "").into(t, &done)
	if done.From != before.FeedKeys.Keys()[0].KeyID() || done.Version <= before.Version {
		t.Errorf("%+v after version %d", done, before.Version)
	}
	for i, n := range []*node{a, b} {
		eventually(t, "the node to follow", func() bool { return n.trust(t).Version == done.Version })
		feeds := n.trust(t).FeedKeys
		if feeds.Len() != 1 || feeds.Keys()[0].KeyID() != done.To {
			t.Errorf("node %d: %d feed keys, the first is %s", i, feeds.Len(), feeds.Keys()[0].KeyID())
		}
		n.manifest(t)
		if s := n.signedSet(t); s.Keys.Len() != 3 { // by the new key
			t.Errorf("node %d: %d keys", i, s.Keys.Len())
		}
		if n.get(t, "/jwks.jwt").body == sets[i] {
			t.Errorf("node %d: the key set is as it was", i)
		}
	}
	again, err := keyring.Open(t.Context(), b.store, keyring.Config{Issuer: b.shared.url, KEK: b.kek})
	if err != nil {
		t.Fatal(err)
	}
	if key, trust := again.Feed(); key.KeyID() != done.To || trust != a.ring.Trust() {
		t.Errorf("a node that starts later signs with %s", key.KeyID())
	}
}
