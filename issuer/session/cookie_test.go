package session_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// cookies returns the two cookies of an answer.
func (f *fixture) cookies(res *http.Response) (access, refresh *http.Cookie) {
	f.t.Helper()
	for _, c := range res.Cookies() {
		switch c.Name {
		case session.AccessCookie:
			access = c
		case session.RefreshCookie:
			refresh = c
		}
	}
	if access == nil || refresh == nil || len(res.Cookies()) != 2 {
		f.t.Fatalf("%d: cookies %v", res.StatusCode, res.Header.Values("Set-Cookie"))
	}
	return access, refresh
}

func (f *fixture) signInWithCookies(d device) (access, refresh *http.Cookie) {
	f.t.Helper()
	return f.cookies(f.do(d.json("/sign-in", `{"username":"alice","password":"`+password+`","cookies":true}`)))
}

func with(r *http.Request, cookies ...*http.Cookie) *http.Request {
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func renew(cookies ...*http.Cookie) *http.Request {
	return with(laptop.form("/token", "grant_type", "refresh_token"), cookies...)
}

func TestThreat106CookiesHaveAllAttributes(t *testing.T) {
	f := newFixture(t, nil)
	var lines []string
	collect := func(res *http.Response) (access, refresh *http.Cookie) {
		lines = append(lines, res.Header.Values("Set-Cookie")...)
		return f.cookies(res)
	}
	access, refresh := collect(f.do(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`","cookies":true}`)))
	access, refresh = collect(f.do(renew(access, refresh)))
	collect(f.do(laptop.form("/sign-in", "username", "alice", "password", password)))
	collect(f.do(with(laptop.form("/sign-out"), access, refresh)))
	collect(f.do(renew(access, refresh))) // refused: the cookies are taken away
	for _, line := range lines {
		attributes := strings.Split(line, "; ")
		if !strings.HasPrefix(line, "__Host-Http-") {
			t.Errorf("%.30s…: no prefix", line)
		}
		for _, want := range []string{"Path=/", "Secure", "HttpOnly"} {
			if !slices.Contains(attributes, want) {
				t.Errorf("%.30s…: no %s", line, want)
			}
		}
		if !strings.Contains(line, "; SameSite=") || !strings.Contains(line, "; Max-Age=") || strings.Contains(line, "Domain") {
			t.Errorf("%.30s…: %v", line, attributes[1:])
		}
	}
	if len(lines) != 10 {
		t.Errorf("%d cookies", len(lines))
	}
}

// A sibling subdomain can set cookies for the parent domain, but none that a
// browser sends under our names. What it can send is not read.
func TestThreat106TossedCookiesAreNotRead(t *testing.T) {
	f := newFixture(t, nil)
	_, refresh := f.signInWithCookies(laptop)
	for name, header := range map[string]string{
		"other case":        "__HOST-Http-refresh_token=" + refresh.Value,
		"other case, later": "__Host-HTTP-refresh_token=" + refresh.Value,
		"plain":             "refresh_token=" + refresh.Value,
		"host prefix":       "__Host-refresh_token=" + refresh.Value,
		"nameless":          "=" + session.RefreshCookie + "=" + refresh.Value,
		"inside a value":    "x=1," + session.RefreshCookie + "=" + refresh.Value,
		"space in the name": "__Host-Http-refresh_token =" + refresh.Value,
	} {
		r := renew()
		r.Header.Set("Cookie", header)
		if got := f.ask(r); got.Status != http.StatusBadRequest || got.Error != "invalid_request" {
			t.Errorf("%s: %d %s", name, got.Status, got.Error)
		}
	}
	twice := renew(refresh, refresh)
	if got := f.ask(twice); got.Status != http.StatusBadRequest || got.Error != "invalid_request" {
		t.Errorf("twice: %d %s", got.Status, got.Error)
	}
	if got := f.ask(renew(refresh)); got.Status != http.StatusOK {
		t.Errorf("the cookie itself: %d %s", got.Status, got.Error)
	}
}

func TestCookieMode(t *testing.T) {
	f := newFixture(t, nil)
	res := f.do(laptop.json("/sign-in", `{"username":"alice","password":"`+password+`","cookies":true}`))
	body, _ := io.ReadAll(res.Body)
	access, refresh := f.cookies(res)
	if strings.Contains(string(body), "access_token") || strings.Contains(string(body), "refresh_token") {
		t.Errorf("tokens in cookies and in the body: %s", body)
	}
	if !strings.Contains(string(body), `"session_id"`) || access.MaxAge != 900 || refresh.MaxAge != 7*24*3600 {
		t.Errorf("%s, for %d and %d s", body, access.MaxAge, refresh.MaxAge)
	}
	if access.SameSite != http.SameSiteLaxMode || refresh.SameSite != http.SameSiteStrictMode {
		t.Error("SameSite")
	}
	next := f.do(renew(access, refresh))
	access2, refresh2 := f.cookies(next)
	if next.StatusCode != http.StatusOK || refresh2.Value == refresh.Value {
		t.Fatalf("%d", next.StatusCode)
	}
	if _, err := f.srv.VerifyAccess(t.Context(), access2.Value); err != nil {
		t.Error(err)
	}
	both := with(laptop.form("/token", "grant_type", "refresh_token", "refresh_token", refresh2.Value), refresh2)
	if got := f.ask(both); got.Status != http.StatusBadRequest || got.Error != "invalid_request" {
		t.Errorf("body and cookie: %d %s", got.Status, got.Error)
	}
}

func TestThreat107CookieTooLarge(t *testing.T) {
	f := newFixture(t, nil)
	claims := func(n int) map[string]jsontext.Value {
		m := make(map[string]jsontext.Value)
		for i := range n {
			m[fmt.Sprintf("claim%d", i)] = jsontext.Value(`"` + strings.Repeat("x", 100) + `"`)
		}
		return m
	}
	f.alice.Version = 1
	for n, fits := range map[int]bool{15: true, 30: false} {
		f.alice.Claims = claims(n)
		f.update(func(tx *store.Tx) error { return tx.UpdateUser(f.alice) })
		f.alice.Version++
		for _, r := range []*http.Request{
			laptop.json("/sign-in", `{"username":"alice","password":"`+password+`","cookies":true}`),
			laptop.form("/sign-in", "username", "alice", "password", password),
		} {
			res := f.do(r)
			lines := res.Header.Values("Set-Cookie")
			body, _ := io.ReadAll(res.Body)
			switch {
			case fits && (len(lines) != 2 || len(lines[0]) > session.MaxCookie):
				t.Errorf("%d claims: %d, %d cookies", n, res.StatusCode, len(lines))
			case !fits && (len(lines) != 0 || res.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), "does not fit into a cookie")):
				t.Errorf("%d claims: %d, %d cookies: %s", n, res.StatusCode, len(lines), body)
			}
		}
	}
}

// What net/http's CrossOriginProtection says, at every endpoint that a browser's
// cookies could act on; /revoke reads none.
func TestThreat108CrossSiteRequests(t *testing.T) {
	f := newFixture(t, func(c *session.Config) { c.TrustedOrigins = []string{"https://app.example"} })
	for _, c := range []struct {
		name    string
		header  map[string]string
		allowed bool
	}{
		{"no browser", nil, true},
		{"same origin", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://id.example"}, true},
		{"typed by the user", map[string]string{"Sec-Fetch-Site": "none"}, true},
		{"cross site", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
		{"same site", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://evil.id.example"}, false},
		{"cross site, no origin", map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		{"old browser, same host", map[string]string{"Origin": "https://id.example"}, true},
		{"old browser, other host", map[string]string{"Origin": "https://evil.example"}, false},
		{"old browser, null", map[string]string{"Origin": "null"}, false},
		{"other port", map[string]string{"Origin": "https://id.example:8443"}, false},
		{"trusted", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"}, true},
	} {
		access, refresh := f.signInWithCookies(laptop)
		for _, r := range []*http.Request{
			renew(access, refresh),
			laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`),
			laptop.form("/sign-in", "username", "alice", "password", password),
			with(laptop.form("/sign-out"), access, refresh),
		} {
			for name, value := range c.header {
				r.Header.Set(name, value)
			}
			res := f.do(r)
			if c.allowed != (res.StatusCode/100 == 2) || !c.allowed && res.StatusCode != http.StatusForbidden {
				t.Errorf("%s at %s: %d", c.name, r.URL.Path, res.StatusCode)
			}
			if !c.allowed && len(res.Cookies()) > 0 {
				t.Errorf("%s at %s: cookies", c.name, r.URL.Path)
			}
		}
	}
}

func TestThreat108NoGETChangesAnything(t *testing.T) {
	f := newFixture(t, nil)
	access, refresh := f.signInWithCookies(laptop)
	for _, path := range []string{"/token?grant_type=refresh_token", "/sign-out", "/revoke"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			if res := f.do(with(laptop.request(method, path, "", ""), access, refresh)); res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, res.StatusCode)
			}
		}
	}
	res := f.do(with(laptop.request("GET", "/sign-in?next=/orders", "", ""), access, refresh))
	if res.StatusCode != http.StatusOK || len(res.Cookies()) > 0 {
		t.Errorf("GET /sign-in: %d", res.StatusCode)
	}
	if got := f.ask(renew(refresh)); got.Status != http.StatusOK {
		t.Error("a GET ended or used the session")
	}
}

func TestSignInForm(t *testing.T) {
	f := newFixture(t, nil)
	get := func(path string) string {
		res := f.do(laptop.request("GET", path, "", ""))
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") ||
			res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
		return string(body)
	}
	if body := get("/sign-in?next=/orders%3Fpage=2"); !strings.Contains(body, `name="next" value="/orders?page=2"`) {
		t.Errorf("%s", body)
	}
	for _, evil := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "/%09/evil.example", "javascript:alert(1)", "\"><script>"} {
		if body := get("/sign-in?next=" + evil); strings.Contains(body, `name="next"`) || strings.Contains(body, "evil") {
			t.Errorf("%s is a way out", evil)
		}
		res := f.do(laptop.form("/sign-in", "username", "alice", "password", password, "next", evil))
		if res.Header.Get("Location") != "" && res.Header.Get("Location") != "/%09/evil.example" {
			t.Errorf("redirected to %s", res.Header.Get("Location"))
		}
	}
	res := f.do(laptop.form("/sign-in", "username", "alice", "password", password, "next", "/orders?page=2"))
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/orders?page=2" {
		t.Errorf("%d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	f.cookies(res)

	res = f.do(laptop.form("/sign-in", "username", `<b>alice`, "password", "wrong wrong", "next", "/orders"))
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "Username or password is wrong.") ||
		!strings.Contains(string(body), "&lt;b&gt;alice") || strings.Contains(string(body), "wrong wrong") ||
		!strings.Contains(string(body), `value="/orders"`) || len(res.Cookies()) != 0 {
		t.Errorf("%d: %s", res.StatusCode, body)
	}
	res = f.do(laptop.request("POST", "/sign-in", formType, "username=alice&username=bob&password=x"))
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("a parameter twice: %d", res.StatusCode)
	}
}

// A browser with two addresses refreshes in two tabs at once. The tab that comes
// second, over the other address, gets nothing; but it must not take away what the
// first one has just put into the cookies that they share. And where the first was
// a thief, the owner's next attempt has to find him out.
func TestThreat109OutpacedTabLeavesTheCookies(t *testing.T) {
	f := newFixture(t, nil)
	access, refresh := f.signInWithCookies(laptop)
	if got := f.do(renew(access, refresh)).StatusCode; got != http.StatusOK {
		t.Fatalf("the first tab: %d", got)
	}
	other := device{"[2001:db8::1]:4711", laptop.agent}
	second := func() *http.Response {
		return f.do(with(other.form("/token", "grant_type", "refresh_token"), access, refresh))
	}
	if res := second(); res.StatusCode != http.StatusBadRequest || len(res.Header.Values("Set-Cookie")) != 0 {
		t.Errorf("the second tab: %d, cookies %q", res.StatusCode, res.Header.Values("Set-Cookie"))
	}
	f.clock.advance(session.RefreshGrace + time.Second)
	if res := second(); res.StatusCode != http.StatusBadRequest || len(res.Header.Values("Set-Cookie")) != 2 {
		t.Errorf("later: %d, cookies %q", res.StatusCode, res.Header.Values("Set-Cookie"))
	}
	if c := f.srv.Counts(); c.Strangers != 1 || c.Thefts != 1 {
		t.Errorf("%+v", c)
	}
}
