package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/memnet"
	"github.com/counterfoil/counterfoil/internal/testbubble"
)

// A silentConn swallows everything once its path is gone, as one through a firewall
// that forgot it.
type silentConn struct {
	net.Conn
	gone   <-chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (c *silentConn) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

func (c *silentConn) Write(p []byte) (int, error) {
	if c.isGone() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *silentConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.isGone() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *silentConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A path that drops packets and says nothing costs some seconds, not the life of the
// connection.
func TestSilentConnectionIsGivenUp(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		ln := memnet.Listen()
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
		server.Listener, server.EnableHTTP2 = ln, true
		server.StartTLS()
		defer server.Close()

		client := NewClient(&url.URL{Scheme: "https", Host: "id.example"}, nil)
		transport := client.Transport.(*http.Transport)
		defer transport.CloseIdleConnections()
		authorities := x509.NewCertPool()
		authorities.AddCert(server.Certificate())
		transport.TLSClientConfig = &tls.Config{RootCAs: authorities, ServerName: "example.com"}
		gone := make(chan struct{}) // the path of connections made before it closes
		paths := []chan struct{}{gone, make(chan struct{})}
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			path := paths[0]
			paths = paths[1:]
			conn, err := ln.Dial(ctx, network, address)
			return &silentConn{Conn: conn, gone: path, closed: make(chan struct{})}, err
		}
		get := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://id.example/", nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if proto, err := io.ReadAll(resp.Body); err != nil || string(proto) != "HTTP/2.0" {
				t.Errorf("%s %v", proto, err)
			}
			return nil
		}
		if err := get(); err != nil {
			t.Fatal(err)
		}
		close(gone)
		began := time.Now()
		for get() != nil {
			if time.Since(began) > time.Minute {
				t.Fatal("no answer for a minute")
			}
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("an answer after %v", took)
		}
	})
}
