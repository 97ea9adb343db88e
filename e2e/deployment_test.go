package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testport"
)

// cheapHash is for tests that sign in some hundred times.
const cheapHash = `
serve:
  argon2:
    memory: 8192
    time: 1
    threads: 1
`

// An issuerUnderTest is a running `counterfoil serve`.
type issuerUnderTest struct {
	*process
	url    string
	data   string
	port   int
	tls    *certificate
	client *http.Client
	config string   // YAML below "serve:", beyond cheapHash
	args   []string // beyond those every issuer gets
}

// newIssuer starts an issuer on a fresh data folder. With a certificate it
// speaks https.
func newIssuer(t *testing.T, tls *certificate, args ...string) *issuerUnderTest {
	t.Helper()
	return newIssuerWith(t, tls, "", args...)
}

// newIssuerWith is newIssuer with more lines below "serve:" in its configuration.
func newIssuerWith(t *testing.T, tls *certificate, config string, args ...string) *issuerUnderTest {
	t.Helper()
	iss := &issuerUnderTest{
		data: filepath.Join(t.TempDir(), "data"), port: testport.Free(t), tls: tls,
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128}},
		config: config, args: args,
	}
	iss.url = fmt.Sprintf("http://127.0.0.1:%d", iss.port)
	if tls != nil {
		iss.url = fmt.Sprintf("https://localhost:%d", iss.port)
		iss.client = tls.client()
	}
	iss.start(t)
	return iss
}

// argv is the command line of the issuer.
func (iss *issuerUnderTest) argv(t *testing.T) []string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yaml")
	write(t, config, []byte(cheapHash+iss.config))
	argv := []string{binaries.counterfoil, "serve", "--data", iss.data,
		"--listen", fmt.Sprintf("127.0.0.1:%d", iss.port), "--issuer", iss.url, "--config", config}
	if iss.tls != nil {
		argv = append(argv, "--tls-cert", iss.tls.cert, "--tls-key", iss.tls.key)
	}
	return append(argv, iss.args...)
}

// node starts a second process of the same issuer: same name and secrets, another
// address, and args in place of its own.
func (iss *issuerUnderTest) node(t *testing.T, args ...string) *issuerUnderTest {
	t.Helper()
	other := *iss
	other.data, other.port, other.args = filepath.Join(t.TempDir(), "data"), testport.Free(t), args
	copyFolder(t, iss.data, other.data, "kek.json", "notary.key")
	other.url = fmt.Sprintf("http://127.0.0.1:%d", other.port)
	other.process = start(t, "second issuer", nil, other.argv(t)...)
	waitFor(t, other.process, "ready second issuer", ready(other.client, other.url+"/readyz"))
	return &other
}

// copyFolder makes a folder and copies those of the named files that there are.
func copyFolder(t *testing.T, from, to string, names ...string) {
	t.Helper()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, name), data)
	}
}

// start starts the issuer, again if it ran before, on the same data.
func (iss *issuerUnderTest) start(t *testing.T) {
	t.Helper()
	iss.startUnder(t)
}

// startUnder starts the issuer as the child of another command.
func (iss *issuerUnderTest) startUnder(t *testing.T, wrapper ...string) {
	t.Helper()
	iss.process = start(t, "issuer", nil, append(wrapper, iss.argv(t)...)...)
	waitFor(t, iss.process, "ready issuer", ready(iss.client, iss.url+"/readyz"))
}

// command runs an administrative command on the issuer's own machine.
func (iss *issuerUnderTest) command(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return command(t, stdin, append(args, "--data", iss.data)...)
}

const password = "correct horse battery staple"

func (iss *issuerUnderTest) addUser(t *testing.T, name string) {
	t.Helper()
	iss.command(t, password+"\n", "user", "add", name, "--password-stdin")
}

// tokens is the answer of /sign-in and /token.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session string `json:"session_id"`
	Error   string `json:"error"`
}

// post sends a form (url.Values) or a JSON body and reads a JSON answer.
func (iss *issuerUnderTest) post(path string, body any) (int, tokens, error) {
	var answer tokens
	kind, data := "application/json", []byte(nil)
	if form, ok := body.(url.Values); ok {
		kind, data = "application/x-www-form-urlencoded", []byte(form.Encode())
	} else {
		data, _ = json.Marshal(body)
	}
	res, err := iss.client.Post(iss.url+path, kind, bytes.NewReader(data))
	if err != nil {
		return 0, answer, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, answer, err
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			return res.StatusCode, answer, fmt.Errorf("%s: %w: %.200s", path, err, text)
		}
	}
	return res.StatusCode, answer, nil
}

func (iss *issuerUnderTest) signIn(t *testing.T, user string) tokens {
	t.Helper()
	status, got, err := iss.post("/sign-in", map[string]any{"username": user, "password": password})
	if err != nil || status != http.StatusOK || got.Access == "" || got.Refresh == "" || got.Session == "" {
		t.Fatalf("sign-in of %s: status %d, %q, %v", user, status, got.Error, err)
	}
	return got
}

func (iss *issuerUnderTest) refresh(refreshToken string) (int, tokens, error) {
	return iss.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
}

// revokeSession gives the refresh token back, which ends its session.
func (iss *issuerUnderTest) revokeSession(refreshToken string) error {
	status, _, err := iss.post("/revoke", url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("/revoke answered %d", status)
	}
	return err
}

// credential makes a verifier credential and returns the file that holds it.
func (iss *issuerUnderTest) credential(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".credential")
	write(t, file, []byte(iss.command(t, "", "client", "add", "--verifier", name)))
	return file
}

// login makes a verifier credential and returns its NAME:SECRET.
func (iss *issuerUnderTest) login(t *testing.T, name string) string {
	t.Helper()
	first, _, _ := strings.Cut(iss.command(t, "", "client", "add", "--verifier", name), "\n")
	return first
}

// postAs sends a body as a verifier does, with a NAME:SECRET, or as nobody with none.
func (iss *issuerUnderTest) postAs(login, path, kind string, body []byte) (status int, err error) {
	req, err := http.NewRequest(http.MethodPost, iss.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", kind)
	if name, secret, ok := strings.Cut(login, ":"); ok {
		req.SetBasicAuth(name, secret)
	}
	res, err := iss.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, nil
}

// A guardUnderTest is a running `counterfoil guard`.
type guardUnderTest struct {
	*process
	url   string
	addr  string
	state string
	argv  []string
	env   []string
}

// newGuard starts a guard with a credential and a state folder.
func newGuard(t *testing.T, iss *issuerUnderTest, name string, args ...string) *guardUnderTest {
	t.Helper()
	state := filepath.Join(t.TempDir(), "state")
	return newGuardOn(t, iss, name, iss.credential(t, name), state, args...)
}

func newGuardOn(t *testing.T, iss *issuerUnderTest, name, credential, state string, args ...string) *guardUnderTest {
	t.Helper()
	g := &guardUnderTest{addr: fmt.Sprintf("127.0.0.1:%d", testport.Free(t)), state: state}
	g.url = "http://" + g.addr
	g.argv = []string{binaries.counterfoil, "guard", "--issuer", iss.url, "--audience", "api",
		"--listen", g.addr, "--state", g.state, "--credential", credential}
	g.argv = append(g.argv, args...)
	if iss.tls != nil {
		g.env = iss.tls.env()
	}
	g.process = start(t, "guard "+name, g.env, g.argv...)
	waitFor(t, g.process, "ready guard", ready(plain, g.url+"/readyz"))
	return g
}

// plain talks to guards and nginx.
var plain = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}

// ask sends a request with a bearer token and returns the status.
func ask(url, accessToken string) (int, error) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	res, err := plain.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, nil
}

func mustAsk(t *testing.T, url, accessToken string, want int) {
	t.Helper()
	got, err := ask(url, accessToken)
	if err != nil || got != want {
		t.Fatalf("%s: status %d, %v; want %d", url, got, err, want)
	}
}

// untilStatus asks each millisecond until the answer is want, and returns how
// long that took since begin.
func untilStatus(url, accessToken string, want int, begin time.Time, limit time.Duration) (time.Duration, error) {
	for {
		got, err := ask(url, accessToken)
		took := time.Since(begin)
		if err == nil && got == want {
			return took, nil
		}
		if took > limit {
			return took, fmt.Errorf("%s: status %d, %v after %v; want %d", url, got, err, took, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// newNginx starts nginx in front of an upstream, asking one guard or several.
// It returns the base URL of each: one server block a guard.
func newNginx(t *testing.T, upstream string, guards ...*guardUnderTest) []string {
	t.Helper()
	nginx := needProgram(t, "nginx", "nginx-light")
	dir := t.TempDir()
	var servers strings.Builder
	var urls []string
	for i, g := range guards {
		port := testport.Free(t)
		urls = append(urls, fmt.Sprintf("http://127.0.0.1:%d", port))
		servers.WriteString(nginxServer(t, i, port, g.addr, upstream))
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/nginx.pid; %[3]s
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
%[2]s
}`, dir, servers.String(), user)
	file := filepath.Join(dir, "nginx.conf")
	write(t, file, []byte(conf))
	p := start(t, "nginx", nil, nginx, "-p", dir, "-c", file, "-e", "stderr")
	for _, u := range urls {
		waitFor(t, p, "nginx", statusIs(plain, u+"/", http.StatusUnauthorized))
	}
	return urls
}

// nginxServer is the configuration we ship, with this test's addresses in it
// and its upstreams renamed, so that several fit into one nginx.
func nginxServer(t *testing.T, i, port int, guard, upstream string) string {
	t.Helper()
	snippet, err := os.ReadFile("../deploy/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := string(snippet)
	for old, replacement := range map[string]string{
		"server unix:/run/counterfoil/guard.sock;": "server " + guard + ";",
		"server 127.0.0.1:9000;":                   "server " + strings.TrimPrefix(upstream, "http://") + ";",
		"listen 80;":                               fmt.Sprintf("listen 127.0.0.1:%d;", port),
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("deploy/nginx.conf does not hold %q once", old)
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	for _, name := range []string{"counterfoil_guard", "counterfoil_service"} {
		text = strings.ReplaceAll(text, name, fmt.Sprintf("%s_%d", name, i))
	}
	return text
}
