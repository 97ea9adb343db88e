package issuer

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// A reader is a subscriber's connection: it takes what it is given until its
// deadline, and then no more.
type reader struct {
	header   http.Header
	deadline time.Time
	taken    bytes.Buffer
	stuck    bool
}

func (r *reader) Header() http.Header { return r.header }
func (r *reader) WriteHeader(int)     {}
func (r *reader) Flush()              {}

func (r *reader) SetWriteDeadline(t time.Time) error {
	r.deadline = t
	return nil
}

func (r *reader) Write(p []byte) (int, error) {
	if r.stuck {
		return 0, os.ErrDeadlineExceeded
	}
	return r.taken.Write(p)
}

func newStream(h *hub, r *reader, at *link) *stream {
	return &stream{w: r, rc: http.NewResponseController(r), at: at, hub: h}
}

// chainOf makes a chain of n links, each with one entry, published one by one.
func chainOf(h *hub, n int) *link {
	first := &link{ready: make(chan struct{})}
	last := first
	for range n {
		l := &link{event: []byte("data: x\n\n"), count: 1, index: last.index + 1, ready: make(chan struct{})}
		last.next = l
		close(last.ready)
		last = l
	}
	h.latest.Store(&view{last: last})
	return first
}

// A reader who does not take what he is sent is dropped at his deadline, and one
// who takes it too slowly when he is too far behind: neither keeps frames alive.
func TestThreat134SlowReaderIsDropped(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	h := &hub{}
	stuck := &reader{header: http.Header{}, stuck: true}
	s := newStream(h, stuck, chainOf(h, 1))
	if err := s.follow(ctx, 0); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if left := time.Until(stuck.deadline); left <= 0 || left > writeLimit {
		t.Errorf("the write may take %v", left)
	}
	behind := &reader{header: http.Header{}}
	s = newStream(h, behind, chainOf(h, maxBehind+2))
	if err := s.follow(ctx, 0); !errors.Is(err, errSlow) {
		t.Errorf("got %v after %d bytes", err, behind.taken.Len())
	}
}

// Who is behind skips heartbeats that say nothing any more.
func TestOutdatedHeartbeatIsSkipped(t *testing.T) {
	h := &hub{}
	first := chainOf(h, 2)
	first.next.count = 0
	r := &reader{header: http.Header{}}
	s := newStream(h, r, first)
	if done, err := s.send(first.next); done || err != nil || r.taken.Len() != 0 {
		t.Errorf("sent %q, %v, %v", r.taken.String(), done, err)
	}
	if done, err := s.send(first.next.next); done || err != nil || r.taken.Len() == 0 {
		t.Errorf("did not send the frame: %v, %v", done, err)
	}
}

// A subscriber may see a link before the view that ends with it.
func TestLinkAheadOfTheView(t *testing.T) {
	h := &hub{}
	first := chainOf(h, 2)
	h.latest.Store(&view{last: first})
	r := &reader{header: http.Header{}}
	if done, err := newStream(h, r, first).send(first.next); done || err != nil || r.taken.Len() == 0 {
		t.Errorf("sent %q, %v, %v", r.taken.String(), done, err)
	}
}

func TestWhereAChainBegins(t *testing.T) {
	at := func(epoch, seq uint64, c byte) store.Head {
		return store.Head{Epoch: epoch, Base: 10, Seq: seq, C: revocation.Link{c}}
	}
	old := &view{head: at(1, 20, 1)}
	for name, c := range map[string]struct {
		old    *view
		head   store.Head
		begins bool
		fails  bool
	}{
		"first reading":   {nil, at(1, 20, 1), true, false},
		"nothing new":     {old, at(1, 20, 1), false, false},
		"something new":   {old, at(1, 21, 2), false, false},
		"much new":        {old, at(1, 20+maxCatchUp, 2), false, false},
		"too much new":    {old, at(1, 21+maxCatchUp, 2), true, false},
		"another epoch":   {old, at(2, 20, 2), true, false},
		"lower":           {old, at(1, 19, 1), false, true},
		"another history": {old, at(1, 20, 2), false, true},
	} {
		err := wentBack(c.old, c.head)
		if (err != nil) != c.fails || err == nil && begins(c.old, c.head) != c.begins {
			t.Errorf("%s: begins %v, %v", name, begins(c.old, c.head), err)
		}
	}
}

func TestSubscribersAreCounted(t *testing.T) {
	s := newSubscribers()
	a, b := "192.0.2.1", "192.0.2.2"
	for range maxFromOne {
		if !s.join(a) {
			t.Fatal("refused below the bound")
		}
	}
	if s.join(a) {
		t.Error("one address may take every place")
	}
	if !s.join(b) {
		t.Error("another address is refused")
	}
	s.leave(a)
	if !s.join(a) {
		t.Error("a place that was left is not free")
	}
	for s.count() < maxSubscribers {
		s.total++
	}
	if s.join(b) {
		t.Error("more than maxSubscribers")
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add("1.2")
	f.Add("01.2")
	f.Add("18446744073709551615.0")
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := parseMark(s)
		if !ok {
			return
		}
		if again, ok := parseMark(string(bytes.TrimSuffix(bytes.TrimPrefix(event(m.epoch, m.seq, ""), []byte("id: ")), []byte("\ndata: \n\n")))); !ok || again != m {
			t.Fatalf("%q is not the position that we would write", s)
		}
	})
}
