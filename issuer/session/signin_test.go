package session_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

// payload returns the bytes between the dots.
func payload(t testing.TB, token string) string {
	t.Helper()
	part := strings.Split(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil || len(part) != 3 {
		t.Fatalf("not a token: %v", err)
	}
	return string(b)
}

// names lists the members of an object in order.
func names(t testing.TB, object string) (list []string) {
	t.Helper()
	dec := jsontext.NewDecoder(strings.NewReader(object))
	if _, err := dec.ReadToken(); err != nil {
		t.Fatal(err)
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, name.String())
		if err := dec.SkipValue(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func TestAccessTokenIsAsDesigned(t *testing.T) {
	f := newFixture(t, nil)
	seq := f.revoke(revocation.Token, "some other token")
	a := f.signIn(laptop)

	p := payload(t, a.AccessToken)
	want := []string{"jti", "iss", "sub", "aud", "client_id", "sid", "iat", "exp", "rsq", "tenant"}
	if got := names(t, p); !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
	var c struct {
		ISS, SUB, AUD, SID string
		ClientID           string `json:"client_id"`
		IAT, EXP           int64
		RSQ                uint64
		Tenant             string `json:"tenant"`
	}
	f.check(json.Unmarshal([]byte(p), &c, json.MatchCaseInsensitiveNames(true)))
	now := f.clock.now().Unix()
	if c.ISS != issuerURL || c.SUB != f.alice.ID || c.AUD != "api" || c.ClientID != session.DefaultClient ||
		c.SID != a.SessionID || c.IAT != now || c.EXP != now+900 || c.RSQ != seq || c.Tenant != "acme" {
		t.Errorf("%+v", c)
	}
	header, _, _ := strings.Cut(a.AccessToken, ".")
	signer, err := f.ring.Signer("")
	f.check(err)
	record, err := notary.RecordOf(signer.Key().KeyID(), a.AccessToken)
	f.check(err)
	right, err := f.notary.Check(t.Context(), []notary.Record{record})
	f.check(err)
	if header != signer.Header() || !right[0] {
		t.Error("the tag is not the notary's")
	}
	if n := len(a.AccessToken); n > 512 {
		t.Errorf("default token of %d bytes", n)
	} else {
		t.Logf("default token: %d bytes, refresh token: %d", n, len(a.RefreshToken))
	}
}

func TestSignInAnswer(t *testing.T) {
	f := newFixture(t, func(c *session.Config) {
		c.Scopes = map[string]string{"read": ""}
		c.Audiences = []session.Audience{{Name: "orders"}}
	})
	a := f.ask(laptop.json("/sign-in",
		`{"username":"ALICE","password":"`+password+`","audience":"orders","scope":"read","unknown":1}`))
	if a.Status != http.StatusOK || a.TokenType != "Bearer" || a.ExpiresIn != 900 || a.Scope != "read" || len(a.SessionID) != 22 {
		t.Fatalf("%+v", a)
	}
	if p := payload(t, a.AccessToken); !strings.Contains(p, `"aud":"orders"`) || !strings.Contains(p, `"scope":"read"`) {
		t.Error(p)
	}
	row := f.session(a.SessionID)
	if row.UserID != f.alice.ID || row.Audience != "orders" || row.Scope != "read" || row.RevokedSeq != 0 {
		t.Errorf("%+v", row)
	}
	if got := f.audit(); !slices.Equal(got, []string{"sign-in"}) {
		t.Errorf("audit trail %v", got)
	}
}

// The members are those that a client is promised, also when nothing is granted.
func TestSignInMembers(t *testing.T) {
	f := newFixture(t, nil)
	for cookies, want := range map[string][]string{
		"false": {"access_token", "refresh_token", "token_type", "expires_in", "scope", "session_id"},
		"true":  {"token_type", "expires_in", "scope", "session_id"},
	} {
		res := f.do(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`","cookies":`+cookies+`}`))
		body, err := io.ReadAll(res.Body)
		f.check(err)
		if got := names(t, string(body)); !slices.Equal(got, want) {
			t.Errorf("cookies %s: members %v", cookies, got)
		}
	}
}

func TestSignInRefuses(t *testing.T) {
	f := newFixture(t, nil)
	body := func(more string) string { return `{"username":"alice","password":"` + password + `"` + more + `}` }
	for name, c := range map[string]struct {
		r      *http.Request
		status int
		code   string
	}{
		"no username":      {laptop.json("/sign-in", `{"password":"x"}`), 400, "invalid_request"},
		"no password":      {laptop.json("/sign-in", `{"username":"alice"}`), 400, "invalid_request"},
		"unknown audience": {laptop.json("/sign-in", body(`,"audience":"bank"`)), 400, "invalid_target"},
		"unknown scope":    {laptop.json("/sign-in", body(`,"scope":"root"`)), 400, "invalid_scope"},
		"scope not hers":   {laptop.json("/sign-in", body(`,"scope":"admin"`)), 400, "invalid_scope"},
		"duplicate member": {laptop.json("/sign-in", body(`,"username":"bob"`)), 400, "invalid_request"},
		"wrong type":       {laptop.json("/sign-in", `{"username":["alice"],"password":"x"}`), 400, "invalid_request"},
		"not JSON":         {laptop.request("POST", "/sign-in", "text/plain", body("")), 415, "invalid_request"},
		"too large":        {laptop.json("/sign-in", body(`,"x":"`+strings.Repeat("x", 1<<20)+`"`)), 413, "invalid_request"},
	} {
		if got := f.ask(c.r); got.Status != c.status || got.Error != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, got.Status, got.Error, c.status, c.code)
		}
	}
}

// Same status, same headers, same body, same work at the hasher and at the store.
func TestOneAnswerToEveryoneWhoIsNotLetIn(t *testing.T) {
	f := newFixture(t, nil)
	locked, err := f.hasher.NewUser(t.Context(), account.Draft{Name: "locked", Password: password})
	f.check(err)
	locked.Disabled = true
	broken := store.User{ID: "broken-row", Name: "broken", PasswordHash: "$argon2id$"}
	none := store.User{ID: "no-password", Name: "none"}
	f.update(func(tx *store.Tx) error {
		for _, u := range []store.User{locked, broken, none} {
			if err := tx.CreateUser(u); err != nil {
				return err
			}
		}
		return nil
	})

	type seen struct {
		status       int
		header, body string
		hashes       uint64
		rows         int
	}
	attempt := func(username, pass string) seen {
		user, err := json.Marshal(username)
		f.check(err)
		hashes, rows := f.hasher.Computations(), len(f.audit())
		res := f.do(laptop.json("/sign-in", `{"username":`+string(user)+`,"password":"`+pass+`"}`))
		body, err := io.ReadAll(res.Body)
		f.check(err)
		return seen{res.StatusCode, fmt.Sprint(res.Header), string(body), f.hasher.Computations() - hashes, len(f.audit()) - rows}
	}
	want := attempt("alice", "wrong password")
	if want.status != http.StatusUnauthorized || want.hashes != 1 || want.rows != 1 {
		t.Fatalf("wrong password: %+v", want)
	}
	for name, who := range map[string][2]string{
		"unknown user":           {"mallory", password},
		"locked, right password": {"locked", password},
		"locked, wrong password": {"locked", "wrong"},
		"broken hash":            {"broken", password},
		"no password set":        {"none", password},
		"name nobody can have":   {" al\x00ice\n", password},
		"longest name":           {strings.Repeat("a", 4000), password},
		"longest password":       {"alice", strings.Repeat("a", 15_000)},
		"SQL":                    {"' OR 1=1 --", password},
	} {
		if got := attempt(who[0], who[1]); got != want {
			t.Errorf("%s: %+v\nwrong password: %+v", name, got, want)
		}
	}
}

func TestTooManyAttempts(t *testing.T) {
	f := newFixture(t, nil)
	for _, name := range []string{"alice", "mallory"} {
		var got answer
		attempts := 0
		for got.Status != http.StatusTooManyRequests && attempts <= account.DefaultPairRate.Burst {
			got = f.ask(laptop.json("/sign-in", `{"username":"`+name+`","password":"guess"}`))
			attempts++
		}
		if attempts != account.DefaultPairRate.Burst+1 || got.Status != http.StatusTooManyRequests {
			t.Errorf("%s: %d after %d attempts", name, got.Status, attempts)
		}
		res := f.do(laptop.json("/sign-in", `{"username":"`+name+`","password":"`+password+`"}`))
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: right password: %d, Retry-After %q", name, res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	// A flood does not fill the audit trail.
	if n := count(f.audit(), "sign-in.failed"); n != 2*3 {
		t.Errorf("%d rows about failures", n)
	}
	f.clock.advance(account.DefaultPairRate.Interval)
	f.signIn(laptop)
	for range 3 * account.DefaultPairRate.Burst {
		f.signIn(laptop) // success costs nothing
	}
}

// A stepped hasher lets a test do something between the hash of the password and
// what follows it.
type stepped struct {
	session.Passwords
	after func()
}

func (s *stepped) Verify(ctx context.Context, phc, pass string) (ok, stale bool, err error) {
	ok, stale, err = s.Passwords.Verify(ctx, phc, pass)
	if after := s.after; after != nil {
		s.after = nil
		after()
	}
	return ok, stale, err
}

// The password was right when it was compared. What was revoked or changed while
// it was hashed is read again, in the transaction that mints.
func TestThreat132SignInUnderWay(t *testing.T) {
	change := func(f *fixture, do func(u *store.User)) {
		f.update(func(tx *store.Tx) error {
			u, err := tx.UserByID(f.alice.ID)
			if err != nil {
				return err
			}
			do(&u)
			return tx.UpdateUser(u)
		})
	}
	for name, meanwhile := range map[string]func(f *fixture){
		"user revoked":       func(f *fixture) { f.revoke(revocation.Subject, f.alice.ID) },
		"client revoked":     func(f *fixture) { f.revoke(revocation.Client, session.DefaultClient) },
		"tenant revoked":     func(f *fixture) { f.revoke(revocation.Tenant, "acme") },
		"everything revoked": func(f *fixture) { f.revoke(revocation.Everything, "") },
		"user disabled":      func(f *fixture) { change(f, func(u *store.User) { u.Disabled = true }) },
		"password changed": func(f *fixture) {
			phc, err := f.hasher.Hash(t.Context(), "another password")
			f.check(err)
			change(f, func(u *store.User) { u.PasswordHash = phc })
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.serve(f.ring, &stepped{f.hasher, func() { meanwhile(f) }})
			a := f.ask(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`))
			if a.Status != http.StatusUnauthorized || a.AccessToken != "" {
				t.Errorf("%d %s", a.Status, a.Error)
			}
			if n := count(f.audit(), "sign-in"); n != 0 {
				t.Error("a session began")
			}
		})
	}
}

// Another sign-in renews the hash of the same password: no reason to refuse.
func TestHashRenewedDuringSignIn(t *testing.T) {
	f := newFixture(t, nil)
	f.serve(f.ring, &stepped{f.hasher, func() {
		phc, err := f.hasher.Hash(t.Context(), password)
		f.check(err)
		f.alice.Version = 1
		f.alice.PasswordHash = phc
		f.update(func(tx *store.Tx) error { return tx.UpdateUser(f.alice) })
	}})
	f.signIn(laptop)
}

// A token that was made just after a revocation knows of it: its rsq is not below
// the entry's seq, so no verifier refuses it, whatever the clocks say.
func TestThreat63SignInRightAfterRevoke(t *testing.T) {
	f := newFixture(t, nil)
	for range 20 {
		old := f.signIn(laptop)
		seq := f.revoke(revocation.Subject, f.alice.ID)
		if got := f.refresh(laptop, old.RefreshToken); got.Error != "invalid_grant" {
			t.Fatalf("refresh of a revoked user: %d %s", got.Status, got.Error)
		}
		if _, err := f.srv.VerifyAccess(t.Context(), old.AccessToken); err == nil {
			t.Fatal("a token from before the revocation is accepted")
		}
		fresh := f.signIn(laptop)
		tok, err := f.srv.VerifyAccess(t.Context(), fresh.AccessToken)
		if err != nil || tok.Claims().RSQ < seq {
			t.Fatalf("rsq of a new token is below seq %d: %v", seq, err)
		}
		f.refreshed(laptop, fresh.RefreshToken)
	}
}

// A full queue says nothing about the password and uses no attempt up.
func TestNoRoomToHash(t *testing.T) {
	f := newFixture(t, nil)
	f.serve(f.ring, &full{f.hasher, account.DefaultPairRate.Burst + 1})
	for range account.DefaultPairRate.Burst + 1 {
		res := f.do(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`))
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Fatalf("%d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	f.signIn(laptop)
}

// full is a hasher without room for a number of calls.
type full struct {
	session.Passwords
	calls int
}

func (p *full) Verify(ctx context.Context, phc, pass string) (bool, bool, error) {
	if p.calls > 0 {
		p.calls--
		return false, false, account.ErrBusy
	}
	return p.Passwords.Verify(ctx, phc, pass)
}

func TestStaleHashIsRenewedAtSignIn(t *testing.T) {
	f := newFixture(t, nil)
	stronger, err := account.NewHasher(account.HasherConfig{Params: account.Params{Memory: 64, Time: 3, Threads: 1}})
	f.check(err)
	f.serve(f.ring, stronger)
	for range 2 {
		f.signIn(laptop)
		var u store.User
		f.check(f.store.View(t.Context(), func(tx *store.Tx) (err error) {
			u, err = tx.UserByID(f.alice.ID)
			return err
		}))
		if !strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=64,t=3,p=1$") || u.Version != 2 {
			t.Errorf("version %d, hash of %s", u.Version, u.PasswordHash[:28])
		}
	}
}

func TestClaimsRolesAndScopes(t *testing.T) {
	f := newFixture(t, func(c *session.Config) {
		c.Scopes = map[string]string{"read": "", "write": "editor", "admin": ""}
		c.Audiences = []session.Audience{{Name: "some", Claims: []string{"plan"}}, {Name: "none", Claims: []string{}}}
		c.AuthTime = true
	})
	bob, err := f.hasher.NewUser(t.Context(), account.Draft{
		Name: "bob", Password: password, Roles: []string{"editor"},
		Claims: map[string]jsontext.Value{"plan": jsontext.Value(`"gold"`), "age": jsontext.Value(`{"b":2,"a":1}`)},
	})
	f.check(err)
	f.update(func(tx *store.Tx) error { return tx.CreateUser(bob) })
	ask := func(more string) answer {
		return f.ask(laptop.json("/sign-in", `{"username":"bob","password":"`+password+`"`+more+`}`))
	}
	base := []string{"jti", "iss", "sub", "aud", "client_id", "sid", "iat", "exp", "rsq", "auth_time", "roles"}
	for audience, own := range map[string][]string{"api": {"age", "plan"}, "some": {"plan"}, "none": nil} {
		a := ask(`,"audience":"` + audience + `"`)
		if got := names(t, payload(t, a.AccessToken)); !slices.Equal(got, slices.Concat(base, own)) {
			t.Errorf("%s: %v", audience, got)
		}
	}
	if a := ask(`,"scope":"admin"`); a.Error != "invalid_scope" {
		t.Error("scope admin without the role, since the configuration asked for none")
	}
	a := ask(`,"scope":"read write read"`)
	if a.Scope != "read write" {
		t.Fatalf("scope %q", a.Scope)
	}
	if got := f.ask(laptop.form("/token", "grant_type", "refresh_token", "refresh_token", a.RefreshToken, "scope", "read")); got.Scope != "read" {
		t.Errorf("narrower scope: %q", got.Scope)
	}
	// A role taken away takes its scope along at the next refresh.
	bob.Roles, bob.Version = nil, 1
	f.update(func(tx *store.Tx) error { return tx.UpdateUser(bob) })
	b := f.refreshed(laptop, a.RefreshToken)
	if b.Scope != "read" || strings.Contains(payload(t, b.AccessToken), "write") {
		t.Errorf("scope %q after the role was taken away", b.Scope)
	}
	if got := f.ask(laptop.form("/token", "grant_type", "refresh_token", "refresh_token", b.RefreshToken, "scope", "write")); got.Error != "invalid_scope" {
		t.Errorf("a scope that is no longer granted: %d %s", got.Status, got.Error)
	}
	f.refreshed(laptop, b.RefreshToken)
}

func TestLargeTokenIsRemarkedUpon(t *testing.T) {
	f := newFixture(t, nil)
	f.alice.Version = 1
	f.signIn(laptop)
	if strings.Contains(f.log.String(), "large") {
		t.Error("the default token is called large")
	}
	f.alice.Claims = map[string]jsontext.Value{"x": jsontext.Value(`"` + strings.Repeat("x", 700) + `"`)}
	f.update(func(tx *store.Tx) error { return tx.UpdateUser(f.alice) })
	f.signIn(laptop)
	if !regexp.MustCompile(`access token is large.*bytes=1\d\d\d`).MatchString(f.log.String()) {
		t.Errorf("log: %s", f.log)
	}
}

func TestIssuerVerifiesItsOwn(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	tok, err := f.srv.VerifyAccess(t.Context(), a.AccessToken)
	if err != nil || tok.Subject() != f.alice.ID || tok.Claims().SessionID != a.SessionID || tok.Claims().Tenant != "acme" {
		t.Fatalf("%v", err)
	}
	f.clock.advance(17 * time.Minute)
	if _, err := f.srv.VerifyAccess(t.Context(), a.AccessToken); err == nil {
		t.Error("an expired token")
	}
}

// The issuer's signing key is stolen: the signature is right and the tag is not.
func TestThreat136ForgedAccessTokenIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	forger := notary.NewLocal(notary.Secret{9})
	p := payload(t, a.AccessToken)
	_, rest, err := notary.SplitPayload([]byte(p))
	f.check(err)
	signer, err := f.ring.Signer("")
	f.check(err)
	jti, err := forger.Tag(t.Context(), signer.Key().KeyID(), notary.Sum(signer.Header(), rest))
	f.check(err)
	for name, forged := range map[string][]byte{
		"own tag":        notary.Join(jti, rest),
		"copied jti":     []byte(strings.Replace(p, `"aud":"api"`, `"aud":"bank"`, 1)),
		"other audience": []byte(strings.Replace(p, `"client_id":"first-party"`, `"client_id":"first-party2"`, 1)),
	} {
		token, err := signer.Sign(forged)
		f.check(err)
		if _, err := f.srv.VerifyAccess(t.Context(), token); err != session.ErrForged {
			t.Errorf("%s: %v", name, err)
		}
		out := laptop.request("POST", "/sign-out", "", "")
		out.Header.Set("Authorization", "Bearer "+token)
		if res := f.do(out); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: sign-out: %d", name, res.StatusCode)
		}
		if res := f.do(laptop.form("/revoke", "token", token, "sid", a.SessionID)); res.StatusCode != http.StatusOK {
			t.Errorf("%s: revoke: %d", name, res.StatusCode)
		}
	}
	if n := len(f.entries()); n != 0 || f.srv.Counts().Forged == 0 {
		t.Errorf("a forged token did something: %d entries", n)
	}
	f.refreshed(laptop, a.RefreshToken)
}

func rsqOf(t testing.TB, a answer) uint64 {
	t.Helper()
	var c struct {
		RSQ uint64 `json:"rsq"`
	}
	if err := json.Unmarshal([]byte(payload(t, a.AccessToken)), &c); err != nil {
		t.Fatal(err)
	}
	return c.RSQ
}

// Attempts in which no password was compared, since the store could not be read, are
// none: after the outage the right one is not too many.
func TestOutageOfTheStoreUsesUpNoAttempts(t *testing.T) {
	f := newFixture(t, nil)
	f.tamper("ALTER TABLE log_head RENAME TO elsewhere")
	for range 30 {
		f.unavailable("sign-in", laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`))
	}
	f.tamper("ALTER TABLE elsewhere RENAME TO log_head")
	f.signIn(laptop)
}

// Hanging up while the password is compared is an attempt.
func TestHangingUpIsAnAttempt(t *testing.T) {
	f := newFixture(t, nil)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	for range 30 {
		f.do(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`).WithContext(gone))
	}
	if got := f.ask(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`)); got.Status != http.StatusTooManyRequests {
		t.Errorf("%d", got.Status)
	}
}
