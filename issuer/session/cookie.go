package session

import (
	"fmt"
	"net/http"
	"strings"
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
//
// net/http is not asked, since it cuts spaces off a name: a browser that keeps
// them does not see our prefix in such a name, and lets anybody set it.
func readCookie(r *http.Request, name string) (string, error) {
	found, value := 0, ""
	for _, line := range r.Header.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			if v, ok := strings.CutPrefix(strings.TrimPrefix(pair, " "), name+"="); ok {
				found, value = found+1, v
			}
		}
	}
	if found > 1 {
		return "", badRequest("the cookie " + name + " was sent twice")
	}
	return value, nil
}
