//go:build unix

package forgery_test

import (
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/counterfoil/counterfoil/internal/testlog"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/notary"
)

// newShared returns a fixture on PostgreSQL, and opens another store on the same
// database, as a second node has. Its clock cannot be moved, so that what is to be
// waited for is put back into the past.
func newShared(t *testing.T) *fixture {
	t.Helper()
	url := postgrestest.Start(t).Database(t)
	f := &fixture{TB: t, clock: new(clock), notary: notary.NewLocal(right), log: new(testlog.Buffer)}
	f.clock.ns.Store(time.Now().UnixNano())
	var err error
	f.store, err = postgres.Open(t.Context(), url, postgres.Config{Issuer: issuerURL, AllowUnsafe: true})
	f.check(err)
	t.Cleanup(func() { f.store.Close() })
	db, err := sql.Open("pgx", url)
	f.check(err)
	t.Cleanup(func() { db.Close() })
	f.db = db
	f.tick = func(d time.Duration) {
		_, err := db.Exec("UPDATE incidents SET drained = drained - $1 WHERE drained > 0", d.Milliseconds())
		f.check(err)
	}
	f.dial = func() *store.Store {
		st, err := postgres.Open(t.Context(), url, postgres.Config{Issuer: issuerURL, AllowUnsafe: true})
		f.check(err)
		t.Cleanup(func() { st.Close() })
		return st
	}
	return f.begin(forgery.Config{})
}

// holdLog locks the head of the log. What it returns waits until n transactions stand
// in front of it, and opens it.
func (f *fixture) holdLog(n int) (release func()) {
	f.Helper()
	tx, err := f.db.BeginTx(f.Context(), nil)
	f.check(err)
	_, err = tx.Exec("SELECT seq FROM log_head FOR UPDATE")
	f.check(err)
	return func() {
		f.untilWaiting(n)
		f.check(tx.Commit())
	}
}

// untilWaiting waits until n transactions wait for locks.
func (f *fixture) untilWaiting(n int) {
	f.Helper()
	waiting := 0
	for waiting < n && f.Context().Err() == nil {
		f.check(f.db.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting))
	}
}

// Who gives up a key locks the keys and then the log, as who kills one by hand does:
// otherwise the two wait for each other.
func TestGivingUpLocksKeysFirst(t *testing.T) {
	f := newShared(t)
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	for range 3 {
		f.answer()
	}
	f.moveOn(forgery.Grace + time.Second)
	release := f.holdLog(1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.desk.AnswerFor(t.Context(), kid); err != nil {
			t.Error(err)
		}
	})
	f.untilWaiting(1)
	var free int
	f.check(f.db.QueryRow("SELECT count(*) FROM (SELECT 1 FROM meta WHERE name = 'keyring.kek' FOR UPDATE SKIP LOCKED) AS free").Scan(&free))
	if free != 0 {
		t.Error("it waits for the log and has not locked the keys")
	}
	release()
	wg.Wait()
	if in := f.incident(kid); in.State != store.IncidentKilled {
		t.Errorf("%+v", in)
	}
}

// Nodes on one PostgreSQL that all take every step at the same time take each once.
func TestThreat82NodesRaceOnPostgreSQL(t *testing.T) { race(t, newShared(t)) }

// Two keys that two nodes would give up at the same moment: one goes, a person is
// asked about the other.
func TestThreat82TwoNodesKillTwoKeys(t *testing.T) {
	f := newShared(t)
	var kids []string
	for range 2 {
		kid := f.active()
		kids = append(kids, kid)
		f.evidence(forgery.Forged, f.forge(len(kids)))
		for range 3 {
			f.answer() // rotates, and finds that no session is there
		}
	}
	f.moveOn(forgery.Grace + time.Second)
	nodes := []*forgery.Desk{f.open(forgery.Config{}), f.open(forgery.Config{})}
	var wg sync.WaitGroup
	release := f.holdLog(len(kids)) // until both are about to append
	for i, kid := range kids {
		wg.Go(func() {
			if err := nodes[i].AnswerFor(t.Context(), kid); err != nil {
				t.Error(err)
			}
		})
	}
	release()
	wg.Wait()
	states := fmt.Sprint(f.incident(kids[0]).State, f.incident(kids[0]).Held, " ", f.incident(kids[1]).State, f.incident(kids[1]).Held)
	if states != "killedfalse switchedtrue" && states != "switchedtrue killedfalse" {
		t.Errorf("%s", states)
	}
	if got := f.entries(); count(got, "key absolute") != 1 {
		t.Errorf("log %v", got)
	}
	got := f.trail()
	slices.Sort(got)
	if !slices.Equal(got, []string{"forged", "forged", "held", "killed", "quarantined", "quarantined", "rotated", "rotated"}) {
		t.Errorf("trail %v", got)
	}
}
