package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

func header(json string) string { return wire.Encode([]byte(json)) }

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// ask sends a request through Protect and returns the answer.
func ask(v *verifier.Verifier, route verifier.Route, r *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	v.ProtectRoute(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tok, ok := verifier.From[verifier.Access](r.Context())
		fmt.Fprint(w, ok && tok.Subject() == "user-1")
	})).ServeHTTP(rec, r)
	return rec.Result()
}

func get(headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/orders?page=2", nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func TestProtectAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		good := o.token(t, nil)
		revoked := o.token(t, claims{"sid": "session-2"})
		o.revoke(revocation.Session, "session-2")
		pass(time.Second)
		expired := o.token(t, claims{"iat": time.Now().Add(-time.Hour), "exp": time.Now().Add(-50 * time.Minute)})
		scope := verifier.Route{Scope: []string{"read", "orders:cancel"}}
		role := verifier.Route{Roles: []string{"admin", "root"}}
		clerk := verifier.Route{Roles: []string{"admin", "clerk"}, Scope: []string{"write"}}
		for _, c := range []struct {
			name      string
			route     verifier.Route
			headers   []string
			status    int
			challenge string
		}{
			{"good", verifier.Route{}, []string{"Authorization: Bearer " + good}, 200, ""},
			{"scheme in any case", verifier.Route{}, []string{"Authorization: bEaReR " + good}, 200, ""},
			{"scope and role there", clerk, []string{"Authorization: Bearer " + good}, 200, ""},
			{"none", verifier.Route{}, nil, 401, "Bearer"},
			{"other scheme", verifier.Route{}, []string{"Authorization: Basic YTpi"}, 401, "Bearer"},
			{"scheme alone", verifier.Route{}, []string{"Authorization: Bearer"}, 400, `Bearer error="invalid_request"`},
			{"two spaces", verifier.Route{}, []string{"Authorization: Bearer  " + good}, 400, `Bearer error="invalid_request"`},
			{"trailing space", verifier.Route{}, []string{"Authorization: Bearer " + good + " "}, 400, `Bearer error="invalid_request"`},
			{"tab", verifier.Route{}, []string{"Authorization: Bearer\t" + good}, 401, "Bearer"},
			{"list", verifier.Route{}, []string{"Authorization: Bearer " + good + ",Bearer " + good}, 400, `Bearer error="invalid_request"`},
			{"two headers", verifier.Route{}, []string{"Authorization: Bearer " + good, "Authorization: Bearer " + good}, 400, `Bearer error="invalid_request"`},
			{"junk", verifier.Route{}, []string{"Authorization: Bearer junk"}, 401, `Bearer error="invalid_token"`},
			{"revoked", verifier.Route{}, []string{"Authorization: Bearer " + revoked}, 401, `Bearer error="invalid_token", error_description="the token was revoked"`},
			{"expired", verifier.Route{}, []string{"Authorization: Bearer " + expired}, 401, `Bearer error="invalid_token", error_description="the token expired"`},
			{"bound to a key", verifier.Route{}, []string{"Authorization: Bearer " + o.token(t, claims{"cnf": map[string]string{"jkt": "device-1"}})}, 401, `Bearer error="invalid_token"`},
			{"bound to a certificate", verifier.Route{}, []string{"Authorization: Bearer " + o.token(t, claims{"cnf": map[string]string{"x5t#S256": "abc"}})}, 401, `Bearer error="invalid_token"`},
			{"scope missing", scope, []string{"Authorization: Bearer " + good}, 403, `Bearer error="insufficient_scope", scope="read orders:cancel"`},
			{"role missing", role, []string{"Authorization: Bearer " + good}, 403, `Bearer error="insufficient_scope"`},
			{"cookie where none are taken", verifier.Route{}, []string{"Cookie: " + verifier.CookieName + "=" + good}, 401, "Bearer"},
		} {
			resp := ask(v, c.route, get(c.headers...))
			body, _ := io.ReadAll(resp.Body)
			challenge := resp.Header.Get("WWW-Authenticate")
			if resp.StatusCode != c.status || !strings.HasPrefix(challenge, c.challenge) || (c.challenge == "") != (challenge == "") {
				t.Errorf("%s: %d %q, want %d %q", c.name, resp.StatusCode, challenge, c.status, c.challenge)
			}
			if c.status == 200 {
				if string(body) != "true" {
					t.Errorf("%s: no token in the context", c.name)
				}
				continue
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: the refusal may be cached", c.name)
			}
			if strings.Contains(string(body)+challenge, good[:20]) {
				t.Errorf("%s: the answer holds a part of the token", c.name)
			}
		}
	})
}

func TestProtectQuery(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		token := o.token(t, nil)
		for _, query := range []string{"access_token=" + token, "a=b&access_token=x", "access%5Ftoken=x", "access_token"} {
			for _, headers := range [][]string{nil, {"Authorization: Bearer " + token}} {
				r := get(headers...)
				r.URL.RawQuery = query
				if resp := ask(v, verifier.Route{}, r); resp.StatusCode != 400 {
					t.Errorf("token in the query: %d, want 400", resp.StatusCode)
				}
			}
		}
	})
}

func TestProtectUnavailable(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		o.door("/revocation/key", broken)
		v := o.verifier(t, nil)
		token := "Authorization: Bearer " + o.token(t, nil)
		check := func(route verifier.Route, want int) {
			t.Helper()
			resp := ask(v, route, get(token))
			if resp.StatusCode != want || (resp.Header.Get("Retry-After") != "") != (want == 503) || resp.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%d, Retry-After %q, want %d", resp.StatusCode, resp.Header.Get("Retry-After"), want)
			}
		}
		check(verifier.Route{}, 503) // not ready
		o.door("/revocation/key", nil)
		pass(5 * time.Second)
		check(verifier.Route{}, 200)
		o.shut()
		pass(10 * time.Second)
		check(verifier.Route{}, 200)
		check(verifier.Route{Sensitive: true}, 503) // stale
		pass(tokenLife)
		check(verifier.Route{}, 503) // blind
	})
}

// A WebSocket is opened by GET, and then says anything in the user's name.
func TestThreat108WebSocketFromAnotherPage(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, func(c *verifier.Config) { c.Cookies = true })
		token := o.token(t, nil)
		cookie, socket := "Cookie: "+verifier.CookieName+"="+token, "Sec-WebSocket-Version: 13"
		for _, c := range []struct {
			headers []string
			status  int
		}{
			{[]string{cookie, socket, "Sec-Fetch-Site: same-site"}, 403},
			{[]string{cookie, socket, "Origin: https://evil.example"}, 403},
			{[]string{cookie, "Upgrade: WebSocket", "Origin: https://evil.example"}, 403},
			{[]string{cookie, socket, "Sec-Fetch-Site: same-origin"}, 200},
			{[]string{cookie, socket}, 200}, // not a browser
			{[]string{"Authorization: Bearer " + token, socket, "Sec-Fetch-Site: cross-site"}, 200},
		} {
			if resp := ask(v, verifier.Route{}, get(c.headers...)); resp.StatusCode != c.status {
				t.Errorf("%s: %d, want %d", c.headers[1:], resp.StatusCode, c.status)
			}
		}
	})
}

func TestProtectCookies(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, func(c *verifier.Config) { c.Cookies = true })
		token := o.token(t, nil)
		cookie, auth := "Cookie: "+verifier.CookieName+"="+token, "Authorization: Bearer "+token
		cross, same := "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin"
		for _, c := range []struct {
			method  string
			headers []string
			status  int
		}{
			{"GET", []string{cookie}, 200},
			{"GET", []string{cookie, cross}, 200}, // safe methods change nothing
			{"POST", []string{cookie, same}, 200},
			{"POST", []string{cookie}, 200}, // not a browser
			{"POST", []string{cookie, cross}, 403},
			{"POST", []string{cookie, "Sec-Fetch-Site: same-site"}, 403},
			{"POST", []string{cookie, "Origin: https://evil.example"}, 403},
			{"POST", []string{cookie, "Origin: null"}, 403},
			{"DELETE", []string{cookie, cross}, 403},
			{"POST", []string{auth, cross}, 200}, // a page cannot make a browser send that
			{"GET", []string{auth, cookie}, 400},
			{"GET", []string{cookie, cookie}, 400},
			{"GET", []string{"Cookie: " + verifier.CookieName + "\t=" + token}, 401},
			{"GET", []string{"Cookie: a=b;\t" + verifier.CookieName + "=" + token}, 401},
			{"GET", []string{cookie, "Cookie: " + verifier.CookieName + "=\"x"}, 400},
			{"GET", []string{strings.Replace(cookie, "__Host-Http-", "__HOST-http-", 1)}, 401},
			{"GET", []string{strings.Replace(cookie, "__Host-Http-", "", 1)}, 401},
			{"GET", []string{"Cookie: =" + verifier.CookieName + "=" + token}, 401},
			{"GET", []string{"Cookie: " + verifier.CookieName + "="}, 401},
			{"GET", nil, 401},
		} {
			r := get(c.headers...)
			r.Method = c.method
			if resp := ask(v, verifier.Route{}, r); resp.StatusCode != c.status {
				names := strings.ReplaceAll(strings.Join(c.headers, "; "), token, "…")
				t.Errorf("%s %s: %d, want %d", c.method, names, resp.StatusCode, c.status)
			}
		}
	})
}

func TestFrom(t *testing.T) {
	type own struct {
		Order int `json:"order"`
	}
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		h := v.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if tok, ok := verifier.From[own](r.Context()); !ok || tok.Claims().Order != 7 {
				t.Error("claims of the service's own type")
			}
			if _, ok := verifier.From[[]string](r.Context()); ok {
				t.Error("an object was read as a list")
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), get("Authorization: Bearer "+o.token(t, claims{"order": 7})))
		if _, ok := verifier.From[own](t.Context()); ok {
			t.Error("a token without a request")
		}
	})
}

func TestStatusOf(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		retry  bool
	}{
		{nil, 200, "", false},
		{verifier.ErrNoToken, 401, "Bearer", false},
		{verifier.ErrNotReady, 503, "", true},
		{errors.Join(verifier.ErrNotReady, jwk.ErrSignature), 503, "", true},
		{verifier.ErrStale, 503, "", true},
		{verifier.ErrBlind, 503, "", true},
		{jwks.ErrNoKeys, 503, "", true},
		{fmt.Errorf("keys: %w", jwks.ErrWithdrawn), 503, "", true},
		{context.DeadlineExceeded, 503, "", true},
		{&verifier.RequestError{Reason: "two"}, 400, "invalid_request", false},
		{&verifier.ScopeError{Scope: []string{"a\"b"}}, 403, `scope="ab"`, false},
		{verifier.ErrRole, 403, "insufficient_scope", false},
		{verifier.ErrCrossOrigin, 403, "", false},
		{&verifier.RevokedError{Kind: revocation.Session}, 401, "invalid_token", false},
		{verifier.ErrAhead, 401, "invalid_token", false},
		{verifier.ErrBound, 401, "invalid_token", false},
		{verifier.ErrUnproved, 401, "invalid_token", false},
		{&jwt.ExpiredError{}, 401, "the token expired", false},
		{&jwt.ClaimError{Claim: "aud"}, 401, "invalid_token", false},
		{jwk.ErrUnknownKey, 401, "invalid_token", false},
		{&jwt.PolicyError{Field: "Now"}, 500, "", false},
		{errors.New("anything else"), 401, "invalid_token", false},
	} {
		status, challenge, retry := verifier.StatusOf(c.err)
		if status != c.status || !strings.Contains(challenge, c.code) || c.code == "" && challenge != "" || (retry > 0) != c.retry {
			t.Errorf("%v: %d %q %v", c.err, status, challenge, retry)
		}
	}
}

func FuzzProtect(f *testing.F) {
	f.Add("Bearer a.b.c", "page=2", "x=y")
	f.Add("bearer  ", "access_token=1", verifier.CookieName+"=a")
	f.Add("Bearer e30.e30.e30", "%", ";;=")
	set, err := jwk.NewSet(generate(f, jwk.HS256))
	if err != nil {
		f.Fatal(err)
	}
	v, err := verifier.Open(context.Background(), verifier.Config{Issuer: "test", Audience: "test", Keys: set, Cookies: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { v.Close() })
	f.Fuzz(func(t *testing.T, auth, query, cookie string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", auth)
		r.Header.Set("Cookie", cookie)
		if resp := ask(v, verifier.Route{}, r); resp.StatusCode != 400 && resp.StatusCode != 401 {
			t.Errorf("%d without a token", resp.StatusCode)
		}
	})
}
