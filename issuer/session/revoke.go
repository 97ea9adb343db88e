package session

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// revokeEndpoint is POST /revoke (RFC 7009). Whoever has a token of a public
// client may take it back. A refresh token ends its session; an access token ends
// itself, or its session when the parameter sid names that too. A token that is
// not good, or no longer, is already what the client wants: 200.
//
// No cookie is read here, so a page of another site has nothing to act with.
type revokeEndpoint struct{ *Server }

func (e *revokeEndpoint) Handle(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	token := form["token"]
	if token == "" {
		return badRequest("token is required")
	}
	// RFC 7009, Section 2.1: token_type_hint only helps to look, and the two kinds
	// cannot be mistaken for each other.
	if refresh, err := ParseRefresh(e.cfg.Keys, token); err == nil {
		err = e.revokeSession(r.Context(), refresh.SessionID(), e.cfg.Client)
		return done(w, err)
	}
	tok, err := e.genuine(r.Context(), token)
	if errors.Is(err, notary.ErrUnavailable) {
		return err
	}
	if err != nil {
		return done(w, nil)
	}
	switch sid := form["sid"]; sid {
	case "":
		return done(w, e.revokeToken(r.Context(), tok))
	case tok.Claims().SessionID:
		return done(w, e.revokeSession(r.Context(), sid, tok.Claims().ClientID))
	}
	return badRequest("sid is not the session of the token")
}

func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusOK)
	}
	return err
}

// revokeSession has no limit, as a sign-out has none: there is one entry in a session.
func (s *Server) revokeSession(ctx context.Context, sid, client string) error {
	return s.end(ctx, sid, audit.Revoke, "kind=session client="+client)
}

// revokeToken takes one access token back.
func (s *Server) revokeToken(ctx context.Context, tok *jwt.Token[Access]) error {
	c := tok.Claims()
	if over, err := s.over(ctx, tok); err != nil || over {
		return err
	}
	if err := s.mayRevoke(c.SessionID, tok.Subject()); err != nil {
		return err
	}
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Standing(store.StandingQuery{Session: c.SessionID})
		if err != nil || now.Session != nil && now.Session.RevokedSeq != 0 {
			return err // its tokens are refused already
		}
		rec, err := tx.Revoke(store.Revocation{
			Entry: s.entry(revocation.Token, tok.ID()), Value: tok.ID(),
			Session: c.SessionID, SessionEntry: s.entry(revocation.Session, c.SessionID),
		})
		if err != nil {
			return err
		}
		return audit.Record(tx, now.Now, audit.Event{
			Actor: "client:" + c.ClientID, Action: audit.Revoke, Subject: tok.ID(),
			Detail: "kind=token sid=" + c.SessionID + " seq=" + formatSeq(rec.Seq),
		})
	})
	if err == nil {
		s.counts.revoked.Add(1)
	}
	return err
}

// over reports whether tok, or its session, is revoked already.
func (s *Server) over(ctx context.Context, tok *jwt.Token[Access]) (over bool, err error) {
	err = s.view(ctx, func(tx *store.Tx) error {
		over, err = tx.TokenRevoked(s.entry(revocation.Token, tok.ID()), tok.Claims().SessionID)
		return err
	})
	return over, err
}

// mayRevoke bounds how fast the holder of one session, or one user with many, can make
// the log grow. It asks no more of the users of a client together: one of them could
// keep all the others from taking a token back.
func (s *Server) mayRevoke(sid, user string) error {
	wait := s.perSid.Take(sid)
	if wait == 0 {
		wait = s.perUser.Take(user)
	}
	if wait == 0 {
		return nil
	}
	return &serve.Error{
		Status: http.StatusTooManyRequests, Code: oauth.TemporarilyUnavailable,
		Description: "too many revocations", RetryAfter: max(wait, time.Second),
	}
}
