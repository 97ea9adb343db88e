package issuer_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

// post sends a body of any type.
func (n *node) post(t *testing.T, path, contentType, body string, headers ...string) answer {
	t.Helper()
	r := request(t, "POST", n.url+path, body, headers...)
	r.Header.Set("Content-Type", contentType)
	return send(t, r)
}

// report sends records as a verifier does and wants a 200.
func (n *node) report(t *testing.T, records ...notary.Record) (seen forgery.Seen) {
	t.Helper()
	body, err := notary.AppendReport(nil, records)
	if err != nil {
		t.Fatal(err)
	}
	a := n.post(t, "/revocation/seen", notary.ReportType, string(body))
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a.into(t, &seen)
	return seen
}

// verdict shows a token as evidence.
func (n *node) verdict(t *testing.T, token string) string {
	t.Helper()
	a := n.post(t, "/revocation/seen/evidence", "application/jwt", token)
	var out struct {
		Verdict string `json:"verdict"`
	}
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a.into(t, &out)
	return out.Verdict
}

// incident returns the incident of the key that signed a token.
func (n *node) incident(t *testing.T, token string) (in forgery.Incident, ok bool) {
	t.Helper()
	u, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	a := send(t, request(t, "GET", n.admin.URL+"/admin/incidents/"+u.UnverifiedHeader().KeyID, ""))
	if a.status == 404 {
		return in, false
	}
	a.into(t, &in)
	return in, true
}

func record(t *testing.T, token string) notary.Record {
	t.Helper()
	u, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	r, err := notary.RecordOf(u.UnverifiedHeader().KeyID, token)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What a verifier has seen goes over the wire as it is written in docs/http.md, and
// evidence of a forgery ends in the revocation log.
func TestThreat82SeenOverTheWire(t *testing.T) {
	n := newNode(t)
	_, tokens := n.signIn(t, n.addUser(t, "alice"), "")
	genuine, forged := record(t, tokens.AccessToken), record(t, n.forge(t, tokens.AccessToken))
	stranger := genuine
	stranger.KeyID = "nobody"
	seen := n.report(t, genuine, forged, stranger, genuine)
	if len(seen.Wrong) != 1 || seen.Wrong[0] != 1 || len(seen.Again) != 1 || seen.Again[0] != 2 {
		t.Errorf("%+v", seen)
	}
	if seen := n.report(t, genuine); len(seen.Wrong)+len(seen.Again) != 0 {
		t.Errorf("%+v", seen)
	}
	if _, ok := n.incident(t, tokens.AccessToken); ok {
		t.Error("a record alone is an incident")
	}
	if v := n.verdict(t, tokens.AccessToken); v != "genuine" {
		t.Error(v)
	}
	began := time.Now()
	if v := n.verdict(t, n.forge(t, tokens.AccessToken)); v != "forged" {
		t.Error(v)
	}
	t.Logf("evidence to durable answer: %v", time.Since(began))
	in, ok := n.incident(t, tokens.AccessToken)
	if !ok || in.QuarantineSeq == 0 || in.Tokens != 1 || in.Reporter != "loopback" {
		t.Errorf("%+v", in)
	}
	if m := n.manifest(t); m.Head < in.QuarantineSeq {
		t.Errorf("the feed is at %d, the quarantine is %d", m.Head, in.QuarantineSeq)
	}
}

func TestSeenIsStrict(t *testing.T) {
	n := newNode(t)
	const path, evidence = "/revocation/seen", "/revocation/seen/evidence"
	for _, tt := range []struct {
		path, contentType, body string
		headers                 []string
		want                    int
	}{
		{path, notary.ReportType, "\x01\x00", nil, 200},
		{path, notary.ReportType, "\x02\x00", nil, 400},
		{path, notary.ReportType, "", nil, 400},
		{path, "application/json", "\x01\x00", nil, 415},
		{path, "", "\x01\x00", nil, 415},
		{path, notary.ReportType, strings.Repeat("x", notary.MaxReport+1), nil, 413},
		{path, notary.ReportType, "\x01\x00", []string{"Via: 1.1 proxy"}, 401},
		{evidence, "application/jwt", "thief", nil, 200},
		{evidence, "text/plain", "thief", nil, 415},
		{evidence, "application/jwt", strings.Repeat("x", forgery.MaxToken+1), nil, 413},
		{evidence, "application/jwt", "thief", []string{"Authorization: Basic eDp5"}, 401},
	} {
		if a := n.post(t, tt.path, tt.contentType, tt.body, tt.headers...); a.status != tt.want || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s %.20q: %d %s", tt.path, tt.contentType, tt.body, a.status, a.body)
		}
	}
	for range 15 {
		n.verdict(t, "junk")
	}
	if a := n.post(t, evidence, "application/jwt", "junk"); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A verifier believes no proxy on the way, but the feed key.
func TestThreat98AnswersAreSigned(t *testing.T) {
	n := newNode(t)
	const nonce = "0123456789abcdef"
	for _, c := range []struct{ path, contentType, body string }{
		{"/revocation/seen", notary.ReportType, "\x01\x00"},
		{"/revocation/seen/evidence", "application/jwt", "thief"},
	} {
		a := n.post(t, c.path, c.contentType, c.body, revocation.NonceHeader+": "+nonce)
		e := revocation.Exchange{Issuer: n.shared.url, Path: strings.TrimPrefix(c.path, "/revocation"), Nonce: nonce, Request: []byte(c.body), Answer: []byte(a.body)}
		if err := e.Verify(n.ring.FeedKey(), a.header.Get(revocation.AnswerHeader)); err != nil || a.status != 200 {
			t.Errorf("%s: %d %s: %v", c.path, a.status, a.body, err)
		}
		if a := n.post(t, c.path, c.contentType, c.body); a.status != 200 || a.header.Get(revocation.AnswerHeader) != "" {
			t.Errorf("%s, not asked for: %d", c.path, a.status)
		}
		for _, bad := range []string{"short", strings.Repeat("x", 65)} {
			if a := n.post(t, c.path, c.contentType, c.body, revocation.NonceHeader+": "+bad); a.status != 400 {
				t.Errorf("%s, a nonce of %d: %d", c.path, len(bad), a.status)
			}
		}
	}
}

// What was cut off on its way may be sent again: the verifier gives up what it is
// told a 400 for.
func TestSeenCutOff(t *testing.T) {
	n := newNode(t)
	for path, contentType := range map[string]string{
		"/revocation/seen": notary.ReportType, "/revocation/seen/evidence": "application/jwt",
	} {
		if status := n.cutOff(t, path, contentType); status != http.StatusRequestTimeout {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// cutOff sends the front of a body and returns the status of the answer.
func (n *node) cutOff(t *testing.T, path, contentType string) int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n\x01", path, contentType)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestSeenIsOff(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	n := startNode(t, server, newShared(t, "http://"+server.Listener.Addr().String()), issuer.Config{Answer: forgery.Off})
	const nonce = "0123456789abcdef"
	for path, contentType := range map[string]string{
		"/revocation/seen": notary.ReportType, "/revocation/seen/evidence": "application/jwt",
	} {
		a := n.post(t, path, contentType, "\x01\x00", revocation.NonceHeader+": "+nonce)
		// Signed, as anybody on the way can answer 404.
		e := revocation.Exchange{Issuer: n.shared.url, Path: strings.TrimPrefix(path, "/revocation"), Nonce: nonce, Request: []byte("\x01\x00")}
		if err := e.Verify(n.ring.FeedKey(), a.header.Get(revocation.AnswerHeader)); err != nil || a.status != http.StatusNotFound {
			t.Errorf("%s: %d %v", path, a.status, err)
		}
	}
}

// A forged token that comes to the issuer itself is refused there, and alarms.
func TestThreat136ForgedTokenPresentedToTheIssuer(t *testing.T) {
	for name, present := range map[string]func(n *node, token string) answer{
		"administration": func(n *node, token string) answer { return n.get(t, "/admin/users", "Authorization: Bearer "+token) },
		"revocation": func(n *node, token string) answer {
			return n.post(t, "/revoke", "application/x-www-form-urlencoded", "token="+token)
		},
		"sign-out": func(n *node, token string) answer {
			return n.post(t, "/sign-out", "application/json", "", "Authorization: Bearer "+token)
		},
	} {
		n := newNode(t)
		_, tokens := n.signIn(t, n.addUser(t, "root", "admin"), `,"audience":"`+n.shared.url+`","scope":"admin"`)
		if a := n.get(t, "/admin/users", "Authorization: Bearer "+tokens.AccessToken); a.status != 200 {
			t.Fatalf("the genuine one: %d", a.status)
		}
		a := present(n, n.forge(t, tokens.AccessToken))
		if name == "administration" && a.status != 401 {
			t.Errorf("%s: %d", name, a.status)
		}
		in, ok := n.incident(t, tokens.AccessToken)
		if !ok || in.Tokens != 1 || in.Reporter != "issuer/endpoint" {
			t.Errorf("%s: %d, %+v", name, a.status, in)
		}
		if n.refresh(t, tokens.RefreshToken) != 200 {
			t.Errorf("%s: the session that the forgery names has ended", name)
		}
	}
}

// What has the right signature and is no access token of ours is shown to the desk as
// well; what an honest client may have is not.
func TestThreat136OtherTokensPresentedToTheIssuer(t *testing.T) {
	n := newNode(t)
	_, tokens := n.signIn(t, n.addUser(t, "root", "admin"), "")
	u, err := jws.Parse(tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := n.ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(token string) {
		if a := n.get(t, "/admin/users", "Authorization: Bearer "+token); a.status/100 != 4 {
			t.Errorf("%d", a.status)
		}
	}
	bearer(tokens.AccessToken) // for another audience
	bearer(tokens.AccessToken[:len(tokens.AccessToken)-2] + "AA")
	bearer("junk")
	n.clock.advance(16 * time.Minute)
	bearer(tokens.AccessToken) // too old
	if in, ok := n.incident(t, tokens.AccessToken); ok {
		t.Fatalf("%+v", in)
	}
	n.clock.advance(-16 * time.Minute)
	forged, err := jws.Sign(signer.Key(), jws.Header{Type: "JWT"}, u.UnverifiedPayload())
	if err != nil {
		t.Fatal(err)
	}
	bearer(forged)
	if _, ok := n.incident(t, forged); !ok {
		t.Error("a genuine payload under another typ is not noticed")
	}
	canary, err := n.ring.AddCanary(t.Context(), "", "test")
	if err != nil {
		t.Fatal(err)
	}
	if forged, err = jws.Sign(canary, jws.Header{Type: "at+jwt"}, u.UnverifiedPayload()); err != nil {
		t.Fatal(err)
	}
	bearer(forged)
	if in, ok := n.incident(t, forged); !ok || in.State != store.IncidentNoted {
		t.Error("a canary is not noticed")
	}
}

// counterfoil keys kill ends the incident of its key.
func TestKillByHandSettlesTheIncident(t *testing.T) {
	n := newNode(t)
	_, tokens := n.signIn(t, n.addUser(t, "alice"), "")
	n.verdict(t, n.forge(t, tokens.AccessToken))
	u, err := jws.Parse(tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	kid := u.UnverifiedHeader().KeyID
	n.do(t, 200, "POST", "/admin/revoke", `{"kind":"key","value":"`+kid+`","absolute":true}`)
	if in, _ := n.incident(t, tokens.AccessToken); in.State != store.IncidentKilled || in.Automatic {
		t.Errorf("%+v", in)
	}
	if list := n.do(t, 200, "GET", "/admin/incidents", "").body; !strings.Contains(list, kid) {
		t.Error(list)
	}
	n.do(t, 204, "POST", "/admin/incidents/"+kid+"/close", "{}")
	n.do(t, 404, "GET", "/admin/incidents/nobody", "")
	n.do(t, 404, "POST", "/admin/incidents/nobody/close", "{}")
}

// A connected verifier that does not hold the next key is waited for, and not for
// long.
func TestThreat82AnswerWaitsForVerifiers(t *testing.T) {
	n := newNode(t)
	_, tokens := n.signIn(t, n.addUser(t, "alice"), "")
	m := n.manifest(t)
	n.ack(t, 204, "one", m.Epoch, m.Head, "") // with no key set at all
	kid := record(t, tokens.AccessToken).KeyID
	if v := n.verdict(t, n.forge(t, tokens.AccessToken)); v != "forged" {
		t.Fatal(v)
	}
	in := n.until(t, kid, store.IncidentSwitched)
	if d := in.Switched.Sub(in.Quarantined); d < 2*time.Second || d > 4*time.Second {
		t.Errorf("another key signed after %v", d)
	}
}

// A timedWriter is a connection that knows deadlines.
type timedWriter struct {
	*httptest.ResponseRecorder
	limit time.Time
}

func (w *timedWriter) SetReadDeadline(t time.Time) error { w.limit = t; return nil }

// A body is read against a deadline, which does not outlive it.
func TestSlowReportsHaveAnEnd(t *testing.T) {
	n := newNode(t)
	for path, contentType := range map[string]string{"/revocation/seen": notary.ReportType, "/revocation/seen/evidence": "application/jwt"} {
		w := &timedWriter{ResponseRecorder: httptest.NewRecorder()}
		var left time.Duration
		body := readerFunc(func([]byte) (int, error) { left = time.Until(w.limit); return 0, io.EOF })
		r := httptest.NewRequest("POST", n.url+path, body)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Content-Type", contentType)
		n.ServeHTTP(w, r)
		if left <= 0 || left > 10*time.Second || !w.limit.IsZero() {
			t.Errorf("%s: %d, %v left while it was read, then %v", path, w.Code, left, w.limit)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
