package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testport"
)

// revocationBound is what we promise; a test on a shared machine asserts five
// times that.
const (
	revocationBound = time.Second
	testedBound     = 5 * revocationBound
	revocations     = 200
)

// TestTrip is the whole story behind nginx, with an https issuer and verifier
// credentials: sign in, use, revoke, be refused; revoke the user, sign in
// again at once; and go on without the issuer.
func TestTrip(t *testing.T) {
	cert := newCertificate(t)
	iss := newIssuer(t, &cert)
	iss.addUser(t, "alice")
	one, two := newGuard(t, iss, "guard-one"), newGuard(t, iss, "guard-two")
	address := fmt.Sprintf("127.0.0.1:%d", testport.Free(t))
	upstream := "http://" + address
	orders := start(t, "orders", cert.env(), binaries.orders, "-issuer", iss.url,
		"-listen", address, "-credential", iss.credential(t, "orders"))
	waitFor(t, orders, "orders", statusIs(plain, upstream+"/", http.StatusUnauthorized))
	fronts := newNginx(t, upstream, one, two)

	t.Run("sign in and pass", func(t *testing.T) {
		got := iss.signIn(t, "alice")
		for _, front := range fronts {
			mustAsk(t, front+"/", got.Access, http.StatusOK)
		}
	})
	t.Run("a revoked session is refused by both guards", func(t *testing.T) {
		var took []time.Duration
		for range revocations {
			took = append(took, revokeOnce(t, iss, one, two))
		}
		report(t, "session revoked until both guards refuse", took)
	})
	t.Run("a revoked user cannot refresh, and may sign in again at once", func(t *testing.T) {
		revokeUser(t, iss, fronts)
	})
	t.Run("requests pass without the issuer", func(t *testing.T) {
		withoutIssuer(t, iss, fronts, one)
	})
}

func revokeOnce(t *testing.T, iss *issuerUnderTest, guards ...*guardUnderTest) time.Duration {
	t.Helper()
	got := iss.signIn(t, "alice")
	for _, g := range guards {
		mustAsk(t, g.url+"/auth", got.Access, http.StatusOK)
	}
	begin := time.Now()
	if err := iss.revokeSession(got.Refresh); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	took := make([]time.Duration, len(guards))
	errs := make([]error, len(guards))
	for i, g := range guards {
		wg.Go(func() {
			took[i], errs[i] = untilStatus(g.url+"/auth", got.Access, http.StatusUnauthorized, begin, testedBound)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Max(took)
}

func report(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	n := len(took)
	t.Logf("measured: %s, %d times: p50 %v, p99 %v, max %v", what, n, took[n/2], took[n*99/100], took[n-1])
}

func revokeUser(t *testing.T, iss *issuerUnderTest, fronts []string) {
	t.Helper()
	before := iss.signIn(t, "alice")
	for _, front := range fronts {
		mustAsk(t, front+"/", before.Access, http.StatusOK)
	}
	begin := time.Now()
	iss.command(t, "", "revoke", "--subject", "alice")
	status, answer, err := iss.refresh(before.Refresh)
	if err != nil || status != http.StatusBadRequest || answer.Error != "invalid_grant" {
		t.Fatalf("refresh of a revoked user: %d %q %v", status, answer.Error, err)
	}
	after := iss.signIn(t, "alice")
	for _, front := range fronts {
		mustAsk(t, front+"/", after.Access, http.StatusOK)
		if _, err := untilStatus(front+"/", before.Access, http.StatusUnauthorized, begin, testedBound); err != nil {
			t.Fatal(err)
		}
		mustAsk(t, front+"/", after.Access, http.StatusOK)
	}
}

func withoutIssuer(t *testing.T, iss *issuerUnderTest, fronts []string, one *guardUnderTest) {
	t.Helper()
	revoked, alive := iss.signIn(t, "alice"), iss.signIn(t, "alice")
	begin := time.Now()
	if err := iss.revokeSession(revoked.Refresh); err != nil {
		t.Fatal(err)
	}
	for _, front := range fronts {
		if _, err := untilStatus(front+"/", revoked.Access, http.StatusUnauthorized, begin, testedBound); err != nil {
			t.Fatal(err)
		}
	}
	iss.stop()
	for _, front := range fronts {
		mustAsk(t, front+"/", alive.Access, http.StatusOK)
		mustAsk(t, front+"/", revoked.Access, http.StatusUnauthorized)
	}
	one.stop()
	again := start(t, "guard from its state folder", one.env, one.argv...)
	waitFor(t, again, "guard without an issuer", ready(plain, one.url+"/readyz"))
	mustAsk(t, one.url+"/auth", alive.Access, http.StatusOK)
	mustAsk(t, one.url+"/auth", revoked.Access, http.StatusUnauthorized)
}
