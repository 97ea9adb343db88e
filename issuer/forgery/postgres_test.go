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
	f := &fixture{TB: t, clock: new(clock), notary: notary.NewLocal(right), log: new(lockedBuffer)}
	f.clock.ns.Store(time.Now().UnixNano())
	var err error
	f.store, err = postgres.Open(t.Context(), url, postgres.Config{Issuer: issuerURL, AllowUnsafe: true})
	f.check(err)
	t.Cleanup(func() { f.store.Close() })
	db, err := sql.Open("pgx", url)
	f.check(err)
	t.Cleanup(func() { db.Close() })
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
	var wg sync.WaitGroup
	for range 4 {
		d := f.open(forgery.Config{})
		wg.Go(func() {
			for range 2 {
				if err := d.AnswerRound(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
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
