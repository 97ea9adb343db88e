// Package memnet is a network within one process, for tests: its connections
// are [net.Pipe]s, so that a server and its client can live in a bubble of
// testing/synctest, where time passes only when all of them wait.
package memnet

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// A Listener accepts what its Dial opens.
type Listener struct {
	conns chan net.Conn

	mu   sync.Mutex
	open bool
	done chan struct{} // closed while the listener is
}

// Listen returns a new, open listener.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), open: true, done: make(chan struct{})}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed():
		return nil, net.ErrClosed
	}
}

func (l *Listener) closed() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// Close implements [net.Listener]. Dials are refused until Reopen.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		l.open = false
		close(l.done)
	}
	return nil
}

// Reopen lets a closed listener accept again, as a server that is started anew
// at its old address.
func (l *Listener) Reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		l.open, l.done = true, make(chan struct{})
	}
}

// Addr implements [net.Listener].
func (l *Listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "memory" }

// Dial opens a connection to the listener, whatever the address says.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed():
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Client returns an HTTP client whose every connection leads to l. It speaks
// plain HTTP also where the URL says https.
func (l *Listener) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: l.Dial, DialTLSContext: l.Dial}}
}
