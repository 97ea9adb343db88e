package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Bounds on what a connection may hold. A token is at most 16 KiB and may come
// with cookies beside it.
const (
	maxHeaderBytes    = 48 << 10
	readHeaderTimeout = 10 * time.Second
	bodyTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
)

// DefaultDrain is how long a [Server] waits for requests under way when it stops.
const DefaultDrain = 10 * time.Second

// A Server serves one handler on any number of listeners. Handler and Log are required.
type Server struct {
	Handler http.Handler
	Log     *slog.Logger

	TLSCert, TLSKey string        // PEM files, read again when they change; unix sockets stay plain
	ClientCA        string        // PEM file: only clients with a certificate of one of these authorities are served
	TLS12           bool          // take TLS 1.2 too; default 1.3 only
	PlainHTTP       bool          // allow plain HTTP beyond loopback: something in front ends TLS
	Drain           time.Duration // default [DefaultDrain]
}

// Serve serves until ctx ends and then drains: it takes no new connections, tells
// long answers through [Draining], cancels the contexts of what still runs after
// a quarter of Drain, and cuts off the rest at its end. It closes the listeners.
// It returns nil after an orderly stop.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	tlsConfig, err := s.prepare(listeners)
	if err != nil {
		closeAll(listeners)
		return err
	}
	draining := make(chan struct{})
	base, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), drainingKey{}, draining))
	defer cancel()
	server := &http.Server{
		Handler:           withBodyTimeout(s.Handler),
		BaseContext:       func(net.Listener) context.Context { return base },
		TLSConfig:         tlsConfig,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, len(listeners))
	var running sync.WaitGroup
	for _, ln := range listeners {
		// net/http fills in server.TLSConfig by itself: tlsConfig tells what was meant.
		secure := tlsConfig != nil && ln.Addr().Network() != "unix"
		running.Go(func() { failed <- serveOn(server, ln, secure) })
	}
	defer running.Wait()

	select {
	case err := <-failed:
		server.Close()
		return err
	case <-ctx.Done():
	}
	close(draining)
	return s.drain(server, cancel)
}

func serveOn(server *http.Server, ln net.Listener, secure bool) error {
	if secure {
		return server.ServeTLS(ln, "", "")
	}
	return server.Serve(ln)
}

// drain waits for the requests under way.
func (s *Server) drain(server *http.Server, cancelRequests context.CancelFunc) error {
	limit := cmp.Or(s.Drain, DefaultDrain)
	impatience := time.AfterFunc(limit/4, cancelRequests)
	defer impatience.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		server.Close()
		return fmt.Errorf("requests were still running after %v and were cut off", limit)
	}
	return err
}

// prepare refuses what must not be served and reads the certificate.
func (s *Server) prepare(listeners []net.Listener) (*tls.Config, error) {
	if s.Handler == nil || s.Log == nil || len(listeners) == 0 {
		return nil, errors.New("serve: Handler, Log and a listener are required")
	}
	return s.transport(listeners)
}

// Check returns what [Server.Serve] would refuse the listeners for: certificate
// files that are not good, or plain HTTP beyond loopback. It needs no Handler and
// leaves the listeners open.
func (s *Server) Check(listeners ...net.Listener) error {
	_, err := s.transport(listeners)
	return err
}

func (s *Server) transport(listeners []net.Listener) (*tls.Config, error) {
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return nil, errors.New("a TLS certificate and its key go together: give both or neither")
	}
	if s.TLSCert == "" && s.ClientCA != "" {
		return nil, errors.New("clients are told by their certificates over TLS only: it needs a certificate and its key")
	}
	if s.TLSCert == "" {
		return nil, s.checkPlain(listeners)
	}
	pair := &keyPair{certFile: s.TLSCert, keyFile: s.TLSKey, log: s.Log}
	if err := pair.load(); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: pair.certificate}
	if s.TLS12 {
		config.MinVersion = tls.VersionTLS12
	}
	return config, s.demandClients(config)
}

// demandClients makes config ask for a client's certificate, if one is wanted.
func (s *Server) demandClients(config *tls.Config) error {
	if s.ClientCA == "" {
		return nil
	}
	text, err := os.ReadFile(s.ClientCA)
	if err != nil {
		return err
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate", s.ClientCA)
	}
	return nil
}

// A PlainError reports a listener that would carry tokens over a network in the clear.
type PlainError struct{ Addr string }

func (e *PlainError) Error() string {
	return "refusing plain HTTP on " + e.Addr + ": tokens would cross the network in the clear"
}

func (s *Server) checkPlain(listeners []net.Listener) error {
	for _, ln := range listeners {
		if !s.PlainHTTP && !isPrivate(ln) {
			return &PlainError{ln.Addr().String()}
		}
	}
	return nil
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}

type drainingKey struct{}

// Draining returns a channel that closes when the server begins to stop. An
// answer that has no end of its own, such as a stream of events, ends then. It is
// nil, which blocks for ever, outside a [Server].
func Draining(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(drainingKey{}).(chan struct{})
	return ch
}

// withBodyTimeout ends a body that trickles. http.Server.ReadTimeout would do it
// too, but that also ends streams that only send.
func withBodyTimeout(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			conn := http.NewResponseController(w)
			if conn.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
				r.Body = &timedBody{r.Body, conn}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// A timedBody lifts the read deadline as soon as the body has been read, so that
// a long answer to a short request is not taken for a dead connection.
type timedBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}
