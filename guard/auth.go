package guard

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/verifier"
)

// A requestError reports a request that the guard refuses before it looks at a token.
type requestError struct{ reason string }

func (e *requestError) Error() string { return e.reason }

// errIdentity reports a claim that no header can carry unchanged. A service that
// read another subject than the token's would serve the wrong person.
var errIdentity = errors.New("the token's identity does not fit into a header")

// auth answers a proxy that asks about one request.
func (g *Guard) auth(w http.ResponseWriter, r *http.Request) {
	tok, err := g.check(r)
	if err == nil {
		err = g.identify(w.Header(), tok)
	}
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	w.Header().Set(StatusHeader, "200")
	w.WriteHeader(http.StatusOK)
}

func (g *Guard) check(r *http.Request) (*jwt.Token[verifier.Access], error) {
	if g.carriesReserved(r.Header) {
		return nil, &requestError{"the request carries a reserved header"}
	}
	asked, err := original(r)
	if err != nil {
		return nil, err
	}
	route, err := g.routes.find(asked)
	if err != nil {
		return nil, err
	}
	return g.choose(asked).CheckRequest(asked, route)
}

// carriesReserved looks for other spellings too: what comes after CGI reads
// Auth_Subject, Auth.Subject and Auth-Subject as one.
func (g *Guard) carriesReserved(h http.Header) bool {
	for name := range h {
		if slices.Contains(g.reserved, variable(name)) {
			return true
		}
	}
	return false
}

// variable returns one spelling for all headers that CGI (RFC 3875, Section
// 4.1.18) and its imitators make one variable of: they turn what is neither
// letter nor digit into an underscore.
func variable(header string) string {
	return http.CanonicalHeaderKey(strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, header))
}

// choose finds the verifier by what the token says of itself. That is no more
// than a choice: the verifier then checks everything, the issuer included.
func (g *Guard) choose(r *http.Request) *verifier.Verifier {
	if len(g.issuers) > 1 {
		if token, err := jwt.ParseUnverified(presented(r)); err == nil {
			if v, ok := g.verifiers[token.UnverifiedIssuer()]; ok {
				return v
			}
		}
	}
	return g.anyReady()
}

// anyReady returns a verifier to refuse what no issuer of ours made. One that is
// not ready would answer that the client should come back.
func (g *Guard) anyReady() *verifier.Verifier {
	for _, issuer := range g.issuers {
		if v := g.verifiers[issuer]; v.Ready() == nil {
			return v
		}
	}
	return g.verifiers[g.issuers[0]]
}

// presented returns what may be a token. The verifier reads it again, strictly, and like
// it this passes over authorization of another scheme.
func presented(r *http.Request) string {
	token, err := oauth.ParseBearer(r.Header.Values("Authorization"))
	if !errors.Is(err, oauth.ErrNoBearer) && !errors.Is(err, oauth.ErrScheme) {
		return token
	}
	if cookie, err := r.Cookie(verifier.CookieName); err == nil {
		return cookie.Value
	}
	return ""
}

// identify writes who is calling, or fails and writes nothing.
func (g *Guard) identify(h http.Header, tok *jwt.Token[verifier.Access]) error {
	access := tok.Claims()
	identity := []struct{ name, value string }{
		{g.headers.Subject, tok.Subject()},
		{g.headers.Client, access.ClientID},
		{g.headers.Scope, access.Scope},
		{g.headers.Session, access.SessionID},
	}
	for _, id := range identity {
		if !fitsHeader(id.value) {
			return errIdentity
		}
	}
	for _, id := range identity {
		if id.value != "" {
			h.Set(id.name, id.value)
		}
	}
	return nil
}

// fitsHeader reports whether a header carries s unchanged: printable ASCII
// without a space at either end (RFC 9110, Section 5.5).
func fitsHeader(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// refuse answers 401 or 403 and says in Auth-Status what it means.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, challenge, retry := statusOf(err)
	h := w.Header()
	h.Set(StatusHeader, strconv.Itoa(status))
	if challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if retry > 0 {
		h.Set("Retry-After", serve.RetryAfter(retry))
	}
	g.log.LogAttrs(r.Context(), slog.LevelDebug, "refused", slog.Int("status", status), slog.String("err", err.Error()))
	if status == http.StatusUnauthorized {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusForbidden)
}

// statusOf is verifier.StatusOf with the guard's own errors.
func statusOf(err error) (status int, challenge string, retry time.Duration) {
	if _, ok := errors.AsType[*requestError](err); ok {
		return http.StatusBadRequest, "", 0
	}
	if errors.Is(err, errIdentity) {
		return http.StatusForbidden, "", 0
	}
	return verifier.StatusOf(err)
}
