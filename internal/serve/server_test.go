package serve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/testbubble"
)

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := serve.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// start serves until the returned function is called, which reports how Serve ended.
func start(t *testing.T, s *serve.Server, ls ...net.Listener) (stop func() error) {
	t.Helper()
	s.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ls...) }()
	t.Cleanup(cancel)
	return func() error { cancel(); return <-ended }
}

func TestListenSaysWhoIsThere(t *testing.T) {
	first := listen(t, "127.0.0.1:0")
	_, err := serve.Listen(first.Addr().String())
	if _, ok := errors.AsType[*serve.TakenError](err); !ok {
		t.Errorf("second listener on a port: %v", err)
	}
	path := filepath.Join(t.TempDir(), "s")
	listen(t, "unix:"+path)
	_, err = serve.Listen("unix:" + path)
	if _, ok := errors.AsType[*serve.TakenError](err); !ok {
		t.Errorf("second listener on a socket: %v", err)
	}
}

func TestListenReplacesOnlyADeadSocket(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	listen(t, "unix:"+dead)
	if info, err := os.Stat(dead); err != nil || info.Mode().Perm() != serve.UnixMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := serve.Listen("unix:" + file); err == nil {
		t.Error("listened over a file")
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("the file is gone")
	}
}

func TestPlainHTTPStaysOnTheMachine(t *testing.T) {
	s := &serve.Server{Handler: http.NotFoundHandler()}
	err := start(t, s, listen(t, "0.0.0.0:0"))()
	if _, ok := errors.AsType[*serve.PlainError](err); !ok {
		t.Errorf("plain HTTP on all addresses: %v", err)
	}
	s.PlainHTTP = true
	if err := start(t, s, listen(t, "0.0.0.0:0"))(); err != nil {
		t.Errorf("with PlainHTTP: %v", err)
	}
}

// Several listeners of both kinds, each plain, or TLS where it leaves the process.
func TestSeveralListeners(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePair(t, certFile, keyFile, "localhost")
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			s := &serve.Server{Handler: http.NotFoundHandler()}
			if scheme == "https" {
				s.TLSCert, s.TLSKey = certFile, keyFile
			}
			socket := filepath.Join(t.TempDir(), "s")
			tcp, tcp2, unix := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0"), listen(t, "unix:"+socket)
			stop := start(t, s, tcp, unix, tcp2)
			for addr, url := range map[net.Addr]string{tcp.Addr(): scheme + "://localhost/", tcp2.Addr(): scheme + "://localhost/", unix.Addr(): "http://localhost/"} {
				transport := &http.Transport{
					DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
						return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
					},
					TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
				}
				resp, err := (&http.Client{Transport: transport}).Get(url)
				if err != nil {
					t.Errorf("%s %s: %v", addr.Network(), url, err)
					continue
				}
				resp.Body.Close()
				transport.CloseIdleConnections()
				if resp.StatusCode != http.StatusNotFound {
					t.Errorf("%s %s: status %d", addr.Network(), url, resp.StatusCode)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStopWaitsForRequestsUnderWay(t *testing.T) {
	entered, release := make(chan bool), make(chan bool)
	ln := listen(t, "127.0.0.1:0")
	stop := start(t, &serve.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- true
		<-serve.Draining(r.Context())
		if r.Context().Err() != nil {
			t.Error("the context ended with the first sign of stopping")
		}
		<-release
		io.WriteString(w, "done")
	})}, ln)

	body := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			body <- err.Error()
			return
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		body <- string(b)
	}()
	<-entered
	go func() { release <- true }()
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got := <-body; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
}

// A handler that watches only its context must not hold up the stop either.
func TestStopCancelsContextsInTime(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		ln := &pipeListener{conns: make(chan net.Conn, 1), done: make(chan bool)}
		ln.conns <- conn
		entered := make(chan bool)
		s := &serve.Server{
			Log: slog.New(slog.DiscardHandler), PlainHTTP: true,
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				entered <- true
				<-r.Context().Done()
			}),
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Serve(ctx, ln) }()
		go io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		go io.Copy(io.Discard, client)
		<-entered
		begin := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if took := time.Since(begin); took < serve.DefaultDrain/4 || took > serve.DefaultDrain/2 {
			t.Errorf("stopped after %v", took)
		}
		client.Close()
	})
}

// A pipeListener hands out connections that synctest can watch.
type pipeListener struct {
	conns chan net.Conn
	done  chan bool
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func TestCertificateIsReadAgain(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePair(t, cert, key, "first")
	ln := listen(t, "127.0.0.1:0")
	stop := start(t, &serve.Server{Handler: http.NotFoundHandler(), TLSCert: cert, TLSKey: key}, ln)
	served := func() string {
		conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if v := conn.ConnectionState().Version; v != tls.VersionTLS13 {
			t.Errorf("TLS version %x", v)
		}
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	if got := served(); got != "first" {
		t.Errorf("served %q", got)
	}
	writePair(t, cert, key, "a second one")
	if got := served(); got != "a second one" {
		t.Errorf("after the change served %q", got)
	}
	if err := os.WriteFile(cert, []byte("half a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := served(); got != "a second one" {
		t.Errorf("with broken files served %q", got)
	}
	if _, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 was taken unasked")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// writePair writes a self-signed certificate for name and its key.
func writePair(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
