//go:build unix

package session_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
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

// A cable between the store and its database that can be cut without a word: what
// is sent afterwards is not answered, and nobody is told.
type cable struct {
	mu  sync.RWMutex // held by whoever cuts
	url string
}

func newCable(t *testing.T, pg *postgrestest.Server) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	u, err := url.Parse(pg.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("host", "127.0.0.1")
	q.Set("port", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	u.RawQuery = q.Encode()
	out := &cable{url: u.String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go out.carry(client, pg.Socket())
		}
	}()
	return out
}

func (l *cable) carry(client net.Conn, socket string) {
	defer client.Close()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { io.Copy(client, server); client.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		l.mu.RLock()
		_, err = server.Write(buf[:n])
		l.mu.RUnlock()
		if err != nil {
			return
		}
	}
}

// A database that accepts everything and answers nothing, as one that is frozen:
// the bounds of the store end the wait.
func TestFrozenDatabaseIsUnavailable(t *testing.T) {
	wire := newCable(t, postgrestest.Start(t))
	now := new(clock)
	now.ns.Store(time.Now().UnixNano())
	f := &fixture{t: t, clock: now, dial: func() (*store.Store, error) {
		return postgres.Open(t.Context(), wire.url, postgres.Config{Issuer: issuerURL})
	}}
	f.begin()
	all := requests(f.signIn(laptop))
	wire.mu.Lock()
	defer wire.mu.Unlock()
	var wg sync.WaitGroup
	for name, r := range all {
		wg.Go(func() {
			if res := f.do(r); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d", name, res.StatusCode)
			}
		})
	}
	wg.Wait()
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

func TestSigningTokenAwayFromPostgres(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			f, _ := newNodes(t)
			f.outlived(f.signInToken(), fault.err, fault.status)
		})
	}
}
