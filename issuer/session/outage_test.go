package session_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/notary/remote"
)

// A farNotary is a notary in a process of its own, or what a test makes of one.
type farNotary struct {
	t    testing.TB
	path string
	end  func() // nil while it is down
}

// apart puts the notary of the sessions behind a unix socket.
func apart(t testing.TB, change func(*session.Config)) (*fixture, *farNotary) {
	t.Helper()
	dir, err := os.MkdirTemp("", "notary") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	n := &farNotary{t: t, path: filepath.Join(dir, "s")}
	n.start()
	t.Cleanup(func() { n.stop() })
	client, err := remote.Open(remote.Config{URLs: []string{"unix:" + n.path}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return newFixture(t, func(c *session.Config) {
		c.Tagger, c.Auditor = client, client
		if change != nil {
			change(c)
		}
	}), n
}

func (n *farNotary) start() {
	n.t.Helper()
	key, err := jwk.Generate(jwk.Params{Algorithm: notary.ReleaseAlgorithm})
	if err != nil {
		n.t.Fatal(err)
	}
	keys, err := jwk.NewSet(key)
	if err != nil {
		n.t.Fatal(err)
	}
	escrow, err := notary.NewEscrow(keys)
	if err != nil {
		n.t.Fatal(err)
	}
	ln, err := serve.ListenUnix(n.path, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	server := &remote.Server{
		Notary: notary.NewLocal(notary.Secret{1, 2, 3}), Escrow: escrow, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	n.end = func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Error(err)
		}
	}
}

func (n *farNotary) stop() {
	if n.end != nil {
		n.end()
		n.end = nil
	}
}

// nothing fails the test unless r is asked to come back and is given no token.
func (f *fixture) nothing(name string, r *http.Request) {
	f.t.Helper()
	res := f.do(r)
	body, err := io.ReadAll(res.Body)
	f.check(err)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		f.t.Errorf("%s: %d, Retry-After %q", name, res.StatusCode, res.Header.Get("Retry-After"))
	}
	if strings.Contains(string(body), "token\"") || len(res.Cookies()) > 0 {
		f.t.Errorf("%s: %s %v", name, body, res.Cookies())
	}
}

// While the notary is away nothing is minted, tagged or not. Nobody signs in again
// for it: not whom the outage caught between commit and tag, and however long it
// took.
func TestThreat91NotaryDown(t *testing.T) {
	f, n := apart(t, nil)
	caught, later := f.signIn(laptop), f.signIn(laptop)
	before := f.session(later.SessionID)
	n.stop()
	for _, wait := range []time.Duration{0, time.Second, session.RefreshGrace + time.Second, 10 * time.Minute} {
		f.clock.advance(wait)
		f.nothing("the one that it caught", laptop.form("/token", "grant_type", "refresh_token", "refresh_token", caught.RefreshToken))
		f.nothing("one after it", laptop.form("/token", "grant_type", "refresh_token", "refresh_token", later.RefreshToken))
		f.nothing("sign-in", laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`))
		f.nothing("sign-in with a wrong password", laptop.json("/sign-in", `{"username":"alice","password":"no"}`))
		f.nothing("sign-in with cookies", laptop.json("/sign-in", `{"username":"alice","password":"`+password+`","cookies":true}`))
		f.nothing("sign-in by the form", laptop.form("/sign-in", "username", "alice", "password", password))
	}
	if f.session(later.SessionID) != before {
		t.Error("a session changed for a token that could not be made")
	}
	n.start()
	for name, a := range map[string]answer{"caught": caught, "later": later} {
		b := f.refreshed(laptop, a.RefreshToken)
		if _, err := f.srv.VerifyAccess(t.Context(), b.AccessToken); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f.clock.advance(session.RefreshGrace + time.Second)
		f.refreshed(laptop, b.RefreshToken)
		if got := f.refresh(laptop, a.RefreshToken); got.Error != "invalid_grant" {
			t.Errorf("%s: the first token is good for ever: %d", name, got.Status)
		}
	}
	f.signIn(laptop)
}

// The issuer's own endpoints cannot tell a genuine token from a forged one without
// the notary, and do not guess.
func TestThreat91TokensPresentedMeanwhile(t *testing.T) {
	f, n := apart(t, nil)
	a := f.signIn(laptop)
	n.stop()
	if _, err := f.srv.VerifyAccess(t.Context(), a.AccessToken); !errors.Is(err, notary.ErrUnavailable) {
		t.Error(err)
	}
	f.nothing("revoke", laptop.form("/revoke", "token", a.AccessToken))
	f.nothing("sign-out", bearing(laptop.request("POST", "/sign-out", "", ""), a.AccessToken))
	if len(f.entries()) > 0 {
		t.Error("something was revoked")
	}
	// A refresh token proves itself, and ends its session.
	if res := f.do(laptop.form("/revoke", "token", a.RefreshToken)); res.StatusCode != http.StatusOK {
		t.Errorf("revoke by refresh token: %d", res.StatusCode)
	}
	n.start()
	f.dead(a)
}

// A sign-in that the outage caught is no attempt that failed.
func TestThreat91AttemptIsGivenBack(t *testing.T) {
	f, n := apart(t, nil)
	a := f.signIn(laptop)
	for range 30 {
		n.stop()
		f.nothing("sign-in", laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`))
		n.start()
		a = f.refreshed(laptop, a.RefreshToken)
	}
	f.signIn(laptop)
}

func TestWitnessedToken(t *testing.T) {
	f := newFixture(t, func(c *session.Config) { c.Witness = true })
	a := f.signIn(laptop)
	tok, err := f.srv.VerifyAccess(t.Context(), a.AccessToken)
	f.check(err)
	header, _, _ := strings.Cut(a.AccessToken, ".")
	keys, err := f.notary.WitnessKeys(t.Context())
	f.check(err)
	if err := notary.VerifyWitness(keys, tok.Key().KeyID(), header, tok.Payload()); err != nil {
		t.Error(err)
	}
	signer, err := f.ring.Signer("")
	f.check(err)
	if bare, _ := notary.SplitWitness(header); bare != signer.Header() {
		t.Errorf("the header is %s and a witness", bare)
	}
	plain := newFixture(t, nil)
	longer := len(a.AccessToken) - len(plain.signIn(laptop).AccessToken)
	if longer < 130 || longer > 140 {
		t.Errorf("%d bytes longer, docs/configuration.md says 135", longer)
	}
	t.Logf("%d bytes, %d for the witness", len(a.AccessToken), longer)
}

func TestWitnessOverASocket(t *testing.T) {
	f, _ := apart(t, func(c *session.Config) { c.Witness = true })
	a := f.signIn(laptop)
	if _, err := f.srv.VerifyAccess(t.Context(), a.AccessToken); err != nil {
		t.Error(err)
	}
}

// taggerOnly hides what else a notary can do.
type taggerOnly struct{ notary.Notary }

func TestWitnessNeedsAWitnesser(t *testing.T) {
	f := newFixture(t, nil)
	_, err := session.New(t.Context(), session.Config{
		Issuer: issuerURL, Store: f.store, Keys: f.ring, Tagger: taggerOnly{f.notary}, Auditor: f.notary,
		Passwords: f.hasher, Witness: true,
	})
	if err == nil || !strings.Contains(err.Error(), "Witness") {
		t.Error(err)
	}
}

// Under a header whose parameters do not leave the last place to the witness no
// token is made: it would look forged.
func TestWitnessNeedsTheLastPlace(t *testing.T) {
	f := newFixture(t, func(c *session.Config) { c.Witness = true })
	sess := f.session(f.signIn(laptop).SessionID)
	active, err := f.ring.Signer("")
	f.check(err)
	standing := f.standing(&sess, active)
	later, err := active.With("x", 1)
	f.check(err)
	earlier, err := active.With("a", 1)
	f.check(err)
	for signer, good := range map[*jws.Signer]bool{active: true, earlier: true, later: false} {
		if _, err := f.srv.Minter().Mint(t.Context(), signer, standing, &sess, ""); (err == nil) != good {
			t.Errorf("%s: %v", signer.Header(), err)
		}
	}
}

// standing is what the store says of a session that is about to get a token.
func (f *fixture) standing(sess *store.Session, signer *jws.Signer) (standing *store.Standing) {
	f.t.Helper()
	f.check(f.store.View(f.context(), func(tx *store.Tx) (err error) {
		standing, err = tx.Standing(store.StandingQuery{Session: sess.ID, KeyID: signer.Key().KeyID()})
		return err
	}))
	return standing
}

// BenchmarkMint is of the whole access token, with its signature.
func BenchmarkMint(b *testing.B) {
	for name, witness := range map[string]bool{"tag": false, "tag and witness": true} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b, func(c *session.Config) { c.Witness = witness })
			sess := f.session(f.signIn(laptop).SessionID)
			signer, err := f.ring.Signer("")
			f.check(err)
			standing := f.standing(&sess, signer)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.srv.Minter().Mint(b.Context(), signer, standing, &sess, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
