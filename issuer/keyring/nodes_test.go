package keyring_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A database is one that several nodes can open.
type database func(t testing.TB) *store.Store

// onEach runs a test on each kind of store.
func onEach(t *testing.T, test func(t *testing.T, open database)) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		test(t, func(t testing.TB) *store.Store {
			return opened(t)(sqlite.Open(context.Background(), path, sqlite.Config{Issuer: issuerURL}))
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := postgrestest.Start(t).Database(t)
		test(t, func(t testing.TB) *store.Store {
			return opened(t)(postgres.Open(context.Background(), url, postgres.Config{Issuer: issuerURL}))
		})
	})
}

func opened(t testing.TB) func(st *store.Store, err error) *store.Store {
	return func(st *store.Store, err error) *store.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		return st
	}
}

// A watcher reads the rows of a store again and again, each time in one snapshot.
type watcher struct {
	states map[string]keyring.State // the last one seen of each kid
	looks  int
}

// look checks one snapshot: one active key for each algorithm, no key lost, none
// that went back.
func (w *watcher) look(tx *store.Tx, algs []jwk.Algorithm) error {
	rows, err := tx.Keys()
	if err != nil {
		return err
	}
	active, there := map[string]int{}, map[string]bool{}
	for _, row := range rows {
		there[row.KID] = true
		if row.State == keyring.Active {
			active[row.Alg]++
		}
		if was := w.states[row.KID]; rank[row.State] < rank[was] {
			return fmt.Errorf("key %s was %s and is %s", row.KID, was, row.State)
		}
		w.states[row.KID] = row.State
		if tomb := row.State == keyring.Retired || row.State == keyring.Killed; tomb != (row.Sealed == "") || len(row.Public) == 0 {
			return fmt.Errorf("key %s is %s and keeps %d sealed and %d public bytes", row.KID, row.State, len(row.Sealed), len(row.Public))
		}
	}
	for kid := range w.states {
		if !there[kid] {
			return fmt.Errorf("key %s is lost", kid)
		}
	}
	for _, alg := range algs {
		if active[string(alg)] != 1 {
			return fmt.Errorf("%d active keys for %s", active[string(alg)], alg)
		}
	}
	w.looks++
	return nil
}

var rank = map[keyring.State]int{"": 0, keyring.Standby: 1, keyring.Active: 2, keyring.Retiring: 3, keyring.Retired: 4, keyring.Killed: 5}

// Nodes that rotate, kill, expire and go by the clock at the same moment never have
// two keys that sign, nor none, and lose no key.
func TestManyNodesAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, open database) {
		algs := []jwk.Algorithm{jwk.ES256, jwk.EdDSA}
		now := newClock()
		cfg := keyring.Config{
			Issuer: issuerURL, KEK: newKEK(t), Algorithms: algs, Now: now.Now,
			RotateEvery: 2 * time.Hour, StandbyFor: time.Minute,
		}
		nodes := make([]*keyring.Keyring, 4)
		for i := range nodes {
			var err error
			if nodes[i], err = keyring.Open(t.Context(), open(t), cfg); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan struct{})
		var watching, working sync.WaitGroup
		st, w := open(t), &watcher{states: map[string]keyring.State{}}
		watching.Go(func() {
			for {
				if err := st.View(t.Context(), func(tx *store.Tx) error { return w.look(tx, algs) }); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
		for i, node := range nodes {
			working.Go(func() { work(t, node, now, rand.New(rand.NewPCG(1, uint64(i)))) })
		}
		working.Wait()
		close(done)
		watching.Wait()
		t.Logf("%d keys, %d looks", len(w.states), w.looks)
		agree(t, nodes, algs)
		trail(t, st, w.states)
	})
}

// work does what a node does, and what its operators do, in no order.
func work(t *testing.T, node *keyring.Keyring, now *clock, dice *rand.Rand) {
	ctx := context.Background()
	for range 15 {
		var err error
		all := node.Keys()
		key := all[dice.IntN(len(all))]
		switch dice.IntN(6) {
		case 0:
			_, err = node.Rotate(ctx, keyring.RotateOptions{Algorithm: key.Algorithm, Force: true})
		case 1:
			_, err = node.Rotate(ctx, keyring.RotateOptions{From: key.KeyID, Force: true})
		case 2:
			_, err = node.Kill(ctx, key.KeyID, "test")
		case 3:
			now.advance(40 * time.Minute)
			err = node.Expire(ctx)
		case 4:
			err = node.Reload(ctx)
		default:
			err = node.Scheduled(ctx, nil)
		}
		if err != nil && !errors.Is(err, keyring.ErrConflict) && !errors.Is(err, keyring.ErrNotActive) {
			t.Error(err)
		}
	}
}

// agree checks that all nodes end with the same keys, and that the ring is full.
func agree(t *testing.T, nodes []*keyring.Keyring, algs []jwk.Algorithm) {
	t.Helper()
	for _, n := range nodes {
		if err := n.Scheduled(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		if err := n.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(n.Keys()) != fmt.Sprint(nodes[0].Keys()) || n.Version() != nodes[0].Version() {
			t.Error("nodes disagree")
		}
		for _, alg := range algs {
			if len(kids(n, alg, keyring.Active)) != 1 || len(kids(n, alg, keyring.Standby)) != 2 {
				t.Error(counts(n, alg))
			}
			if _, err := n.Signer(alg); err != nil {
				t.Error(err)
			}
		}
	}
}

// trail checks that the audit trail holds each step of each key.
func trail(t *testing.T, st *store.Store, states map[string]keyring.State) {
	t.Helper()
	last := map[string]string{}
	err := st.View(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(0, 0)
		for _, row := range rows {
			if row.Action == string(audit.KeyState) {
				last[row.Subject] = field(row.Detail, "to")
			}
		}
		if err != nil {
			return err
		}
		report, err := audit.Verify(tx, "")
		if !report.OK {
			t.Errorf("the audit trail is broken: %+v", report)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for kid, state := range states {
		if rank[keyring.State(last[kid])] < rank[state] {
			t.Errorf("key %s is %s, the audit trail says %q", kid, state, last[kid])
		}
	}
}

// field returns the value of name=value in the detail of an audit row.
func field(detail, name string) string {
	for _, part := range strings.Fields(detail) {
		if v, ok := strings.CutPrefix(part, name+"="); ok {
			return v
		}
	}
	return ""
}

// Whoever changes keys waits for whoever reseals them, so that nothing is sealed
// under a key-encryption key that has just gone out of force.
func TestChangeWaitsForReseal(t *testing.T) {
	url := postgrestest.Start(t).Database(t)
	st := opened(t)(postgres.Open(context.Background(), url, postgres.Config{Issuer: issuerURL}))
	ring := open(t, st, keyring.Config{KEK: newKEK(t)})
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	resealing, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resealing.Exec("SELECT value FROM meta WHERE name = 'keyring.kek' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := ring.Rotate(context.Background(), keyring.RotateOptions{Force: true})
		done <- err
	}()
	for waits := 0; waits == 0; {
		select {
		case err := <-done:
			t.Fatalf("did not wait: %v", err)
		default:
		}
		if err := db.QueryRow("SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if err := resealing.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
