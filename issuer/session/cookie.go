package session

import (
	"fmt"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/oauth"
)

// The cookies of a session, with one prefix.
const (
	AccessCookie  = oauth.AccessCookie
	RefreshCookie = "__Host-Http-refresh_token"
)

// MaxCookie is the longest Set-Cookie line that is sent, in bytes. Browsers drop
// cookies above 4,096 without a word, and some count the attributes.
const MaxCookie = 3800

// cookie returns a cookie with all attributes that the prefix asks for. A life of
// zero or less takes the cookie away.
func cookie(name, value string, life time.Duration, site http.SameSite) *http.Cookie {
	age := int(life / time.Second)
	if age <= 0 {
		age, value = -1, ""
	}
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age,
		Secure: true, HttpOnly: true, SameSite: site,
	}
}

// setCookies puts both tokens into cookies. The access token goes along when the
// user follows a link to this host; the refresh token never leaves its pages.
func setCookies(w http.ResponseWriter, out *issued) error {
	access := cookie(AccessCookie, out.access.Token, out.access.Life, http.SameSiteLaxMode)
	refresh := cookie(RefreshCookie, out.refresh.Token(), out.refreshLife, http.SameSiteStrictMode)
	if n := len(access.String()); n > MaxCookie {
		return &serve.Error{
			Status: http.StatusInternalServerError, Code: oauth.ServerError,
			Description: "the access token does not fit into a cookie; give it fewer claims or roles",
			Err:         fmt.Errorf("session: cookie of %d bytes, at most %d", n, MaxCookie),
		}
	}
	http.SetCookie(w, access)
	http.SetCookie(w, refresh)
	return nil
}

func clearCookies(w http.ResponseWriter) {
	http.SetCookie(w, cookie(AccessCookie, "", 0, http.SameSiteLaxMode))
	http.SetCookie(w, cookie(RefreshCookie, "", 0, http.SameSiteStrictMode))
}

// readCookie returns the value of the one cookie with exactly that name, or "".
// Two are refused: one of them is not ours.
func readCookie(r *http.Request, name string) (string, error) {
	value, n := oauth.CookieValue(r.Header.Values("Cookie"), name)
	if n > 1 {
		return "", badRequest("the cookie " + name + " was sent twice")
	}
	return value, nil
}
