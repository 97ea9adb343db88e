package remote_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/memnet"
	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/notary/remote"
)

var (
	_ notary.Notary    = (*remote.Client)(nil)
	_ notary.Witnesser = (*remote.Client)(nil)
	_ notary.Releaser  = (*remote.Client)(nil)
)

// each runs f against a notary over a unix socket and one over TLS.
func each(t *testing.T, f func(t *testing.T, p *process, c *remote.Client)) {
	t.Run("unix", func(t *testing.T) {
		p := startUnix(t, socket(t), new(remote.Server))
		f(t, p, open(t, remote.Config{URLs: []string{p.url}}))
	})
	t.Run("tls", func(t *testing.T) {
		a := newAuthority(t)
		p := startTLS(t, a, new(remote.Server))
		f(t, p, open(t, a.client(p.url)))
	})
}

// What one end makes, a notary in process with the same secret finds right.
func TestSameAsInProcess(t *testing.T) {
	each(t, func(t *testing.T, _ *process, c *remote.Client) {
		local := notary.NewLocal(secret)
		d := notary.Sum(header, rest)
		jti, err := c.Tag(t.Context(), "k1", d)
		if err != nil {
			t.Fatal(err)
		}
		good, err := notary.NewRecord("k1", jti, d)
		if err != nil {
			t.Fatal(err)
		}
		bad := good
		bad.Digest[0]++
		for _, by := range []notary.Checker{local, c} {
			right, err := by.Check(t.Context(), []notary.Record{good, bad, good})
			if err != nil || fmt.Sprint(right) != "[true false true]" {
				t.Errorf("%T: %v %v", by, right, err)
			}
		}
		jti, witness, err := c.TagWitness(t.Context(), "k1", header, rest)
		if err != nil {
			t.Fatal(err)
		}
		with, err := notary.WithWitness(header, witness)
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []notary.Witnesser{local, c} {
			keys, err := by.WitnessKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := notary.VerifyWitness(keys, "k1", with, notary.Join(jti, rest)); err != nil {
				t.Errorf("%T: %v", by, err)
			}
		}
	})
}

func TestFullReport(t *testing.T) {
	each(t, func(t *testing.T, _ *process, c *remote.Client) {
		records := make([]notary.Record, notary.MaxRecords)
		for i := range records {
			records[i].KeyID = fmt.Sprint("k", i%255)
		}
		d := notary.Sum(header, rest)
		jti, err := c.Tag(t.Context(), "k7", d)
		if err != nil {
			t.Fatal(err)
		}
		const at = 4711
		if records[at], err = notary.NewRecord("k7", jti, d); err != nil {
			t.Fatal(err)
		}
		right, err := c.Check(t.Context(), records)
		if err != nil || len(right) != len(records) {
			t.Fatalf("%d %v", len(right), err)
		}
		for i, ok := range right {
			if ok != (i == at) {
				t.Errorf("record %d: %v", i, ok)
			}
		}
		if right, err := c.Check(t.Context(), nil); err != nil || len(right) != 0 {
			t.Errorf("no records: %v %v", right, err)
		}
		if _, err := c.Check(t.Context(), make([]notary.Record, notary.MaxRecords+1)); !errors.Is(err, notary.ErrReport) {
			t.Errorf("too many records: %v", err)
		}
	})
}

func TestRefusalIsNoOutage(t *testing.T) {
	each(t, func(t *testing.T, _ *process, c *remote.Client) {
		_, err := c.Tag(t.Context(), "", notary.Digest{})
		if refused, ok := errors.AsType[*remote.RefusedError](err); !ok || errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("no kid: %v %v", err, refused)
		}
	})
}

func TestThreat137StandbyIsReleasedToWhoMayAsk(t *testing.T) {
	each(t, func(t *testing.T, p *process, c *remote.Client) {
		key, err := c.ReleaseKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if key.IsPrivate() {
			t.Fatal("the release key came out")
		}
		const inner = "sealed.by.the.key-encryption.key"
		sealed, err := notary.SealFor(key, "standby-1", inner)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(sealed, inner) {
			t.Error("not sealed")
		}
		got, err := c.Release(t.Context(), "standby-1", sealed)
		if err != nil || got != inner {
			t.Fatalf("%q %v", got, err)
		}
		if log := p.log.String(); !strings.Contains(log, "kid=standby-1") || strings.Contains(log, inner) {
			t.Errorf("the log says %s", log)
		}
		elsewhere, err := newEscrow(t).ReleaseKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		other, err := notary.SealFor(elsewhere, "standby-1", inner)
		if err != nil {
			t.Fatal(err)
		}
		for name, c2 := range map[string]struct{ kid, sealed string }{
			"of another kid":     {"standby-2", sealed},
			"without a kid":      {"", sealed},
			"changed":            {"standby-1", sealed[:len(sealed)-2] + "AA"},
			"to another notary":  {"standby-1", other},
			"a token":            {"standby-1", "a.b.c"},
			"nothing":            {"standby-1", ""},
			"what was inside it": {"standby-1", inner},
		} {
			if got, err := c.Release(t.Context(), c2.kid, c2.sealed); !errors.Is(err, notary.ErrEscrow) || got != "" {
				t.Errorf("%s: %q %v", name, got, err)
			}
		}
		if n := strings.Count(p.log.String(), "was released"); n != 1 {
			t.Errorf("%d releases in the log", n)
		}
	})
}

// Nobody but the holder of a certificate of the right authority gets an answer.
func TestTLSWantsBothCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	p := startTLS(t, a, new(remote.Server))
	stranger := other.client(p.url)
	stranger.CA = a.file
	wrongUse := a.client(p.url)
	wrongUse.Cert, wrongUse.Key = a.issue("other-server", x509.ExtKeyUsageServerAuth)
	deceived := a.client(p.url)
	deceived.CA = other.file
	for name, cfg := range map[string]remote.Config{
		"a certificate of another authority": stranger,
		"a certificate of a server":          wrongUse,
		"a client that knows another notary": deceived,
	} {
		jti, err := open(t, cfg).Tag(t.Context(), "k1", notary.Digest{})
		if !errors.Is(err, notary.ErrUnavailable) || jti != "" {
			t.Errorf("%s: %q %v", name, jti, err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	address := strings.TrimPrefix(p.url, "https://")
	for name, config := range map[string]*tls.Config{
		"without a certificate": {RootCAs: pool},
		"TLS 1.2":               {RootCAs: pool, MaxVersion: tls.VersionTLS12},
	} {
		transport := &http.Transport{TLSClientConfig: config}
		resp, err := (&http.Client{Transport: transport}).Get(p.url + "/healthz")
		if err == nil {
			t.Errorf("%s: %d", name, resp.StatusCode)
			resp.Body.Close()
		}
		transport.CloseIdleConnections()
	}
	resp, err := http.Get("http://" + address + "/witness-keys")
	if err == nil {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK || bytes.Contains(body, []byte("keys")) {
			t.Errorf("plain HTTP: %d %s", resp.StatusCode, body)
		}
	}
}

func TestPlainTCPIsRefused(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("localhost", x509.ExtKeyUsageServerAuth)
	for name, s := range map[string]*remote.Server{
		"plain":                       {},
		"without client certificates": {TLSCert: cert, TLSKey: key},
		"client certificates alone":   {ClientCA: a.file},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Notary, s.Escrow, s.Log = notary.NewLocal(secret), newEscrow(t), slogDiscard
		if _, ok := errors.AsType[*remote.PlainError](s.Serve(t.Context(), ln)); !ok {
			t.Errorf("%s: served", name)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener stays open", name)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	a := newAuthority(t)
	for name, cfg := range map[string]remote.Config{
		"no URL":              {},
		"http":                {URLs: []string{"http://127.0.0.1:1"}},
		"a path":              a.client("https://127.0.0.1:1/notary"),
		"credentials":         a.client("https://a:b@127.0.0.1:1"),
		"no socket":           {URLs: []string{"unix:"}},
		"no certificate":      {URLs: []string{"https://127.0.0.1:1"}, CA: a.file},
		"missing certificate": {URLs: []string{"https://127.0.0.1:1"}, Cert: "none.pem", Key: "none.pem"},
		"no authority in it":  {URLs: []string{"https://127.0.0.1:1"}, Cert: a.client().Cert, Key: a.client().Key, CA: os.DevNull},
	} {
		if _, err := remote.Open(cfg); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// A notary that stops and comes back is found again by the same client, on
// connections that it kept.
func TestComesBack(t *testing.T) {
	path := socket(t)
	first := startUnix(t, path, new(remote.Server))
	c := open(t, remote.Config{URLs: []string{first.url}})
	for range 3 {
		if _, err := c.Tag(t.Context(), "k1", notary.Digest{}); err != nil {
			t.Fatal(err)
		}
		first.end()
		if jti, err := c.Tag(t.Context(), "k1", notary.Digest{}); !errors.Is(err, notary.ErrUnavailable) || jti != "" {
			t.Errorf("while it is down: %q %v", jti, err)
		}
		first = startUnix(t, path, new(remote.Server))
	}
}

func TestNextNotaryIsAsked(t *testing.T) {
	dead := "unix:" + socket(t)
	a, b := startUnix(t, socket(t), new(remote.Server)), startUnix(t, socket(t), new(remote.Server))
	c := open(t, remote.Config{URLs: []string{dead, a.url, b.url}})
	d := notary.Sum(header, rest)
	jti, err := c.Tag(t.Context(), "k1", d)
	if err != nil {
		t.Fatal(err)
	}
	a.end()
	record, err := notary.NewRecord("k1", jti, d)
	if err != nil {
		t.Fatal(err)
	}
	if right, err := c.Check(t.Context(), []notary.Record{record}); err != nil || !right[0] {
		t.Errorf("the second notary: %v %v", right, err)
	}
	b.end()
	_, err = c.Tag(t.Context(), "k1", d)
	if !errors.Is(err, notary.ErrUnavailable) {
		t.Errorf("none is there: %v", err)
	}
	for _, url := range []string{dead, a.url, b.url} {
		if !strings.Contains(err.Error(), url+": ") {
			t.Errorf("the error does not name %s: %v", url, err)
		}
	}
	if n := len(c.Each()); n != 3 {
		t.Errorf("%d notaries", n)
	}
}

// What listens at the URL may be anything.
func TestNoNotaryThere(t *testing.T) {
	a := newAuthority(t)
	answers := map[string]http.HandlerFunc{
		"empty":      func(http.ResponseWriter, *http.Request) {},
		"a page":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"not found":  http.NotFound,
		"redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"no jti":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"jti":""}`) },
		"an own jti": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"jti":"0123456789"}`) },
		"injection": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"jti":"\",\"admin\":true,\"x\":\"AAAAA"}`)
		},
		"half a tag": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"jti":"AAAAAAAAAAAAAAAAAAAAAAAAAAA","witness":"AA"}`)
		},
		"a big one":     func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte("x"), 1<<20)) },
		"other verdict": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{2}) },
		"short verdict": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{}) },
	}
	for name, answer := range answers {
		server := httptest.NewUnstartedServer(answer)
		cert, key := a.issue("localhost", x509.ExtKeyUsageServerAuth)
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		server.StartTLS()
		c := open(t, a.client(server.URL))
		if jti, err := c.Tag(t.Context(), "k1", notary.Digest{}); jti != "" || !errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("%s: tag %q %v", name, jti, err)
		}
		if jti, witness, err := c.TagWitness(t.Context(), "k1", header, rest); jti+witness != "" || !errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("%s: witness %q %q %v", name, jti, witness, err)
		}
		if right, err := c.Check(t.Context(), make([]notary.Record, 1)); right != nil || err == nil {
			t.Errorf("%s: check %v %v", name, right, err)
		}
		if right, err := c.Check(t.Context(), []notary.Record{{KeyID: "k"}}); right != nil || !errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("%s: check %v %v", name, right, err)
		}
		if keys, err := c.WitnessKeys(t.Context()); keys != nil || !errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("%s: keys %v %v", name, keys, err)
		}
		if key, err := c.ReleaseKey(t.Context()); key != nil || !errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("%s: release key %v %v", name, key, err)
		}
		if inner, err := c.Release(t.Context(), "k", "s"); inner != "" || !errors.Is(err, notary.ErrUnavailable) {
			t.Errorf("%s: release %q %v", name, inner, err)
		}
		server.Close()
	}
}

// A notary that hangs is given up on in time, and the next one is asked.
func TestHangingNotary(t *testing.T) {
	path := socket(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // nobody accepts
	good := startUnix(t, socket(t), new(remote.Server))
	c := open(t, remote.Config{URLs: []string{"unix:" + path, good.url}, Timeout: 50 * time.Millisecond})
	if _, err := c.Tag(t.Context(), "k1", notary.Digest{}); err != nil {
		t.Error(err)
	}
	good.end()
	_, err = c.Tag(t.Context(), "k1", notary.Digest{})
	if !errors.Is(err, notary.ErrUnavailable) || !strings.Contains(err.Error(), "no answer in time") {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Tag(gone, "k1", notary.Digest{}); !errors.Is(err, notary.ErrUnavailable) {
		t.Errorf("nobody waits: %v", err)
	}
}

// What takes connections and never answers TLS, such as a notary that is stopped,
// keeps none of them: each ask would leave one behind.
func TestHangingHandshakeIsGivenUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ended := make(chan error)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			defer conn.Close()
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err = io.Copy(io.Discard, conn)
		}
		ended <- err
	}()
	cfg := newAuthority(t).client("https://" + ln.Addr().String())
	cfg.Timeout = 50 * time.Millisecond
	if _, err := open(t, cfg).Tag(t.Context(), "k1", notary.Digest{}); !errors.Is(err, notary.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the connection stays: %v", err)
	}
}

// No answer of the notary and no line of its log holds its secrets.
func TestNothingElseLeaves(t *testing.T) {
	path := socket(t)
	p := startUnix(t, path, new(remote.Server))
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	var all strings.Builder
	for _, ask := range []struct{ method, path, contentType, body string }{
		{"GET", "/", "", ""}, {"GET", "/healthz", "", ""}, {"GET", "/readyz", "", ""}, {"GET", "/tag", "", ""}, {"GET", "/debug/pprof/", "", ""},
		{"GET", "/witness-keys", "", ""}, {"GET", "/release-key", "", ""},
		{"POST", "/tag", "application/json", `{"kid":"k1"}`},
		{"POST", "/tag", "application/json", `{"kid":"k1","digest":"AA"}`},
		{"POST", "/tag", "application/json", `{"kid":"k1","digest":"AAAAAAAAAAAAAAAAAAAAAA","sum":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`},
		{"POST", "/tag", "application/json", `{"kid":"k1","kid":"k2","digest":"AAAAAAAAAAAAAAAAAAAAAA"}`},
		{"POST", "/tag", "application/json", strings.Repeat(" ", 1<<20)},
		{"POST", "/tag", "text/plain", `{"kid":"k1","digest":"AAAAAAAAAAAAAAAAAAAAAA"}`},
		{"POST", "/check", notary.ReportType, "junk"},
		{"POST", "/check", notary.ReportType, strings.Repeat("x", notary.MaxReport+1)},
		{"POST", "/check", "application/json", "\x01\x00"},
		{"POST", "/release", "application/json", `{"kid":"k1","sealed":"a.b.c.d.e"}`},
		{"POST", "/release", "application/json", strings.Repeat("x", 1<<20)},
	} {
		req, err := http.NewRequest(ask.method, "http://notary"+ask.path, strings.NewReader(ask.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", ask.contentType)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if wrong := ask.method == "POST" && (resp.StatusCode < 400 || resp.StatusCode >= 500); wrong {
			t.Errorf("%s %.60s: %d %s", ask.path, ask.body, resp.StatusCode, body)
		}
		fmt.Fprintf(&all, "%s %d %s\n", ask.path, resp.StatusCode, body)
	}
	for _, path := range []string{"/healthz 200", "/readyz 200", "/debug/pprof/ 404", "/witness-keys 200", "/release-key 200"} {
		if !strings.Contains(all.String(), path) {
			t.Errorf("no %s in\n%s", path, all.String())
		}
	}
	shown := all.String() + p.log.String()
	for _, leak := range []string{string(secret[:8]), "MDEyMz", "30313233", `"d":`} {
		if strings.Contains(shown, leak) {
			t.Errorf("%q in\n%s", leak, shown)
		}
	}
}

// One more than the notary works on at once is told to come back; a flood of
// reports takes no place from those who mint.
func TestBusy(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		s := &remote.Server{Notary: notary.NewLocal(secret), Escrow: newEscrow(t), Log: slogDiscard}
		handler := s.Handler()
		atOnce := make(chan struct{})
		close(atOnce)
		ask := func(path, media, body string, until <-chan struct{}) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", path, strings.NewReader(body))
			r.Header.Set("Content-Type", media)
			w := httptest.NewRecorder()
			handler.ServeHTTP(&heldAnswer{w, until}, r)
			return w
		}
		for _, c := range []struct {
			path, media, body string
			places            int
		}{
			{"/check", notary.ReportType, "\x01\x00", 16},
			{"/tag", "application/json", `{"kid":"k1","digest":"AAAAAAAAAAAAAAAAAAAAAA"}`, 256},
		} {
			var all sync.WaitGroup
			end := make(chan struct{})
			for range c.places {
				all.Go(func() {
					if got := ask(c.path, c.media, c.body, end); got.Code != http.StatusOK {
						t.Errorf("%s: %d", c.path, got.Code)
					}
				})
			}
			synctest.Wait()
			if got := ask(c.path, c.media, c.body, atOnce); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
				t.Errorf("%s, one too many: %d", c.path, got.Code)
			}
			if c.path == "/check" {
				if got := ask("/tag", "application/json", `{"kid":"k1","digest":"AAAAAAAAAAAAAAAAAAAAAA"}`, atOnce); got.Code != http.StatusOK {
					t.Errorf("a tag while reports fill their places: %d", got.Code)
				}
			}
			close(end)
			all.Wait()
		}
	})
}

// A heldAnswer is written when until is closed, and its request is worked on so long.
type heldAnswer struct {
	http.ResponseWriter
	until <-chan struct{}
}

func (h *heldAnswer) Write(p []byte) (int, error) {
	<-h.until
	return h.ResponseWriter.Write(p)
}

// A client is for many goroutines, and no two tags are alike.
func TestManyAtOnce(t *testing.T) {
	p := startUnix(t, socket(t), new(remote.Server))
	c := open(t, remote.Config{URLs: []string{p.url}, Timeout: time.Minute})
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 100 {
		all.Go(func() {
			jti, err := c.Tag(t.Context(), "k1", notary.Digest{})
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[jti] {
				t.Errorf("%q %v", jti, err)
			}
			seen[jti] = true
		})
	}
	all.Wait()
}

// When its time has come it finishes what is under way.
func TestDrains(t *testing.T) {
	path := socket(t)
	p := startUnix(t, path, new(remote.Server))
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"kid":"k1","digest":"AAAAAAAAAAAAAAAAAAAAAA"}`
	fmt.Fprintf(conn, "POST /tag HTTP/1.1\r\nHost: notary\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
	const begun = "HTTP/1.1 100 Continue\r\n\r\n"
	if _, err := io.ReadFull(conn, make([]byte, len(begun))); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { p.end(); close(ended) }()
	io.WriteString(conn, body)
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
		t.Errorf("%s %v", answer, err)
	}
	<-ended
}

func TestEscrowRefusesKeys(t *testing.T) {
	signing, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	private, err := jwk.Generate(jwk.Params{Algorithm: notary.ReleaseAlgorithm, KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	public, err := private.Public()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*jwk.Key{"signing": signing, "public": public} {
		keys, err := jwk.NewSet(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := notary.NewEscrow(keys); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := notary.NewEscrow(nil); err == nil {
		t.Error("none: taken")
	}
}

func BenchmarkTag(b *testing.B) {
	benchmarkTag(b, func(c notary.Witnesser) error { _, err := c.Tag(b.Context(), "k1", notary.Digest{}); return err })
}

func BenchmarkTagWitness(b *testing.B) {
	benchmarkTag(b, func(c notary.Witnesser) error {
		_, _, err := c.TagWitness(b.Context(), "k1", header, rest)
		return err
	})
}

// BenchmarkCheck is of a full report.
func BenchmarkCheck(b *testing.B) {
	records := make([]notary.Record, notary.MaxRecords)
	for i := range records {
		records[i].KeyID = "k1"
	}
	benchmarkTag(b, func(c notary.Witnesser) error {
		_, err := c.(notary.Checker).Check(b.Context(), records)
		return err
	})
}

func benchmarkTag(b *testing.B, do func(notary.Witnesser) error) {
	a := newAuthority(b)
	over := startTLS(b, a, new(remote.Server))
	beside := startUnix(b, socket(b), new(remote.Server))
	for _, c := range []struct {
		name string
		by   notary.Witnesser
	}{
		{"in process", notary.NewLocal(secret)},
		{"unix", open(b, remote.Config{URLs: []string{beside.url}})},
		{"mtls", open(b, a.client(over.url))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(c.by); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A connection that was kept and turns out to be dead costs a second attempt, and
// nobody notices.
func TestConnectionEndsUnderWay(t *testing.T) {
	path := socket(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &remote.Server{Notary: notary.NewLocal(secret), Escrow: newEscrow(t), Log: slogDiscard}
	handler := s.Handler()
	var requests atomic.Int64 // on two connections
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 2 {
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
		handler.ServeHTTP(w, r)
	})}
	go server.Serve(ln)
	defer server.Close()
	c := open(t, remote.Config{URLs: []string{"unix:" + path}})
	for i := range 2 {
		if _, err := c.Tag(t.Context(), "k1", notary.Digest{}); err != nil {
			t.Errorf("tag %d: %v", i, err)
		}
	}
	if n := requests.Load(); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// Clients that begin a request and do not end it keep nobody from minting or from
// having reports checked.
func TestSlowBodiesHoldNoPlaces(t *testing.T) {
	p := startUnix(t, socket(t), &remote.Server{})
	for _, c := range []struct {
		path, media string
		places      int
	}{
		{"/tag", "application/json", 256},
		{"/check", notary.ReportType, 16},
		{"/release", "application/json", 4},
	} {
		for range c.places {
			begin(t, strings.TrimPrefix(p.url, "unix:"), c.path, c.media)
		}
	}
	c := open(t, remote.Config{URLs: []string{p.url}})
	if _, err := c.Tag(t.Context(), "k1", notary.Digest{}); err != nil {
		t.Errorf("tag: %v", err)
	}
	if _, err := c.Check(t.Context(), []notary.Record{{KeyID: "k1"}}); err != nil {
		t.Errorf("check: %v", err)
	}
	if _, err := c.Release(t.Context(), "k1", "a.b.c"); !errors.Is(err, notary.ErrEscrow) {
		t.Errorf("release: %v", err)
	}
}

// begin sends the front of a request, and returns when the server waits for the rest.
func begin(t *testing.T, socket, path, media string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: n\r\nContent-Type: %s\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n", path, media)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, " 100 ") {
		t.Fatalf("%q %v", line, err)
	}
	if _, err := io.WriteString(conn, "{"); err != nil {
		t.Fatal(err)
	}
}

// Large bodies have places too, and a body that does not come leaves its own in the
// time in which a client waits for its answer.
func TestSlowBodiesEnd(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		s := &remote.Server{Notary: notary.NewLocal(secret), Escrow: newEscrow(t), Log: slogDiscard}
		ln := memnet.Listen()
		server := &http.Server{Handler: s.Handler()}
		go server.Serve(ln)
		defer server.Close()
		client := ln.Client()
		defer client.CloseIdleConnections()
		post := func(body io.Reader) int {
			req, err := http.NewRequest("POST", "http://notary/check", body)
			if err != nil {
				t.Error(err)
				return 0
			}
			req.Header.Set("Content-Type", notary.ReportType)
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return 0
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		const empty = "\x01\x00" // a report
		var slow sync.WaitGroup
		for range 64 {
			body, end := io.Pipe()
			defer end.Close()
			slow.Go(func() {
				if status := post(body); status != http.StatusRequestTimeout {
					t.Errorf("a body that does not come: %d", status)
				}
			})
		}
		synctest.Wait()
		if status := post(strings.NewReader(empty)); status != http.StatusServiceUnavailable {
			t.Errorf("one report too many at once: %d", status)
		}
		began := time.Now()
		slow.Wait()
		if took := time.Since(began); took > remote.DefaultTimeout {
			t.Errorf("slow bodies were waited for %v", took)
		}
		if status := post(strings.NewReader(empty)); status != http.StatusOK {
			t.Errorf("afterwards: %d", status)
		}
	})
}
