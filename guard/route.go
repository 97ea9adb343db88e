package guard

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/verifier"
)

// A Route is what a part of a service asks beyond a good token.
type Route struct {
	// Path is the path itself and everything below it: /admin fits /admin and
	// /admin/users, and not /administration.
	Path string
	verifier.Route
}

// routes are sorted: longer paths, which say more, come first.
type routes []Route

func newRoutes(list []Route) (routes, error) {
	sorted := slices.Clone(list)
	for i := range sorted {
		p := sorted[i].Path
		if !strings.HasPrefix(p, "/") || path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/" {
			return nil, fmt.Errorf("guard: route %q: a path begins with / and has no .., . or // in it", p)
		}
		sorted[i].Path = path.Clean(p)
	}
	slices.SortStableFunc(sorted, func(a, b Route) int { return cmp.Compare(len(b.Path), len(a.Path)) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Path == sorted[i-1].Path {
			return nil, fmt.Errorf("guard: route %q appears twice", sorted[i].Path)
		}
	}
	return sorted, nil
}

// find returns what the route of r asks. Where there are routes, a path that
// proxy, guard and service could read in different ways is refused.
func (rs routes) find(r *http.Request) (verifier.Route, error) {
	if len(rs) == 0 {
		return verifier.Route{}, nil
	}
	if r.URL.Path == "" || isAmbiguous(r.URL) {
		return verifier.Route{}, &requestError{"the path can be read in more than one way, or the proxy did not tell it"}
	}
	for _, route := range rs {
		if route.Path == "/" || r.URL.Path == route.Path || strings.HasPrefix(r.URL.Path, route.Path+"/") {
			return route.Route, nil
		}
	}
	return verifier.Route{}, nil
}

// isAmbiguous reports whether a path has parts that some programs resolve and
// others do not: dot segments, empty segments, encoded slashes, backslashes,
// parameters after a semicolon, what looks like the end of the path, and control
// characters.
func isAmbiguous(u *url.URL) bool {
	p := u.Path
	if strings.ContainsAny(p, "\\;?#") || strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return true
	}
	if strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return true
	}
	return path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/"
}

// original rebuilds the request that the proxy asks about from what it said in
// X-Forwarded-Method, -Uri and -Host. Of each there may be one: a second one is
// the client's, passed through by a proxy that appends.
func original(r *http.Request) (*http.Request, error) {
	asked := r.WithContext(r.Context())
	for _, name := range []string{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"} {
		if len(r.Header.Values(name)) > 1 {
			return nil, &requestError{"more than one " + name}
		}
	}
	// Without the method a cookie must pass for what it could be at worst.
	asked.Method = cmp.Or(r.Header.Get("X-Forwarded-Method"), http.MethodPost)
	asked.Host = cmp.Or(r.Header.Get("X-Forwarded-Host"), r.Host)
	asked.URL = new(url.URL)
	if uri := r.Header.Get("X-Forwarded-Uri"); uri != "" {
		u, err := url.ParseRequestURI(uri)
		// No client sends a fragment. nginx takes one, serves what stands before it
		// and passes it on; url.ParseRequestURI reads it as a part of the path.
		if err != nil || strings.Contains(uri, "#") {
			return nil, &requestError{"X-Forwarded-Uri is not a URI"}
		}
		asked.URL = u
	}
	return asked, nil
}
