package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

const issuerURL = "https://id.example"

// A clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newKEK(t *testing.T) *jwk.Key {
	t.Helper()
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func newStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"), sqlite.Config{Issuer: issuerURL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func open(t *testing.T, st *store.Store, cfg keyring.Config) *keyring.Keyring {
	t.Helper()
	cfg.Issuer = issuerURL
	ring, err := keyring.Open(t.Context(), st, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// kids lists the keys of a ring in one state.
func kids(ring *keyring.Keyring, alg jwk.Algorithm, state keyring.State) []string {
	var list []string
	for _, info := range ring.Keys() {
		if info.Use == keyring.UseAccess && info.Algorithm == alg && info.State == state {
			list = append(list, info.KeyID)
		}
	}
	return list
}

// counts renders how many keys of an algorithm stand in each state.
func counts(ring *keyring.Keyring, alg jwk.Algorithm) string {
	n := func(s keyring.State) int { return len(kids(ring, alg, s)) }
	return fmt.Sprintf("standby=%d active=%d retiring=%d retired=%d killed=%d",
		n(keyring.Standby), n(keyring.Active), n(keyring.Retiring), n(keyring.Retired), n(keyring.Killed))
}

func TestFirstStart(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	algs := []jwk.Algorithm{jwk.ES256, jwk.EdDSA, jwk.RS256}
	ring := open(t, st, keyring.Config{KEK: kek, Algorithms: algs})
	for _, alg := range algs {
		if got := counts(ring, alg); got != "standby=2 active=1 retiring=0 retired=0 killed=0" {
			t.Errorf("%s: %s", alg, got)
		}
		signer, err := ring.Signer(alg)
		if err != nil {
			t.Fatal(err)
		}
		if signer.Key().KeyID() != kids(ring, alg, keyring.Active)[0] || len(signer.Key().KeyID()) > 11 {
			t.Errorf("%s: signer has kid %q", alg, signer.Key().KeyID())
		}
	}
	for _, key := range ring.Public().Keys() {
		l := key.Limits()
		if l.Issuer != issuerURL || !slices.Equal(l.Types, []string{"at+jwt"}) || !l.Tagged || l.MaxLife != time.Hour || l.From.IsZero() {
			t.Errorf("limits of %s are %+v", key.KeyID(), l)
		}
	}
	again := open(t, st, keyring.Config{KEK: kek, Algorithms: algs})
	if a, b := fmt.Sprint(ring.Keys()), fmt.Sprint(again.Keys()); a != b {
		t.Errorf("a second start changed the keys:\n%s\n%s", a, b)
	}
	if again.Trust() != ring.Trust() || again.HandleKey().ID() != ring.HandleKey().ID() ||
		string(again.HandleSecret()) != string(ring.HandleSecret()) || again.Root().KeyID() != ring.Root().KeyID() {
		t.Error("a second start made other secrets")
	}
}

func TestSeveralNodesStartAtOnce(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	rings := make([]*keyring.Keyring, 8)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() { rings[i] = open(t, st, keyring.Config{KEK: kek}) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, r := range rings {
		if got := counts(r, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=0" {
			t.Error(got)
		}
		_, mac := r.CurrentRefreshKey()
		_, first := rings[0].CurrentRefreshKey()
		if r.Trust() != rings[0].Trust() || string(mac) != string(first) || r.FeedKey().KeyID() != rings[0].FeedKey().KeyID() {
			t.Error("nodes disagree")
		}
	}
}

func TestWrongKEK(t *testing.T) {
	st := newStore(t)
	open(t, st, keyring.Config{KEK: newKEK(t)})
	_, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: newKEK(t)})
	if !errors.Is(err, keyring.ErrKEK) {
		t.Errorf("got %v", err)
	}
}

func TestSealedKeyInAnothersRow(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	ring := open(t, st, keyring.Config{KEK: kek})
	active := kids(ring, jwk.ES256, keyring.Active)[0]
	err := st.Update(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Keys()
		if err != nil {
			return err
		}
		for i := range rows {
			if rows[i].KID == active {
				rows[i].Sealed = rows[(i+1)%len(rows)].Sealed
				return tx.UpdateKey(rows[i])
			}
		}
		return errors.New("no active key")
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: kek}); err == nil {
		t.Error("opened a keyring in which one key lies in the row of another")
	}
}

func TestRotate(t *testing.T) {
	now := newClock()
	st, kek := newStore(t), newKEK(t)
	ring := open(t, st, keyring.Config{KEK: kek, Now: now.Now})
	first := kids(ring, jwk.ES256, keyring.Active)[0]

	var soon *keyring.TooSoonError
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{}); !errors.As(err, &soon) {
		t.Fatalf("a standby that nobody can have fetched signs: %v", err)
	}
	if want := now.Now().Add(keyring.DefaultJWKSMaxAge + time.Minute); !soon.At.Equal(want) {
		t.Errorf("ready at %v, want %v", soon.At, want)
	}
	now.advance(keyring.DefaultJWKSMaxAge + time.Minute)
	done, err := ring.Rotate(t.Context(), keyring.RotateOptions{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	if done.From != first || signer.Key().KeyID() != done.To || !slices.Contains(kids(ring, jwk.ES256, keyring.Standby), done.Added) {
		t.Errorf("rotation %+v, signer %s", done, signer.Key().KeyID())
	}
	if got := counts(ring, jwk.ES256); got != "standby=2 active=1 retiring=1 retired=0 killed=0" {
		t.Error(got)
	}
	old, err := ring.Public().Find(first, "ES256")
	if err != nil {
		t.Fatal("the key that retires is not published any more")
	}
	if until := old.Limits().Until; until.IsZero() || until.After(now.Now().Add(2*time.Minute)) {
		t.Errorf("the window of the old key closes at %v", until)
	}
}

func TestExpireKeepsTheKeyIDForEver(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now})
	done, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	expire := func(d time.Duration) {
		now.advance(d)
		if err := ring.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expire(keyring.DefaultMaxTokenLife + 10*time.Minute) // a verifier may still forgive 10 minutes
	if _, err := ring.Public().Find(done.From, "ES256"); err != nil {
		t.Error("withdrawn while a token under it may be accepted")
	}
	expire(3 * time.Minute)
	if _, err := ring.Public().Find(done.From, "ES256"); !errors.Is(err, jwk.ErrUnknownKey) {
		t.Errorf("still published: %v", err)
	}
	if !slices.Contains(kids(ring, jwk.ES256, keyring.Retired), done.From) {
		t.Error("no tombstone")
	}
}

func TestTwoNodesRotateAtOnce(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	nodes := []*keyring.Keyring{open(t, st, keyring.Config{KEK: kek}), open(t, st, keyring.Config{KEK: kek})}
	for range 5 {
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				_, err := n.Rotate(t.Context(), keyring.RotateOptions{Force: true})
				if err != nil && !errors.Is(err, keyring.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, n := range nodes {
			if err := n.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s, a := kids(n, jwk.ES256, keyring.Standby), kids(n, jwk.ES256, keyring.Active); len(s) != 2 || len(a) != 1 {
				t.Fatal(counts(n, jwk.ES256))
			}
		}
		a, _ := nodes[0].Signer("")
		b, _ := nodes[1].Signer("")
		if a.Key().KeyID() != b.Key().KeyID() {
			t.Fatal("two nodes sign with different keys after Reload")
		}
	}
}

func TestKill(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	ring := open(t, st, keyring.Config{KEK: kek})
	victim := kids(ring, jwk.ES256, keyring.Active)[0]
	record, err := ring.Kill(t.Context(), victim, "test")
	if err != nil {
		t.Fatal(err)
	}
	want := revocation.Entry{
		Kind: revocation.Key, Flags: revocation.Absolute,
		Handle: ring.HandleKey().Handle(revocation.Key, issuerURL, victim),
	}
	if record.Entry != want {
		t.Errorf("entry %+v, want %+v", record.Entry, want)
	}
	if got := counts(ring, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=1" {
		t.Error(got)
	}
	if _, err := ring.Public().Find(victim, "ES256"); err == nil {
		t.Error("a killed key is still published")
	}
	signer, err := ring.Signer("")
	if err != nil || signer.Key().KeyID() == victim {
		t.Errorf("signer: %v", err)
	}
	if _, err := ring.Kill(t.Context(), "nonesuch", "test"); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
	standby := kids(ring, jwk.ES256, keyring.Standby)[0]
	if _, err := ring.Kill(t.Context(), standby, "test"); err != nil {
		t.Fatal(err)
	}
	if got := counts(ring, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=2" {
		t.Error(got)
	}
}

// What each step does to a key in each state.
func TestEachStepFromEachState(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now})
	ctx := t.Context()
	states := map[keyring.State]func() string{
		keyring.Standby: func() string { return kids(ring, jwk.ES256, keyring.Standby)[1] },
		keyring.Active:  func() string { return signs(t, ring) },
		keyring.Retiring: func() string {
			done, err := ring.Rotate(ctx, keyring.RotateOptions{Force: true})
			if err != nil {
				t.Fatal(err)
			}
			return done.From
		},
		keyring.Killed: func() string {
			kid := signs(t, ring)
			if _, err := ring.Kill(ctx, kid, "test"); err != nil {
				t.Fatal(err)
			}
			return kid
		},
	}
	retiring := states[keyring.Retiring]
	states[keyring.Retired] = func() string {
		kid := retiring()
		now.advance(2 * time.Hour)
		if err := ring.Expire(ctx); err != nil {
			t.Fatal(err)
		}
		return kid
	}
	steps := map[string]func(kid string) error{
		"rotate": func(kid string) error {
			_, err := ring.Rotate(ctx, keyring.RotateOptions{From: kid, Force: true})
			return err
		},
		"kill":          func(kid string) error { _, err := ring.Kill(ctx, kid, "test"); return err },
		"expire":        func(string) error { now.advance(2 * time.Hour); return ring.Expire(ctx) },
		"remove canary": func(kid string) error { return ring.RemoveCanary(ctx, kid, "test") },
	}
	for state, with := range states {
		for step, do := range steps {
			kid := with()
			if _, info, _ := ring.Verification(kid); info.State != state {
				t.Fatalf("made %s, want %s", info.State, state)
			}
			want, wantErr := state, error(nil)
			switch {
			case step == "kill":
				want = keyring.Killed
			case step == "rotate" && state == keyring.Active, step == "expire" && state == keyring.Retiring:
				want = map[keyring.State]keyring.State{keyring.Active: keyring.Retiring, keyring.Retiring: keyring.Retired}[state]
			case step == "rotate":
				wantErr = keyring.ErrNotActive
			case step == "remove canary":
				wantErr = keyring.ErrUnknownKey
			}
			err := do(kid)
			if _, info, _ := ring.Verification(kid); info.State != want || !errors.Is(err, wantErr) {
				t.Errorf("%s of a key that is %s: %v, and it is %s", step, state, err, info.State)
			}
			if a, s := kids(ring, jwk.ES256, keyring.Active), kids(ring, jwk.ES256, keyring.Standby); len(a) != 1 || len(s) != 2 {
				t.Errorf("%s of a key that is %s: %s", step, state, counts(ring, jwk.ES256))
			}
		}
	}
}

// However often somebody rotates, and however many canaries he wants, the sets stay
// such as verifiers take, and a stolen key can be killed.
func TestSetsStayShort(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now})
	until := func(what string, do func() error) {
		t.Helper()
		for range 200 {
			if err := do(); errors.Is(err, keyring.ErrTooMany) {
				return
			} else if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		t.Errorf("%s: there is no end", what)
	}
	until("rotate", func() error { _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); return err })
	until("canary", func() error { _, err := ring.AddCanary(t.Context(), "", "test"); return err })
	if n, c := ring.Public().Len(), ring.Canaries().Len(); n > 116 || c > 64 {
		t.Errorf("%d published keys, %d canaries", n, c)
	}
	if _, err := ring.AddDrill(t.Context(), keyring.DrillOptions{Audience: "x"}); !errors.Is(err, keyring.ErrTooMany) {
		t.Errorf("drill: %v", err)
	}
	for range 5 {
		if _, err := ring.Kill(t.Context(), signs(t, ring), "test"); err != nil {
			t.Fatal(err)
		}
	}
	now.advance(2 * time.Hour)
	if err := ring.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

// A key id is an argument of commands: it must not look like a flag.
func TestKeyIDIsNoFlag(t *testing.T) {
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t)})
	for range 200 {
		key, err := ring.AddCanary(t.Context(), jwk.EdDSA, "test")
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.RemoveCanary(t.Context(), key.KeyID(), "test"); err != nil {
			t.Fatal(err)
		}
		if kid := key.KeyID(); kid[0] == '-' || kid[0] == '_' || len(kid) != 8 {
			t.Fatalf("kid %q", kid)
		}
	}
}

// The root signs anew, with a higher version, only when what it says has changed.
func TestThreat133TrustHasAVersion(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	version := func(life time.Duration) uint64 {
		ring := open(t, st, keyring.Config{KEK: kek, MaxTokenLife: life})
		trust, err := revocation.OpenTrust(ring.Root(), issuerURL, ring.Trust())
		if err != nil {
			t.Fatal(err)
		}
		if trust.MaxLife != life || trust.HandleKeyIDs[0] != ring.HandleKey().ID() {
			t.Errorf("trust says %+v", trust)
		}
		if _, err := trust.FeedKeys.Find(ring.FeedKey().KeyID(), "EdDSA"); err != nil {
			t.Error("the root does not vouch for the feed key")
		}
		return trust.Version
	}
	got := []uint64{version(time.Hour), version(time.Hour), version(2 * time.Hour), version(time.Hour)}
	if !slices.Equal(got, []uint64{1, 1, 2, 3}) {
		t.Errorf("versions %v", got)
	}
}

// Nothing that signs something else is in the set that tokens are verified with.
func TestThreat71FeedKeyIsNoTokenKey(t *testing.T) {
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Algorithms: []jwk.Algorithm{jwk.EdDSA}})
	for _, key := range ring.Public().Keys() {
		for _, other := range []*jwk.Key{ring.FeedKey(), ring.Root()} {
			if key.Thumbprint() == other.Thumbprint() || key.KeyID() == other.KeyID() {
				t.Errorf("%s signs tokens and more", key.KeyID())
			}
		}
	}
	if ring.FeedKey().Thumbprint() == ring.Root().Thumbprint() {
		t.Error("the root is the feed key")
	}
	signer, err := ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	forged, err := jws.Sign(signer.Key(), jws.Header{Type: revocation.FrameType}, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := revocation.OpenTrust(ring.Root(), issuerURL, ring.Trust())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := revocation.OpenFrame(trust.FeedKeys, issuerURL, forged); !errors.Is(err, revocation.ErrFeedKey) {
		t.Errorf("a frame signed with a token key: %v", err)
	}
}

// At rest nothing is readable without the key-encryption key.
func TestThreat41NothingPrivateInTheStore(t *testing.T) {
	st := newStore(t)
	open(t, st, keyring.Config{KEK: newKEK(t), Algorithms: []jwk.Algorithm{jwk.ES256, jwk.RS256, jwk.EdDSA}})
	err := st.View(context.Background(), func(tx *store.Tx) error {
		rows, err := tx.Keys()
		if err != nil {
			return err
		}
		for _, row := range rows {
			if strings.Contains(string(row.Public), `"d"`) || strings.Contains(row.Sealed, "{") || strings.Count(row.Sealed, ".") != 4 {
				t.Errorf("the row of %s holds something in the clear", row.KID)
			}
		}
		for _, name := range []string{"feed", "root", "handle", "refresh"} {
			secrets, err := tx.Secrets(name)
			if err != nil || len(secrets) != 1 || strings.Count(secrets[0].Sealed, ".") != 4 {
				t.Errorf("%s: %d secrets, %v", name, len(secrets), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
