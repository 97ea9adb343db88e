package issuertest_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/memnet"
	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/verifier"
)

const rotatingURL = "https://id.example"

// A rotating issuer lives on a network in memory, in a bubble whose clock is true,
// while its own runs ahead as a test lets it: between two rotations a day passes, of
// which nobody has to wait for more than some seconds.
type rotating struct {
	t      *testing.T
	ln     *memnet.Listener
	ahead  atomic.Int64
	ring   *keyring.Keyring
	issuer *issuer.Issuer
	tagger *notary.Local
	block  atomic.Pointer[string] // a path that is not answered to one verifier

	kids map[string]bool // that have signed
}

func (r *rotating) now() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }

func (r *rotating) advance(d time.Duration) { r.ahead.Add(int64(d)) }

func newRotating(t *testing.T, cfg keyring.Config) *rotating {
	t.Helper()
	r := &rotating{t: t, ln: memnet.Listen(), kids: map[string]bool{}}
	var secret notary.Secret
	rand.Read(secret[:])
	r.tagger = notary.NewLocal(secret)
	ctx := context.Background()
	st, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "db"), sqlite.Config{Issuer: rotatingURL, Now: r.now, UnsafeNoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	cfg.KEK, err = jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	cfg.Issuer, cfg.Now, cfg.Log = rotatingURL, r.now, quiet
	if r.ring, err = keyring.Open(ctx, st, cfg); err != nil {
		t.Fatal(err)
	}
	r.issuer, err = issuer.New(ctx, issuer.Config{
		URL: rotatingURL, Store: st, Keyring: r.ring, Tagger: r.tagger, Now: r.now, Log: quiet,
		Argon2: account.Params{Memory: 64, Time: 1, Threads: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: r, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go server.Serve(r.ln)
	t.Cleanup(func() {
		server.Close()
		r.issuer.Close()
		st.Close()
	})
	return r
}

func (r *rotating) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if path := r.block.Load(); path != nil && req.URL.Path == *path {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	r.issuer.ServeHTTP(w, req)
}

func (r *rotating) call(method, path string, in any) (status int, answer string) {
	r.t.Helper()
	body, err := wire.Marshal(in)
	if err != nil {
		r.t.Fatal(err)
	}
	req := httptest.NewRequest(method, path, strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	r.issuer.AdminHandler().ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}

func (r *rotating) admin(method, path string, in any) string {
	r.t.Helper()
	status, body := r.call(method, path, in)
	if status/100 != 2 {
		r.t.Fatalf("%s %s: %d %s", method, path, status, body)
	}
	return body
}

// verifier opens one with a credential of its own. It knows the time of the issuer.
func (r *rotating) verifier(name string) *verifier.Verifier {
	r.t.Helper()
	var out struct {
		Credential string `json:"credential"`
	}
	if err := wire.Unmarshal([]byte(r.admin("POST", "/admin/clients", map[string]string{"id": name, "kind": "verifier"})), &out); err != nil {
		r.t.Fatal(err)
	}
	client := r.ln.Client()
	v, err := verifier.Open(context.Background(), verifier.Config{
		Issuer: rotatingURL, Audience: "api", Credential: out.Credential, HTTPClient: client, Now: r.now,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		v.Close()
		client.CloseIdleConnections()
	})
	time.Sleep(2 * time.Second) // of the bubble's clock
	synctest.Wait()
	if err := v.Ready(); err != nil {
		r.t.Fatal(err)
	}
	return v
}

// token mints as the issuer does.
func (r *rotating) token() string {
	r.t.Helper()
	signer, err := r.ring.Signer("")
	if err != nil {
		r.t.Fatal(err)
	}
	r.kids[signer.Key().KeyID()] = true
	now := r.now().Unix()
	all := map[string]any{
		"iss": rotatingURL, "sub": "user-1", "aud": "api", "client_id": "test", "sid": "session-1",
		"iat": now, "exp": now + 900, "rsq": r.head(),
	}
	rest, err := wire.Marshal(maps.Clone(all))
	if err != nil {
		r.t.Fatal(err)
	}
	rest[0] = ','
	jti, err := r.tagger.Tag(context.Background(), signer.Key().KeyID(), notary.Sum(signer.Header(), rest))
	if err != nil {
		r.t.Fatal(err)
	}
	token, err := signer.Sign(notary.Join(jti, rest))
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

func (r *rotating) head() uint64 {
	var out struct {
		Head uint64 `json:"head"`
	}
	if err := wire.Unmarshal([]byte(r.admin("GET", "/admin/feed", nil)), &out); err != nil {
		r.t.Fatal(err)
	}
	return out.Head
}

// A foreign verifier is any other program: it fetches the plain set, keeps it for
// twelve hours, and asks for nothing before, whatever it does not know.
type foreign struct {
	r      *rotating
	client *http.Client
	keys   *jwk.Set
	at     time.Time
}

const foreignCache = 12 * time.Hour

func (f *foreign) verify(token string) error {
	now := f.r.now()
	if f.keys == nil || now.Sub(f.at) >= foreignCache {
		resp, err := f.client.Get(rotatingURL + "/jwks")
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if f.keys, err = jwk.ParseSet(body); err != nil {
			return err
		}
		f.at = now
	}
	_, err := jwt.Verify[map[string]any](jwt.Policy{
		Type: "at+jwt", Issuer: rotatingURL, Audience: "api", Now: func() time.Time { return now },
	}, f.keys, token)
	return err
}

// A hundred rotations by schedule, under load, with verifiers that keep the key set
// for twelve hours and never look earlier, and with verifiers that follow the feed:
// not one verification fails, of tokens from before a rotation and from after it.
func TestThreat92RotationUnderLoad(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		r := newRotating(t, keyring.Config{RotateEvery: 24 * time.Hour})
		checks := map[string]func(token string) error{}
		for i := range 2 {
			v := r.verifier(fmt.Sprint("fed-", i))
			checks[fmt.Sprint("with the feed ", i)] = func(token string) error {
				_, err := v.Verify(context.Background(), token)
				return err
			}
		}
		const rotations, step = 100, 6 * time.Hour
		verified, failed := 0, 0
		load := func() {
			var tokens []string
			for range 8 {
				tokens = append(tokens, r.token())
				for name, check := range checks {
					for _, token := range tokens[max(0, len(tokens)-3):] {
						verified++
						if err := check(token); err != nil {
							if failed++; failed < 10 {
								t.Errorf("%s, after %d rotations: %v", name, len(r.kids)-1, err)
							}
						}
					}
				}
				time.Sleep(250 * time.Millisecond) // of the bubble's clock
				synctest.Wait()
			}
		}
		for hour := 0; len(r.kids) <= rotations; hour += int(step / time.Hour) {
			if hour < 12 { // their caches end at different hours
				f := &foreign{r: r, client: r.ln.Client()}
				defer f.client.CloseIdleConnections()
				checks[fmt.Sprint("with a cache ", hour)] = f.verify
			}
			load()
			r.advance(step)
			if hour > 3*24*rotations {
				t.Fatalf("%d rotations in %d hours", len(r.kids)-1, hour)
			}
		}
		t.Logf("%d rotations, %d verifications, %d failed", len(r.kids)-1, verified, failed)
		if failed > 0 {
			t.Errorf("%d of %d verifications failed", failed, verified)
		}
	})
}

// A connected verifier that cannot get the new key holds the rotation up, only as long
// as it is connected. Who asks for a rotation by hand is told its name.
func TestThreat92RotationWaitsForAVerifier(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		r := newRotating(t, keyring.Config{RotateEvery: 20 * time.Second, StandbyFor: 10 * time.Second, JWKSMaxAge: 5 * time.Second})
		v := r.verifier("slow")
		signed := "/jwks.jwt"
		r.block.Store(&signed)
		pass := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				if _, err := v.Verify(context.Background(), r.token()); err != nil {
					t.Fatal(err)
				}
			}
		}
		pass(3 * time.Minute)
		if n := len(r.kids); n != 3 { // the one that signed, and the two standbys that it knows
			t.Errorf("%d keys have signed, and it knows 3", n)
		}
		status, body := r.call("POST", "/admin/keys/rotate", map[string]string{})
		if status != http.StatusConflict || !strings.Contains(body, "slow/") {
			t.Errorf("by hand: %d %s", status, body)
		}
		r.block.Store(nil)
		pass(2 * time.Minute)
		if n := len(r.kids); n < 6 {
			t.Errorf("%d keys have signed after it had fetched the set", n)
		}
		r.block.Store(&signed)
		pass(5 * time.Minute)
		held := r.active()
		v.Close() // it signs off
		time.Sleep(2 * time.Second)
		if r.active() == held {
			t.Error("a verifier that is gone holds the rotation up")
		}
	})
}

func (r *rotating) active() string {
	signer, err := r.ring.Signer("")
	if err != nil {
		r.t.Fatal(err)
	}
	return signer.Key().KeyID()
}
