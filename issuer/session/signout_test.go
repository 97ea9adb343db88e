package session_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

func bearing(r *http.Request, token string) *http.Request {
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestThreat112SignOutEndsTheSession(t *testing.T) {
	t.Run("bearer", func(t *testing.T) {
		f := newFixture(t, nil)
		a := f.signIn(laptop)
		for range 2 { // the second time there is nothing left to do
			res := f.do(bearing(laptop.request("POST", "/sign-out", "", ""), a.AccessToken))
			if res.StatusCode != http.StatusNoContent || len(res.Cookies()) != 0 {
				t.Fatalf("%d", res.StatusCode)
			}
		}
		f.dead(a)
		if got := f.audit(); !slices.Equal(got, []string{"sign-in", "sign-out"}) {
			t.Errorf("audit trail %v", got)
		}
		if n := len(f.entries()); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
	t.Run("refresh token", func(t *testing.T) {
		f := newFixture(t, nil)
		a := f.signIn(laptop)
		if res := f.do(laptop.form("/sign-out", "refresh_token", a.RefreshToken)); res.StatusCode != http.StatusNoContent {
			t.Fatalf("%d", res.StatusCode)
		}
		f.dead(a)
	})
	t.Run("cookies", func(t *testing.T) {
		f := newFixture(t, nil)
		access, refresh := f.signInWithCookies(laptop)
		res := f.do(with(laptop.form("/sign-out"), access, refresh))
		gone, gone2 := f.cookies(res)
		if res.StatusCode != http.StatusNoContent || gone.MaxAge >= 0 || gone2.MaxAge >= 0 || gone.Value+gone2.Value != "" {
			t.Errorf("%d, %v, %v", res.StatusCode, gone, gone2)
		}
		if _, err := f.srv.VerifyAccess(t.Context(), access.Value); err == nil {
			t.Error("the access token is accepted")
		}
		if got := f.ask(renew(refresh)); got.Error != "invalid_grant" {
			t.Errorf("refresh: %d %s", got.Status, got.Error)
		}
	})
	t.Run("only the access cookie", func(t *testing.T) {
		f := newFixture(t, nil)
		access, refresh := f.signInWithCookies(laptop)
		f.do(with(laptop.form("/sign-out"), access))
		if got := f.ask(renew(refresh)); got.Error != "invalid_grant" {
			t.Errorf("refresh: %d %s", got.Status, got.Error)
		}
	})
}

// A browser with cookies that are good for nothing gets rid of them.
func TestSignOutWithDeadCookies(t *testing.T) {
	f := newFixture(t, nil)
	access, _ := f.signInWithCookies(laptop)
	f.clock.advance(time.Hour)
	r := with(laptop.form("/sign-out"), access)
	r.Header.Set("Accept", "text/html,*/*")
	res := f.do(r)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/sign-in" {
		t.Errorf("%d", res.StatusCode)
	}
	f.cookies(res)
	if n := len(f.entries()); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestThreat130OneTokenInOnePlace(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	access, refresh := f.signInWithCookies(laptop)
	post := func() *http.Request { return laptop.request("POST", "/sign-out", "", "") }
	twice := bearing(post(), a.AccessToken)
	twice.Header.Add("Authorization", "Bearer "+a.AccessToken)
	raw := func(value string) *http.Request {
		r := post()
		r.Header.Set("Authorization", value)
		return r
	}
	for name, r := range map[string]*http.Request{
		"header and cookie":         bearing(with(post(), access), a.AccessToken),
		"header and refresh cookie": bearing(with(post(), refresh), a.AccessToken),
		"header and body":           bearing(laptop.form("/sign-out", "refresh_token", a.RefreshToken), a.AccessToken),
		"body and cookie":           with(laptop.form("/sign-out", "refresh_token", a.RefreshToken), refresh),
		"two headers":               twice,
		"two spaces":                raw("Bearer  " + a.AccessToken),
		"trailing":                  raw("Bearer " + a.AccessToken + " x"),
		"list":                      raw("Bearer " + a.AccessToken + ",x"),
		"no token":                  raw("Bearer "),
		"other scheme":              raw("Basic " + a.AccessToken),
		"nothing":                   post(),
	} {
		if got := f.ask(r); got.Status != http.StatusBadRequest || got.Error != "invalid_request" {
			t.Errorf("%s: %d %s", name, got.Status, got.Error)
		}
	}
	if got := f.ask(bearing(renew(refresh), a.AccessToken)); got.Status != http.StatusBadRequest || got.Error != "invalid_request" {
		t.Errorf("/token with header and cookie: %d %s", got.Status, got.Error)
	}
	if got := f.ask(raw("Bearer " + a.RefreshToken)); got.Status != http.StatusUnauthorized || got.Error != "invalid_token" {
		t.Errorf("a refresh token as bearer: %d %s", got.Status, got.Error)
	}
	if n := len(f.entries()); n != 0 {
		t.Errorf("%d entries", n)
	}
	if res := f.do(raw("bEARER " + a.AccessToken)); res.StatusCode != http.StatusNoContent {
		t.Errorf("the scheme in another case: %d", res.StatusCode)
	}
}

func TestRevokeRefreshToken(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	for range 2 {
		// Also one that was used before: whoever has it had the session.
		res := f.do(laptop.form("/revoke", "token", a.RefreshToken, "token_type_hint", "refresh_token"))
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%d", res.StatusCode)
		}
	}
	f.dead(b)
	if got := f.audit(); !slices.Equal(got, []string{"sign-in", "revoke"}) {
		t.Errorf("audit trail %v", got)
	}
}

func TestRevokeAccessToken(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	for range 2 {
		if res := f.do(laptop.form("/revoke", "token", a.AccessToken, "token_type_hint", "refresh_token")); res.StatusCode != http.StatusOK {
			t.Fatalf("%d", res.StatusCode)
		}
	}
	log := f.entries()
	tok, err := f.srv.VerifyAccess(t.Context(), b.AccessToken)
	if err != nil || len(log) != 1 || log[0].Entry.Kind != revocation.Token {
		t.Fatalf("%v, %+v", err, log)
	}
	if log[0].Entry.Handle == f.ring.HandleKey().Handle(revocation.Token, issuerURL, tok.ID()) {
		t.Error("the wrong token")
	}
	if _, err := f.srv.VerifyAccess(t.Context(), a.AccessToken); err == nil {
		t.Error("the issuer itself takes the revoked token")
	}
	f.refreshed(laptop, b.RefreshToken)
}

func TestRevokeSessionByAccessToken(t *testing.T) {
	f := newFixture(t, nil)
	a, other := f.signIn(laptop), f.signIn(laptop)
	if got := f.ask(laptop.form("/revoke", "token", a.AccessToken, "sid", other.SessionID)); got.Status != http.StatusBadRequest {
		t.Errorf("the session of another token: %d", got.Status)
	}
	if res := f.do(laptop.form("/revoke", "token", a.AccessToken, "sid", a.SessionID)); res.StatusCode != http.StatusOK {
		t.Fatalf("%d", res.StatusCode)
	}
	f.dead(a)
	f.refreshed(laptop, other.RefreshToken)
}

// RFC 7009, Section 2.2: an invalid token is no error.
func TestRevokeWhatIsNotGood(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	almost := []byte(a.RefreshToken)
	if last := &almost[len(almost)-1]; *last == 'A' { // the end of the MAC
		*last = 'B'
	} else {
		*last = 'A'
	}
	f.clock.advance(time.Hour)
	for name, token := range map[string]string{
		"junk": "junk", "dots": "a.b.c", "expired": a.AccessToken, "almost": string(almost),
	} {
		if got := f.ask(laptop.form("/revoke", "token", token)); got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.Status, got.Error)
		}
	}
	for name, r := range map[string]*http.Request{
		"no token": laptop.form("/revoke"), "twice": laptop.form("/revoke", "token", "a", "token", "b"),
	} {
		if got := f.ask(r); got.Status != http.StatusBadRequest || got.Error != "invalid_request" {
			t.Errorf("%s: %d %s", name, got.Status, got.Error)
		}
	}
	if n := len(f.entries()); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// One session cannot fill the log: its 33rd token takes the session along, and
// what follows writes nothing.
func TestThreat66RevokingIsLimitedPerSession(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	for range 100 {
		b := f.refresh(laptop, a.RefreshToken)
		if b.Status != http.StatusOK {
			b = a
		}
		if got := f.ask(laptop.form("/revoke", "token", b.AccessToken)); got.Status != http.StatusOK {
			t.Fatalf("%d %s", got.Status, got.Error)
		}
		a = b
	}
	if n, rows := len(f.entries()), count(f.audit(), "revoke"); n != store.MaxSessionTokenEntries+1 || rows != n {
		t.Errorf("%d entries, %d audit rows", n, rows)
	}
	if got := f.refresh(laptop, a.RefreshToken); got.Error != "invalid_grant" {
		t.Errorf("the session lives: %d", got.Status)
	}
	if other := f.signIn(laptop); f.do(laptop.form("/revoke", "token", other.AccessToken)).StatusCode != http.StatusOK {
		t.Error("another session is limited too")
	}
}

// A user with many sessions is slowed down, by what he adds to the log only, and
// nobody else is; not even he is kept from ending a session.
func TestThreat66RevokingIsLimitedPerUser(t *testing.T) {
	f := newFixture(t, nil)
	mallory, err := f.hasher.NewUser(t.Context(), account.Draft{Name: "mallory", Password: password})
	f.check(err)
	f.update(func(tx *store.Tx) error { return tx.CreateUser(mallory) })
	var m answer
	taken, limited := 0, 0
	for range 8 {
		m = f.ask(laptop.json("/sign-in", `{"username":"mallory","password":"`+password+`"}`))
		for range 30 {
			for range 2 { // the second time nothing is left to do
				switch got := f.ask(laptop.form("/revoke", "token", m.AccessToken)); got.Status {
				case http.StatusOK:
					taken++
				case http.StatusTooManyRequests:
					limited++
				default:
					t.Fatalf("%d %s", got.Status, got.Error)
				}
			}
			m = f.refreshed(laptop, m.RefreshToken)
		}
	}
	if n := len(f.entries()); n != session.UserBurst || taken != 2*n || limited == 0 {
		t.Errorf("%d entries, %d taken, limited %d times", n, taken, limited)
	}
	if got := f.ask(laptop.form("/revoke", "token", m.RefreshToken)); got.Status != http.StatusOK {
		t.Errorf("his session: %d", got.Status)
	}
	a, b := f.signIn(laptop), f.signIn(laptop)
	for name, token := range map[string]string{"access": a.AccessToken, "refresh": b.RefreshToken} {
		if got := f.ask(laptop.form("/revoke", "token", token)); got.Status != http.StatusOK {
			t.Errorf("alice, %s token: %d %s", name, got.Status, got.Error)
		}
	}
}
