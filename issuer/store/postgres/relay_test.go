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

	silences atomic.Int64 // connections made before the last one carry nothing any more

	mu      sync.Mutex
	clients []net.Conn
}

// hangUp closes every connection that there is.
func (r *relay) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		c.Close()
	}
}

// silence is a network that forgets its connections without a word to either end, and
// carries new ones.
func (r *relay) silence() { r.silences.Add(1) }

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
	r.mu.Lock()
	r.clients = append(r.clients, client)
	r.mu.Unlock()
	server, err := net.Dial("unix", r.to.Load().(string))
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	made := r.silences.Load()
	go func() { io.Copy(&end{server, r, made}, client); server.Close(); close(done) }()
	io.Copy(&end{client, r, made}, server)
	client.Close()
	<-done
}

// An end of a connection takes everything, and passes it on until there is silence.
type end struct {
	io.Writer
	r    *relay
	made int64
}

func (e *end) Write(p []byte) (int, error) {
	if e.r.silences.Load() != e.made {
		return len(p), nil
	}
	return e.Writer.Write(p)
}
