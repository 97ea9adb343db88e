package keyring_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

// trusts opens what a ring says of itself, by a root.
func trusts(t testing.TB, root *jwk.Key, ring *keyring.Keyring) *revocation.Trust {
	t.Helper()
	key, signed := ring.Feed()
	trust, err := revocation.OpenTrust(root, issuerURL, signed)
	if err != nil {
		t.Fatal(err)
	}
	if trust.FeedKeys.Len() != 1 || trust.FeedKeys.Keys()[0].Thumbprint() != key.Thumbprint() {
		t.Errorf("the statement names %d feed keys, and not only %s", trust.FeedKeys.Len(), key.KeyID())
	}
	return trust
}

func TestRotateFeed(t *testing.T) {
	now, st, kek := newClock(), newStore(t), newKEK(t)
	var log bytes.Buffer
	cfg := keyring.Config{KEK: kek, Now: now.Now, Log: slog.New(slog.NewTextHandler(&log, nil))}
	a, b := open(t, st, cfg), open(t, st, cfg)
	root := a.Root()
	first := trusts(t, root, a)
	old := secretOf(t, st, "feed")
	done, err := a.RotateFeed(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if done.From != first.FeedKeys.Keys()[0].KeyID() || done.To == done.From || done.Version < uint64(now.Now().Unix()) {
		t.Errorf("%+v", done)
	}
	audited(t, st, audit.KeyFeed, 1)
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, ring := range map[string]*keyring.Keyring{"that did it": a, "beside it": b, "of later": open(t, st, cfg)} {
		if trust := trusts(t, root, ring); trust.Version != done.Version || ring.FeedKey().KeyID() != done.To ||
			ring.Root().Thumbprint() != root.Thumbprint() {
			t.Errorf("the node %s is at version %d with key %s", name, trust.Version, ring.FeedKey().KeyID())
		}
	}
	if strings.Contains(log.String(), "trust statement") {
		t.Error(log.String())
	}

	// A backup of before is put back: who runs goes on, says so, and what comes next is
	// above all that verifiers have heard.
	backup := func(feed, trust string) {
		t.Helper()
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.Secrets("feed")
			if err != nil {
				return err
			}
			return errors.Join(tx.ResealSecret(rows[0], feed), tx.SetMeta("keyring.trust", trust))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	signed, err := first.Sign(rootOf(t, st, kek))
	if err != nil {
		t.Fatal(err)
	}
	backup(old.Sealed, signed)
	for range 3 {
		if err := a.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if trusts(t, root, a).Version != done.Version || strings.Count(log.String(), "is not followed") != 1 {
		t.Errorf("at version %d:\n%s", trusts(t, root, a).Version, log.String())
	}
	now.advance(time.Second)
	again, err := b.RotateFeed(t.Context(), "test")
	if err != nil || again.Version <= done.Version {
		t.Errorf("%+v after version %d, %v", again, done.Version, err)
	}
	if err := a.Reload(t.Context()); err != nil || a.FeedKey().KeyID() != again.To {
		t.Error("the other node does not follow: ", err)
	}

	// A feed key that the root did not name is nobody's, sealed or not.
	backup(old.Sealed, a.Trust())
	if c, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: kek, Now: now.Now}); err == nil {
		trusts(t, root, c)
	}
}

// A distantKEK is a key-encryption key in a token that is out of reach at times.
type distantKEK struct {
	*ecdh.PrivateKey
	away atomic.Bool
}

func (d *distantKEK) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	if d.away.Load() {
		return nil, jwk.ErrUnavailable
	}
	return d.PrivateKey.ECDH(peer)
}

// A node that cannot open the new feed key now follows when it can.
func TestFeedKeyIsFollowedLater(t *testing.T) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	distant := &distantKEK{PrivateKey: private}
	kek, err := jwk.New(distant, jwk.Params{Algorithm: jwk.ECDHESA256KW})
	if err != nil {
		t.Fatal(err)
	}
	st := newStore(t)
	a, b := openQuiet(t, st, keyring.Config{KEK: kek}), openQuiet(t, st, keyring.Config{KEK: kek})
	done, err := a.RotateFeed(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, away := range []bool{true, false} {
		distant.away.Store(away)
		if err := b.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if follows := b.FeedKey().KeyID() == done.To; follows == away {
			t.Errorf("with the token away %t it follows: %t", away, follows)
		}
	}
}

// rootOf opens the root key, as only a thief does.
func rootOf(t testing.TB, st *store.Store, kek *jwk.Key) *jwk.Key {
	t.Helper()
	plain, err := jwe.Decrypt(kek, jwe.Policy{Algorithm: jwk.A256GCMKW, Encryption: "A256GCM"}, secretOf(t, st, "root").Sealed)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A node that could not seal the new key does not make one.
func TestRotateFeedAfterReseal(t *testing.T) {
	st, kek, next := newStore(t), newKEK(t), newKEK(t)
	ring := openQuiet(t, st, keyring.Config{KEK: kek})
	if _, err := keyring.Reseal(t.Context(), st, kek, next, "test"); err != nil {
		t.Fatal(err)
	}
	key := ring.FeedKey().KeyID()
	if _, err := ring.RotateFeed(t.Context(), "test"); !errors.Is(err, keyring.ErrKEK) {
		t.Errorf("got %v", err)
	}
	if err := ring.Reload(t.Context()); err != nil || ring.FeedKey().KeyID() != key {
		t.Error("the feed key is another one: ", err)
	}
	if _, err := openQuiet(t, st, keyring.Config{KEK: next}).RotateFeed(t.Context(), "test"); err != nil {
		t.Error(err)
	}
}
