package session_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

func TestRefreshRotates(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	seen := map[string]bool{a.RefreshToken: true, a.AccessToken: true}
	for i := range 10 {
		f.clock.advance(10 * time.Minute)
		b := f.refreshed(laptop, a.RefreshToken)
		if b.SessionID != a.SessionID || b.TokenType != "Bearer" || b.ExpiresIn != 900 {
			t.Fatalf("%+v", b)
		}
		if seen[b.RefreshToken] || seen[b.AccessToken] {
			t.Fatal("a token was handed out twice")
		}
		seen[b.RefreshToken], seen[b.AccessToken] = true, true
		if _, err := f.srv.VerifyAccess(t.Context(), b.AccessToken); err != nil {
			t.Fatal(err)
		}
		if row := f.session(a.SessionID); row.Counter != uint64(i+1) {
			t.Fatalf("counter %d after %d rotations", row.Counter, i+1)
		}
		a = b
	}
	if n := len(f.audit()); n != 1 {
		t.Errorf("%d audit rows; a refresh writes none", n)
	}
}

func TestThreat109SameSuccessorInGrace(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	f.clock.advance(session.RefreshGrace)
	for range 2 {
		again := f.refreshed(laptop, a.RefreshToken)
		if again.RefreshToken != b.RefreshToken {
			t.Fatal("another successor")
		}
		if again.AccessToken == b.AccessToken {
			t.Error("an access token was handed out twice")
		}
	}
	f.refreshed(laptop, b.RefreshToken)
}

func TestThreat109FiftyTabsOneLineage(t *testing.T) {
	f := newFixture(t, nil)
	token := f.signIn(laptop).RefreshToken
	for round := range 3 {
		got := make([]answer, 50)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i] = f.refresh(laptop, token) })
		}
		wg.Wait()
		for _, a := range got {
			if a.Status != http.StatusOK || a.RefreshToken != got[0].RefreshToken {
				t.Fatalf("round %d: %d %s, or another successor", round, a.Status, a.Error)
			}
		}
		if row := f.session(got[0].SessionID); row.Counter != uint64(round+1) {
			t.Fatalf("round %d: counter %d", round, row.Counter)
		}
		token = got[0].RefreshToken
	}
	if c := f.srv.Counts(); c.Refreshes != 3 || c.Repeats != 3*49 || c.Thefts != 0 {
		t.Errorf("%+v", c)
	}
}

func TestThreat109ReuseAfterGraceEndsTheSession(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	f.clock.advance(session.RefreshGrace + time.Millisecond)
	if got := f.refresh(laptop, a.RefreshToken); got.Error != "invalid_grant" || got.Status != http.StatusBadRequest {
		t.Fatalf("%d %s", got.Status, got.Error)
	}
	f.dead(b)
	if n := count(f.audit(), "refresh.reuse"); n != 1 {
		t.Errorf("%d audit rows about reuse", n)
	}
}

func TestThreat109ReuseAfterUseEndsTheSession(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	c := f.refreshed(laptop, b.RefreshToken)
	if got := f.refresh(thief, a.RefreshToken); got.Error != "invalid_grant" {
		t.Fatalf("%d %s", got.Status, got.Error)
	}
	f.dead(c)
	f.refresh(thief, a.RefreshToken)
	if n := len(f.entries()); n != 1 {
		t.Errorf("%d entries for one session", n)
	}
}

// The one before, from somebody else: it gets nothing, and does no harm either,
// since a phone that changes its network in the middle of a refresh looks alike.
func TestThreat109OtherHolderInGraceGetsNothing(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	for name, d := range map[string]device{
		"other address": {thief.addr, laptop.agent}, "other agent": {laptop.addr, thief.agent}, "both": thief,
	} {
		if got := f.refresh(d, a.RefreshToken); got.Error != "invalid_grant" || got.RefreshToken != "" {
			t.Fatalf("%s: %d %s", name, got.Status, got.Error)
		}
	}
	if c := f.srv.Counts(); c.Strangers != 3 || c.Thefts != 0 || len(f.entries()) != 0 {
		t.Errorf("%+v", c)
	}
	f.refreshed(laptop, b.RefreshToken)
}

func TestHolderMayMove(t *testing.T) {
	f := newFixture(t, nil)
	token := f.signIn(laptop).RefreshToken
	for _, d := range []device{thief, laptop, {"[2001:db8::1]:1", "phone"}, {"[2001:db8::2]:1", "phone"}} {
		token = f.refreshed(d, token).RefreshToken
	}
}

func TestSameNetworkIsSameHolder(t *testing.T) {
	f := newFixture(t, nil)
	token := f.signIn(laptop).RefreshToken
	next := f.refreshed(device{"[2001:db8::1]:1", "phone"}, token)
	again := f.refreshed(device{"[2001:db8::ffff:2]:9", "phone"}, token)
	if next.RefreshToken != again.RefreshToken {
		t.Error("another successor")
	}
}

func TestSessionsEnd(t *testing.T) {
	const idle, absolute = time.Hour, 5 * time.Hour
	f := newFixture(t, func(c *session.Config) { c.IdleLife, c.SessionLife = idle, absolute })

	a := f.signIn(laptop)
	f.clock.advance(idle)
	a = f.refreshed(laptop, a.RefreshToken)
	f.clock.advance(idle + time.Millisecond)
	if got := f.refresh(laptop, a.RefreshToken); got.Error != "invalid_grant" {
		t.Errorf("idle for too long: %d %s", got.Status, got.Error)
	}

	a = f.signIn(laptop)
	for range 5 {
		f.clock.advance(idle - time.Minute)
		a = f.refreshed(laptop, a.RefreshToken)
	}
	if a.ExpiresIn != 5*60 {
		t.Errorf("access token for %d s, 5 min before the end of the session", a.ExpiresIn)
	}
	f.clock.advance(5 * time.Minute)
	if got := f.refresh(laptop, a.RefreshToken); got.Error != "invalid_grant" {
		t.Errorf("older than a session may be: %d %s", got.Status, got.Error)
	}
	if n := len(f.entries()); n != 0 {
		t.Errorf("%d entries for sessions that ended by themselves", n)
	}
}

func TestThreat132RevokedCannotRefresh(t *testing.T) {
	for name, take := range map[string]func(f *fixture, a answer){
		"user":       func(f *fixture, _ answer) { f.revoke(revocation.Subject, f.alice.ID) },
		"client":     func(f *fixture, _ answer) { f.revoke(revocation.Client, session.DefaultClient) },
		"tenant":     func(f *fixture, _ answer) { f.revoke(revocation.Tenant, "acme") },
		"session":    func(f *fixture, a answer) { f.revoke(revocation.Session, a.SessionID) },
		"everything": func(f *fixture, _ answer) { f.revoke(revocation.Everything, "") },
		"disabled": func(f *fixture, _ answer) {
			f.update(func(tx *store.Tx) error {
				u, err := tx.UserByID(f.alice.ID)
				if err != nil {
					return err
				}
				u.Disabled = true
				return tx.UpdateUser(u)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			a := f.signIn(laptop)
			take(f, a)
			if got := f.refresh(laptop, a.RefreshToken); got.Status != http.StatusBadRequest || got.Error != "invalid_grant" {
				t.Errorf("refresh: %d %s", got.Status, got.Error)
			}
			if _, err := f.srv.VerifyAccess(t.Context(), a.AccessToken); err == nil {
				t.Error("the issuer itself takes the access token")
			}
		})
	}
}

// staleKeys is a keyring that has not heard of a change yet, until it is told to
// look.
type staleKeys struct {
	session.Keys
	old     *jws.Signer
	reloads int
}

func (k *staleKeys) Signer(alg jwk.Algorithm) (*jws.Signer, error) {
	if k.reloads == 0 {
		return k.old, nil
	}
	return k.Keys.Signer(alg)
}

func (k *staleKeys) Reload(ctx context.Context) error {
	k.reloads++
	return k.Keys.Reload(ctx)
}

// A node that has not heard that a key was killed offers it for signing. The
// store knows better, in the statement that permits the token.
func TestThreat93KilledKeyNeverSigns(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	old, err := f.ring.Signer("")
	f.check(err)
	_, err = f.ring.Kill(t.Context(), old.Key().KeyID(), "test")
	f.check(err)

	keys := &staleKeys{Keys: f.ring, old: old}
	f.serve(keys, f.hasher)
	b := f.refreshed(laptop, a.RefreshToken)
	if keys.reloads != 1 || strings.HasPrefix(b.AccessToken, old.Header()) {
		t.Errorf("signed by a killed key, after %d reloads", keys.reloads)
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	good := []string{"grant_type", "refresh_token", "refresh_token", a.RefreshToken}
	with := func(pairs ...string) *http.Request { return laptop.form("/token", slices.Concat(good, pairs)...) }
	auth := with()
	auth.SetBasicAuth("first-party", "secret")

	for name, c := range map[string]struct {
		r      *http.Request
		status int
		code   string
	}{
		"no grant type":    {laptop.form("/token", "refresh_token", a.RefreshToken), 400, "invalid_request"},
		"other grant type": {laptop.form("/token", "grant_type", "password", "username", "alice"), 400, "unsupported_grant_type"},
		"no token":         {laptop.form("/token", "grant_type", "refresh_token"), 400, "invalid_request"},
		"empty token":      {laptop.form("/token", "grant_type", "refresh_token", "refresh_token", ""), 400, "invalid_request"},
		"an access token":  {laptop.form("/token", "grant_type", "refresh_token", "refresh_token", a.AccessToken), 400, "invalid_grant"},
		"twice":            {with("refresh_token", a.RefreshToken), 400, "invalid_request"},
		"grant type twice": {with("grant_type", "refresh_token"), 400, "invalid_request"},
		"other client":     {with("client_id", "another"), 400, "invalid_grant"},
		"unknown scope":    {with("scope", "everything"), 400, "invalid_scope"},
		"malformed scope":  {with("scope", `"`), 400, "invalid_scope"},
		"JSON":             {laptop.json("/token", `{"grant_type":"refresh_token"}`), 415, "invalid_request"},
		"too large":        {with("x", strings.Repeat("x", 1<<20)), 413, "invalid_request"},
		"bad escape":       {laptop.request("POST", "/token", formType, "grant_type=%zz"), 400, "invalid_request"},
		"authentication":   {auth, 401, "invalid_client"},
	} {
		if got := f.ask(c.r); got.Status != c.status || got.Error != c.code || got.AccessToken != "" {
			t.Errorf("%s: %d %s, want %d %s", name, got.Status, got.Error, c.status, c.code)
		}
	}
	if got := f.ask(with("client_id", session.DefaultClient)); got.Status != http.StatusOK {
		t.Errorf("none of that touched the session: %d %s", got.Status, got.Error)
	}
}

// RFC 9700, Section 4.3.2, and RFC 6750, Section 2.3: URLs end up in logs.
func TestThreat130TokenInQueryIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	for _, r := range []*http.Request{
		laptop.form("/token?refresh_token="+a.RefreshToken, "grant_type", "refresh_token"),
		laptop.form("/token?grant_type=refresh_token", "refresh_token", a.RefreshToken),
		laptop.form("/sign-out?access_token=" + a.AccessToken),
		laptop.form("/revoke?token="+a.RefreshToken, "token", a.RefreshToken),
		laptop.request("GET", "/sign-in?access_token="+a.AccessToken, "", ""),
		laptop.request("GET", "/sign-in?username=alice&password=x", "", ""),
		laptop.request("GET", "/sign-in?%zz", "", ""),
	} {
		if got := f.ask(r); got.Status != http.StatusBadRequest || got.Error != "invalid_request" {
			t.Errorf("%s %s: %d %s", r.Method, r.URL.Path, got.Status, got.Error)
		}
	}
	f.refreshed(laptop, a.RefreshToken)
}

func TestThreat130NothingSecretInLogsAndErrors(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	c := f.refreshed(laptop, b.RefreshToken)
	answers := []answer{
		f.refresh(thief, a.RefreshToken), f.refresh(laptop, c.RefreshToken+"x"),
		f.ask(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`x"}`)),
		f.ask(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`","x`)),
	}
	said := f.log.String()
	for _, got := range answers {
		said += got.ErrorDescription
	}
	for _, secret := range []string{a.RefreshToken, b.RefreshToken, c.RefreshToken, a.AccessToken, c.AccessToken, password} {
		if strings.Contains(said, secret) || strings.Contains(said, secret[len(secret)/2:]) {
			t.Error("a secret was written down")
		}
	}
	if !strings.Contains(said, "refresh token was used again") {
		t.Error("theft leaves no trace in the log")
	}
}
