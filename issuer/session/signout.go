package session

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

// signOutEndpoint is POST /sign-out: it ends the session of the cookies, of the
// access token in the Authorization header, or of the refresh_token in the form.
type signOutEndpoint struct{ *Server }

func (e *signOutEndpoint) Handle(w http.ResponseWriter, r *http.Request) error {
	p, err := presentedBy(w, r)
	if err != nil {
		return err
	}
	sid, err := e.sessionOf(r.Context(), p)
	if err != nil {
		return err
	}
	if sid != "" {
		if err := e.end(r.Context(), sid, audit.SignOut, ""); err != nil {
			return err
		}
	}
	if !p.cookies {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	clearCookies(w)
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// presented is what a sign-out may come with, from one place only.
type presented struct {
	access, refresh string
	cookies         bool
}

func presentedBy(w http.ResponseWriter, r *http.Request) (p presented, err error) {
	var inCookies presented
	if inCookies.access, err = readCookie(r, AccessCookie); err != nil {
		return p, err
	}
	if inCookies.refresh, err = readCookie(r, RefreshCookie); err != nil {
		return p, err
	}
	if p.access, err = bearer(r); err != nil {
		return p, err
	}
	if mediaType(r) == formType {
		form, err := readForm(w, r)
		if err != nil {
			return p, err
		}
		p.refresh = form["refresh_token"]
	}
	inCookies.cookies = inCookies.access != "" || inCookies.refresh != ""
	given := p.access != "" || p.refresh != ""
	switch {
	case inCookies.cookies && given || p.access != "" && p.refresh != "":
		return p, badRequest("a token came in two places")
	case inCookies.cookies:
		return inCookies, nil
	case !given:
		return p, badRequest("no token came with the request")
	}
	return p, nil
}

// sessionOf returns the session that p proves to hold a token of. Cookies that
// are good for nothing any more are no error: they are taken away.
func (s *Server) sessionOf(ctx context.Context, p presented) (string, error) {
	if refresh, err := ParseRefresh(s.cfg.Keys, p.refresh); err == nil {
		return refresh.SessionID(), nil
	}
	tok, err := s.genuine(ctx, p.access)
	if err == nil {
		return tok.Claims().SessionID, nil
	}
	if errors.Is(err, notary.ErrUnavailable) {
		return "", err
	}
	if p.cookies || p.access == "" {
		return "", nil
	}
	return "", &serve.Error{
		Status: http.StatusUnauthorized, Code: oauth.InvalidToken,
		Description: "the access token is not good", Challenge: `Bearer error="invalid_token"`,
	}
}

// end ends a session if it is there and alive, and writes down who did it.
func (s *Server) end(ctx context.Context, sid string, action audit.Action, detail string) error {
	ended := false
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		ended = false
		now, err := tx.Standing(store.StandingQuery{Session: sid})
		if err != nil || now.Session == nil || now.Session.RevokedSeq != 0 {
			return err
		}
		ended = true
		return s.endSession(tx, now, audit.Event{Actor: "user:" + now.Session.UserID, Action: action, Detail: detail})
	})
	if err == nil && ended {
		s.counts.revoked.Add(1)
	}
	return err
}

func formatSeq(seq uint64) string { return strconv.FormatUint(seq, 10) }
