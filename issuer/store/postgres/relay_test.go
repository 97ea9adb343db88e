//go:build unix

package postgres_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// A relay is the one address behind which servers change.
type relay struct {
	port string
	to   atomic.Value // string: path of a unix socket
}

func newRelay(t testing.TB, socket string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{port: port}
	r.to.Store(socket)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.carry(client) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return r
}

// url is the URL of a database, by way of the relay.
func (r *relay) url(t testing.TB, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("host", "127.0.0.1")
	q.Set("port", r.port)
	u.RawQuery = q.Encode()
	return u.String()
}

func (r *relay) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", r.to.Load().(string))
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() { io.Copy(server, client); server.Close(); close(done) }()
	io.Copy(client, server)
	client.Close()
	<-done
}
