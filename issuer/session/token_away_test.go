package session_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A keyToken is a token that signing keys do not leave, and that may be out of order.
// The real ones are in package pkcs11.
type keyToken struct {
	mu    sync.Mutex
	keys  map[string]*jwk.Key
	fault func(context.Context) error // of a signature; nil: none
}

func (m *keyToken) fail(fault func(context.Context) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

func (m *keyToken) sign(ctx context.Context) error {
	m.mu.Lock()
	fault := m.fault
	m.mu.Unlock()
	if fault == nil {
		return ctx.Err()
	}
	return fault(ctx)
}

func (m *keyToken) MakeKey(_ context.Context, p jwk.Params) (*jwk.Key, string, error) {
	local, err := jwk.Generate(p)
	if err != nil {
		return nil, "", err
	}
	private, err := local.CryptoPrivate()
	if err != nil {
		return nil, "", err
	}
	key, err := jwk.New(&keptKey{private.(*ecdsa.PrivateKey), m}, p)
	name := "pkcs11:object=" + p.KeyID
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[name] = key
	return key, name, err
}

func (m *keyToken) FindKey(_ context.Context, name string, _ jwk.Params) (*jwk.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys[name], nil
}

func (m *keyToken) ForgetKey(context.Context, string) error { return nil }

// A keptKey is a key in a keyToken.
type keptKey struct {
	own   *ecdsa.PrivateKey
	token *keyToken
}

func (k *keptKey) Public() crypto.PublicKey { return k.own.Public() }

func (k *keptKey) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := k.token.sign(ctx); err != nil {
		return nil, err
	}
	return k.own.Sign(rand.Reader, digest, opts)
}

// signInToken moves the signing keys into a token.
func (f *fixture) signInToken() *keyToken {
	f.t.Helper()
	m := &keyToken{keys: map[string]*jwk.Key{}}
	var err error
	f.ring, err = keyring.Open(f.context(), f.store, keyring.Config{Issuer: issuerURL, KEK: f.kek, Now: f.clock.now, Maker: m})
	f.check(err)
	for range 8 { // standbys of before come first
		f.clock.advance(time.Second)
		_, err = f.ring.Rotate(f.context(), keyring.RotateOptions{Force: true})
		f.check(err)
	}
	signer, err := f.ring.Signer("")
	f.check(err)
	if m.keys["pkcs11:object="+signer.Key().KeyID()] == nil {
		f.t.Fatal("the key that signs is not in the token")
	}
	f.serve(f.ring, f.hasher)
	return m
}

// age makes the last renewal of a session d older.
func (f *fixture) age(sid string, d time.Duration) {
	f.t.Helper()
	row := f.session(sid)
	f.update(func(tx *store.Tx) error {
		return tx.RotateSession(store.Rotation{
			ID: sid, From: row.Counter, FromEpoch: row.Epoch, To: row.Counter, Epoch: row.Epoch,
			SecretHash: row.SecretHash, Holder: row.Holder, At: row.RotatedAt.Add(-d),
		})
	})
}

// outlived fails the test unless every session gets over the token's being out of
// order for days, and whom it caught is looked after as any other when that is over.
func (f *fixture) outlived(m *keyToken, fault error, want int) {
	f.t.Helper()
	caught, later := f.signIn(laptop), f.signIn(laptop)
	before := f.session(later.SessionID)
	m.fail(func(context.Context) error { return fault })
	for _, wait := range []time.Duration{0, session.RefreshGrace + time.Second, 72 * time.Hour} {
		f.age(caught.SessionID, wait)
		if got := f.refresh(laptop, caught.RefreshToken); got.Status != want || got.AccessToken != "" || got.RefreshToken != "" {
			f.t.Errorf("the one that it caught, %v later: %d %s", wait, got.Status, got.Error)
		}
		if got := f.refresh(laptop, later.RefreshToken); got.Status != want {
			f.t.Errorf("one after it: %d %s", got.Status, got.Error)
		}
		if got := f.ask(laptop.json("/sign-in", `{"username":"alice","password":"no"}`)); got.Status != want {
			f.t.Errorf("sign-in: %d %s", got.Status, got.Error)
		}
	}
	if f.session(later.SessionID) != before {
		f.t.Error("a session changed for a token that could not be made")
	}
	m.fail(nil)
	for name, a := range map[string]*answer{"caught": &caught, "later": &later} {
		b := f.refresh(laptop, a.RefreshToken)
		if _, err := f.srv.VerifyAccess(f.context(), b.AccessToken); err != nil {
			f.t.Errorf("%s: %d %s, %v", name, b.Status, b.Error, err)
		}
		a.AccessToken = b.AccessToken
	}
	if slices.Contains(f.audit(), "refresh.reuse") {
		f.t.Error("an honest session ended as theft")
	}
	f.age(caught.SessionID, session.RefreshGrace+time.Second)
	f.dead(caught)
}

// faults are what a token says that does not sign, and the answer to that.
var faults = map[string]struct {
	err    error
	status int
}{
	"away":   {jwk.ErrUnavailable, http.StatusServiceUnavailable},
	"broken": {errors.New("the token: general error"), http.StatusInternalServerError},
}

func TestSigningTokenAway(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.outlived(f.signInToken(), fault.err, fault.status)
		})
	}
}

// A token that cannot be reached may say nothing at all.
func TestSigningTokenHangs(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		m, a := f.signInToken(), f.signIn(laptop)
		m.fail(func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		for range 3 {
			began := time.Now()
			f.nothing("refresh", laptop.form("/token", "grant_type", "refresh_token", "refresh_token", a.RefreshToken))
			f.nothing("sign-in", laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`))
			if took := time.Since(began); took > 2*session.SignLimit {
				t.Errorf("two answers after %v", took)
			}
			f.clock.advance(session.RefreshGrace + time.Second)
		}
		m.fail(nil)
		f.refreshed(laptop, a.RefreshToken)
	})
}

// Hanging up while the token is made does not keep the one before good for longer:
// a thief would do it to go unnoticed.
func TestHangingUpKeepsNothingOpen(t *testing.T) {
	f := newFixture(t, nil)
	m, stolen := f.signInToken(), f.signIn(laptop)
	ctx, hangUp := context.WithCancel(t.Context())
	m.fail(func(ctx context.Context) error {
		hangUp()
		return ctx.Err()
	})
	f.do(thief.form("/token", "grant_type", "refresh_token", "refresh_token", stolen.RefreshToken).WithContext(ctx))
	if ctx.Err() == nil {
		t.Fatal("nothing was signed")
	}
	m.fail(nil)
	f.clock.advance(session.RefreshGrace + time.Second)
	f.dead(stolen)
}
