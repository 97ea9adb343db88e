package verifier

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth"
)

// CookieName is the cookie of an access token.
const CookieName = oauth.AccessCookie

type contextKey struct{}

// From returns the token of a request that came through [Verifier.Protect], with
// its claims read as a T. It answers false where there is no token, or where the
// claims do not fit a T.
func From[T any](ctx context.Context) (*jwt.Token[T], bool) {
	tok, ok := ctx.Value(contextKey{}).(*jwt.Token[Access])
	if !ok {
		return nil, false
	}
	// Read anew for each caller, also as an Access: the token may be shared with
	// other requests, and what a handler does to its claims is its own affair.
	t, err := jwt.As[T](tok)
	return t, err == nil
}

// Protect lets requests with a good token through to h and answers the others
// as RFC 6750, Section 3.1 says.
func (v *Verifier) Protect(h http.Handler) http.Handler { return v.ProtectRoute(Route{}, h) }

// ProtectRoute is Protect for a route that asks for more.
func (v *Verifier) ProtectRoute(route Route, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tok, err := v.CheckRequest(r, route)
		if err != nil {
			refuse(w, err)
			return
		}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, tok)))
	})
}

// CheckRequest takes the token from a request and holds it against route.
func (v *Verifier) CheckRequest(r *http.Request, route Route) (*jwt.Token[Access], error) {
	token, err := v.tokenOf(r)
	if err != nil {
		return nil, err
	}
	return v.Check(r.Context(), token, route)
}

// refuse writes the answer for err.
func refuse(w http.ResponseWriter, err error) {
	status, challenge, retry := StatusOf(err)
	h := w.Header()
	if challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body, err := wire.Marshal(map[string]string{"error": errorCode(status, challenge)}); err == nil {
		w.Write(append(body, '\n'))
	}
}

// errorCode repeats the code of the challenge for clients that read bodies.
func errorCode(status int, challenge string) string {
	if _, rest, ok := strings.Cut(challenge, `error="`); ok {
		code, _, _ := strings.Cut(rest, `"`)
		return code
	}
	switch status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "access_denied"
	case http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	}
	return "server_error"
}

// tokenOf finds the one token of a request (RFC 6750, Section 2: clients use one
// method in each request).
func (v *Verifier) tokenOf(r *http.Request) (string, error) {
	if err := checkQuery(r.URL); err != nil {
		return "", err
	}
	fromHeader, err := headerToken(r.Header)
	if err != nil || !v.cfg.Cookies {
		return orNoToken(fromHeader, err)
	}
	fromCookie, err := cookieToken(r)
	if err != nil {
		return "", err
	}
	if fromHeader != "" && fromCookie != "" {
		return "", &RequestError{"a token in the header and another in a cookie"}
	}
	if fromCookie != "" {
		if err := v.origins.Check(asActing(r)); err != nil {
			return "", ErrCrossOrigin
		}
		return fromCookie, nil
	}
	return orNoToken(fromHeader, nil)
}

// asActing returns r, or for the opening of a WebSocket (RFC 6455, Section 4.1) what
// it comes to: a GET that may act, and that no cross-origin policy of browsers stops.
// Sec-WebSocket-Version is what a proxy leaves of it when it asks a guard.
func asActing(r *http.Request) *http.Request {
	if len(r.Header.Values("Upgrade")) == 0 && len(r.Header.Values("Sec-WebSocket-Version")) == 0 {
		return r
	}
	acting := *r
	acting.Method = http.MethodPost
	return &acting
}

func orNoToken(token string, err error) (string, error) {
	if err == nil && token == "" {
		return "", ErrNoToken
	}
	return token, err
}

// checkQuery refuses the query parameter of RFC 6750, Section 2.3: URLs end up
// in logs, histories and Referer headers.
func checkQuery(u *url.URL) error {
	if u.RawQuery == "" {
		return nil
	}
	// What cannot be parsed is not ours to refuse: a broken pair is left out.
	if u.Query().Has("access_token") {
		return &RequestError{"a token in the query string"}
	}
	return nil
}

// headerToken reads the Authorization header. One of another scheme is no token.
func headerToken(h http.Header) (string, error) {
	token, err := oauth.ParseBearer(h.Values("Authorization"))
	switch {
	case errors.Is(err, oauth.ErrNoBearer), errors.Is(err, oauth.ErrScheme):
		return "", nil
	case errors.Is(err, oauth.ErrBearer):
		return "", &RequestError{"Authorization is not one scheme, one space and one token"}
	case err != nil:
		return "", &RequestError{err.Error()}
	}
	return token, nil
}

// cookieToken reads the cookie by its exact name: browsers give the guarantees of
// the prefix to no other spelling.
func cookieToken(r *http.Request) (string, error) {
	token, n := oauth.CookieValue(r.Header.Values("Cookie"), CookieName)
	if n > 1 {
		return "", &RequestError{"more than one token cookie"}
	}
	return token, nil
}
