package issuer_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testlog"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/notary/remote"
)

// A second node that was given the key-encryption key and not the notary's
// secret would mint tokens that look forged.
func TestStoreHasOneNotary(t *testing.T) {
	s := newShared(t, "https://id.example")
	ring, err := keyring.Open(t.Context(), s.store, keyring.Config{Issuer: s.url, KEK: s.kek})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secret notary.Secret
		want   error
	}{
		{s.secret, nil}, // the first start
		{notary.Secret{4, 5, 6}, issuer.ErrNotary},
		{s.secret, nil},
	} {
		iss, err := issuer.New(t.Context(), issuer.Config{
			URL: s.url, Store: s.store, Keyring: ring, Tagger: notary.NewLocal(c.secret),
			Argon2: account.Params{Memory: 64, Time: 1, Threads: 1},
		})
		if !errors.Is(err, c.want) {
			t.Errorf("started with %v, want %v", err, c.want)
		}
		if err == nil {
			iss.Close()
		}
	}
}

// newIssuer starts an issuer on the store with a notary.
func (s *shared) newIssuer(t *testing.T, tagger issuer.Notary) (*issuer.Issuer, *testlog.Buffer, error) {
	t.Helper()
	ring, err := keyring.Open(t.Context(), s.store, keyring.Config{Issuer: s.url, KEK: s.kek})
	if err != nil {
		t.Fatal(err)
	}
	log := new(testlog.Buffer)
	iss, err := issuer.New(t.Context(), issuer.Config{
		URL: s.url, Store: s.store, Keyring: ring, Tagger: tagger, Log: slog.New(slog.NewTextHandler(log, nil)),
		Argon2: account.Params{Memory: 64, Time: 1, Threads: 1},
	})
	if err == nil {
		t.Cleanup(func() { iss.Close() })
	}
	return iss, log, err
}

// A secret is changed at a notary of its own while the issuer runs on, and in
// process from start to start.
func TestSecretIsChanged(t *testing.T) {
	former, next := notary.Secret{1, 2, 3}, notary.Secret{4, 5, 6}
	steps := []*notary.Local{
		notary.NewLocal(former), notary.NewLocal(former, next), notary.NewLocal(next, former), notary.NewLocal(next),
	}
	t.Run("in process", func(t *testing.T) {
		s := newShared(t, "https://id.example")
		for i, step := range steps {
			iss, _, err := s.newIssuer(t, step)
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			iss.Close()
		}
		if _, _, err := s.newIssuer(t, steps[0]); !errors.Is(err, issuer.ErrNotary) {
			t.Errorf("the secret that was dropped: %v", err)
		}
	})
	t.Run("apart", func(t *testing.T) {
		s := newShared(t, "https://id.example")
		far := new(farNotary)
		far.by.Store(steps[0])
		iss, _, err := s.newIssuer(t, far)
		if err != nil {
			t.Fatal(err)
		}
		for i, step := range steps {
			far.by.Store(step)
			if err := iss.CheckNotary(t.Context()); err != nil { // as it does each minute
				t.Fatalf("step %d: %v", i, err)
			}
		}
		far.by.Store(steps[0])
		if err := iss.CheckNotary(t.Context()); !errors.Is(err, issuer.ErrNotary) {
			t.Errorf("the secret that was dropped: %v", err)
		}
	})
}

// Verifiers learn of a witness key before the first witness by it.
func TestWitnessKeysAreKnownFirst(t *testing.T) {
	s := newShared(t, "https://id.example")
	start := func(by *notary.Local, known *jwk.Set) (*issuer.Issuer, error) {
		ring, err := keyring.Open(t.Context(), s.store, keyring.Config{Issuer: s.url, KEK: s.kek, WitnessKeys: known})
		if err != nil {
			t.Fatal(err)
		}
		iss, err := issuer.New(t.Context(), issuer.Config{
			URL: s.url, Store: s.store, Keyring: ring, Tagger: by, Witness: true, Argon2: account.Params{Memory: 64, Time: 1, Threads: 1},
		})
		if err == nil {
			t.Cleanup(func() { iss.Close() })
		}
		return iss, err
	}
	one, two := notary.NewLocal(s.secret), notary.NewLocal(s.secret, notary.Secret{4, 5, 6})
	if _, err := start(one, nil); !errors.Is(err, issuer.ErrWitnessKeys) {
		t.Errorf("nobody was told of any: %v", err)
	}
	for _, by := range []*notary.Local{one, two} {
		keys, err := by.WitnessKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		iss, err := start(by, keys)
		if err != nil {
			t.Fatal(err)
		}
		if err := iss.CheckWitnesses(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := start(two, nil); err != nil {
		t.Errorf("what verifiers were told stays: %v", err)
	}
	if _, err := start(notary.NewLocal(s.secret, notary.Secret{7}), nil); !errors.Is(err, issuer.ErrWitnessKeys) {
		t.Errorf("a third that they do not know: %v", err)
	}
}

// A farNotary is one that can be away, and come back as another.
type farNotary struct{ by atomic.Pointer[notary.Local] }

func (n *farNotary) Tag(ctx context.Context, kid string, d notary.Digest) (string, error) {
	if by := n.by.Load(); by != nil {
		return by.Tag(ctx, kid, d)
	}
	return "", notary.ErrUnavailable
}

func (n *farNotary) Check(ctx context.Context, records []notary.Record) ([]bool, error) {
	if by := n.by.Load(); by != nil {
		return by.Check(ctx, records)
	}
	return nil, notary.ErrUnavailable
}

// An issuer starts without its notary, and mints when the one that belongs to the
// store is there: not with another, which would make tokens that look forged.
func TestThreat91IssuerStartsWithoutNotary(t *testing.T) {
	s := newShared(t, "https://id.example")
	if _, _, err := s.newIssuer(t, notary.NewLocal(s.secret)); err != nil {
		t.Fatal(err)
	}
	far := new(farNotary)
	iss, log, err := s.newIssuer(t, far)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "no tokens are minted until the notary answers") {
		t.Errorf("the log says %s", log)
	}
	tagger := iss.Tagger()
	for name, by := range map[string]*notary.Local{"away": nil, "another": notary.NewLocal(notary.Secret{4, 5, 6})} {
		far.by.Store(by)
		if jti, err := tagger.Tag(t.Context(), "k1", notary.Digest{}); jti != "" || !errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("%s: %q %v", name, jti, err)
		}
		if right, err := tagger.Check(t.Context(), make([]notary.Record, 1)); right != nil || !errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("%s: %v %v", name, right, err)
		}
	}
	far.by.Store(notary.NewLocal(s.secret))
	if jti, err := tagger.Tag(t.Context(), "k1", notary.Digest{}); err != nil || len(jti) != notary.IDSize {
		t.Errorf("back: %q %v", jti, err)
	}
	if right, err := tagger.Check(t.Context(), make([]notary.Record, 1)); err != nil || right[0] {
		t.Errorf("back: %v %v", right, err)
	}
}

// A notary that makes witnesses still makes them when the issuer had to wait for it.
func TestAwaitedNotaryMakesWitnesses(t *testing.T) {
	s := newShared(t, "https://id.example")
	if _, _, err := s.newIssuer(t, notary.NewLocal(s.secret)); err != nil {
		t.Fatal(err)
	}
	client, err := remote.Open(remote.Config{URLs: []string{"unix:" + filepath.Join(t.TempDir(), "nobody")}})
	if err != nil {
		t.Fatal(err)
	}
	iss, _, err := s.newIssuer(t, client)
	if err != nil {
		t.Fatal(err)
	}
	witnesser, ok := iss.Tagger().(notary.Witnesser)
	if !ok {
		t.Fatal("no witnesses any more")
	}
	if _, _, err := witnesser.TagWitness(t.Context(), "k1", "e30", []byte("}")); !errors.Is(err, notary.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := witnesser.WitnessKeys(t.Context()); !errors.Is(err, notary.ErrUnavailable) {
		t.Error(err)
	}
}
