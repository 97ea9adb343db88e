// Package issuertest gives a test a real issuer in one line: on loopback, with a
// SQLite file of its own, and with everything that a production issuer has but
// the cost of its password hash.
//
//	iss := issuertest.New(t)
//	tok, v := iss.Mint(t, nil), iss.Verifier(t)
//	_, err := v.Verify(t.Context(), tok)
//
// It is the one place where issuer and verifier meet.
package issuertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testport"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/verifier"
)

// patience is how long anything here may take before a test fails.
const patience = 20 * time.Second

// cheapHash is the least that Argon2id takes: tests sign in often, and have
// nothing to hide.
var cheapHash = account.Params{Memory: 64, Time: 1, Threads: 1}

// An Issuer is a running issuer. Its methods fail the test when something goes
// wrong that the test is not about.
type Issuer struct {
	URL string // the issuer: "iss" of every token

	dir    string
	cfg    issuer.Config
	kek    *jwk.Key
	secret notary.Secret

	mu        sync.Mutex
	running   *running // nil while stopped
	verifiers []*verifier.Verifier
}

// running is what Stop ends.
type running struct {
	store  *store.Store
	ring   *keyring.Keyring
	tagger issuer.Notary
	issuer *issuer.Issuer
	server *http.Server
	served chan struct{} // closed when server has ended
}

// New starts an issuer that ends with the test.
func New(t testing.TB) *Issuer { return Start(t, issuer.Config{}) }

// Start is New with a configuration. URL, Store and Keyring are filled in, and so
// are Tagger, Argon2 and Log unless they are set.
func Start(t testing.TB, cfg issuer.Config) *Issuer {
	t.Helper()
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Argon2 == (account.Params{}) {
		cfg.Argon2 = cheapHash
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	address := fmt.Sprintf("127.0.0.1:%d", testport.Free(t)) // for a restart, too
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{URL: "http://" + address, dir: t.TempDir(), cfg: cfg, kek: kek}
	rand.Read(i.secret[:])
	i.start(t, ln)
	t.Cleanup(func() { i.stop(t) })
	return i
}

// Stop ends the issuer as its process would end: connections break, and what was
// acknowledged is in the file.
func (i *Issuer) Stop(t testing.TB) {
	t.Helper()
	i.stop(t)
}

// Restart starts a stopped issuer again, on the same address and file.
func (i *Issuer) Restart(t testing.TB) {
	t.Helper()
	i.stop(t)
	ln, err := net.Listen("tcp", i.URL[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	i.start(t, ln)
}

// Backup returns a copy of the issuer's file, for Restore. The issuer is
// restarted for it.
func (i *Issuer) Backup(t testing.TB) []byte {
	t.Helper()
	i.stop(t) // which leaves everything in the one file
	data, err := os.ReadFile(i.file())
	if err != nil {
		t.Fatal(err)
	}
	i.Restart(t)
	return data
}

// Restore restarts the issuer on an earlier Backup. What was written since is
// lost to it.
func (i *Issuer) Restore(t testing.TB, backup []byte) {
	t.Helper()
	i.stop(t)
	if err := os.WriteFile(i.file(), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	i.Restart(t)
}

func (i *Issuer) file() string { return filepath.Join(i.dir, "issuer.db") }

func (i *Issuer) start(t testing.TB, ln net.Listener) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	r, err := i.open()
	if err != nil {
		ln.Close()
		t.Fatal(err)
	}
	r.server = &http.Server{Handler: r.issuer, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	r.served = make(chan struct{})
	go func() {
		defer close(r.served)
		r.server.Serve(ln)
	}()
	i.running = r
}

func (i *Issuer) open() (*running, error) {
	ctx := context.Background()
	// The file outlives every process of the test; only the machine could lose it.
	st, err := sqlite.Open(ctx, i.file(), sqlite.Config{Issuer: i.URL, Now: i.cfg.Now, UnsafeNoSync: true})
	if err != nil {
		return nil, err
	}
	r := &running{store: st, tagger: i.cfg.Tagger}
	if r.tagger == nil {
		r.tagger = notary.NewLocal(i.secret)
	}
	ring := keyring.Config{Issuer: i.URL, KEK: i.kek, Now: i.cfg.Now, Log: i.cfg.Log}
	if w, ok := r.tagger.(notary.Witnesser); ok && i.cfg.Witness {
		ring.WitnessKeys, err = w.WitnessKeys(ctx)
	}
	if err == nil {
		r.ring, err = keyring.Open(ctx, st, ring)
	}
	if err != nil {
		st.Close()
		return nil, err
	}
	cfg := i.cfg
	cfg.URL, cfg.Store, cfg.Keyring, cfg.Tagger = i.URL, st, r.ring, r.tagger
	if r.issuer, err = issuer.New(ctx, cfg); err != nil {
		st.Close()
		return nil, err
	}
	return r, nil
}

func (i *Issuer) stop(t testing.TB) {
	t.Helper()
	i.mu.Lock()
	r := i.running
	i.running = nil
	i.mu.Unlock()
	if r == nil {
		return
	}
	r.server.Close()
	<-r.served
	if err := r.issuer.Close(); err != nil {
		t.Error(err)
	}
	if err := r.store.Close(); err != nil {
		t.Error(err)
	}
}

// live returns what runs, and fails the test while the issuer is stopped.
func (i *Issuer) live(t testing.TB) *running {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running == nil {
		t.Fatal("the issuer is stopped")
	}
	return i.running
}

// Keyring returns the running issuer's keys, for tests about keys.
func (i *Issuer) Keyring(t testing.TB) *keyring.Keyring { t.Helper(); return i.live(t).ring }

// Store returns the running issuer's store, for tests about storage.
func (i *Issuer) Store(t testing.TB) *store.Store { t.Helper(); return i.live(t).store }
