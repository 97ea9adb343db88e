package forgery_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testlog"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	issuerURL = "https://id.example"
	tokenLife = 15 * time.Minute
)

var right, wrong = notary.Secret{1, 2, 3}, notary.Secret{4, 5, 6}

// A clock stands still until it is moved.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// A fixture is a store in a file with a keyring, and the node of one desk on it.
type fixture struct {
	testing.TB
	clock  *clock
	store  *store.Store
	path   string // of its file
	ring   *keyring.Keyring
	kek    *jwk.Key
	notary *notary.Local
	desk   *forgery.Desk
	log    *testlog.Buffer
	dial   func() *store.Store // connects another node; nil: nodes share a store
	db     *sql.DB             // beside the stores, where the database is a server
	tick   func(time.Duration) // lets time pass for a database with a clock of its own
}

func newFixture(t testing.TB, cfg forgery.Config) *fixture {
	t.Helper()
	f := &fixture{TB: t, clock: newClock(), notary: notary.NewLocal(right), log: new(testlog.Buffer)}
	var err error
	f.path = filepath.Join(t.TempDir(), "db")
	f.store, err = sqlite.Open(t.Context(), f.path, sqlite.Config{Issuer: issuerURL, Now: f.clock.Now, UnsafeNoSync: true})
	f.check(err)
	t.Cleanup(func() { f.store.Close() })
	return f.begin(cfg)
}

// begin makes keys in the fixture's store, and a desk.
func (f *fixture) begin(cfg forgery.Config) *fixture {
	f.Helper()
	var err error
	f.kek, err = jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	f.check(err)
	f.ring = f.openRing()
	f.desk = f.open(cfg)
	return f
}

func (f *fixture) openRing() *keyring.Keyring { f.Helper(); return f.openRingOn(f.store) }

func (f *fixture) openRingOn(st *store.Store) *keyring.Keyring {
	f.Helper()
	ring, err := keyring.Open(f.Context(), st, keyring.Config{
		Issuer: issuerURL, KEK: f.kek, Log: slog.New(slog.DiscardHandler),
	})
	f.check(err)
	return ring
}

// open opens one more desk, as another node or a restarted one does.
func (f *fixture) open(cfg forgery.Config) *forgery.Desk {
	f.Helper()
	cfg.Issuer, cfg.Store, cfg.TokenLife = issuerURL, f.store, cmp.Or(cfg.TokenLife, tokenLife)
	if f.dial != nil {
		cfg.Store = f.dial()
	}
	if cfg.Keyring == nil {
		cfg.Keyring = f.openRingOn(cfg.Store)
	}
	if cfg.Notary == nil {
		cfg.Notary = f.notary
	}
	if cfg.Log = slog.New(slog.NewTextHandler(f.log, nil)); cfg.Now == nil {
		cfg.Now = f.clock.Now
	}
	desk, err := forgery.Open(f.Context(), cfg)
	f.check(err)
	return desk
}

func (f *fixture) check(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// signer is what the thief has: the key that signs now.
func (f *fixture) signer() *jws.Signer {
	f.Helper()
	f.check(f.ring.Reload(f.Context()))
	s, err := f.ring.Signer("")
	f.check(err)
	return s
}

func (f *fixture) active() string { f.Helper(); return f.signer().Key().KeyID() }

// claims are the payload of a good token behind its jti.
func (f *fixture) claims(change map[string]any) []byte {
	f.Helper()
	now := f.clock.Now().Unix()
	c := map[string]any{
		"iss": issuerURL, "sub": "alice", "aud": "api", "client_id": "first-party", "sid": "s1",
		"iat": now, "exp": now + int64(tokenLife/time.Second), "rsq": 1,
	}
	for name, value := range change {
		c[name] = value
	}
	object, err := wire.Marshal(c)
	f.check(err)
	object[0] = ','
	return object
}

// mint makes a good token as the issuer does.
func (f *fixture) mint() string {
	f.Helper()
	return f.mintBy(f.notary, nil)
}

func (f *fixture) mintBy(tagger notary.Tagger, change map[string]any) string {
	f.Helper()
	s, rest := f.signer(), f.claims(change)
	jti, err := tagger.Tag(f.Context(), s.Key().KeyID(), notary.Sum(s.Header(), rest))
	f.check(err)
	token, err := s.Sign(notary.Join(jti, rest))
	f.check(err)
	return token
}

// forge makes a token with the stolen key, under a jti that nobody tagged. n tells one
// from another.
func (f *fixture) forge(n int) string {
	f.Helper()
	token, err := f.signer().Sign(notary.Join(jtiOf(n), f.claims(nil)))
	f.check(err)
	return token
}

// standby is the kid of a key that waits, with a private half that a thief can open.
func (f *fixture) standby() (kid string) {
	f.Helper()
	for _, info := range f.ring.Keys() {
		if info.State == keyring.Standby {
			kid = info.KeyID
		}
	}
	return kid
}

// forgeUnder is forge by whoever opened the sealed private half of a key.
func (f *fixture) forgeUnder(kid string, n int) string {
	f.Helper()
	var row store.KeyRow
	f.check(f.store.View(f.Context(), func(tx *store.Tx) (err error) {
		row, err = tx.Key(kid)
		return err
	}))
	plain, err := jwe.Decrypt(f.kek, jwe.Policy{Algorithm: jwk.A256GCMKW, Encryption: jwe.A256GCM}, row.Sealed)
	f.check(err)
	key, err := jwk.Parse(plain)
	f.check(err)
	token, err := jws.Sign(key, jws.Header{Type: "at+jwt"}, notary.Join(jtiOf(n), f.claims(nil)))
	f.check(err)
	return token
}

// jtiOf is the n-th jti that the thief makes up.
func jtiOf(n int) string {
	return wire.Encode(fmt.Appendf(nil, "%020d", n))
}

// under signs a payload as the thief would, under any header.
func (f *fixture) under(typ string, payload []byte) string {
	f.Helper()
	token, err := jws.Sign(f.signer().Key(), jws.Header{Type: typ}, payload)
	f.check(err)
	return token
}

func (f *fixture) evidence(want forgery.Verdict, token string) {
	f.Helper()
	f.evidenceTo(f.desk, "guard", want, token)
}

func (f *fixture) evidenceTo(desk *forgery.Desk, reporter string, want forgery.Verdict, token string) {
	f.Helper()
	got, err := desk.Evidence(f.Context(), reporter, netip.Addr{}, token)
	if err != nil || got != want {
		f.Fatalf("evidence is %q (%v), want %q", got, err, want)
	}
}

// entries lists the revocation log as "kind flags", and what it is about where that is
// one of values.
func (f *fixture) entries(values ...string) []string {
	f.Helper()
	var list []string
	f.check(f.store.View(f.Context(), func(tx *store.Tx) error {
		log, err := tx.Log(0, 100_000)
		for _, r := range log {
			text := fmt.Sprint(r.Entry.Kind, " ", flagNames[r.Entry.Flags])
			for _, v := range values {
				if r.Entry.Handle == f.ring.HandleKey().Handle(r.Entry.Kind, issuerURL, v) {
					text += " " + v
				}
			}
			list = append(list, strings.TrimSpace(text))
		}
		return err
	}))
	return list
}

var flagNames = map[revocation.Flags]string{0: "", revocation.Absolute: "absolute", revocation.Quarantine: "quarantine"}

// trail lists the actions about forged tokens in the audit trail.
func (f *fixture) trail() []string {
	f.Helper()
	var list []string
	f.check(f.store.View(f.Context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(0, 0)
		for _, row := range rows {
			if what, ok := strings.CutPrefix(row.Action, "forgery."); ok {
				list = append(list, what)
			}
		}
		return err
	}))
	return list
}

func (f *fixture) incident(kid string) forgery.Incident {
	f.Helper()
	in, err := f.desk.Incident(f.Context(), kid)
	f.check(err)
	return in
}

// signIn puts a session into the store whose newest token was made now.
func (f *fixture) signIn(sid string) {
	f.Helper()
	f.check(f.store.Update(f.Context(), func(tx *store.Tx) error {
		now, err := tx.Now()
		if err != nil {
			return err
		}
		return tx.CreateSession(store.Session{ID: sid, UserID: "alice", Created: now, RotatedAt: now, Expires: now.Add(24 * time.Hour)})
	}))
}

// refresh gives a session a new token.
func (f *fixture) refresh(sid string) {
	f.Helper()
	f.check(f.store.Update(f.Context(), func(tx *store.Tx) error {
		now, err := tx.Now()
		if err != nil {
			return err
		}
		s, err := tx.Session(sid)
		if err != nil {
			return err
		}
		return tx.RotateSession(store.Rotation{ID: sid, From: s.Counter, To: s.Counter + 1, FromEpoch: s.Epoch, Epoch: s.Epoch, At: now})
	}))
}

// answer takes the steps that are due.
func (f *fixture) answer() {
	f.Helper()
	f.check(f.desk.AnswerRound(f.Context()))
}

// moveOn lets time pass: on the database's clock, where that is not the fixture's.
func (f *fixture) moveOn(d time.Duration) {
	f.Helper()
	f.clock.advance(d)
	if f.tick != nil {
		f.tick(d)
	}
}

// trailOf lists the subjects of an action in the audit trail.
func (f *fixture) trailOf(action string) []string {
	f.Helper()
	var list []string
	f.check(f.store.View(f.Context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(0, 0)
		for _, row := range rows {
			if row.Action == action {
				list = append(list, row.Subject)
			}
		}
		return err
	}))
	return list
}

func (f *fixture) sessionEntry(sid string) store.Revocation {
	return store.Revocation{Value: sid, Entry: revocation.Entry{
		Kind: revocation.Session, Handle: f.ring.HandleKey().Handle(revocation.Session, issuerURL, sid),
	}}
}
