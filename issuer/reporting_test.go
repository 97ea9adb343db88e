package issuer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// reports acknowledges with how reports fare, each two seconds as a verifier does.
func (n *node) reports(t *testing.T, instance string, times int, seen func(second int) string) {
	t.Helper()
	m := n.manifest(t)
	for i := range times {
		n.ack(t, 204, instance, m.Epoch, m.Head, `,"seen":`+seen(2*i))
		n.clock.advance(2 * time.Second)
	}
}

func waits(ms int) string {
	return fmt.Sprintf(`{"records":7,"evidence":1,"unanswered_ms":%d,"lost":2,"share":1}`, ms)
}

// A verifier whose acknowledgements arrive, and whose reports are not answered, is in
// the fleet view and is counted. What an outage of everything leaves behind is not.
func TestThreat82ConnectedAndCut(t *testing.T) {
	n := newNode(t)
	fine := func(int) string { return `{"records":0,"evidence":0,"unanswered_ms":0,"lost":0,"share":1}` }
	n.reports(t, "fine", 20, fine)
	if s := n.Status().Verifiers; s.Unanswered != 0 || s.Partial != 0 || s.Connected != 1 {
		t.Errorf("%+v", s)
	}
	n.clock.advance(10 * time.Minute) // nothing comes through
	n.reports(t, "fine", 3, func(i int) string { return waits(600_000 + 1000*i) })
	if s := n.Status().Verifiers; s.Unanswered != 0 {
		t.Errorf("just after an outage: %+v", s)
	}
	n.reports(t, "fine", 1, fine)
	n.reports(t, "cut", 8, func(int) string { return waits(12_000) })
	n.clock.advance(10 * time.Minute)
	n.reports(t, "cut", 3, func(int) string { return waits(600_000) })
	if s := n.Status().Verifiers; s.Unanswered != 0 {
		t.Errorf("cut off before and after an outage: %+v", s)
	}
	n.reports(t, "cut", 20, func(i int) string { return waits(1000 * i) })
	if s := n.Status().Verifiers; s.Unanswered != 1 {
		t.Errorf("%+v", s)
	}
	if body := n.do(t, 200, "GET", "/admin/feed", "").body; !strings.Contains(body, `"evidence":1`) || !strings.Contains(body, `"unanswered":"`) {
		t.Error(body)
	}
	n.reports(t, "cut", 1, fine)
	if s := n.Status().Verifiers; s.Unanswered != 0 {
		t.Errorf("answered again: %+v", s)
	}
	n.reports(t, "part", 1, func(int) string { return `{"records":0,"evidence":0,"unanswered_ms":0,"lost":0,"share":0.1}` })
	n.reports(t, "off", 1, func(int) string { return `{"records":0,"evidence":0,"unanswered_ms":0,"lost":0,"share":1,"off":true}` })
	m := n.manifest(t)
	n.ack(t, 204, "old", m.Epoch, m.Head, "") // a verifier of before: neither alarm
	if s := n.Status().Verifiers; s.Unanswered != 0 || s.Partial != 2 {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{`{"share":2}`, `{"share":-1}`, `{"unanswered_ms":-1,"share":1}`, `{"records":-1,"share":1}`, `{"evidence":-1,"share":1}`, `7`, `{"lost":-1}`} {
		n.ack(t, 400, "bad", m.Epoch, m.Head, `,"seen":`+bad)
	}
}

// What verifiers say reaches the desk, which raises the alarm.
func TestCutVerifierIsNamed(t *testing.T) {
	n := newNode(t)
	n.reports(t, "cut", 20, func(i int) string { return waits(1000 * i) })
	m := n.manifest(t)
	eventually(t, "the alarm", func() bool {
		n.clock.advance(time.Second)
		n.ack(t, 204, "cut", m.Epoch, m.Head, `,"seen":`+waits(60_000))
		return strings.Contains(n.do(t, 200, "GET", "/admin/audit", "").body, `"action":"forgery.blind"`)
	})
	if log := n.log.String(); !strings.Contains(log, "reporter=loopback instance=cut") {
		t.Error(log)
	}
}
