package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A token keeps keys in memory. The real ones are in package pkcs11.
type token struct {
	mu   sync.Mutex
	keys map[string]*jwk.Key
	away bool
}

func newToken() *token { return &token{keys: map[string]*jwk.Key{}} }

func (m *token) set(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *token) names() (list []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.keys {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (m *token) MakeKey(_ context.Context, p jwk.Params) (*jwk.Key, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, "", jwk.ErrUnavailable
	}
	key, err := jwk.Generate(p)
	name := "pkcs11:object=" + p.KeyID
	m.keys[name] = key
	return key, name, err
}

func (m *token) FindKey(_ context.Context, name string, p jwk.Params) (*jwk.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, fmt.Errorf("the token: %w", jwk.ErrUnavailable)
	}
	key, ok := m.keys[name]
	if !ok || key.KeyID() != p.KeyID {
		return nil, jwk.ErrUnknownKey
	}
	return key, nil
}

func (m *token) ForgetKey(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, name)
	return nil
}

// Keys move into a token by rotation and out of it again. The token holds those that
// can still sign or be asked about, and no others.
func TestKeysInAToken(t *testing.T) {
	now, st, kek, hsm := newClock(), newStore(t), newKEK(t), newToken()
	open(t, st, keyring.Config{KEK: kek, Now: now.Now})
	ring := open(t, st, keyring.Config{KEK: kek, Maker: hsm, Now: now.Now})
	inToken := func() (list []string) {
		for _, row := range rowsOf(t, st) {
			if row.Sealed == "pkcs11:object="+row.KID {
				list = append(list, row.Sealed)
			}
		}
		slices.Sort(list)
		return list
	}
	rotate := func() {
		t.Helper()
		now.advance(time.Second) // so that it is known which standby is the oldest
		if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		if err := verify(ring.Public(), now.Now(), mint(t, signer(t, ring), now.Now(), time.Hour)); err != nil {
			t.Error(err)
		}
	}
	for range 4 {
		rotate()
	}
	if got := inToken(); len(got) != 4 || !slices.Equal(got, hsm.names()) {
		t.Errorf("rows name %v, the token has %v", got, hsm.names())
	}
	if _, err := ring.Kill(t.Context(), signs(t, ring), "test"); err != nil {
		t.Fatal(err)
	}
	now.advance(2 * time.Hour)
	if err := ring.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := inToken(); len(got) != 3 || !slices.Equal(got, hsm.names()) {
		t.Errorf("after a kill and a retirement rows name %v, the token has %v", got, hsm.names())
	}
	if _, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: kek, Now: now.Now}); err == nil {
		t.Error("an issuer without the token opens the ring")
	}
}

// A backup names a key that the token has destroyed since. The node starts, so that
// verifiers can tell it, and another key can follow.
func TestKeyOfABackupIsNotInTheToken(t *testing.T) {
	st, cfg := newStore(t), keyring.Config{KEK: newKEK(t), Maker: newToken()}
	gone := signs(t, open(t, st, cfg))
	if err := cfg.Maker.ForgetKey(t.Context(), "pkcs11:object="+gone); err != nil {
		t.Fatal(err)
	}
	ring := open(t, st, cfg)
	if _, err := ring.Signer(""); !errors.Is(err, keyring.ErrNoActive) {
		t.Error(err)
	}
	done, err := ring.Rotate(t.Context(), keyring.RotateOptions{From: gone, Force: true})
	if err != nil || signs(t, ring) != done.To || done.From != gone {
		t.Errorf("%+v (%v)", done, err)
	}
}

// Of nodes that start at once, one founds the ring, and the keys that the others made
// for it do not stay in the token.
func TestFoundingLeavesNothingInTheToken(t *testing.T) {
	st, kek, hsm := newStore(t), newKEK(t), newToken()
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() { open(t, st, keyring.Config{KEK: kek, Maker: hsm}) })
	}
	all.Wait()
	if n := len(hsm.names()); n != 3 {
		t.Errorf("%d keys in the token, want 3", n)
	}
}

// A stuckToken answers nobody until he gives up.
type stuckToken struct {
	*token
	stuck atomic.Bool
}

func (s *stuckToken) hang(ctx context.Context) error {
	if !s.stuck.Load() {
		return nil
	}
	<-ctx.Done()
	return fmt.Errorf("%w: %w", jwk.ErrUnavailable, ctx.Err())
}

func (s *stuckToken) MakeKey(ctx context.Context, p jwk.Params) (*jwk.Key, string, error) {
	if err := s.hang(ctx); err != nil {
		return nil, "", err
	}
	return s.token.MakeKey(ctx, p)
}

func (s *stuckToken) FindKey(ctx context.Context, name string, p jwk.Params) (*jwk.Key, error) {
	if err := s.hang(ctx); err != nil {
		return nil, err
	}
	return s.token.FindKey(ctx, name, p)
}

func (s *stuckToken) ForgetKey(ctx context.Context, name string) error {
	if err := s.hang(ctx); err != nil {
		return err
	}
	return s.token.ForgetKey(ctx, name)
}

// A stolen key dies although the token with its successors does not answer, and who
// kills it hears of that.
func TestKillWaitsForNoToken(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		hsm := &stuckToken{token: newToken()}
		st := newStore(t)
		ring := openQuiet(t, st, keyring.Config{KEK: newKEK(t), Maker: hsm})
		stolen := signs(t, ring)
		hsm.stuck.Store(true)
		killed := make(chan error, 1)
		go func() { _, err := ring.Kill(context.WithoutCancel(t.Context()), stolen, "test"); killed <- err }()
		time.Sleep(5 * time.Second)
		if !slices.ContainsFunc(rowsOf(t, st), func(row store.KeyRow) bool { return row.KID == stolen && row.State == keyring.Killed }) {
			t.Error("it lives on")
		}
		select {
		case err := <-killed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("nobody hears of it as long as the token hangs")
		}
	})
}

// A fullToken has no room for another key.
type fullToken struct {
	*token
	full atomic.Bool
}

func (f *fullToken) MakeKey(ctx context.Context, p jwk.Params) (*jwk.Key, string, error) {
	if f.full.Load() {
		return nil, "", errFull
	}
	return f.token.MakeKey(ctx, p)
}

var errFull = errors.New("the token is full")

// A key that is due is replaced although no standby can be made after the one that takes
// over, and that none can be made is said again and again.
func TestRotatedWhileNoStandbyCanBeMade(t *testing.T) {
	now, hsm := newClock(), &fullToken{token: newToken()}
	ring := openQuiet(t, newStore(t), keyring.Config{KEK: newKEK(t), Maker: hsm, Now: now.Now})
	hsm.full.Store(true)
	for month := range 2 { // there are two standbys
		before := signs(t, ring)
		now.advance(31 * day)
		err := ring.Scheduled(t.Context(), nil)
		if month > 0 && !errors.Is(err, errFull) {
			t.Errorf("month %d: %v", month, err)
		}
		if signs(t, ring) == before {
			t.Errorf("month %d: the key signs on that was to be replaced", month)
		}
	}
}

// A token that does not answer says nothing about its keys: the ring goes on with
// what it has, refuses what needs the token, and recovers by itself.
func TestTokenAway(t *testing.T) {
	st, kek, hsm := newStore(t), newKEK(t), newToken()
	ring := open(t, st, keyring.Config{KEK: kek, Maker: hsm})
	other := open(t, st, keyring.Config{KEK: kek, Maker: hsm})
	if _, err := other.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	hsm.set(true)
	if err := ring.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Signer(""); !errors.Is(err, keyring.ErrNoActive) || !errors.Is(err, jwk.ErrUnavailable) || errors.Is(err, keyring.ErrKEK) {
		t.Errorf("signer: %v", err)
	}
	if ring.Public().Len() != other.Public().Len() {
		t.Error("the key set is not followed")
	}
	first := signs(t, other)
	if _, err := other.Rotate(t.Context(), keyring.RotateOptions{Force: true}); !errors.Is(err, jwk.ErrUnavailable) || signs(t, other) != first {
		t.Errorf("rotated to a key that nobody can use: %v", err)
	}
	if _, err := other.Kill(t.Context(), first, "test"); err != nil {
		t.Errorf("a stolen key could not be killed: %v", err)
	}
	hsm.set(false)
	for _, n := range []*keyring.Keyring{other, ring} {
		if err := errors.Join(n.Reload(t.Context()), n.Scheduled(t.Context(), nil)); err != nil {
			t.Fatal(err)
		}
		if signs(t, n) == first {
			t.Error("the killed key signs")
		}
	}
}

// A kill that is part of somebody else's transaction ends the key in its token too, and
// not if the transaction fails.
func TestWithdrawnKeyLeavesItsToken(t *testing.T) {
	st, hsm := newStore(t), newToken()
	ring := open(t, st, keyring.Config{KEK: newKEK(t), Maker: hsm})
	kid := signs(t, ring)
	withdraw := func(outcome error) {
		t.Helper()
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			return errors.Join(ring.Withdraw(tx, kid, "test", 1), outcome)
		})
		if !errors.Is(err, outcome) {
			t.Fatal(err)
		}
		if err := ring.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	withdraw(errors.New("not now"))
	if !slices.Contains(hsm.names(), "pkcs11:object="+kid) {
		t.Fatal("the key is gone, and its row is not")
	}
	withdraw(nil)
	if slices.Contains(hsm.names(), "pkcs11:object="+kid) {
		t.Error("the key of a tombstone is in the token")
	}
}
