//go:build unix

package issuer_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

// newNodes starts two issuers that share one PostgreSQL and each have a clock of
// their own.
func newNodes(t *testing.T) (a, b *node) {
	t.Helper()
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	database := postgrestest.Start(t).Database(t)
	servers := [2]*httptest.Server{httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)}
	url := "http://" + servers[0].Listener.Addr().String()
	var nodes [2]*node
	for i, server := range servers {
		s := &shared{url: url, kek: kek, clock: &clock{}, secret: notary.Secret{1, 2, 3}}
		if s.store, err = postgres.Open(t.Context(), database, postgres.Config{Issuer: url}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.store.Close() })
		nodes[i] = startNode(t, server, s, issuer.Config{})
	}
	return nodes[0], nodes[1]
}

// hasFarewell reports whether a row of any node says that an instance has signed off.
func (n *node) hasFarewell(t *testing.T, instance string) (found bool) {
	t.Helper()
	err := n.store.View(t.Context(), func(tx *store.Tx) error {
		nodes, err := tx.Nodes()
		for _, named := range nodes {
			row, err := tx.Node(named.ID)
			if err != nil {
				return err
			}
			var heard []struct {
				Instance string `json:"instance"`
				Done     bool   `json:"done"`
			}
			if err := wire.Unmarshal([]byte(row.Heard), &heard); err != nil {
				return err
			}
			for _, h := range heard {
				found = found || h.Instance == instance && h.Done
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// wait revokes something and waits for verifiers. The channel has what was answered.
func (n *node) wait(t *testing.T, value string, seconds int) <-chan waited {
	answered := make(chan waited, 1)
	go func() {
		var out waited
		n.do(t, 200, "POST", "/admin/revoke", fmt.Sprintf(`{"kind":"tenant","value":%q,"wait":%d}`, value, seconds)).into(t, &out)
		answered <- out
	}()
	return answered
}

// applies listens to the feed of a node as a verifier does, until an entry comes.
func (n *node) applies(t *testing.T, after string) (seq uint64) {
	t.Helper()
	l := n.follow(t, after)
	defer l.close()
	for seq == 0 {
		f, _, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Entries) > 0 {
			seq = f.Last()
		}
	}
	return seq
}

type statusAnswer struct {
	Verifiers []struct {
		Instance string `json:"instance"`
		Seq      uint64 `json:"seq"`
		Keys     string `json:"keys"`
	} `json:"verifiers"`
}

func (n *node) heard(t *testing.T) (names []string) {
	t.Helper()
	var out statusAnswer
	n.do(t, 200, "GET", "/admin/feed", "").into(t, &out)
	for _, v := range out.Verifiers {
		names = append(names, v.Instance)
	}
	return names
}

// Who revokes at one node counts the verifiers of every node, and is answered soon
// after the last of them. The clocks of the nodes are an hour apart.
func TestRevokeWaitsForVerifiersOfAllNodes(t *testing.T) {
	a, b := newNodes(t)
	a.clock.advance(20 * time.Minute)
	b.clock.advance(-40 * time.Minute)
	m := a.manifest(t)
	a.ack(t, 204, "one", m.Epoch, m.Head, "")
	b.ack(t, 204, "two", m.Epoch, m.Head, "")
	b.ack(t, 204, "three", m.Epoch, m.Head, "")
	eventually(t, "node A to hear of those at node B", func() bool { return len(a.heard(t)) == 3 })

	after := at(m.Position())
	for round := range 5 {
		began := time.Now()
		answered := a.wait(t, fmt.Sprint("x", round), 30)
		seq := b.applies(t, after)
		a.ack(t, 204, "one", m.Epoch, seq, "")
		b.ack(t, 204, "two", m.Epoch, seq, "")
		const slow = 200 * time.Millisecond
		<-time.After(slow)
		last := time.Now()
		b.ack(t, 204, "three", m.Epoch, seq, "")
		out := <-answered
		took := time.Since(last)
		if out.Seq != seq || out.Verifiers.Confirmed != 3 || out.Verifiers.Of != 3 || len(out.Verifiers.Silent) != 0 {
			t.Errorf("%+v", out)
		}
		// Honest: not less than it took, and more only by what an exchange takes, some
		// milliseconds on a machine that has nothing else to do.
		truly := last.Sub(began).Milliseconds()
		if ms := out.Verifiers.SlowestMS; ms < slow.Milliseconds() || ms > truly+1000 {
			t.Errorf("slowest %d ms, and it was heard after %d ms", ms, truly)
		}
		if took > 5*time.Second {
			t.Errorf("answered %v after the last one had confirmed", took)
		}
		t.Logf("slowest %d ms of %d ms, answered %v after it", out.Verifiers.SlowestMS, truly, took.Round(time.Millisecond))
		after = fmt.Sprintf("%d.%d", m.Epoch, seq)
	}
}

// An instance that moves between nodes is one instance, and its newest word counts.
func TestInstancesMoveBetweenNodes(t *testing.T) {
	a, b := newNodes(t)
	m := a.manifest(t)
	a.ack(t, 204, "one", m.Epoch, m.Head, "")
	eventually(t, "node B to hear of it", func() bool { return len(b.heard(t)) == 1 })
	seq := a.revoke(t, "tenant", "x")
	b.ack(t, 204, "one", m.Epoch, seq, "")
	for _, n := range []*node{a, b} {
		eventually(t, "its newest word", func() bool {
			var out statusAnswer
			n.do(t, 200, "GET", "/admin/feed", "").into(t, &out)
			return len(out.Verifiers) == 1 && out.Verifiers[0].Seq == seq
		})
	}
	// It signs off where it is now. It must not go on living where it was.
	b.ack(t, 204, "one", m.Epoch, seq, `,"done":true`)
	eventually(t, "the farewell to be heard", func() bool { return len(a.heard(t)) == 0 && len(b.heard(t)) == 0 })
	for _, n := range []*node{a, b} { // the farewell is forgotten long before a token dies
		n.clock.advance(2 * time.Minute)
	}
	b.ack(t, 204, "two", m.Epoch, seq, "")
	eventually(t, "the other to be heard", func() bool { return slices.Contains(a.heard(t), "two") })
	if names := a.heard(t); len(names) != 1 {
		t.Errorf("%v, and one of them has signed off", names)
	}
}

// What a node has heard outlives it: its verifiers are still about.
func TestVerifiersOfADeadNode(t *testing.T) {
	a, b := newNodes(t)
	m := a.manifest(t)
	b.ack(t, 204, "one", m.Epoch, m.Head, "")
	eventually(t, "node A to hear of it", func() bool { return len(a.heard(t)) == 1 })
	b.Close()
	var out waited
	a.do(t, 200, "POST", "/admin/revoke", `{"kind":"tenant","value":"x","wait":1}`).into(t, &out)
	if fmt.Sprint(out.Verifiers.Silent) != "[loopback/one]" {
		t.Errorf("%+v", out.Verifiers)
	}
	a.ack(t, 204, "one", m.Epoch, out.Seq, "") // it goes to the other node
	if names := a.heard(t); len(names) != 1 {
		t.Errorf("%v", names)
	}
	a.clock.advance(61 * time.Minute)
	if names := a.heard(t); len(names) != 0 {
		t.Errorf("after the longest token life: %v", names)
	}
}

// The row of a node that is gone says for a token life that an instance is there. It
// signed off elsewhere, and that is not forgotten before.
func TestFarewellOutlivesTheRowOfADeadNode(t *testing.T) {
	a, b := newNodes(t)
	m := a.manifest(t)
	a.ack(t, 204, "one", m.Epoch, m.Head, "")
	eventually(t, "node B to hear of it", func() bool { return len(b.heard(t)) == 1 })
	a.Close()
	b.ack(t, 204, "one", m.Epoch, m.Head, `,"done":true`)
	for i := range 3 {
		b.clock.advance(2 * time.Minute)
		b.ack(t, 204, fmt.Sprint("other ", i), m.Epoch, m.Head, "") // so that B has something to write
		if names := b.heard(t); slices.Contains(names, "one") {
			t.Fatalf("%v, and one of them has signed off", names)
		}
	}
	for i := range 300 { // many farewells do not push it out
		b.ack(t, 204, fmt.Sprint("short ", i), m.Epoch, m.Head, "")
		b.ack(t, 204, fmt.Sprint("short ", i), m.Epoch, m.Head, `,"done":true`)
	}
	seq := b.revoke(t, "tenant", "x")
	for i := range 3 {
		b.ack(t, 204, fmt.Sprint("other ", i), m.Epoch, seq, "")
	}
	var out waited
	b.do(t, 200, "POST", "/admin/revoke", `{"kind":"tenant","value":"y","wait":1}`).into(t, &out)
	if slices.Contains(out.Verifiers.Silent, "loopback/one") {
		t.Errorf("waited for %v", out.Verifiers.Silent)
	}
	// B goes on telling the others, so that it need not live as long as the row.
	if !b.hasFarewell(t, "one") {
		t.Error("the others are not told any more")
	}
}

// The bound on instances is for all nodes together.
func TestAcksAreBoundedOverNodes(t *testing.T) {
	a, b := newNodes(t)
	m := a.manifest(t)
	for i := range 256 {
		a.ack(t, 204, fmt.Sprint(i), m.Epoch, m.Head, "")
	}
	eventually(t, "node B to hear of them", func() bool { return len(b.heard(t)) == 256 })
	b.ack(t, 429, "one too many", m.Epoch, m.Head, "")
	b.ack(t, 204, "7", m.Epoch, m.Head, "")
	b.ack(t, 204, "8", m.Epoch, m.Head, `,"done":true`)
	b.ack(t, 204, "in its place", m.Epoch, m.Head, "")
}

// The gate of a rotation names the connected verifiers of every node that do not hold
// a key, and nobody else.
func TestGateAsksAllNodes(t *testing.T) {
	a, b := newNodes(t)
	m := a.manifest(t)
	keys := func(hash string) string { return fmt.Sprintf(`,"keys":%q`, hash) }
	ack := func(n *node, instance, hash string) {
		t.Helper()
		body := fmt.Sprintf(`{"instance":%q,"epoch":%d,"seq":%d,"c":"","kfid":""%s}`, instance, m.Epoch, m.Head, keys(hash))
		if got := send(t, request(t, "POST", n.url+"/revocation/ack", body)); got.status != 204 {
			t.Fatal(got.body)
		}
	}
	before := b.manifest(t).KeySet // which B remembers since it has published it
	added, err := a.ring.Rotate(t.Context(), keyring.RotateOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "node B to publish the new key", func() bool { return b.manifest(t).KeySet == a.manifest(t).KeySet })
	now := a.manifest(t).KeySet
	ack(a, "here", now)
	ack(a, "behind", before)
	ack(b, "there", now)
	ack(b, "also behind", before)
	ack(b, "unknown", "another set")
	want := []string{"loopback/also behind", "loopback/behind", "loopback/unknown"}
	for name, n := range map[string]*node{"A": a, "B": b} {
		var waiting []string
		eventually(t, "node "+name, func() bool {
			if waiting, err = n.WaitingFor(t.Context(), added.Added); err != nil {
				t.Fatal(err)
			}
			return slices.Equal(waiting, want)
		})
		if waiting, err = n.WaitingFor(t.Context(), added.To); err != nil || !slices.Equal(waiting, want[2:]) {
			t.Errorf("node %s, for a key that both sets have: %v, %v", name, waiting, err)
		}
	}
	// A rotation that asks is told; whoever is silent for five seconds is not asked.
	body := a.do(t, 409, "POST", "/admin/keys/rotate", `{}`).body
	if !strings.Contains(body, "loopback/behind") && !strings.Contains(body, "published") {
		t.Error(body)
	}
	a.clock.advance(6 * time.Second)
	if waiting, err := a.WaitingFor(t.Context(), added.Added); err != nil || len(waiting) != 0 {
		t.Errorf("%v, %v", waiting, err)
	}
}

// A node that nobody asks for keys knows all the same who holds them.
func TestGateOfANodeThatNobodyReads(t *testing.T) {
	a, b := newNodes(t)
	a.holds(t, a.manifest(t))
	var standby string
	for _, info := range b.ring.Keys() {
		if info.State == keyring.Standby {
			standby = info.KeyID
		}
	}
	eventually(t, "node B to hear of the verifier", func() bool { return len(b.heard(t)) == 1 })
	if waiting, err := b.WaitingFor(t.Context(), standby); err != nil || len(waiting) != 0 {
		t.Errorf("%v (%v)", waiting, err)
	}
}
