package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A crowd is honest users at work: each has one session, sends requests to all
// guards in turn, and renews its token as a careful client does: well before it
// expires, and once when it is refused.
type crowd struct {
	iss    *issuerUnderTest
	guards []*guardUnderTest
	every  time.Duration // between two requests of one client
	renew  time.Duration // age at which a client renews its token

	requests  atomic.Int64
	refreshes atomic.Int64
	again     atomic.Int64 // requests that were refused, and passed with a renewed token
	refused   atomic.Int64 // requests that were refused for good
	lost      atomic.Int64 // sessions that would have to sign in again
	down      atomic.Int64 // requests to a process that was not there
	slowest   atomic.Int64 // answer to a request, in nanoseconds

	mu       sync.Mutex
	problems []string
	passed   map[*honest]string // the token with which each of them passed last

	stopping chan struct{}
	running  sync.WaitGroup
}

const maxProblems = 10

// newCrowd signs in and begins.
func newCrowd(t *testing.T, iss *issuerUnderTest, guards []*guardUnderTest, size int) *crowd {
	t.Helper()
	c := &crowd{
		iss: iss, guards: guards, every: 40 * time.Millisecond, renew: 3 * time.Second,
		passed: make(map[*honest]string), stopping: make(chan struct{}),
	}
	for i, s := range signInMany(t, iss, size) {
		h := &honest{crowd: c, tokens: s.tokens, made: time.Now(), turn: i}
		h.pass()
		c.running.Go(h.work)
	}
	t.Cleanup(c.stop)
	return c
}

// stop waits until the last request has been answered.
func (c *crowd) stop() {
	select {
	case <-c.stopping:
	default:
		close(c.stopping)
	}
	c.running.Wait()
}

func (c *crowd) stopped() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

func (c *crowd) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// untilPast waits until everybody has passed with what another key signed. A client
// renews once for a request: a second kill between its renewal and its request would
// be held against an issuer that did what it should.
func (c *crowd) untilPast(t *testing.T, kid string) {
	t.Helper()
	waitFor(t, c.iss.process, "request by everybody under a new key", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, token := range c.passed {
			if keyIDOf(t, token) == kid {
				return fmt.Errorf("somebody passed last with what %s signed", kid)
			}
		}
		return nil
	})
}

// check fails the test if an honest request was refused for good or a session was
// lost, and prints the counts.
func (c *crowd) check(t *testing.T) {
	t.Helper()
	t.Logf("measured: honest requests %d, refused %d, passed after one renewal %d, renewals %d, signed in again %d, to a process that was down %d, slowest answer %v",
		c.requests.Load(), c.refused.Load(), c.again.Load(), c.refreshes.Load(), c.lost.Load(), c.down.Load(),
		time.Duration(c.slowest.Load()).Round(time.Millisecond))
	if c.requests.Load() == 0 {
		t.Error("the crowd sent nothing")
	}
	if n := c.refused.Load(); n != 0 {
		t.Errorf("%d honest requests were refused", n)
	}
	if n := c.lost.Load(); n != 0 {
		t.Errorf("%d sessions had to sign in again", n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.problems {
		t.Log(p)
	}
}

// An honest client holds one session.
type honest struct {
	*crowd
	tokens
	made time.Time // when the access token was
	turn int       // whose turn it is among the guards
}

func (h *honest) work() {
	for !h.stopped() {
		if time.Since(h.made) > h.renew {
			h.renewToken()
		}
		h.request()
		pause(h.stopping, h.every/2+rand.N(h.every))
	}
}

func pause(stop <-chan struct{}, d time.Duration) {
	select {
	case <-stop:
	case <-time.After(d):
	}
}

// request sends one, and when it is refused renews the token and sends it again.
func (h *honest) request() {
	guard := h.guards[h.turn%len(h.guards)]
	h.turn++
	status, ok := h.send(guard)
	if !ok || status == http.StatusOK {
		return
	}
	if status == http.StatusUnauthorized && h.renewToken() {
		if status, ok = h.send(guard); !ok || status == http.StatusOK {
			h.again.Add(1)
			return
		}
	}
	h.refused.Add(1)
	h.problem("%s answered %d to session %s", guard.name, status, h.Session)
}

// send is false when nobody answered.
func (h *honest) send(guard *guardUnderTest) (status int, ok bool) {
	begin := time.Now()
	status, err := ask(guard.url+"/auth", h.Access)
	if err != nil {
		h.down.Add(1)
		return 0, false
	}
	h.requests.Add(1)
	if status == http.StatusOK {
		h.pass()
	}
	took := int64(time.Since(begin))
	for {
		slowest := h.slowest.Load()
		if took <= slowest || h.slowest.CompareAndSwap(slowest, took) {
			return status, true
		}
	}
}

// pass notes the token that a guard let pass.
func (h *honest) pass() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.passed[h] = h.Access
}

// renewPatience is how long a client goes on asking an issuer that is down or
// restarts. It has a token meanwhile.
const renewPatience = 20 * time.Second

// renewToken asks for new tokens until it has them, as long as nobody says no. Who
// has begun to renew ends it, even when the crowd goes home meanwhile.
func (h *honest) renewToken() bool {
	deadline := time.Now().Add(renewPatience)
	for time.Now().Before(deadline) {
		status, got, err := h.iss.refresh(h.Refresh)
		switch {
		case err == nil && status == http.StatusOK:
			h.refreshes.Add(1)
			h.tokens, h.made = got, time.Now()
			return true
		case err == nil && status == http.StatusBadRequest:
			h.lost.Add(1)
			h.problem("the issuer refused to renew session %s: %s", h.Session, got.Error)
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}
