package guard_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/verifier"
)

// oneGuard is a guard of one issuer.
func oneGuard(t *testing.T, iss *issuertest.Issuer, cfg guard.Config) http.Handler {
	t.Helper()
	cfg.Verifiers = map[string]*verifier.Verifier{iss.URL: iss.VerifierWith(t, verifier.Config{Cookies: true})}
	g, err := guard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g.Handler()
}

// asked puts the question as a proxy does: method and URI of the client's request
// are in headers.
func asked(h http.Handler, method, uri string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://app.example/auth", nil)
	if header != nil {
		r.Header = header.Clone()
	}
	if method != "" {
		r.Header.Set("X-Forwarded-Method", method)
	}
	if uri != "" {
		r.Header.Set("X-Forwarded-Uri", uri)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantStatus wants the true status, and the one of three that proxies understand.
func wantStatus(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if got := w.Header().Get(guard.StatusHeader); got != fmt.Sprint(status) {
		t.Errorf("Auth-Status is %q, want %d", got, status)
	}
	outside := http.StatusForbidden
	if status == 200 || status == 401 {
		outside = status
	}
	if w.Code != outside {
		t.Errorf("status %d, want %d", w.Code, outside)
	}
	if status != 200 && w.Header().Get("Auth-Subject") != "" {
		t.Error("a refusal names a subject")
	}
}

// A cookie is sent by the browser, whoever made it send the request.
func TestThreat108CookieFromAnotherSite(t *testing.T) {
	iss := issuertest.New(t)
	h := oneGuard(t, iss, guard.Config{})
	token := iss.Mint(t, nil)
	tests := []struct {
		name, method string
		header       []string
		status       int
	}{
		{"cross-site", "POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"same-site is another origin", "POST", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"same-origin", "POST", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"typed by the user", "POST", []string{"Sec-Fetch-Site", "none"}, 200},
		{"old browser, foreign origin", "POST", []string{"Origin", "https://evil.example"}, 403},
		{"old browser, origin null", "POST", []string{"Origin", "null"}, 403},
		{"old browser, own origin", "POST", []string{"Origin", "https://app.example"}, 200},
		{"safe method", "GET", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"other mutations", "DELETE", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"the proxy did not tell the method", "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantStatus(t, asked(h, tt.method, "/", cookie(token, tt.header...)), tt.status)
		})
		t.Run(tt.name+", bearer", func(t *testing.T) { // no browser adds that by itself
			wantStatus(t, asked(h, tt.method, "/", bearerToken(token, tt.header...)), 200)
		})
	}
}

func TestThreat130TokenInTheWrongPlace(t *testing.T) {
	iss := issuertest.New(t)
	h := oneGuard(t, iss, guard.Config{})
	token := iss.Mint(t, nil)
	tests := []struct {
		name, uri string
		header    http.Header
		status    int
	}{
		{"query", "/?access_token=" + token, nil, 400},
		{"query beside a header", "/?access_token=x", bearerToken(token), 400},
		{"two headers", "/", http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, 400},
		{"two tokens", "/", http.Header{"Authorization": {"Bearer " + token + " " + token}}, 400},
		{"two spaces", "/", http.Header{"Authorization": {"Bearer  " + token}}, 400},
		{"header and cookie", "/", cookie(token, "Authorization", "Bearer "+token), 400},
		{"two cookies", "/", cookie(token, "Cookie", verifier.CookieName+"="+token), 400},
		{"scheme in another case", "/", http.Header{"Authorization": {"bEARER " + token}}, 200},
		{"another scheme", "/", http.Header{"Authorization": {"Basic " + token}}, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantStatus(t, asked(h, "GET", tt.uri, tt.header), tt.status) })
	}
}

func TestThreat130GuardLogsNoToken(t *testing.T) {
	var log bytes.Buffer
	iss := issuertest.New(t)
	h := oneGuard(t, iss, guard.Config{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	token := iss.Mint(t, nil)
	for _, bad := range []string{token[:len(token)-1], token + "x", "x" + token, strings.ToUpper(token)} {
		wantStatus(t, asked(h, "GET", "/?t="+bad, bearerToken(bad)), 401)
	}
	wantStatus(t, asked(h, "GET", "/?access_token="+token, nil), 400)
	if log.Len() == 0 {
		t.Fatal("nothing was logged")
	}
	for _, part := range strings.Split(token, ".") {
		if strings.Contains(strings.ToLower(log.String()), strings.ToLower(part[:20])) {
			t.Errorf("the log holds a part of the token:\n%s", &log)
		}
	}
}

func TestReservedHeaders(t *testing.T) {
	iss := issuertest.New(t)
	h := oneGuard(t, iss, guard.Config{Headers: guard.Headers{Subject: "X-User"}})
	token := iss.Mint(t, issuertest.Claims{"sub": "u1"})
	if got := asked(h, "GET", "/", bearerToken(token)).Header().Get("X-User"); got != "u1" {
		t.Errorf("X-User is %q", got)
	}
	tests := []struct {
		header string
		status int
	}{
		{"X-User", 400}, {"x-user", 400}, {"X_User", 400}, {"x_USER", 400}, {"X.User", 400}, {"x.user", 400},
		{"Auth-Client", 400}, {"Auth_Client", 400}, {"Auth-Scope", 400}, {"Auth-Session", 400}, {"Auth-Status", 400},
		{"Auth-Subject", 200}, // under another name here, so that this one means nothing
		{"X-Users", 200},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			header := bearerToken(token)
			header[tt.header] = []string{""} // an empty one too
			wantStatus(t, asked(h, "GET", "/", header), tt.status)
		})
	}
}

// A name with an underscore in the configuration is as reserved as any other.
func TestReservedHeaderWithUnderscore(t *testing.T) {
	iss := issuertest.New(t)
	h := oneGuard(t, iss, guard.Config{Headers: guard.Headers{Subject: "X_User"}})
	for _, name := range []string{"X_User", "X-User", "X_user"} {
		header := bearerToken(iss.Mint(t, nil))
		header[name] = []string{"root"}
		wantStatus(t, asked(h, "GET", "/", header), 400)
	}
}

func TestIdentityThatNoHeaderCarries(t *testing.T) {
	iss := issuertest.New(t)
	h := oneGuard(t, iss, guard.Config{})
	for _, sub := range []string{"a\nb", "a\rb", "a\x00b", "müller", " a", "a ", "a\x7f"} {
		wantStatus(t, asked(h, "GET", "/", bearerToken(iss.Mint(t, issuertest.Claims{"sub": sub}))), 403)
	}
	wantStatus(t, asked(h, "GET", "/", bearerToken(iss.Mint(t, issuertest.Claims{"sub": "a b~!"}))), 200)
}

func TestReady(t *testing.T) {
	iss := issuertest.New(t)
	w := httptest.NewRecorder()
	oneGuard(t, iss, guard.Config{}).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusNoContent {
		t.Errorf("ready guard answers %d: %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	newGuard(t, iss).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "not_ready") {
		t.Errorf("a guard with an absent issuer answers %d: %s", w.Code, w.Body)
	}
}

// In a cluster the issuer has a private address. Who looks at the log or asks
// /readyz reads what to set.
func TestReadySaysWhatToSetForAPrivateIssuer(t *testing.T) {
	var log bytes.Buffer
	v, err := verifier.Open(t.Context(), verifier.Config{
		Issuer: "https://10.255.255.1", Audience: "orders", Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	g, err := guard.New(guard.Config{Verifiers: map[string]*verifier.Verifier{"https://10.255.255.1": v}})
	if err != nil {
		t.Fatal(err)
	}
	var inner *fetch.AddressError
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !errors.As(g.Ready(), &inner); <-tick.C {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("Ready: %v, want an AddressError", g.Ready())
		}
	}
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if err := v.Close(); err != nil { // nobody writes to the log any more
		t.Fatal(err)
	}
	for place, text := range map[string]string{"/readyz": w.Body.String(), "log": log.String(), "Ready": g.Ready().Error()} {
		for _, want := range []string{"Config.AllowPrivate", "--allow-private CIDR", "10.255.255.1/32"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s says %q, and not %q", place, text, want)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	v := map[string]*verifier.Verifier{unreachable: issuertest.New(t).Verifier(t)}
	for name, cfg := range map[string]guard.Config{
		"no verifier":        {},
		"relative path":      {Verifiers: v, Routes: []guard.Route{{Path: "admin"}}},
		"path with dots":     {Verifiers: v, Routes: []guard.Route{{Path: "/a/../b"}}},
		"a path twice":       {Verifiers: v, Routes: []guard.Route{{Path: "/a"}, {Path: "/a/"}}},
		"one name for two":   {Verifiers: v, Headers: guard.Headers{Subject: "Auth-Client"}},
		"the status's name":  {Verifiers: v, Headers: guard.Headers{Scope: "auth-status"}},
		"two of one spelled": {Verifiers: v, Headers: guard.Headers{Subject: "x-a", Client: "X-A"}},
	} {
		if _, err := guard.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// Authorization of another scheme, as for a service behind HTTP Basic, does not hide
// whose token the cookie is.
func TestCookieBesideBasic(t *testing.T) {
	one, two := issuertest.New(t), issuertest.New(t)
	g, err := guard.New(guard.Config{Verifiers: map[string]*verifier.Verifier{
		one.URL: one.VerifierWith(t, verifier.Config{Cookies: true}), two.URL: two.VerifierWith(t, verifier.Config{Cookies: true}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, iss := range []*issuertest.Issuer{one, two} {
		wantStatus(t, asked(g.Handler(), "GET", "/", cookie(iss.Mint(t, nil))), http.StatusOK)
		wantStatus(t, asked(g.Handler(), "GET", "/", cookie(iss.Mint(t, nil), "Authorization", "Basic YTpi")), http.StatusOK)
	}
}
