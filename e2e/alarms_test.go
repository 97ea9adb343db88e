package e2e_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// An alarm is what the issuer's webhook said.
type alarm struct {
	Kind  string `json:"kind"`
	KeyID string `json:"kid"`
	JTI   string `json:"jti"`
	Drill bool   `json:"drill"`

	at   time.Time
	body string
}

// alarms is the receiver of webhooks, in the test's own process.
type alarms struct {
	url string

	mu      sync.Mutex
	heard   []alarm
	changed chan struct{} // closed and replaced at each alarm
}

func newAlarms(t *testing.T) *alarms {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &alarms{url: "http://" + ln.Addr().String() + "/alarm", changed: make(chan struct{})}
	server := &http.Server{Handler: a}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-done })
	return a
}

func (a *alarms) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := alarm{at: time.Now()}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil || json.Unmarshal(body, &got) != nil {
		http.Error(w, "not an alarm", http.StatusBadRequest)
		return
	}
	got.body = string(body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = append(a.heard, got)
	close(a.changed)
	a.changed = make(chan struct{})
}

// all returns the alarms heard until now.
func (a *alarms) all() ([]alarm, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]alarm(nil), a.heard...), a.changed
}

// await waits for an alarm that matches, and says whether it came.
func (a *alarms) await(limit time.Duration, match func(alarm) bool) (alarm, bool) {
	over := time.After(limit)
	for {
		heard, changed := a.all()
		for _, got := range heard {
			if match(got) {
				return got, true
			}
		}
		select {
		case <-changed:
		case <-over:
			return alarm{}, false
		}
	}
}

// of matches an alarm of a kind that names a key.
func of(kind, kid string) func(alarm) bool {
	return func(a alarm) bool { return a.Kind == kind && a.KeyID == kid }
}
