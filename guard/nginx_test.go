package guard_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// nginx returns Debian's nginx. CI has it; a desk may not.
func nginx(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("nginx is missing: apt-get install nginx-light")
	}
	t.Skip("nginx is missing: apt-get install nginx-light")
	return ""
}

// startNginx runs nginx with deploy/nginx.conf between a guard and a service, and
// returns the URL to ask.
func startNginx(t *testing.T, guardAddr, serviceAddr string) string {
	t.Helper()
	program, dir := nginx(t), t.TempDir()
	// nginx inherits this socket, as it does from itself in an upgrade: there is
	// no port to be taken meanwhile, and requests wait in it until nginx is up.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(mainConf(t, dir, ln.Addr().String(), guardAddr, serviceAddr)), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(program, "-p", dir, "-c", conf, "-g", "daemon off;", "-e", "stderr")
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), "NGINX=3;"), []*os.File{socket}
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nginx said:\n%s", &stderr)
		}
	})
	return "http://" + ln.Addr().String()
}

// mainConf puts deploy/nginx.conf, with addresses of the test in it, into the
// smallest main configuration.
func mainConf(t *testing.T, dir, listen, guardAddr, serviceAddr string) string {
	t.Helper()
	snippet, err := os.ReadFile("../deploy/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := string(snippet)
	for old, replacement := range map[string]string{
		"server unix:/run/counterfoil/guard.sock;": "server " + guardAddr + ";",
		"server 127.0.0.1:9000;":                   "server " + serviceAddr + ";",
		"listen 80;":                               "listen " + listen + ";",
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("deploy/nginx.conf does not hold %q once", old)
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // the worker must reach the test's socket
	}
	var paths strings.Builder
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "%s_temp_path %s/%s;\n", what, dir, what)
	}
	return user + "worker_processes 1;\npid " + dir + "/nginx.pid;\nevents { worker_connections 64; }\n" +
		"http {\naccess_log off;\n" + paths.String() + text + "}\n"
}

// A service tells what reached it, in headers that nginx lets through.
func startService(t *testing.T) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Auth-Status", "Auth-Subject", "Auth-Client", "Auth-Scope", "Auth-Session"} {
			if values, ok := r.Header[name]; ok {
				w.Header()["Saw-"+name] = values
			}
		}
		io.WriteString(w, "served "+r.Method)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// startGuard serves g and returns its address as nginx writes it.
func startGuard(t *testing.T, addr string, g *guard.Guard) (nginxAddr string, stop func()) {
	t.Helper()
	ln, err := serve.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: g.Handler()}
	go s.Serve(ln)
	stop = func() { s.Close() }
	t.Cleanup(stop)
	if strings.HasPrefix(addr, "unix:") {
		return addr, stop
	}
	return ln.Addr().String(), stop
}

// unreachable is an issuer that nobody serves: its verifier never becomes ready.
const unreachable = "http://127.0.0.1:1"

func newGuard(t *testing.T, iss *issuertest.Issuer) *guard.Guard {
	t.Helper()
	absent, err := verifier.Open(t.Context(), verifier.Config{Issuer: unreachable, Audience: issuertest.Audience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { absent.Close() })
	g, err := guard.New(guard.Config{
		Verifiers: map[string]*verifier.Verifier{
			iss.URL:     iss.VerifierWith(t, verifier.Config{Cookies: true}),
			unreachable: absent,
		},
		Routes: []guard.Route{{Path: "/admin", Route: verifier.Route{Scope: []string{"admin"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A question is a request of a client and the answer that it must see.
type question struct {
	name   string
	method string // default GET
	path   string // default /
	header http.Header
	status int
	want   map[string]string // headers of the answer; "" means absent
}

func bearerToken(token string, more ...string) http.Header {
	h := http.Header{"Authorization": {"Bearer " + token}}
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

func cookie(token string, more ...string) http.Header {
	h := http.Header{"Cookie": {verifier.CookieName + "=" + token}}
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

func TestBehindNginx(t *testing.T) {
	iss := issuertest.New(t)
	g := newGuard(t, iss)
	good := iss.Mint(t, issuertest.Claims{"sub": "u1", "client_id": "app", "scope": "read write", "sid": "s1"})
	revoked := iss.Mint(t, issuertest.Claims{"sid": "s2"})
	iss.Revoke(t, revocation.Session, "s2")
	old := iss.Mint(t, issuertest.Claims{"iat": time.Now().Unix() - 1000, "exp": time.Now().Unix() - 500})
	notReady := iss.Mint(t, issuertest.Claims{"iss": unreachable})
	strange := iss.Mint(t, issuertest.Claims{"sub": "müller\r\nAuth-Subject: root"})
	tampered := strings.Replace(good, ".", ".e30", 1)

	questions := []question{
		{name: "good", header: bearerToken(good), status: 200, want: map[string]string{
			"Saw-Auth-Subject": "u1", "Saw-Auth-Client": "app", "Saw-Auth-Scope": "read write", "Saw-Auth-Session": "s1",
			"Saw-Auth-Status": "", "Www-Authenticate": "",
		}},
		{name: "no token", status: 401, want: map[string]string{"Www-Authenticate": "Bearer"}},
		{name: "not a token", header: bearerToken("x"), status: 401},
		{name: "tampered", header: bearerToken(tampered), status: 401},
		{name: "revoked", header: bearerToken(revoked), status: 401, want: map[string]string{
			"Www-Authenticate": `Bearer error="invalid_token", error_description="the token was revoked"`,
		}},
		{name: "too old", header: bearerToken(old), status: 401},
		{name: "scope", path: "/admin/users", header: bearerToken(good), status: 403, want: map[string]string{
			"Www-Authenticate": `Bearer error="insufficient_scope", scope="admin"`,
		}},
		{name: "two readings of a path", path: "/x/..%2fadmin", header: bearerToken(good), status: 400},
		{name: "fragment after a path", path: "/admin#x", header: bearerToken(good), status: 400},
		{name: "not ready", header: bearerToken(notReady), status: 503, want: map[string]string{"Retry-After": "1"}},
		{name: "spoofed subject", header: bearerToken(good, "Auth-Subject", "root"), status: 400},
		{name: "spoofed in another case", header: bearerToken(good, "aUTH-sESSION", "s0"), status: 400},
		{name: "spoofed status", header: bearerToken(good, "Auth-Status", "200"), status: 400},
		{name: "spoofed without a token", header: http.Header{"Auth-Subject": {"root"}}, status: 400},
		{name: "identity that no header carries", header: bearerToken(strange), status: 403},
		{name: "header and cookie", header: bearerToken(good, "Cookie", verifier.CookieName+"="+good), status: 400},
		{name: "token in the query", path: "/?access_token=" + good, status: 400},
		{name: "cookie", header: cookie(good), status: 200},
		{name: "cookie, own page", method: "POST", header: cookie(good, "Sec-Fetch-Site", "same-origin"), status: 200},
		{name: "cookie, foreign page", method: "POST", header: cookie(good, "Sec-Fetch-Site", "cross-site"), status: 403},
		{name: "cookie, foreign origin", method: "POST", header: cookie(good, "Origin", "https://evil.example"), status: 403},
		{name: "cookie, WebSocket of a foreign page", header: cookie(good, "Sec-WebSocket-Version", "13", "Sec-Fetch-Site", "same-site"), status: 403},
		{name: "body and bearer", method: "POST", header: bearerToken(good), status: 200},
	}
	for transport, addr := range map[string]string{
		"tcp":  "127.0.0.1:0",
		"unix": "unix:" + filepath.Join(t.TempDir(), "guard.sock"),
	} {
		t.Run(transport, func(t *testing.T) {
			guardAddr, stop := startGuard(t, addr, g)
			base := startNginx(t, guardAddr, startService(t))
			for _, q := range questions {
				t.Run(q.name, func(t *testing.T) { ask(t, base, q) })
			}
			stop()
			t.Run("no guard", func(t *testing.T) {
				ask(t, base, question{header: bearerToken(good), status: 503, want: map[string]string{"Retry-After": "1"}})
			})
		})
	}
}

// ask sends a question through nginx. Whatever is not a 200 must not have reached
// the service.
func ask(t *testing.T, base string, q question) {
	t.Helper()
	method, path := q.method, q.path
	if method == "" {
		method = http.MethodGet
	}
	if path == "" {
		path = "/"
	}
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("what the client posts")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(path, "#") {
		req.URL.Opaque = path // sent as it is: nginx takes it, and cuts it off for its own locations
	}
	if q.header != nil {
		req.Header = q.header.Clone()
	}
	client := &http.Client{Timeout: 20 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != q.status {
		t.Errorf("status %d, want %d: %s", resp.StatusCode, q.status, text)
	}
	if served := string(text) == "served "+method; served != (q.status == 200) {
		t.Errorf("served is %v with status %d", served, resp.StatusCode)
	}
	for name, want := range q.want {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
