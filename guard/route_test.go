package guard_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/verifier"
)

var adminRoutes = []guard.Route{
	{Path: "/admin", Route: verifier.Route{Scope: []string{"admin"}}},
	{Path: "/admin/open"},
}

func TestRoutes(t *testing.T) {
	iss := issuertest.New(t)
	h := oneGuard(t, iss, guard.Config{Routes: adminRoutes})
	token := iss.Mint(t, issuertest.Claims{"scope": "read"})
	tests := []struct {
		uri    string
		status int
	}{
		{"/", 200}, {"/orders", 200}, {"/administration", 200}, {"/ADMIN", 200},
		{"/admin", 403}, {"/admin/", 403}, {"/admin/users?x=/orders", 403}, {"/%61dmin", 403}, {"/admin/openx", 403},
		{"/admin/open", 200}, {"/admin/open/x", 200},
		{"/x/../admin", 400}, {"/x/%2e%2e/admin", 400}, {"//admin", 400}, {"/./admin", 400}, {"/x/..%2fadmin", 400},
		{"/admin%2Fopen", 400}, {"/admin/open%2fx", 400}, {"/x%2F..%2Fadmin", 400}, {"/admin;x=1", 400}, {"/x\\..\\admin", 400}, {"/admin/open/../users", 400},
		{"", 400}, {"admin", 400}, {"/%zz", 400},
		{"/admin#x", 400}, {"/admin#", 400}, {"/admin%23x", 400}, {"/#/admin", 400}, {"/orders?q=#", 400}, {"/orders?q=%23", 200},
		{"/admin%0a", 400}, {"/admin%09", 400}, {"/admin%7f", 400},
	}
	for _, tt := range tests {
		t.Run(tt.uri, func(t *testing.T) {
			wantStatus(t, asked(h, "GET", tt.uri, bearerToken(token)), tt.status)
		})
	}
	twice := bearerToken(token, "X-Forwarded-Uri", "/orders")
	twice.Add("X-Forwarded-Uri", "/admin")
	wantStatus(t, asked(h, "GET", "", twice), 400)
}

// Whatever a URI looks like: if any way to read it leads below /admin, a token
// without the scope does not get a yes.
func FuzzRoute(f *testing.F) {
	iss := issuertest.New(f)
	v := iss.VerifierWith(f, verifier.Config{})
	g, err := guard.New(guard.Config{Verifiers: map[string]*verifier.Verifier{iss.URL: v}, Routes: adminRoutes[:1]})
	if err != nil {
		f.Fatal(err)
	}
	h := g.Handler()
	token := iss.Mint(f, issuertest.Claims{"scope": "read"})
	for _, uri := range []string{"/admin", "/x/..%2fadmin", "//admin", "/%61dmin", "http://h/admin", "/admin?", "/a/%2e%2e/admin", "/\\admin", "/admin#x"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if !strings.HasPrefix(uri, "/") || strings.ContainsAny(uri, "\r\n") {
			return // no proxy has such a request line
		}
		w := asked(h, "GET", uri, bearerToken(token))
		if w.Code == 200 && leadsToAdmin(uri) {
			t.Errorf("%q got a yes", uri)
		}
	})
}

// leadsToAdmin reads a URI as sloppily as some programs do.
func leadsToAdmin(uri string) bool {
	p, _, _ := strings.Cut(uri, "#")
	p, _, _ = strings.Cut(p, "?")
	for range 2 {
		clean := path.Clean("/" + strings.ReplaceAll(p, "\\", "/"))
		if clean == "/admin" || strings.HasPrefix(clean, "/admin/") {
			return true
		}
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return false
		}
		p = decoded
	}
	return false
}
