package session

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// tokenEndpoint is POST /token (RFC 6749, Section 3.2), for renewal only so far.
// The refresh token comes in the form, and the answer has tokens in its body; or
// it comes in its cookie, and the tokens go back into cookies.
type tokenEndpoint struct{ *Server }

func (e *tokenEndpoint) Handle(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	switch form["grant_type"] {
	case oauth.GrantRefreshToken:
	case "":
		return badRequest("grant_type is required")
	default:
		return &serve.Error{
			Status: http.StatusBadRequest, Code: oauth.UnsupportedGrantType, Description: "only refresh_token is supported",
		}
	}
	token, fromCookie, err := refreshTokenOf(r, form)
	if err != nil {
		return err
	}
	if err := noAuthorization(r, fromCookie); err != nil {
		return err
	}
	out, err := e.renew(r, token, form)
	if err != nil {
		return e.forget(w, fromCookie, err)
	}
	return out.answer(w, fromCookie)
}

// noAuthorization refuses an Authorization header: sessions belong to a public
// client, which has nothing to authenticate with.
func noAuthorization(r *http.Request, fromCookie bool) error {
	switch {
	case len(r.Header.Values("Authorization")) == 0:
		return nil
	case fromCookie:
		return badRequest("credentials came in a header and in a cookie")
	}
	return &serve.Error{
		Status: http.StatusUnauthorized, Code: oauth.InvalidClient,
		Description: "this client does not authenticate", Challenge: "Basic",
	}
}

// forget takes cookies away that will never be good again. Those of errOutpaced
// stay: another tab may have replaced them already, and where it was a thief, the
// owner's next attempt finds him out.
func (e *tokenEndpoint) forget(w http.ResponseWriter, fromCookie bool, err error) error {
	answer, ok := errors.AsType[*serve.Error](err)
	if ok && fromCookie && answer.Code == oauth.InvalidGrant && answer != errOutpaced {
		clearCookies(w)
	}
	return err
}

// refreshTokenOf finds the refresh token of a request in its one place.
func refreshTokenOf(r *http.Request, form map[string]string) (token string, fromCookie bool, err error) {
	inCookie, err := readCookie(r, RefreshCookie)
	if err != nil {
		return "", false, err
	}
	inForm := form["refresh_token"]
	switch {
	case inForm != "" && inCookie != "":
		return "", false, badRequest("a refresh token came in the body and in a cookie")
	case inForm == "" && inCookie == "":
		return "", false, badRequest("refresh_token is required")
	}
	return inForm + inCookie, inCookie != "", nil
}

// errGrant is the one answer to every refresh token that gets nothing.
func errGrant() *serve.Error {
	return &serve.Error{
		Status: http.StatusBadRequest, Code: oauth.InvalidGrant, Description: "the refresh token is not good, or no longer",
	}
}

// errOutpaced is errGrant for a [Stranger]: there is a successor, in other hands.
var errOutpaced = errGrant()

// renew answers a refresh token.
func (s *Server) renew(r *http.Request, token string, form map[string]string) (*issued, error) {
	presented, err := ParseRefresh(s.cfg.Keys, token)
	if err != nil {
		return nil, errGrant()
	}
	narrower, err := oauth.ParseScopes(form["scope"])
	if err != nil {
		return nil, errScope()
	}
	t := &renewal{s: s, presented: presented, holder: s.holder(r, presented), client: form["client_id"], narrower: narrower}
	signer, err := s.decide(r.Context(), t.decide)
	if err != nil {
		return nil, err
	}
	if err := t.outcome(r.Context()); err != nil {
		return nil, err
	}
	t.out.refreshLife = s.refreshLife(t.out.session, t.now.Now)
	return &t.out, t.mint(r.Context(), signer)
}

// mint makes the access token of a rotation that is committed. It does not end with
// the request: whoever hangs up must not choose how long a token that he used stays
// good.
func (t *renewal) mint(ctx context.Context, signer *jws.Signer) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), RefreshGrace)
	defer cancel()
	t.out.access, err = t.s.minter.Mint(ctx, signer, t.now, t.out.session, t.out.scope)
	if err != nil {
		t.keepOpen(context.WithoutCancel(ctx))
	}
	return err
}

// keepOpen lets a client that was given nothing come back with the token that it has:
// the notary, or who holds the signing key, went away between the commit and the
// answer. [Server.decide] asks them before the next rotation.
//
// The rotation is dated ahead, so that it is no older than RefreshGrace for as long as
// the session may be idle. It is not undone, since another tab may have been given its
// token.
func (t *renewal) keepOpen(ctx context.Context) {
	sid := t.out.session.ID
	err := t.s.store.Update(ctx, func(tx *store.Tx) error {
		return tx.RotateSession(t.dated(t.out.refresh, t.now.Now.Add(t.s.cfg.IdleLife)))
	})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		t.s.cfg.Log.Warn("a session may end at its next renewal", "sid", sid, "err", err)
	}
}

// dated is the rotation to next, done already, at another time.
func (t *renewal) dated(next *Refresh, at time.Time) store.Rotation {
	return store.Rotation{
		ID: next.SessionID(), From: next.Counter, FromEpoch: next.Epoch, To: next.Counter, Epoch: next.Epoch,
		SecretHash: next.SecretHash(), Holder: t.holder, At: at,
	}
}

// A renewal is one refresh token on its way through the store. decide may run
// more than once and sets everything below it anew.
type renewal struct {
	s         *Server
	presented *Refresh
	holder    Holder
	client    string // client_id, if the request has one
	narrower  oauth.Scopes

	now      *store.Standing
	decision Decision
	out      issued
}

// decide applies [Decide] to the session's row, in one transaction with what
// follows from it.
func (t *renewal) decide(tx *store.Tx, kid string) (err error) {
	t.decision = 0
	t.now, err = tx.Standing(store.StandingQuery{Session: t.presented.SessionID(), KeyID: kid})
	if err != nil {
		return err
	}
	row := t.now.Session
	if row == nil || t.client != "" && t.client != row.ClientID {
		return errGrant()
	}
	if err := t.alive(row); err != nil {
		return err
	}
	t.decision = Decide(row, t.presented, t.holder, t.now.Epoch, t.now.Now)
	switch t.decision {
	case Rotate, Adopt:
		return t.rotate(tx, *row)
	case Repeat:
		return t.repeat(tx, row)
	case Theft:
		return t.s.endSession(tx, t.now, audit.Event{Actor: "issuer", Action: audit.RefreshReuse, Detail: "sub=" + row.UserID})
	}
	return nil
}

// alive refuses sessions that are over, by time or by revocation. A token of a
// session that is over is not looked at: there is nothing left to steal.
func (t *renewal) alive(row *store.Session) error {
	if t.now.User == nil || t.now.Now.Sub(row.RotatedAt) > t.s.cfg.IdleLife {
		return errGrant()
	}
	switch err := t.now.Permits(row.Born); {
	case errors.Is(err, store.ErrKeyInactive):
		return errKeyChanged
	case err != nil:
		return errGrant()
	}
	return nil
}

// rotate replaces the row's token by the successor of the one presented.
func (t *renewal) rotate(tx *store.Tx, row store.Session) error {
	next := t.presented.Next(t.now.Epoch)
	rotation := store.Rotation{
		ID: row.ID, From: row.Counter, FromEpoch: row.Epoch, To: next.Counter, Epoch: next.Epoch,
		SecretHash: next.SecretHash(), Holder: t.holder, At: t.now.Now,
	}
	if err := t.grant(&row, next); err != nil {
		return err
	}
	return tx.RotateSession(rotation)
}

// repeat gives the successor that the row has. One that was kept open is from now on
// as any other.
func (t *renewal) repeat(tx *store.Tx, row *store.Session) error {
	next := t.presented.Next(row.Epoch)
	if err := t.grant(row, next); err != nil {
		return err
	}
	if !row.RotatedAt.After(t.now.Now) {
		return nil
	}
	return tx.RotateSession(t.dated(next, t.now.Now))
}

// grant fills in what the client is given: the scope of the session as far as
// the user's roles still allow it, or the part of it that was asked for.
func (t *renewal) grant(row *store.Session, next *Refresh) error {
	whole, err := oauth.ParseScopes(row.Scope)
	if err != nil {
		return err
	}
	scope := t.s.granted(whole, t.now.User)
	if len(t.narrower) > 0 {
		if !scope.Contains(t.narrower...) {
			return errScope()
		}
		scope = t.narrower
	}
	t.out = issued{session: row, refresh: next.renewed(), scope: scope.String()}
	return nil
}

// outcome counts what was decided, and answers what gets no token.
func (t *renewal) outcome(ctx context.Context) error {
	c, log := &t.s.counts, t.s.cfg.Log
	switch t.decision {
	case Rotate, Adopt:
		c.rotate.Add(1)
		return nil
	case Repeat:
		c.repeat.Add(1)
		return nil
	case Stranger:
		c.stranger.Add(1)
		return errOutpaced
	case Theft:
		c.theft.Add(1)
		log.Warn("a refresh token was used again: session ended", "sid", t.presented.SessionID())
	case Impossible:
		c.impossible.Add(1)
		log.Error("a refresh token that was never made: the refresh key is in other hands, or the database was rolled back without `counterfoil restored`",
			"sid", t.presented.SessionID(), "counter", t.presented.Counter)
		if err := t.writeImpossible(ctx); err != nil {
			return err
		}
	}
	return errGrant()
}

// writeImpossible writes an [Impossible] token down, within bounds. Nothing was
// changed that the row would have to be one with, and the bound is taken once
// for each request, not for each run of a transaction.
func (t *renewal) writeImpossible(ctx context.Context) error {
	sid := t.presented.SessionID()
	if t.s.alarms.Take(sid) > 0 {
		return nil
	}
	err := t.s.store.Update(ctx, func(tx *store.Tx) error {
		return audit.Record(tx, t.now.Now, audit.Event{
			Actor: "anyone", Action: audit.RefreshAlarm, Subject: sid,
			Detail: "sub=" + t.now.Session.UserID + " counter=" + formatSeq(t.presented.Counter) +
				" epoch=" + formatSeq(t.presented.Epoch),
		})
	})
	if err != nil {
		t.s.alarms.GiveBack(sid)
	}
	return err
}

// endSession revokes the session that now holds and writes e about it.
func (s *Server) endSession(tx *store.Tx, now *store.Standing, e audit.Event) error {
	sid := now.Session.ID
	rec, err := tx.Revoke(store.Revocation{Entry: s.entry(revocation.Session, sid), Value: sid})
	if err != nil {
		return err
	}
	e.Subject, e.Detail = sid, strings.TrimPrefix(e.Detail+" seq="+formatSeq(rec.Seq), " ")
	return audit.Record(tx, now.Now, e)
}

func (s *Server) entry(kind revocation.Kind, value string) revocation.Entry {
	return revocation.Entry{Kind: kind, Handle: s.cfg.Keys.HandleKey().Handle(kind, s.cfg.Issuer, value)}
}
