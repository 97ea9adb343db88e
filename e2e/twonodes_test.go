package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// twoNodes are two issuers on one PostgreSQL, each with a notary process of its own,
// behind one address.
type twoNodes struct {
	*field
	nodes []*issuerUnderTest
	login string // of a verifier that the test plays
}

func newTwoNodes(t *testing.T) *twoNodes {
	t.Helper()
	database := postgrestest.Start(t).Database(t)
	b := newBalancer(t)
	f := &field{notary: newNotary(t), alarms: newAlarms(t)}
	args := func(n *notaryUnderTest) []string {
		return []string{"--store", database, "--issuer", b.url, "--notary-at", "unix:" + n.socket}
	}
	config := fmt.Sprintf("  forgery:\n    answer: automatic\n    webhook: %s\n", strconv.Quote(f.alarms.url))
	one := newIssuerWith(t, nil, config, args(f.notary)...)
	two := one.node(t, args(f.notary.twin(t))...)
	b.serve(one, two)

	front := *one
	front.url = b.url
	f.iss = &front
	f.iss.addUser(t, "alice")
	for i := range 2 {
		f.guards = append(f.guards, newGuard(t, f.iss, fmt.Sprintf("guard-%d", i+1)))
	}
	f.thief = newThief(t, f.iss)
	f.victim = f.iss.signIn(t, "alice")
	return &twoNodes{f, []*issuerUnderTest{one, two}, f.iss.login(t, "played")}
}

// TestTwoNodesOneAnswer: two nodes are shown one theft at the same time, and answer it
// once. At the next theft the node that found it is killed before another key signs,
// and the other one goes on.
func TestTwoNodesOneAnswer(t *testing.T) {
	f := newTwoNodes(t)
	f.untilPrepared(t)
	first, forged := f.stealAndForge(t, forgeries[0])
	f.beSlow(t) // so that both nodes wait, and go on at the same time
	var wg sync.WaitGroup
	for _, g := range f.guards {
		wg.Go(func() { ask(g.url+"/auth", forged) })
	}
	for _, n := range f.nodes {
		wg.Go(func() {
			if status, err := n.postAs(f.login, "/revocation/seen/evidence", "application/jwt", []byte(forged)); err != nil || status != http.StatusOK {
				t.Errorf("%s: evidence: %d, %v", n.name, status, err)
			}
		})
	}
	wg.Wait()
	f.untilRefused(t, first, forged)

	f.untilPrepared(t)
	second, forged := f.stealAndForge(t, forgeries[0])
	f.beSlow(t) // time to kill a node
	f.firstUse(t, forgeries[0], forged, 0)
	begin := time.Now()
	f.killFinder(t, second)
	if now := f.thief.steal(t).KeyID(); now != second.KeyID() {
		t.Logf("another key signed before the node was killed, %v after the first use", time.Since(begin))
	}
	f.untilRefused(t, second, forged)

	f.answeredOnce(t, first, second)
}

// untilRefused waits until another key signs than the stolen one, at every node that
// runs, and guards refuse the forged token.
func (f *twoNodes) untilRefused(t *testing.T, stolen *jwk.Key, forged string) {
	t.Helper()
	begin := time.Now()
	for _, n := range f.nodes {
		waitFor(t, n.process, "node that signs with another key", func() error {
			if kid := keyIDOf(t, n.signIn(t, "alice").Access); kid == stolen.KeyID() {
				return fmt.Errorf("%s still signs", kid)
			}
			return nil
		})
	}
	for _, g := range f.guards {
		if _, err := untilStatus(g.url+"/auth", forged, http.StatusUnauthorized, begin, startLimit); err != nil {
			t.Error(err)
		}
	}
	f.renewVictim(t)
	for _, g := range f.guards {
		if _, err := untilStatus(g.url+"/auth", f.victim.Access, http.StatusOK, begin, startLimit); err != nil {
			t.Error(err)
		}
	}
}

// beSlow is a connected verifier that does not hold the key that would come next. The
// answer waits for it.
func (f *twoNodes) beSlow(t *testing.T) {
	t.Helper()
	ack := []byte(`{"instance":"slow","epoch":1,"seq":1,"keys":"old"}`)
	if status, err := f.iss.postAs(f.login, "/revocation/ack", "application/json", ack); err != nil || status != http.StatusNoContent {
		t.Fatalf("acknowledgement: %d, %v", status, err)
	}
}

// killFinder kills the node that puts a key into quarantine, at once. The other one is
// the issuer from then on.
func (f *twoNodes) killFinder(t *testing.T, key *jwk.Key) {
	t.Helper()
	at := -1
	waitFor(t, nil, "quarantine", func() error {
		at = slices.IndexFunc(f.nodes, func(n *issuerUnderTest) bool {
			return strings.Contains(n.out.String(), "alarm=quarantined kid="+key.KeyID())
		})
		if at < 0 {
			return errors.New("no node has said so")
		}
		return nil
	})
	f.nodes[at].kill()
	f.nodes = slices.Delete(f.nodes, at, at+1)
	f.iss.process, f.iss.data = f.nodes[0].process, f.nodes[0].data
}

// answeredOnce looks for one incident of each stolen key, and each step of its answer
// once.
func (f *twoNodes) answeredOnce(t *testing.T, stolen ...*jwk.Key) {
	t.Helper()
	incidents := f.incidents(t)
	if len(incidents) != len(stolen) {
		t.Errorf("incidents: %+v", incidents)
	}
	counts := f.trail(t)
	if n := counts[audit.KeyRotate]; len(n) != len(stolen) {
		t.Errorf("another key signs: %v", n)
	}
	for _, key := range stolen {
		i := slices.IndexFunc(incidents, func(in incident) bool { return in.KeyID == key.KeyID() })
		if i < 0 || incidents[i].Tokens != 1 {
			t.Errorf("%s: incidents: %+v", key.KeyID(), incidents)
		}
		for _, action := range []audit.Action{audit.ForgeryFound, audit.ForgeryQuarantined, audit.ForgeryRotated} {
			if n := counts[action][key.KeyID()]; n != 1 {
				t.Errorf("%s about %s is %d times in the audit trail", action, key.KeyID(), n)
			}
		}
	}
}

// trail counts what is in the audit trail, by action and subject.
func (f *twoNodes) trail(t *testing.T) map[audit.Action]map[string]int {
	t.Helper()
	var rows []struct {
		Action  audit.Action `json:"action"`
		Subject string       `json:"subject"`
	}
	if err := json.Unmarshal([]byte(f.iss.command(t, "", "audit", "list", "--json")), &rows); err != nil {
		t.Fatal(err)
	}
	counts := map[audit.Action]map[string]int{}
	for _, row := range rows {
		if counts[row.Action] == nil {
			counts[row.Action] = map[string]int{}
		}
		counts[row.Action][row.Subject]++
	}
	return counts
}

// A balancer is the address of several nodes: each connection goes to the next one that
// is there.
type balancer struct {
	url string

	mu    sync.Mutex
	nodes []string // addresses, the next one first
}

// newBalancer ends with the test, when nodes have ended their connections.
func newBalancer(t *testing.T) *balancer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{url: "http://" + ln.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.carry(client) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	return b
}

func (b *balancer) serve(nodes ...*issuerUnderTest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range nodes {
		b.nodes = append(b.nodes, fmt.Sprintf("127.0.0.1:%d", n.port))
	}
}

// carry connects a client with a node until either ends.
func (b *balancer) carry(client net.Conn) {
	defer client.Close()
	node := b.dial()
	if node == nil {
		return
	}
	defer node.Close()
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{client: node, node: client} {
		both.Go(func() {
			io.Copy(to, from)
			to.Close()
		})
	}
	both.Wait()
}

// dial asks each node in turn.
func (b *balancer) dial() net.Conn {
	b.mu.Lock()
	nodes := slices.Clone(b.nodes)
	if len(nodes) > 0 {
		b.nodes = append(nodes[1:len(nodes):len(nodes)], nodes[0])
	}
	b.mu.Unlock()
	for _, address := range nodes {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return c
		}
	}
	return nil
}
