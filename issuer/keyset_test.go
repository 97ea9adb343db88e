package issuer_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// signedSet fetches and opens the signed key set.
func (n *node) signedSet(t *testing.T) *jwks.Signed {
	t.Helper()
	a := n.get(t, "/jwks.jwt")
	if a.status != 200 || a.header.Get("Content-Type") != "application/jwk-set+jwt" {
		t.Fatalf("%d %s", a.status, a.header.Get("Content-Type"))
	}
	s, err := jwks.OpenSigned(n.trust(t).FeedKeys, n.ring.Issuer(), a.body)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSignedKeySet(t *testing.T) {
	n := newNode(t)
	meta, err := oauth.ParseMetadata([]byte(n.get(t, oauth.WellKnownOpenID).body), n.ring.Issuer())
	if err != nil || meta.SignedJWKSURI != n.ring.Issuer()+"/jwks.jwt" {
		t.Errorf("%+v, %v", meta, err)
	}
	check := func() *jwks.Signed {
		t.Helper()
		s, m := n.signedSet(t), n.manifest(t)
		plain, err := jwk.ParseSet([]byte(n.get(t, "/jwks").body))
		if err != nil {
			t.Fatal(err)
		}
		if s.Keys.Len() != plain.Len() || s.KeySet != m.KeySet || s.Version != m.KeySetVersion || s.Version>>20 != m.Epoch {
			t.Errorf("%d keys of %d, %s of %s, version %d of %d in epoch %d",
				s.Keys.Len(), plain.Len(), s.KeySet, m.KeySet, s.Version, m.KeySetVersion, m.Epoch)
		}
		for _, key := range s.Keys.Keys() {
			if l := key.Limits(); !l.Tagged || l.Issuer != n.ring.Issuer() || l.MaxLife == 0 {
				t.Errorf("%s: %+v", key.KeyID(), l)
			}
		}
		return s
	}
	first := check()
	if again := check(); again.Version != first.Version {
		t.Errorf("%d and then %d, with nothing changed", first.Version, again.Version)
	}
	tag := n.get(t, "/jwks.jwt").header.Get("ETag")
	if got := n.get(t, "/jwks.jwt", "If-None-Match: "+tag); got.status != 304 {
		t.Errorf("%d with the same tag", got.status)
	}
	if _, err := n.ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	second := check()
	if second.Version <= first.Version || second.KeySet == first.KeySet {
		t.Errorf("%d after %d", second.Version, first.Version)
	}
	// After a restore a new epoch is above everything that was signed before.
	n.do(t, 200, "POST", "/admin/restored", `{"frames":[]}`)
	eventually(t, "the new epoch", func() bool { return n.manifest(t).Epoch != first.Version>>20 })
	if third := check(); third.Version>>20 <= second.Version>>20 {
		t.Errorf("%d after %d", third.Version, second.Version)
	}
}

// The version of a set is never that of another set: not on another node, and not
// when the same keys are published with other limits.
func TestThreat98OneVersionOneKeySet(t *testing.T) {
	n := newNode(t)
	first := n.signedSet(t)
	second := func(life time.Duration) *node {
		ring, err := keyring.Open(t.Context(), n.store, keyring.Config{Issuer: n.shared.url, KEK: n.kek, Now: n.clock.Now, MaxTokenLife: life})
		if err != nil {
			t.Fatal(err)
		}
		i, err := issuer.New(t.Context(), issuer.Config{
			URL: n.shared.url, Store: n.store, Keyring: ring, Tagger: notary.NewLocal(n.secret), Now: n.clock.Now,
			Argon2: account.Params{Memory: 64, Time: 1, Threads: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(i)
		t.Cleanup(func() { i.Close(); server.Close() })
		return &node{Issuer: i, shared: n.shared, url: server.URL, ring: ring}
	}
	if same := second(keyring.DefaultMaxTokenLife).signedSet(t); same.Version != first.Version || same.KeySet != first.KeySet {
		t.Errorf("the same keys on another node: version %d, and %d here", same.Version, first.Version)
	}
	changed := second(2 * time.Hour)
	other := changed.signedSet(t)
	if other.Version <= first.Version || other.KeySet == first.KeySet {
		t.Errorf("the same keys with other limits: version %d after %d", other.Version, first.Version)
	}
	seen := map[uint64]string{first.Version: first.KeySet, other.Version: other.KeySet}
	for range 3 {
		if _, err := n.ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		if err := changed.ring.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, node := range []*node{n, changed, n} {
			s := node.signedSet(t)
			if was, ok := seen[s.Version]; ok && was != s.KeySet {
				t.Errorf("version %d is of two sets", s.Version)
			}
			seen[s.Version] = s.KeySet
		}
	}
}

func TestRenumber(t *testing.T) {
	for _, test := range []struct {
		last    string
		changes uint64
		hash    string
		want    string
		number  uint64
	}{
		{"0 0 -", 3, "a", "3 0 a", 3},
		{"3 0 a", 3, "a", "3 0 a", 3},
		{"3 0 a", 3, "b", "3 1 b", 4}, // the same keys, rendered otherwise
		{"3 1 b", 4, "c", "4 1 c", 5},
	} {
		got, number, err := issuer.Renumber(test.last, test.changes, test.hash)
		if err != nil || got != test.want || number != test.number {
			t.Errorf("%q, %d, %s: %q, %d, %v", test.last, test.changes, test.hash, got, number, err)
		}
	}
	for _, bad := range []string{"", "1", "1 2", "x 0 a", "1 x a", "1 2 a b", "-1 0 a", "2 0 newer"} {
		if _, _, err := issuer.Renumber(bad, 1, "a"); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// Canaries are for the holders of a credential, under a name that the manifest signs.
// No public document shows that there are any keys beside the published ones.
func TestCanariesAreForVerifiersOnly(t *testing.T) {
	n := newNode(t)
	before := n.manifest(t)
	if before.Canaries != "" {
		t.Errorf("canaries %q, and there are none", before.Canaries)
	}
	canary, err := n.ring.AddCanary(t.Context(), jwk.ES256, "admin")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Canaries jsontext.Value `json:"canaries"`
	}
	if err := wire.Unmarshal([]byte(n.get(t, "/revocation/key").body), &answer); err != nil {
		t.Fatal(err)
	}
	set, err := jwk.ParseSet(answer.Canaries)
	if err != nil || set.Len() != 1 || set.Keys()[0].KeyID() != canary.KeyID() || set.Keys()[0].IsPrivate() {
		t.Fatalf("%s, %v", answer.Canaries, err)
	}
	after, sum := n.manifest(t), sha256.Sum256(answer.Canaries)
	if want := wire.Encode(sum[:]); after.Canaries != want {
		t.Errorf("the manifest names %q, and the keys are %q", after.Canaries, want)
	}
	for _, path := range []string{"/jwks", "/jwks.jwt", oauth.WellKnownOAuth, oauth.WellKnownOpenID, "/revocation/manifest"} {
		body := n.get(t, path).body
		if s := n.signedSet(t); holdsKey(s.Keys, canary.KeyID()) || strings.Contains(body, canary.KeyID()) {
			t.Errorf("%s shows the canary", path)
		}
	}
	if a := n.get(t, "/revocation/key", "Via: 1.1 proxy"); a.status != 401 || strings.Contains(a.body, "canaries") {
		t.Errorf("%d %s", a.status, a.body)
	}
	second, err := n.ring.AddCanary(t.Context(), jwk.ES256, "admin")
	if err != nil || n.manifest(t).Canaries == after.Canaries {
		t.Errorf("a second canary %v changes nothing: %v", second.KeyID(), err)
	}
}

func holdsKey(set *jwk.Set, kid string) bool {
	for _, key := range set.Keys() {
		if key.KeyID() == kid {
			return true
		}
	}
	return false
}

// While the store is away the keys that were rendered are served on.
func TestKeySetWithoutTheStore(t *testing.T) {
	n := newNode(t)
	before := n.get(t, "/jwks.jwt").body
	n.store.Close()
	if a := n.get(t, "/jwks.jwt"); a.status != 200 || a.body != before {
		t.Errorf("%d", a.status)
	}
	if a := n.get(t, "/jwks"); a.status != 200 {
		t.Errorf("%d", a.status)
	}
	if err := n.store.View(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Error(fmt.Sprint(err))
	}
}

// eventually is for what the nodes tell each other, once a second.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// holds acknowledges a manifest and the key set that it names.
func (n *node) holds(t *testing.T, m *revocation.Manifest) {
	t.Helper()
	body := fmt.Sprintf(`{"instance":"one","epoch":%d,"seq":%d,"c":"","kfid":"","keys":%q}`, m.Epoch, m.Head, m.KeySet)
	if a := send(t, request(t, "POST", n.url+"/revocation/ack", body)); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

// All verifiers fetch a new key set at once. It is rendered and numbered once, and who
// holds the set of before is known to hold it.
func TestKeySetIsRenderedOnce(t *testing.T) {
	n := newNode(t)
	m := n.manifest(t)
	n.holds(t, m)
	done, err := n.ring.Rotate(t.Context(), keyring.RotateOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	before := n.store.Stats().Updates
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			n.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/jwks.jwt", nil))
		})
	}
	all.Wait()
	if made := n.store.Stats().Updates - before; made > 50 { // maintenance makes some
		t.Errorf("%d transactions", made)
	}
	for _, info := range n.ring.Keys() {
		if info.State != keyring.Standby || info.KeyID == done.Added {
			continue
		}
		if names, err := n.WaitingFor(t.Context(), info.KeyID); err != nil || len(names) != 0 {
			t.Errorf("verifiers without a key that they hold: %v (%v)", names, err)
		}
	}
}

// The store can be read and not written, just after the keys have changed: the feed goes
// on, and names the set that has a number until the new one has one.
func TestManifestBeforeTheNewSetHasANumber(t *testing.T) {
	n := newNode(t)
	before := n.manifest(t)
	if _, err := n.ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	release := n.occupy(t)
	defer release()
	during := n.manifest(t)
	if during.KeySet != before.KeySet || during.KeySetVersion != before.KeySetVersion || !during.AsOf.After(before.AsOf) {
		t.Errorf("names %s (%d), and the set with a number is %s (%d)",
			during.KeySet, during.KeySetVersion, before.KeySet, before.KeySetVersion)
	}
	if a := n.get(t, "/jwks.jwt"); a.status != 503 {
		t.Errorf("a set without a number: %d", a.status)
	}
	release()
	eventually(t, "the new set", func() bool { return n.manifest(t).KeySetVersion > before.KeySetVersion })
}

// occupy keeps everybody from writing until release.
func (n *node) occupy(t *testing.T) (release func()) {
	t.Helper()
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan error)
	var once sync.Once
	go func() {
		done <- n.store.Update(t.Context(), func(*store.Tx) error {
			once.Do(func() { close(held) })
			<-free
			return nil
		})
	}()
	<-held
	return sync.OnceFunc(func() {
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
