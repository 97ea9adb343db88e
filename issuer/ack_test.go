package issuer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/revocation"
)

func (n *node) ack(t *testing.T, want int, instance string, epoch, seq uint64, more string, headers ...string) {
	t.Helper()
	body := fmt.Sprintf(`{"instance":%q,"epoch":%d,"seq":%d,"c":"","kfid":"","keys":""%s}`, instance, epoch, seq, more)
	if a := send(t, request(t, "POST", n.url+"/revocation/ack", body, headers...)); a.status != want {
		t.Fatalf("ack of %s: %d %s", instance, a.status, a.body)
	}
}

type waited struct {
	Epoch     uint64          `json:"epoch"`
	Seq       uint64          `json:"seq"`
	Verifiers issuer.Coverage `json:"verifiers"`
}

func TestRevokeWaitsForVerifiers(t *testing.T) {
	n := newNode(t)
	m := n.manifest(t)
	n.ack(t, 204, "one", m.Epoch, m.Head, "")
	n.ack(t, 204, "two", m.Epoch, m.Head, "")
	answered := make(chan waited)
	go func() {
		var out waited
		n.do(t, 200, "POST", "/admin/revoke", `{"kind":"tenant","value":"x","wait":30}`).into(t, &out)
		answered <- out
	}()
	l := n.follow(t, at(m.Position()))
	var seq uint64
	for seq == 0 {
		f, _, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Entries) > 0 {
			seq = f.Last()
		}
	}
	n.ack(t, 204, "one", m.Epoch, seq, "")
	n.ack(t, 204, "two", m.Epoch, seq, "")
	out := <-answered
	if out.Seq != seq || out.Verifiers.Confirmed != 2 || out.Verifiers.Of != 2 || len(out.Verifiers.Silent) != 0 {
		t.Errorf("%+v", out)
	}
}

func TestRevokeNamesTheSilent(t *testing.T) {
	n := newNode(t)
	m := n.manifest(t)
	n.ack(t, 204, "asleep", m.Epoch, m.Head, "")
	n.ack(t, 204, "gone", m.Epoch, m.Head, "")
	n.ack(t, 204, "gone", m.Epoch, m.Head, `,"done":true`)
	var out waited
	n.do(t, 200, "POST", "/admin/revoke", `{"kind":"tenant","value":"x","wait":1}`).into(t, &out)
	if out.Verifiers.Of != 1 || out.Verifiers.Confirmed != 0 || fmt.Sprint(out.Verifiers.Silent) != "[loopback/asleep]" {
		t.Errorf("%+v", out.Verifiers)
	}
	n.clock.advance(2 * time.Hour) // nobody holds a token any more that it could let in
	out = waited{}
	n.do(t, 200, "POST", "/admin/revoke", `{"kind":"tenant","value":"y","wait":1}`).into(t, &out)
	if out.Verifiers.Of != 0 {
		t.Errorf("%+v", out.Verifiers)
	}
}

func TestAcksAreBounded(t *testing.T) {
	n := newNode(t)
	m := n.manifest(t)
	for i := range 256 {
		n.ack(t, 204, fmt.Sprint(i), m.Epoch, m.Head, "")
	}
	n.ack(t, 429, "one too many", m.Epoch, m.Head, "")
	n.ack(t, 204, "7", m.Epoch, m.Head, "") // who is known may go on
	n.ack(t, 400, "", m.Epoch, m.Head, "")
	n.ack(t, 400, strings.Repeat("x", 129), m.Epoch, m.Head, "")
	n.ack(t, 401, "x", m.Epoch, m.Head, "", "Via: 1.1 proxy")
}

func TestFeedStatus(t *testing.T) {
	n := newNode(t)
	m := n.manifest(t)
	n.ack(t, 204, "one", m.Epoch, m.Head, "")
	l := n.follow(t, at(m.Position()))
	if _, _, err := l.next(); err != nil {
		t.Fatal(err)
	}
	var out struct {
		Epoch       uint64 `json:"epoch"`
		Head        uint64 `json:"head"`
		Subscribers int    `json:"subscribers"`
		Verifiers   []struct {
			Credential string `json:"credential"`
			Instance   string `json:"instance"`
			Seq        uint64 `json:"seq"`
		} `json:"verifiers"`
	}
	n.do(t, 200, "GET", "/admin/feed", "").into(t, &out)
	if out.Epoch != m.Epoch || out.Head != m.Head || out.Subscribers != 1 || len(out.Verifiers) != 1 ||
		out.Verifiers[0].Instance != "one" || out.Verifiers[0].Credential != "loopback" || out.Verifiers[0].Seq != m.Head {
		t.Errorf("%+v", out)
	}
}

// A verifier that came to the same seq by another way is an alarm, raised once.
func TestThreat70ForkIsReported(t *testing.T) {
	n := newNode(t)
	m := n.manifest(t)
	ack := func(c string) {
		body := fmt.Sprintf(`{"instance":"one","epoch":%d,"seq":%d,"c":%q,"kfid":"","keys":""}`, m.Epoch, m.Head, c)
		if a := send(t, request(t, "POST", n.url+"/revocation/ack", body)); a.status != 204 {
			t.Fatal(a.body)
		}
	}
	ack(m.C.String())
	if strings.Contains(n.log.String(), "another history") {
		t.Error("alarm without a fork")
	}
	ack(revocation.Link{}.String())
	ack(revocation.Link{}.String())
	if got := strings.Count(n.log.String(), "another history"); got != 1 {
		t.Errorf("%d alarms", got)
	}
	if body := n.do(t, 200, "GET", "/admin/feed", "").body; !strings.Contains(body, `"fork":true`) {
		t.Error(body)
	}
}
