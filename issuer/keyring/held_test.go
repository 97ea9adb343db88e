package keyring_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

// An escrow is a notary that can be away, and that notes what it released.
type escrow struct {
	*notary.Escrow

	mu       sync.Mutex
	away     bool
	released []string
}

func newEscrow(t testing.TB) *escrow {
	t.Helper()
	key, err := jwk.Generate(jwk.Params{Algorithm: notary.ReleaseAlgorithm})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwk.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	e, err := notary.NewEscrow(keys)
	if err != nil {
		t.Fatal(err)
	}
	return &escrow{Escrow: e}
}

func (e *escrow) set(away bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away = away
}

func (e *escrow) ReleaseKey(ctx context.Context) (*jwk.Key, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return nil, notary.ErrUnavailable
	}
	return e.Escrow.ReleaseKey(ctx)
}

func (e *escrow) Release(ctx context.Context, kid, sealed string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return "", notary.ErrUnavailable
	}
	e.released = append(e.released, kid)
	return e.Escrow.Release(ctx, kid, sealed)
}

func rowsOf(t testing.TB, st *store.Store) (rows []store.KeyRow) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) (err error) {
		rows, err = tx.Keys()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// opensWith reports whether a thief who holds a key can read the private part of a
// row with it.
func opensWith(kek *jwk.Key, row store.KeyRow) bool {
	sealed := row.Sealed
	if i := strings.LastIndexByte(sealed, ':'); i >= 0 {
		sealed = sealed[i+1:]
	}
	_, err := jwe.Decrypt(kek, jwe.Policy{Algorithm: kek.Algorithm(), Encryption: jwe.A256GCM}, sealed)
	return err == nil
}

// A standby is with the notary until it signs, in each way in which that comes about.
func TestStandbysAreWithTheNotary(t *testing.T) {
	now, st, kek, e := newClock(), newStore(t), newKEK(t), newEscrow(t)
	ring := open(t, st, keyring.Config{KEK: kek, Notary: e, Now: now.Now})
	check := func(when string) {
		t.Helper()
		for _, row := range rowsOf(t, st) {
			if row.State == keyring.Standby && (opensWith(kek, row) || !strings.HasPrefix(row.Sealed, "notary:")) {
				t.Errorf("%s: the key-encryption key opens standby %s", when, row.KID)
			}
			if row.State == keyring.Active && !opensWith(kek, row) {
				t.Errorf("%s: the key that signs is not sealed like others", when)
			}
		}
		if err := verify(ring.Public(), now.Now(), mint(t, signer(t, ring), now.Now(), day/48)); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("first start")
	if len(e.released) != 0 {
		t.Errorf("released %v for a first start", e.released)
	}
	next := ring.Plans()[0].To
	tick(t, now, 30*day, nil, ring)
	check("rotated by the clock")
	if signs(t, ring) != next || !slices.Equal(e.released, []string{next}) {
		t.Errorf("%s signs, released %v", signs(t, ring), e.released)
	}
	waits := func(context.Context, string) ([]string, error) { return []string{"orders/a"}, nil }
	tick(t, now, 30*day, waits, ring)
	if len(e.released) != 1 {
		t.Error("the notary is asked before the gate opens")
	}
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	check("rotated by force")
	if _, err := ring.Kill(t.Context(), signs(t, ring), "test"); err != nil {
		t.Fatal(err)
	}
	check("killed")
	ring = open(t, st, keyring.Config{KEK: kek, Notary: e, Now: now.Now})
	check("started again")
}

// A store that was used without a notary of its own hands its standbys over.
func TestStandbysAreHandedOver(t *testing.T) {
	st, kek, e := newStore(t), newKEK(t), newEscrow(t)
	open(t, st, keyring.Config{KEK: kek})
	e.set(true)
	ring := open(t, st, keyring.Config{KEK: kek, Notary: e}) // starts without the notary
	e.set(false)
	if err := ring.Scheduled(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, row := range rowsOf(t, st) {
		if row.State == keyring.Standby && opensWith(kek, row) {
			t.Errorf("standby %s is not with the notary", row.KID)
		}
	}
	audited(t, st, audit.KeyHold, 2)
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

// A node that kills a key which signs since a moment ago, as it has not read yet, puts
// another one in its place all the same.
func TestKilledBeforeItWasSeenToSign(t *testing.T) {
	st, cfg := newStore(t), keyring.Config{KEK: newKEK(t), Notary: newEscrow(t)}
	late, quick := open(t, st, cfg), open(t, st, cfg)
	done, err := quick.Rotate(t.Context(), keyring.RotateOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Kill(t.Context(), done.To, "test"); err != nil {
		t.Fatal(err)
	}
	if got := counts(late, jwk.ES256); got != "standby=2 active=1 retiring=1 retired=0 killed=1" {
		t.Error(got)
	}
}

// While the notary is away nothing waits that must not: a stolen key dies and a new
// one signs. What can wait does.
func TestNotaryAway(t *testing.T) {
	now, st, e := newClock(), newStore(t), newEscrow(t)
	ring := open(t, st, keyring.Config{KEK: newKEK(t), Notary: e, Now: now.Now})
	first := signs(t, ring)
	e.set(true)
	now.advance(31 * day)
	if err := ring.Scheduled(t.Context(), nil); !errors.Is(err, notary.ErrUnavailable) || signs(t, ring) != first {
		t.Errorf("a rotation by the clock: %v", err)
	}
	if _, err := ring.Kill(t.Context(), first, "test"); err != nil {
		t.Fatal(err)
	}
	if got := counts(ring, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=1" {
		t.Error(got)
	}
	for _, kid := range kids(ring, jwk.ES256, keyring.Standby) {
		if _, err := ring.Kill(t.Context(), kid, "test"); err != nil {
			t.Fatal(err)
		}
	}
	e.set(false)
	if err := ring.Scheduled(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := counts(ring, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=3" {
		t.Error(got)
	}
}

// A notary that lost its key, or an issuer that was started without it, leaves the
// key that signs alone and says so; killing the standbys makes new ones.
func TestStandbysOfAnotherNotary(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	open(t, st, keyring.Config{KEK: kek, Notary: newEscrow(t)})
	now := newClock()
	now.now = now.now.AddDate(1, 0, 0)
	for name, other := range map[string]notary.Releaser{"another": newEscrow(t), "none": nil} {
		ring := open(t, st, keyring.Config{KEK: kek, Notary: other, Now: now.Now})
		first := signs(t, ring)
		if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{}); !errors.Is(err, keyring.ErrHeld) && !errors.Is(err, notary.ErrEscrow) {
			t.Errorf("%s: %v", name, err)
		}
		if signs(t, ring) != first {
			t.Errorf("%s: another key signs", name)
		}
	}
	ring := open(t, st, keyring.Config{KEK: kek, Now: now.Now})
	for _, kid := range kids(ring, jwk.ES256, keyring.Standby) {
		if _, err := ring.Kill(t.Context(), kid, "test"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

// Resealing needs no notary and leaves its layer alone.
func TestResealLeavesTheNotaryAlone(t *testing.T) {
	st, kek, next, e := newStore(t), newKEK(t), newKEK(t), newEscrow(t)
	open(t, st, keyring.Config{KEK: kek, Notary: e})
	e.set(true)
	if _, err := keyring.Reseal(t.Context(), st, kek, next, "test"); err != nil {
		t.Fatal(err)
	}
	if len(e.released) != 0 {
		t.Errorf("released %v", e.released)
	}
	e.set(false)
	ring := open(t, st, keyring.Config{KEK: next, Notary: e})
	for range 3 {
		if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
	if len(e.released) != 3 {
		t.Errorf("released %v", e.released)
	}
}

// plunder opens all secrets of a store with its key-encryption key.
func plunder(t testing.TB, st *store.Store, kek *jwk.Key) (secrets [][]byte, keys []*jwk.Key) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.AllSecrets()
		for _, row := range rows {
			plain, err := jwe.Decrypt(kek, jwe.Policy{Algorithm: kek.Algorithm(), Encryption: jwe.A256GCM}, row.Sealed)
			if err != nil {
				return err
			}
			if key, err := jwk.Parse(plain); err == nil {
				keys = append(keys, key)
			} else {
				secrets = append(secrets, secretIn(t, plain))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		key, err := jwk.New(secret, jwk.Params{Algorithm: jwk.A256GCMKW})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if len(secrets) != 3 || len(keys) != 5 {
		t.Fatalf("the thief found %d secrets and %d keys: the test does not try", len(secrets), len(keys))
	}
	return secrets, keys
}

// The thief has everything that a backup of the issuer holds: the database and the
// key-encryption key, with all that they open, the key that signs among it. He has
// not been to the notary. He gets no key that will sign, and makes no tag.
func TestThreat137NoStandbyFromBackupAndKEK(t *testing.T) {
	st, kek, e := newStore(t), newKEK(t), newEscrow(t)
	ring := open(t, st, keyring.Config{KEK: kek, Notary: e})
	secrets, loot := plunder(t, st, kek)
	loot = append(loot, kek)
	makesNoTag(t, signs(t, ring), secrets)
	standbys := 0
	for _, row := range rowsOf(t, st) {
		if row.State != keyring.Standby {
			continue
		}
		standbys++
		for _, key := range loot {
			if key.CanEncrypt() == nil && opensWith(key, row) {
				t.Errorf("standby %s opens", row.KID)
			}
		}
		// An issuer of his own, on the whole backup, with a notary of his own.
		for _, other := range []notary.Releaser{nil, newEscrow(t)} {
			thief, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: kek, Notary: other})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := thief.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err == nil && signs(t, thief) == row.KID {
				t.Errorf("standby %s signs for the thief", row.KID)
			}
		}
	}
	if standbys != 2 {
		t.Fatalf("%d standbys", standbys)
	}
}

// makesNoTag tries each secret as the notary's.
func makesNoTag(t testing.TB, kid string, secrets [][]byte) {
	t.Helper()
	var own notary.Secret
	rand.Read(own[:])
	rest := []byte(`,"sub":"ada"}`)
	for _, secret := range secrets {
		jti, err := notary.NewLocal(notary.Secret(secret)).Tag(t.Context(), kid, notary.Sum("e30", rest))
		if err != nil {
			t.Fatal(err)
		}
		record, err := notary.NewRecord(kid, jti, notary.Sum("e30", rest))
		if err != nil {
			t.Fatal(err)
		}
		right, err := notary.NewLocal(own).Check(t.Context(), []notary.Record{record})
		if err != nil || right[0] {
			t.Errorf("a secret of the keyring makes tags: %v", err)
		}
	}
}
