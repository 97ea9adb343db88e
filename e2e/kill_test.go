package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
)

const (
	killedSessions = 1000
	killWorkers    = 16
)

// TestKill ends the issuer with SIGKILL amid 1,000 revocations and refreshes.
// Whatever was acknowledged must hold afterwards, at the issuer and at guards
// that were never restarted.
func TestKill(t *testing.T) {
	killAmid(t, newIssuer(t, nil))
}

// TestKillOnPostgreSQL is the same on a PostgreSQL, with a second issuer on it,
// to which nothing happens and which has to know all that the first one
// acknowledged.
func TestKillOnPostgreSQL(t *testing.T) {
	database := postgrestest.Start(t).Database(t)
	iss := newIssuer(t, nil, "--store", database)
	killAmid(t, iss)

	other := iss.node(t, "--store", database, "--issuer", iss.url)
	revokedHere, alive := iss.signIn(t, "alice"), iss.signIn(t, "alice")
	if err := iss.revokeSession(revokedHere.Refresh); err != nil {
		t.Fatal(err)
	}
	if status, answer, err := other.refresh(revokedHere.Refresh); err != nil || answer.Error != "invalid_grant" {
		t.Errorf("the other node renewed a revoked session: %d %q %v", status, answer.Error, err)
	}
	if status, answer, err := other.refresh(alive.Refresh); err != nil || status != http.StatusOK {
		t.Errorf("the other node does not know a session: %d %q %v", status, answer.Error, err)
	}
}

// An outcome is what the issuer acknowledged about one session.
type outcome struct {
	tokens
	revoked   bool // /revoke answered 200
	refreshed tokens
	renewed   bool // /token answered 200 with refreshed
	asked     bool // a request was sent whose answer never came
}

func killAmid(t *testing.T, iss *issuerUnderTest) {
	t.Helper()
	iss.addUser(t, "alice")
	one, two := newGuard(t, iss, "one"), newGuard(t, iss, "two")
	sessions := signInMany(t, iss, killedSessions)

	var wg sync.WaitGroup
	work := make(chan *outcome)
	acknowledged := make(chan struct{}, killedSessions)
	for range killWorkers {
		wg.Go(func() {
			for s := range work {
				s.act(iss)
				if s.revoked || s.renewed {
					acknowledged <- struct{}{}
				}
			}
		})
	}
	// The crash comes once a third has been acknowledged, and to no process after it.
	victim := iss.cmd.Process
	go func() {
		for range killedSessions / 3 {
			<-acknowledged
		}
		victim.Kill()
	}()
	for _, s := range sessions {
		work <- s
	}
	close(work)
	wg.Wait()
	iss.kill()
	iss.start(t)
	checkSurvived(t, iss, sessions, one, two)
}

func signInMany(t *testing.T, iss *issuerUnderTest, n int) []*outcome {
	t.Helper()
	sessions := make([]*outcome, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range sessions {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			sessions[i] = &outcome{}
			status, got, err := iss.post("/sign-in", map[string]any{"username": "alice", "password": password})
			if err != nil || status != http.StatusOK {
				t.Errorf("sign-in: %d %q %v", status, got.Error, err)
				return
			}
			sessions[i].tokens = got
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return sessions
}

// act revokes or refreshes, by the toss of a coin.
func (s *outcome) act(iss *issuerUnderTest) {
	if rand.IntN(2) == 0 {
		err := iss.revokeSession(s.Refresh)
		s.revoked, s.asked = err == nil, err != nil
		return
	}
	status, got, err := iss.refresh(s.Refresh)
	s.renewed, s.asked = err == nil && status == http.StatusOK, err != nil
	s.refreshed = got
}

func checkSurvived(t *testing.T, iss *issuerUnderTest, sessions []*outcome, guards ...*guardUnderTest) {
	t.Helper()
	var revoked, renewed, unknown int
	begin := time.Now()
	for i, s := range sessions {
		switch {
		case s.revoked:
			revoked++
			for _, g := range guards {
				if _, err := untilStatus(g.url+"/auth", s.Access, http.StatusUnauthorized, begin, startLimit); err != nil {
					t.Errorf("session %d: acknowledged revocation lost at a guard: %v", i, err)
				}
			}
			if status, answer, err := iss.refresh(s.Refresh); err != nil || answer.Error != "invalid_grant" {
				t.Errorf("session %d: acknowledged revocation lost at the issuer: %d %q %v", i, status, answer.Error, err)
			}
		case s.renewed:
			renewed++
			if status, answer, err := iss.refresh(s.refreshed.Refresh); err != nil || status != http.StatusOK {
				t.Errorf("session %d: acknowledged refresh lost: %d %q %v", i, status, answer.Error, err)
			}
		case s.asked:
			unknown++
		}
	}
	t.Logf("measured: acknowledged before the crash: %d revocations, %d refreshes; %d requests without an answer", revoked, renewed, unknown)
	if revoked == 0 || renewed == 0 || unknown == 0 {
		t.Error("the crash did not come in the middle")
	}
	fresh := iss.signIn(t, "alice")
	for _, g := range guards {
		if _, err := untilStatus(g.url+"/auth", fresh.Access, http.StatusOK, time.Now(), startLimit); err != nil {
			t.Errorf("a new token after the crash: %v", err)
		}
	}
}
