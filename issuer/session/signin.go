package session

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/web"
	"github.com/counterfoil/counterfoil/oauth"
)

// signInPage is GET /sign-in.
type signInPage struct{ *Server }

func (e *signInPage) Handle(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	return web.SignIn(w, http.StatusOK, web.Form{
		Next: localPath(query.Get("next")), Audience: query.Get("audience"), Scope: query.Get("scope"),
	})
}

// signInEndpoint is POST /sign-in. JSON is answered with JSON; the form is
// answered with a page or a redirect, and its tokens go into cookies.
type signInEndpoint struct{ *Server }

// credentials is what somebody signs in with.
type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Audience string `json:"audience"`
	Scope    string `json:"scope"`
	Cookies  bool   `json:"cookies"`
}

func (e *signInEndpoint) Handle(w http.ResponseWriter, r *http.Request) error {
	if mediaType(r) == formType {
		return e.form(w, r)
	}
	var c credentials
	if err := serve.ReadJSON(w, r, maxBody, &c); err != nil {
		return err
	}
	out, err := e.signIn(r, &c)
	if err != nil {
		return err
	}
	return out.answer(w, c.Cookies)
}

func (e *signInEndpoint) form(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	c := credentials{
		Username: form["username"], Password: form["password"],
		Audience: form["audience"], Scope: form["scope"],
	}
	next := localPath(form["next"])
	out, err := e.signIn(r, &c)
	if answer, ok := errors.AsType[*serve.Error](Answer(err)); ok {
		if answer.RetryAfter > 0 {
			w.Header().Set("Retry-After", serve.RetryAfter(answer.RetryAfter))
		}
		err := web.SignIn(w, answer.Status, web.Form{
			Username: c.Username, Next: next, Audience: c.Audience, Scope: c.Scope, Problem: problem(answer.Status),
		})
		if err != nil {
			return err
		}
		return answer // after the page it is only logged
	}
	if err != nil {
		return err
	}
	if err := setCookies(w, out); err != nil {
		return err
	}
	if next == "" {
		return web.SignedIn(w)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// problem says in words what a status means to the person at the form.
func problem(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "Username or password is wrong."
	case http.StatusTooManyRequests:
		return "Too many attempts. Please wait a while."
	case http.StatusServiceUnavailable:
		return "Too much is going on at the moment. Please try again."
	}
	return "This sign-in was not understood."
}

// errDenied is the one answer to an unknown user, a wrong password, an account
// that is locked, and an account that changed or was revoked under the sign-in.
func errDenied() *serve.Error {
	return &serve.Error{
		Status: http.StatusUnauthorized, Code: oauth.InvalidGrant,
		Description: "username or password is wrong", Challenge: "Bearer",
	}
}

// signIn checks credentials and begins a session.
func (s *Server) signIn(r *http.Request, c *credentials) (*issued, error) {
	scope, err := s.admissible(c)
	if err != nil {
		return nil, err
	}
	name, err := account.NormalizeName(c.Username)
	known := err == nil
	if !known {
		name = c.Username // nobody is called that; limited like any other
	}
	if err := s.ready(r.Context()); err != nil {
		return nil, err // before an attempt is counted and a password hashed
	}
	addr := serve.ClientAddr(r, s.cfg.TrustedProxies)
	attempt, err := s.throttle.Take(name, addr)
	if limit, ok := errors.AsType[*account.LimitedError](err); ok {
		return nil, s.limited(limit.RetryAfter)
	}
	if !known {
		name = ""
	}
	out, compared, err := s.enter(r, entry{name: name, password: c.Password, audience: c.Audience, scope: scope, addr: addr})
	switch {
	case err == nil:
		attempt.Succeeded()
		s.counts.signIns.Add(1)
	case !compared && r.Context().Err() == nil: // who hangs up has had the work done
		attempt.GiveBack()
	}
	if errors.Is(err, account.ErrBusy) {
		return nil, &serve.Error{
			Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable,
			Description: "too many sign-ins at the moment", RetryAfter: busyRetry,
		}
	}
	return out, err
}

func (s *Server) limited(retryAfter time.Duration) error {
	s.counts.limited.Add(1)
	return &serve.Error{
		Status: http.StatusTooManyRequests, Code: oauth.TemporarilyUnavailable,
		Description: "too many attempts", RetryAfter: retryAfter,
	}
}

// busyRetry is when to come back to a full queue: it is worked off in that time.
const busyRetry = 2 * time.Second

// admissible checks what is asked for, before and without regard to who asks,
// and fills in the default audience.
func (s *Server) admissible(c *credentials) (oauth.Scopes, error) {
	if c.Username == "" || c.Password == "" {
		return nil, badRequest("username and password are required")
	}
	if c.Audience == "" {
		c.Audience = s.cfg.DefaultAudience
	}
	if !s.hasAudience(c.Audience) {
		return nil, &serve.Error{Status: http.StatusBadRequest, Code: oauth.InvalidTarget, Description: "no such audience"}
	}
	scope, err := oauth.ParseScopes(c.Scope)
	if err != nil || !s.hasScopes(scope) {
		return nil, errScope()
	}
	return scope, nil
}

func errScope() *serve.Error {
	return &serve.Error{Status: http.StatusBadRequest, Code: oauth.InvalidScope, Description: "the scope is unknown or not granted"}
}

// An entry is an attempt to sign in that the throttle let through.
type entry struct {
	name, password, audience string
	scope                    oauth.Scopes
	addr                     netip.Addr
}

// maxSignInTries bounds how often a sign-in is tried when the password's hash changes
// meanwhile, which a concurrent sign-in with a stale hash also causes.
const maxSignInTries = 2

// enter compares the password and begins the session. compared reports that the
// attempt counts, as one in which a wrong password was compared does.
func (s *Server) enter(r *http.Request, e entry) (out *issued, compared bool, err error) {
	ctx := r.Context()
	for range maxSignInTries {
		before, err := s.lookUp(ctx, e.name)
		if err != nil {
			return nil, false, err
		}
		ok, stale, err := s.cfg.Passwords.Verify(ctx, before.hash(), e.password)
		if err != nil && !errors.Is(err, account.ErrHash) {
			return nil, false, err
		}
		if !ok || before.User.Disabled {
			return nil, true, s.denied(ctx, before, e)
		}
		out, err := s.begin(r, before, e)
		if errors.Is(err, errHashChanged) {
			continue
		}
		if err == nil && stale {
			s.rehash(ctx, before.User, e.password)
		}
		return out, false, err
	}
	return nil, true, errDenied()
}

// beforehand is what the store said before the password was hashed: the user, if
// there is one, and the head of the log in the same snapshot. That head is the
// session's "born", so that a revocation during the hashing wins.
type beforehand struct{ *store.Standing }

func (b beforehand) hash() string {
	if b.User == nil {
		return ""
	}
	return b.User.PasswordHash
}

func (s *Server) lookUp(ctx context.Context, name string) (b beforehand, err error) {
	err = s.view(ctx, func(tx *store.Tx) error {
		b.Standing, err = tx.Standing(store.StandingQuery{UserName: name, ClientID: s.cfg.Client})
		return err
	})
	return b, err
}

// denied writes the failure down, within bounds, and answers it.
func (s *Server) denied(ctx context.Context, b beforehand, e entry) error {
	s.counts.failed.Add(1)
	if s.failures.Take(e.name) > 0 || s.allFails.Take("") > 0 {
		return errDenied()
	}
	// The name is not written down for an account that does not exist: people
	// type their password into the wrong field.
	subject := "nobody"
	if b.User != nil {
		subject = b.User.ID
	}
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		return audit.Record(tx, b.Now, audit.Event{
			Actor: "anyone", Action: audit.SignInFailed, Subject: subject, Detail: "address=" + e.addr.String(),
		})
	})
	if err != nil {
		return err
	}
	return errDenied()
}

var errHashChanged = errors.New("session: password hash changed during sign-in")

// begin reads everything again, writes the session and makes its tokens.
func (s *Server) begin(r *http.Request, before beforehand, e entry) (*issued, error) {
	refresh, err := NewRefresh(s.cfg.Keys, 0)
	if err != nil {
		return nil, err
	}
	var now *store.Standing
	var out issued
	signer, err := s.decide(r.Context(), func(tx *store.Tx, kid string) error {
		now, err = tx.Standing(store.StandingQuery{UserID: before.User.ID, ClientID: s.cfg.Client, KeyID: kid})
		if err != nil {
			return err
		}
		scope, err := s.enters(before, now, e)
		if err != nil {
			return err
		}
		refresh.Epoch = now.Epoch
		out = issued{session: s.newSession(before, now, e, refresh, s.holder(r, refresh)), refresh: refresh, scope: scope}
		if err := tx.CreateSession(*out.session); err != nil {
			return err
		}
		return audit.Record(tx, now.Now, audit.Event{
			Actor: "user:" + now.User.ID, Action: audit.SignIn, Subject: out.session.ID,
			Detail: "address=" + e.addr.String() + " aud=" + e.audience,
		})
	})
	if err != nil {
		return nil, err
	}
	out.refreshLife = s.refreshLife(out.session, now.Now)
	out.access, err = s.minter.Mint(r.Context(), signer, now, out.session, out.scope)
	return &out, err
}

// enters decides whether the user of a right password may begin a session now,
// and with what scope.
func (s *Server) enters(before beforehand, now *store.Standing, e entry) (string, error) {
	if now.User == nil {
		return "", errDenied()
	}
	if now.User.PasswordHash != before.User.PasswordHash {
		return "", errHashChanged
	}
	switch err := now.Permits(before.Head); {
	case errors.Is(err, store.ErrKeyInactive):
		return "", errKeyChanged
	case err != nil:
		return "", errDenied()
	}
	granted := s.granted(e.scope, now.User)
	if len(granted) != len(e.scope) {
		return "", errScope()
	}
	return granted.String(), nil
}

func (s *Server) newSession(before beforehand, now *store.Standing, e entry, refresh *Refresh, holder Holder) *store.Session {
	return &store.Session{
		ID: refresh.SessionID(), UserID: now.User.ID, ClientID: s.cfg.Client, Tenant: now.User.Tenant,
		Audience: e.audience, Scope: e.scope.String(), Born: before.Head,
		AuthTime: now.Now, Created: now.Now, Expires: now.Now.Add(s.cfg.SessionLife), RotatedAt: now.Now,
		Counter: refresh.Counter, Epoch: refresh.Epoch, SecretHash: refresh.SecretHash(), Holder: holder,
	}
}

// rehash replaces a hash that is weaker than what is made today. It may fail:
// the next sign-in tries again.
func (s *Server) rehash(ctx context.Context, user *store.User, password string) {
	hash, err := s.cfg.Passwords.Hash(ctx, password)
	if err != nil {
		return
	}
	stronger := *user
	stronger.PasswordHash = hash
	err = s.store.Update(ctx, func(tx *store.Tx) error { return tx.UpdateUser(stronger) })
	if err != nil && !errors.Is(err, store.ErrConflict) {
		s.cfg.Log.Warn("password hash not renewed", "sub", user.ID, "err", err)
	}
}
