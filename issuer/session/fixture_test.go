package session_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/counterfoil/counterfoil/internal/testlog"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	issuerURL = "https://id.example"
	password  = "correct horse battery staple"
)

var cheap = account.Params{Memory: 64, Time: 1, Threads: 1}

// A clock stands still until it is moved.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// A fixture is an issuer's sessions on a real store in a file, with a real
// keyring and notary, and the user alice.
type fixture struct {
	t      testing.TB
	path   string
	dial   func() (*store.Store, error)
	clock  *clock
	store  *store.Store
	ring   *keyring.Keyring
	hasher *account.Hasher
	notary *notary.Local
	kek    *jwk.Key
	srv    *session.Server
	mux    *http.ServeMux
	log    *testlog.Buffer
	alice  store.User
	config func(*session.Config)
}

func newFixture(t testing.TB, config func(*session.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, path: t.TempDir() + "/issuer.db", clock: newClock(), config: config}
	f.dial = func() (*store.Store, error) {
		return sqlite.Open(f.context(), f.path, sqlite.Config{Issuer: issuerURL, Now: f.clock.now, UnsafeNoSync: true})
	}
	f.begin()
	return f
}

// begin opens a new store and puts alice into it.
func (f *fixture) begin() {
	f.t.Helper()
	f.log, f.notary = new(testlog.Buffer), notary.NewLocal(notary.Secret{1, 2, 3})
	var err error
	f.kek, err = jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	f.check(err)
	f.hasher, err = account.NewHasher(account.HasherConfig{Params: cheap, Waiting: 1000})
	f.check(err)
	f.open()
	f.t.Cleanup(func() { f.store.Close() })

	f.alice, err = f.hasher.NewUser(f.context(), account.Draft{Name: "alice", Password: password, Tenant: "acme"})
	f.check(err)
	f.update(func(tx *store.Tx) error { return tx.CreateUser(f.alice) })
}

func (f *fixture) context() context.Context { return context.Background() }

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// open opens the store and everything on it, again if need be.
func (f *fixture) open() {
	f.t.Helper()
	var err error
	f.store, err = f.dial()
	f.check(err)
	log := slog.New(slog.NewTextHandler(f.log, nil))
	f.ring, err = keyring.Open(f.context(), f.store, keyring.Config{Issuer: issuerURL, KEK: f.kek, Now: f.clock.now, Log: log})
	f.check(err)
	f.serve(f.ring, f.hasher)
}

// serve makes the server anew on the open store.
func (f *fixture) serve(keys session.Keys, passwords session.Passwords) {
	f.t.Helper()
	cfg := session.Config{
		Issuer: issuerURL, Store: f.store, Keys: keys, Tagger: f.notary, Auditor: f.notary, Passwords: passwords,
		Now: f.clock.now, Log: slog.New(slog.NewTextHandler(f.log, nil)),
		Throttle: account.ThrottleConfig{Address: account.Rate{Burst: 10_000, Interval: time.Millisecond}},
	}
	if f.config != nil {
		f.config(&cfg)
	}
	var err error
	f.srv, err = session.New(f.context(), cfg)
	f.check(err)
	f.mux = http.NewServeMux()
	f.check(f.srv.Register(f.mux))
}

func (f *fixture) update(fn func(tx *store.Tx) error) {
	f.t.Helper()
	f.check(f.store.Update(f.context(), fn))
}

// revoke takes something back, as an administrator does.
func (f *fixture) revoke(kind revocation.Kind, value string) (seq uint64) {
	f.t.Helper()
	e := revocation.Entry{Kind: kind, Handle: f.ring.HandleKey().Handle(kind, issuerURL, value)}
	f.update(func(tx *store.Tx) error {
		rec, err := tx.Revoke(store.Revocation{Entry: e, Value: value})
		seq = rec.Seq
		return err
	})
	return seq
}

// A device is where requests come from.
type device struct{ addr, agent string }

var (
	laptop = device{"192.0.2.1:4711", "Firefox"}
	thief  = device{"203.0.113.9:1234", "curl"}
)

func (d device) request(method, target, contentType, body string) *http.Request {
	r := httptest.NewRequest(method, issuerURL+target, strings.NewReader(body))
	r.RemoteAddr = d.addr
	r.Header.Set("User-Agent", d.agent)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

const formType = "application/x-www-form-urlencoded"

func (d device) form(target string, pairs ...string) *http.Request {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return d.request("POST", target, formType, v.Encode())
}

func (d device) json(target, body string) *http.Request {
	return d.request("POST", target, "application/json", body)
}

func (f *fixture) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w.Result()
}

// An answer is the body of any of the endpoints.
type answer struct {
	Status           int    `json:"-"`
	AccessToken      string `json:"access_token"`
	RefreshToken     string `json:"refresh_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int64  `json:"expires_in"`
	Scope            string `json:"scope"`
	SessionID        string `json:"session_id"`
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description"`
}

func (f *fixture) ask(r *http.Request) answer {
	f.t.Helper()
	res := f.do(r)
	a := answer{Status: res.StatusCode}
	body, err := io.ReadAll(res.Body)
	f.check(err)
	if len(body) > 0 {
		f.check(json.Unmarshal(body, &a))
	}
	if cc := res.Header.Get("Cache-Control"); cc != "no-store" {
		f.t.Errorf("%s: Cache-Control %q", r.URL.Path, cc)
	}
	return a
}

// signIn signs alice in.
func (f *fixture) signIn(d device) answer {
	f.t.Helper()
	a := f.ask(d.json("/sign-in", `{"username":"alice","password":"`+password+`"}`))
	if a.Status != http.StatusOK || a.AccessToken == "" || a.RefreshToken == "" {
		f.t.Fatalf("sign-in: %d %s", a.Status, a.Error)
	}
	return a
}

func (f *fixture) refresh(d device, token string) answer {
	f.t.Helper()
	return f.ask(d.form("/token", "grant_type", "refresh_token", "refresh_token", token))
}

// refreshed is refresh when nothing else will do.
func (f *fixture) refreshed(d device, token string) answer {
	f.t.Helper()
	a := f.refresh(d, token)
	if a.Status != http.StatusOK {
		f.t.Fatalf("refresh: %d %s", a.Status, a.Error)
	}
	return a
}

func (f *fixture) session(sid string) store.Session {
	f.t.Helper()
	var s store.Session
	f.check(f.store.View(f.context(), func(tx *store.Tx) (err error) {
		s, err = tx.Session(sid)
		return err
	}))
	return s
}

// entries returns the revocation log.
func (f *fixture) entries() []store.LogRecord {
	f.t.Helper()
	var log []store.LogRecord
	f.check(f.store.View(f.context(), func(tx *store.Tx) (err error) {
		log, err = tx.Log(0, 10_000)
		return err
	}))
	return log
}

// audit returns the actions in the audit trail.
func (f *fixture) audit() []string {
	f.t.Helper()
	var actions []string
	f.check(f.store.View(f.context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(0, 0)
		for _, row := range rows {
			if row.Action != string(audit.KeyState) { // the first keys, in every trail
				actions = append(actions, row.Action)
			}
		}
		return err
	}))
	return actions
}

// lastAudit returns the newest row of the audit trail.
func (f *fixture) lastAudit() store.AuditRow {
	f.t.Helper()
	var last store.AuditRow
	f.check(f.store.View(f.context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(0, 0)
		if len(rows) > 0 {
			last = rows[len(rows)-1]
		}
		return err
	}))
	return last
}

func count(list []string, want string) (n int) {
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

// dead fails the test unless the session gets nothing any more, its access token
// included, and the log says so to the verifiers.
func (f *fixture) dead(a answer) {
	f.t.Helper()
	if got := f.refresh(laptop, a.RefreshToken); got.Status != http.StatusBadRequest || got.Error != "invalid_grant" {
		f.t.Errorf("refresh of a dead session: %d %s", got.Status, got.Error)
	}
	if _, err := f.srv.VerifyAccess(f.context(), a.AccessToken); err == nil {
		f.t.Error("access token of a dead session is accepted")
	}
	want := f.ring.HandleKey().Handle(revocation.Session, issuerURL, a.SessionID)
	for _, rec := range f.entries() {
		if rec.Entry.Kind == revocation.Session && rec.Entry.Handle == want {
			return
		}
	}
	f.t.Error("no entry for the session in the revocation log")
}
