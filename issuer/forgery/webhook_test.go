package forgery_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
)

var hookKey = []byte("0123456789abcdef0123456789abcdef")

func hookSecret() string { return "whsec_" + base64.StdEncoding.EncodeToString(hookKey) }

// A receiver takes alarms as Standard Webhooks tells it to: it checks the signature
// and knows an alarm again by its id.
type receiver struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	status int // of the answers
	ids    []string
	alarms []forgery.Alarm
	bodies []string
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{t: t, status: http.StatusNoContent}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
	}
	id, at := req.Header.Get("webhook-id"), req.Header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, hookKey)
	mac.Write([]byte(id + "." + at + "." + string(body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); req.Header.Get("webhook-signature") != want {
		r.t.Errorf("signature %q, want %q", req.Header.Get("webhook-signature"), want)
	}
	var a forgery.Alarm
	if err := json.Unmarshal(body, &a); err != nil || a.ID != id || req.Method != "POST" || req.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s %s: %v", req.Method, body, err)
	}
	r.ids = append(r.ids, id)
	if r.status == http.StatusFound {
		w.Header().Set("Location", r.URL+"/elsewhere")
	}
	if req.URL.Path != "/alarm" {
		r.t.Errorf("sent to %s", req.URL.Path)
	}
	if r.status == http.StatusNoContent {
		r.alarms, r.bodies = append(r.alarms, a), append(r.bodies, string(body))
	}
	w.WriteHeader(r.status)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) kinds() (kinds []forgery.Kind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.alarms {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}

func (r *receiver) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

func (r *receiver) hook() *forgery.Webhook {
	hook, err := forgery.NewWebhook(r.URL+"/alarm", hookSecret())
	if err != nil {
		r.t.Fatal(err)
	}
	return hook
}

func (f *fixture) deliver() {
	f.Helper()
	f.check(f.desk.AlarmRound(f.Context()))
}

// Each step is told, once, and no more of the forged token than its jti.
func TestEachStepIsToldToTheWebhook(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, forgery.Config{Webhook: r.hook()})
	kid, token := f.active(), f.forge(1)
	f.evidence(forgery.Forged, token)
	f.deliver()
	for range 2 {
		f.answer()
	}
	f.clock.advance(forgery.Grace)
	f.answer()
	f.deliver()
	f.deliver()
	if got := r.kinds(); !slices.Equal(got, []forgery.Kind{"forged", "quarantined", "rotated", "killed"}) {
		t.Fatalf("told %v", got)
	}
	first := r.alarms[0]
	if first.KeyID != kid || first.TokenID != jtiOf(1) || first.Issuer != issuerURL || first.Level0 != "passes" ||
		first.Reporter != "guard" || first.Answer != forgery.Automatic || first.Drill {
		t.Errorf("%+v", first)
	}
	if r.alarms[2].Successor != f.active() {
		t.Errorf("%+v", r.alarms[2])
	}
	for _, body := range r.bodies {
		for _, secret := range []string{"alice", "s1", "first-party", token[len(token)-20:]} {
			if strings.Contains(body, secret) {
				t.Errorf("%q in %s", secret, body)
			}
		}
	}
	if in := f.incident(kid); in.Alarmed.IsZero() || in.Undelivered != nil {
		t.Errorf("%+v", in)
	}
}

// What the receiver does not take is sent again, later each time, also by another
// process, and with the same id.
func TestAlarmsSurviveTheProcess(t *testing.T) {
	r := newReceiver(t)
	r.answer(http.StatusServiceUnavailable)
	f := newFixture(t, forgery.Config{Webhook: r.hook(), Answer: forgery.AlarmOnly})
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	var waits []time.Duration
	for range 12 {
		n := r.attempts()
		from := f.clock.Now()
		for r.attempts() == n {
			f.clock.advance(250 * time.Millisecond)
			f.deliver()
		}
		waits = append(waits, f.clock.Now().Sub(from))
	}
	if first, last := waits[1], waits[len(waits)-1]; first > 2*time.Second || last < 3*time.Minute || last > 6*time.Minute {
		t.Errorf("waits %v", waits)
	}
	in := f.incident(kid)
	if u := in.Undelivered; !in.Alarmed.IsZero() || u == nil || u.Alarms != 1 || u.Tries != 12 || !u.Since.Equal(in.Found) || !strings.Contains(u.Error, "503") {
		t.Errorf("%+v %+v", in, u)
	}
	if list, err := f.desk.Incidents(t.Context()); err != nil || len(list) != 1 || list[0].Undelivered == nil {
		t.Errorf("%+v (%v)", list, err)
	}
	r.answer(http.StatusNoContent)
	f.desk = f.open(forgery.Config{Webhook: r.hook(), Answer: forgery.AlarmOnly})
	f.clock.advance(6 * time.Minute)
	f.deliver()
	f.deliver()
	if got := r.kinds(); !slices.Equal(got, []forgery.Kind{"forged"}) {
		t.Errorf("told %v", got)
	}
	for _, want := range []string{"could not be delivered", "taken an alarm late"} {
		if n := strings.Count(f.log.String(), want); n != 1 {
			t.Errorf("%q is in the log %d times", want, n)
		}
	}
	if ids := slices.Compact(slices.Clone(r.ids)); len(ids) != 1 || len(r.ids) != 13 {
		t.Errorf("%d attempts under %d ids", len(r.ids), len(ids))
	}
}

// After three days nobody is told any more.
func TestAlarmsAreGivenUp(t *testing.T) {
	r := newReceiver(t)
	r.answer(http.StatusInternalServerError)
	f := newFixture(t, forgery.Config{Webhook: r.hook(), Answer: forgery.AlarmOnly})
	f.evidence(forgery.Forged, f.forge(1))
	f.clock.advance(73 * time.Hour)
	f.deliver()
	f.clock.advance(time.Hour)
	f.deliver()
	if n := r.attempts(); n != 1 {
		t.Errorf("%d attempts", n)
	}
	if got := f.trail(); !slices.Equal(got, []string{"forged", "untold"}) {
		t.Errorf("trail %v", got)
	}
}

// Of several nodes one makes each attempt. One that dies in it is replaced.
func TestOneNodeTellsTheWebhook(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, forgery.Config{Webhook: r.hook(), Answer: forgery.AlarmOnly})
	for i := range 10 {
		f.evidence(forgery.Forged, f.forge(i))
	}
	var wg sync.WaitGroup
	for range 4 {
		d := f.open(forgery.Config{Webhook: r.hook()})
		wg.Go(func() {
			if err := d.AlarmRound(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.attempts(); n != 10 {
		t.Errorf("%d attempts for 10 alarms", n)
	}
}

func TestWebhookFollowsNoRedirect(t *testing.T) {
	r := newReceiver(t)
	r.answer(http.StatusFound)
	f := newFixture(t, forgery.Config{Webhook: r.hook(), Answer: forgery.AlarmOnly})
	f.evidence(forgery.Forged, f.forge(1))
	f.deliver()
	if n := r.attempts(); n != 1 {
		t.Errorf("%d requests", n)
	}
	if u := f.incident(f.active()).Undelivered; u == nil || !strings.Contains(u.Error, "302") || strings.Contains(u.Error+f.log.String(), r.URL) {
		t.Errorf("%+v", u)
	}
}

func TestNewWebhook(t *testing.T) {
	good := hookSecret()
	for _, u := range []string{"https://alarms.example/x?key=1", "http://127.0.0.1:9/x", "http://localhost/", "https://[::1]/"} {
		if _, err := forgery.NewWebhook(u, good); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
	for _, u := range []string{"", "alarms.example", "http://alarms.example/", "http://10.0.0.1/", "ftp://x/", "https://u:p@x/", "https://x/#f", "https://", "unix:/x", "https://%zz"} {
		if _, err := forgery.NewWebhook(u, good); err == nil || u != "" && strings.Contains(err.Error(), u) {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, s := range []string{"", "whsec_", good[6:], "whsec_" + base64.StdEncoding.EncodeToString(hookKey[:23]), "whsec_!" + good[7:], "WHSEC_" + good[6:]} {
		if _, err := forgery.NewWebhook("https://x/", s); err == nil || s != "" && strings.Contains(err.Error(), strings.TrimPrefix(s, "whsec_")) && len(s) > 6 {
			t.Errorf("%q: %v", s, err)
		}
	}
}
