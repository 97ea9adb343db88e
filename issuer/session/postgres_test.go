//go:build unix

package session_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/revocation"
)

// newNodes returns two issuers that share one PostgreSQL, whose clock counts.
func newNodes(t *testing.T) (a, b *fixture) {
	t.Helper()
	url := postgrestest.Start(t).Database(t)
	dial := func() (*store.Store, error) {
		return postgres.Open(t.Context(), url, postgres.Config{Issuer: issuerURL})
	}
	now := new(clock)
	now.ns.Store(time.Now().UnixNano())
	a = &fixture{t: t, clock: now, dial: dial}
	a.begin()

	other := *a
	b = &other
	b.open()
	t.Cleanup(func() { b.store.Close() })
	return a, b
}

func TestThreat109TabsOnTwoNodesOneLineage(t *testing.T) {
	a, b := newNodes(t)
	nodes := []*fixture{a, b}
	token := a.signIn(laptop).RefreshToken
	for round := range 3 {
		got := make([]answer, 50)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i] = nodes[i%2].refresh(laptop, token) })
		}
		wg.Wait()
		for _, g := range got {
			if g.Status != http.StatusOK || g.RefreshToken != got[0].RefreshToken {
				t.Fatalf("round %d: %d %s, or another successor", round, g.Status, g.Error)
			}
		}
		if row := a.session(got[0].SessionID); row.Counter != uint64(round+1) {
			t.Fatalf("round %d: counter %d", round, row.Counter)
		}
		token = got[0].RefreshToken
	}
}

// A revocation on one node against refreshes and sign-ins on the other: whatever
// is handed out either knows of the revocation or is refused by it.
func TestThreat63RevocationAgainstTheOtherNode(t *testing.T) {
	a, b := newNodes(t)
	for range 20 {
		held := b.signIn(laptop)
		var refreshed answer
		var seq uint64
		var wg sync.WaitGroup
		wg.Go(func() { refreshed = b.refresh(laptop, held.RefreshToken) })
		wg.Go(func() { seq = a.revoke(revocation.Subject, a.alice.ID) })
		wg.Wait()
		for _, old := range []answer{held, refreshed} {
			if old.AccessToken == "" {
				continue
			}
			if rsq := rsqOf(t, old); rsq >= seq {
				t.Fatalf("a token of the revoked session has rsq %d, the entry is %d", rsq, seq)
			}
			if got := b.refresh(laptop, old.RefreshToken); got.Error != "invalid_grant" {
				t.Fatalf("refresh: %d %s", got.Status, got.Error)
			}
		}
		if fresh := b.signIn(laptop); rsqOf(t, fresh) < seq {
			t.Fatal("a new sign-in is refused")
		}
	}
}

// A node that has not heard of a rotation elsewhere looks again when the store
// says no.
func TestRotationOnTheOtherNode(t *testing.T) {
	a, b := newNodes(t)
	held := b.signIn(laptop)
	old, err := b.ring.Signer("")
	a.check(err)
	_, err = a.ring.Kill(t.Context(), old.Key().KeyID(), "test")
	a.check(err)
	got := b.refreshed(laptop, held.RefreshToken)
	tok, err := b.srv.VerifyAccess(t.Context(), got.AccessToken)
	if err != nil || tok.Key().KeyID() == old.Key().KeyID() {
		t.Errorf("%v", err)
	}
	if _, err := b.srv.VerifyAccess(t.Context(), held.AccessToken); err == nil {
		t.Error("a token under the killed key is accepted")
	}
}
