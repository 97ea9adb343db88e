package issuer_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

func TestFeedFromSnapshotToLive(t *testing.T) {
	n := newNode(t)
	first := n.revoke(t, "tenant", "before")
	table := n.load(t)
	l := n.follow(t, at(table.Head()))
	l.apply(table, first)
	live := n.revoke(t, "tenant", "live")
	l.apply(table, live)
	for value, seq := range map[string]uint64{"before": first, "live": live} {
		if !n.revokedIn(table, revocation.Tenant, value, seq-1) {
			t.Errorf("tenant %q is not revoked", value)
		}
		if n.revokedIn(table, revocation.Tenant, value, seq) {
			t.Errorf("tenant %q is revoked for a token minted after", value)
		}
	}
	if m := n.manifest(t); m.Position() != table.Head() {
		t.Errorf("manifest %v, table %v", m.Position(), table.Head())
	}
}

// One signature serves all: every subscriber reads the same bytes.
func TestSubscribersShareOneFrame(t *testing.T) {
	n := newNode(t)
	start := at(n.manifest(t).Position())
	const subscribers = 100
	got := make([]string, subscribers)
	var listening, done sync.WaitGroup
	listening.Add(subscribers)
	for i := range subscribers {
		l := n.follow(t, start)
		done.Go(func() {
			_, _, err := l.next() // the heartbeat at the start: he listens
			listening.Done()
			var f *revocation.Frame
			for err == nil && (f == nil || len(f.Entries) == 0) {
				f, _, err = l.next()
			}
			if err != nil {
				t.Error(err)
			}
			got[i] = l.data
		})
	}
	listening.Wait()
	n.revoke(t, "tenant", "x")
	done.Wait()
	for i := range got {
		if got[i] != got[0] {
			t.Fatalf("subscriber %d read another frame", i)
		}
	}
}

func TestHeartbeats(t *testing.T) {
	n := newNode(t)
	l := n.follow(t, at(n.manifest(t).Position()))
	var last time.Time
	for i := range 4 {
		f, _, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Entries) != 0 || f.C0 != f.C1 {
			t.Fatal("not a heartbeat")
		}
		if d := f.AsOf.Sub(last); i > 1 && (d < 100*time.Millisecond || d > 2*time.Second) {
			t.Errorf("%v between two heartbeats", d)
		}
		last = f.AsOf
	}
}

func TestTailPositions(t *testing.T) {
	n := newNode(t)
	p := n.manifest(t).Position()
	get := func(query string, headers ...string) int {
		return n.get(t, "/revocation/tail?wait=0"+query, headers...).status
	}
	for query, want := range map[string]int{
		"&after=" + at(p): 200,
		"":                400,
		"&after=x":        400,
		"&after=1":        400,
		"&after=1.2.3":    400,
		"&after=01.2":     400,
		"&after=+1.2":     400,
		"&after=-1.2":     400,
		fmt.Sprintf("&after=%d.%d", p.Epoch+1, p.Seq):      410,
		fmt.Sprintf("&after=%d.%d", p.Epoch-1, p.Seq):      410,
		fmt.Sprintf("&after=%d.%d", p.Epoch, p.Seq+1):      410,
		fmt.Sprintf("&after=%d.%d", p.Epoch, p.Seq-1):      410, // before the epoch's base
		fmt.Sprintf("&after=%d.%d", p.Epoch, uint64(0)):    410,
		"&after=18446744073709551615.18446744073709551615": 410,
	} {
		if got := get(query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	if got := get("&after=1.1", "Last-Event-ID: "+at(p)); got != 200 {
		t.Errorf("Last-Event-ID does not beat after: %d", got)
	}
	for _, wait := range []string{"-1", "61", "x", "1.5"} {
		if got := n.get(t, "/revocation/tail?after="+at(p)+"&wait="+wait).status; got != 400 {
			t.Errorf("wait=%s: %d", wait, got)
		}
	}
}

func TestLongPoll(t *testing.T) {
	n := newNode(t)
	p := n.manifest(t).Position()
	answered := make(chan answer)
	go func() { answered <- n.get(t, "/revocation/tail?wait=25&after="+at(p)) }()
	n.revoke(t, "tenant", "x")
	a := <-answered
	if got := strings.Count(a.body, "data: "); got != 1 || !strings.HasPrefix(a.body, fmt.Sprintf("id: %d.%d\n", p.Epoch, p.Seq+1)) {
		t.Errorf("got %q", a.body)
	}
	idle := n.get(t, fmt.Sprintf("/revocation/tail?wait=1&after=%d.%d", p.Epoch, p.Seq+1))
	if got := strings.Count(idle.body, "data: "); got != 1 || !strings.HasPrefix(idle.body, fmt.Sprintf("id: %d.%d\n", p.Epoch, p.Seq+1)) {
		t.Errorf("got %q", idle.body)
	}
	// The connection was not left with a deadline of the stream.
	if a := n.get(t, "/healthz"); a.status != 200 {
		t.Error("the next request on the connection is lost")
	}
}

// Two issuers on one store cut frames where they like. Whoever changes from one to
// the other in between goes on without a resync and without a false fork.
func TestThreat135TwoNodesCutDifferently(t *testing.T) {
	a := newNode(t)
	server := httptest.NewUnstartedServer(nil)
	b := startNode(t, server, a.shared, issuer.Config{})
	table := a.load(t)
	nodes := []*node{a, b}
	for round := range 6 {
		from, to := nodes[round%2], nodes[(round+1)%2]
		l := from.follow(t, at(table.Head()))
		var seq uint64
		for i := range 3 {
			seq = to.revoke(t, "tenant", fmt.Sprintf("%d-%d", round, i))
		}
		l.apply(table, seq)
		l.close()
		// More than one frame's worth while nobody listens, so that the other node
		// signs it afresh, cut at the place where this subscriber stands.
		seq = from.revoke(t, "tenant", fmt.Sprintf("%d-missed", round))
		l = to.follow(t, at(table.Head()))
		l.apply(table, seq)
		l.close()
	}
	if got := a.manifest(t).Position(); got != table.Head() {
		t.Errorf("table at %v, log at %v", table.Head(), got)
	}
}

// A subscriber who stands in the middle of what was one frame gets the rest of it.
func TestThreat135ResumeInsideAFrame(t *testing.T) {
	n := newNode(t)
	table := n.load(t)
	start := table.Head()
	var last uint64
	for i := range 10 {
		last = n.revoke(t, "tenant", fmt.Sprint(i))
	}
	n.manifest(t) // the node has read all of them
	for seq := start.Seq; seq < last; seq++ {
		l := n.follow(t, fmt.Sprintf("%d.%d", start.Epoch, seq))
		f, _, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if f.First != seq+1 || f.Last() != last {
			t.Errorf("after %d: frame %d..%d, want ..%d", seq, f.First, f.Last(), last)
		}
		l.close()
	}
}

// A node that cannot read its database says so, and its heart stands still.
func TestThreat134NoHeartbeatWithoutDatabase(t *testing.T) {
	n := newNode(t)
	l := n.follow(t, at(n.manifest(t).Position()))
	if _, _, err := l.next(); err != nil {
		t.Fatal(err)
	}
	n.store.Close()
	cut := time.Now()
	if a := n.get(t, "/revocation/manifest"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("manifest: %d", a.status)
	}
	if a := n.get(t, "/readyz"); a.status != 503 {
		t.Errorf("readyz: %d", a.status)
	}
	if a := n.get(t, "/healthz"); a.status != 200 {
		t.Errorf("healthz: %d", a.status)
	}
	time.AfterFunc(time.Second, l.cancel) // four heartbeats would fit
	for {
		f, _, err := l.next()
		if err != nil {
			break
		}
		if f.AsOf.After(cut) {
			t.Fatalf("a heartbeat of %v after the cut", f.AsOf.Sub(cut))
		}
	}
}

// New epochs lie above every rsq that was handed out, twice; what is revoked then
// bites on older live tokens, and what was revoked before stays so.
func TestThreat75RestoredTwice(t *testing.T) {
	n := newNode(t)
	before := n.revoke(t, "tenant", "early")
	table := n.load(t)
	var highest uint64 = before
	for round := range 2 {
		l := n.follow(t, at(n.manifest(t).Position()))
		var out struct {
			Epoch uint64 `json:"epoch"`
			Base  uint64 `json:"base"`
		}
		n.do(t, 200, "POST", "/admin/restored", `{}`).into(t, &out)
		if out.Base <= highest || out.Epoch <= table.Head().Epoch {
			t.Fatalf("round %d: epoch %d base %d does not exceed %v and rsq %d", round, out.Epoch, out.Base, table.Head(), highest)
		}
		for { // the stream of the old epoch ends by itself
			_, _, err := l.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if a := n.get(t, "/revocation/tail?wait=0&after="+at(table.Head())); a.status != 410 {
			t.Errorf("round %d: a position of the old epoch: %d", round, a.status)
		}
		old := highest // the rsq of a token that is alive
		table = n.load(t)
		late := n.revoke(t, "tenant", fmt.Sprintf("late-%d", round))
		n.follow(t, at(table.Head())).apply(table, late)
		if !n.revokedIn(table, revocation.Tenant, fmt.Sprintf("late-%d", round), old) {
			t.Errorf("round %d: a revocation does not bite on a token of the epoch before", round)
		}
		if !n.revokedIn(table, revocation.Tenant, "early", before-1) {
			t.Errorf("round %d: what was revoked before is good again", round)
		}
		highest = late
	}
}

func TestTrimKeepsTheFeedGoing(t *testing.T) {
	n := newNode(t)
	n.revoke(t, "tenant", "old")
	stale := at(revocation.Position{Epoch: n.manifest(t).Epoch, Seq: n.manifest(t).Base})
	n.clock.advance(2 * time.Hour)
	seq := n.revoke(t, "tenant", "new")
	if err := issuer.Trim(n.Issuer, t.Context()); err != nil {
		t.Fatal(err)
	}
	m := n.manifest(t)
	if m.LowWater != seq-1 {
		t.Fatalf("low water %d, want %d", m.LowWater, seq-1)
	}
	if a := n.get(t, "/revocation/tail?wait=0&after="+stale); a.status != 410 {
		t.Errorf("a position below low water: %d", a.status)
	}
	if a := n.get(t, fmt.Sprintf("/revocation/tail?wait=0&after=%d.%d", m.Epoch, m.LowWater)); a.status != 200 {
		t.Errorf("a position at low water: %d", a.status)
	}
}

// The manifest holds what the root signed, and a feed key that it does not name is worth nothing.
func TestThreat133ManifestCarriesTheRootsWord(t *testing.T) {
	n := newNode(t)
	trust, m := n.trust(t), n.manifest(t)
	if m.MaxLife != trust.MaxLife || m.HandleKeyID != trust.HandleKeyIDs[0] {
		t.Errorf("manifest %+v, trust %+v", m, trust)
	}
	other, err := jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	forged := *m
	forged.MaxLife = time.Second
	signed, err := forged.Sign(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := revocation.OpenManifest(trust.FeedKeys, n.ring.Issuer(), signed); !errors.Is(err, revocation.ErrFeedKey) {
		t.Errorf("a manifest by an unknown feed key: %v", err)
	}
	var key struct {
		KFID string `json:"kfid"`
		Key  string `json:"key"`
	}
	a := n.get(t, "/revocation/key")
	a.into(t, &key)
	secret, err := wire.Decode(key.Key)
	if err != nil || string(secret) != string(n.ring.HandleSecret()) || key.KFID != m.HandleKeyID {
		t.Error("the key endpoint serves another secret")
	}
	if strings.Contains(a.body, `"d"`) || a.header.Get("Cache-Control") != "no-store" {
		t.Error("the key endpoint leaks the root or may be cached")
	}
}

// The head in a manifest was read after the request was sent, and by as_of a
// verifier can tell.
func TestManifestIsFresh(t *testing.T) {
	n := newNode(t)
	for range 20 {
		asked := n.clock.Now()
		m := n.manifest(t)
		answered := n.clock.Now()
		// It may lie as long before the question as it took to read the store, and the
		// milliseconds that the store's clock and the manifest are cut to.
		earliest := asked.Add(-answered.Sub(asked) - 2*time.Millisecond)
		if m.AsOf.Before(earliest) || m.AsOf.After(answered) {
			t.Fatalf("asked at %v, as of %v", asked, m.AsOf)
		}
	}
}

// A key set that has changed is announced with the next manifest, so that nobody
// has to wait for its age to run out.
func TestThreat94ManifestNamesTheKeySet(t *testing.T) {
	n := newNode(t)
	check := func() string {
		t.Helper()
		sum := sha256.Sum256([]byte(n.get(t, "/jwks").body))
		if got := n.manifest(t).KeySet; got != wire.Encode(sum[:]) {
			t.Errorf("key set %q", got)
		}
		return n.manifest(t).KeySet
	}
	before := check()
	n.do(t, 200, "POST", "/admin/keys/rotate", `{"force":true}`)
	if check() == before {
		t.Error("a rotation is not announced")
	}
}

// A closed issuer answers at once, and its streams are over.
func TestClose(t *testing.T) {
	n := newNode(t)
	l := n.follow(t, at(n.manifest(t).Position()))
	n.Close()
	for {
		if _, _, err := l.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if a := n.get(t, "/revocation/manifest"); a.status != 503 {
		t.Errorf("manifest: %d", a.status)
	}
	if a := send(t, request(t, "GET", n.admin.URL+"/admin/feed", "")); a.status != 503 {
		t.Errorf("status: %d", a.status)
	}
}

// The feed is public, and somebody takes every place that he can have. A verifier
// finds one all the same: revocations are for it.
func TestThreat134CrowdKeepsNoVerifierOut(t *testing.T) {
	n := newRemote(t)
	orders := basic(n.addClient(t, "orders", "verifier").Credential)
	after := at(n.manifest(t).Position())
	tail := func(headers ...string) int {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		resp, err := http.DefaultClient.Do(request(t, "GET", n.url+"/revocation/tail?after="+after, "", headers...).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	places := 0
	for tail() == http.StatusOK {
		places++
	}
	if got := tail(basic("orders:wrong")); got != http.StatusServiceUnavailable {
		t.Errorf("a wrong credential after %d others: %d", places, got)
	}
	if got := tail(orders); got != http.StatusOK {
		t.Errorf("a verifier after %d others: %d", places, got)
	}
}

// Whoever sends a nonce gets a manifest that no cache and no recording can answer with.
func TestManifestSignedForWhoAsks(t *testing.T) {
	n := newNode(t)
	keys, nonce := n.trust(t).FeedKeys, strings.Repeat("n", 26)
	signed := func(nonce string, a answer) error {
		e := revocation.Exchange{Issuer: n.ring.Issuer(), Path: revocation.ManifestPath, Nonce: nonce, Answer: []byte(a.body)}
		return e.Verify(keys, a.header.Get(revocation.AnswerHeader))
	}
	plain := n.get(t, "/revocation/manifest")
	if plain.header.Get(revocation.AnswerHeader) != "" || plain.header.Get("Cache-Control") != "public, max-age=1" || plain.header.Get("Vary") != revocation.NonceHeader {
		t.Errorf("without a nonce: %v", plain.header)
	}
	a := n.get(t, "/revocation/manifest", revocation.NonceHeader+": "+nonce)
	if err := signed(nonce, a); err != nil || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("with a nonce: %v, %v", err, a.header)
	}
	if err := signed(strings.Repeat("m", 26), a); err == nil {
		t.Error("the answer is good for another nonce")
	}
	n.revoke(t, "tenant", "t")
	a.body = n.get(t, "/revocation/manifest").body
	if err := signed(nonce, a); err == nil {
		t.Error("the answer is good for another manifest")
	}
	for _, bad := range []string{"short", strings.Repeat("n", 65)} {
		if a := n.get(t, "/revocation/manifest", revocation.NonceHeader+": "+bad); a.status != 400 {
			t.Errorf("nonce of %d characters: %d", len(bad), a.status)
		}
	}
}
