package storetest

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store"
)

const (
	benchClients  = 64
	benchSessions = 10_000
)

// BenchmarkRefresh measures what a refresh costs the store, one Standing and
// one RotateSession made durable, with 64 clients that each wait for theirs. It
// reports how many were done in a second and how many shared a commit.
func BenchmarkRefresh(b *testing.B, st *store.Store) {
	seed(b, st)
	before := st.Stats()
	var client atomic.Int64
	b.SetParallelism((benchClients + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		// Each client has sessions of its own, and goes around them.
		i := int(client.Add(1)) * (benchSessions / benchClients)
		for pb.Next() {
			i++
			if err := refresh(b, st, fmt.Sprintf("session-%06d", i%benchSessions)); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	after := st.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(after.Updates-before.Updates)/float64(after.Commits-before.Commits), "ops/commit")
}

func seed(b *testing.B, st *store.Store) {
	for from := 0; from < benchSessions; from += 1000 {
		err := st.Update(b.Context(), func(tx *store.Tx) error {
			for i := from; i < from+1000; i++ {
				user := store.User{ID: fmt.Sprintf("user-%06d", i), Name: fmt.Sprintf("name-%06d", i), PasswordHash: "x"}
				if err := tx.CreateUser(user); err != nil {
					return err
				}
				s := session(fmt.Sprintf("session-%06d", i), user.ID)
				if err := tx.CreateSession(s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// refresh does what the issuer does for a refresh, cryptography apart.
func refresh(t testing.TB, st *store.Store, id string) error {
	return st.Update(t.Context(), func(tx *store.Tx) error {
		now, err := tx.Standing(store.StandingQuery{Session: id})
		if err != nil {
			return err
		}
		if err := now.Permits(now.Session.Born); err != nil {
			return err
		}
		return tx.RotateSession(next(now))
	})
}

// next is the rotation of a session to its next refresh token.
func next(st *store.Standing) store.Rotation {
	return store.Rotation{
		ID: st.Session.ID, From: st.Session.Counter, FromEpoch: st.Session.Epoch,
		To: st.Session.Counter + 1, Epoch: st.Epoch, At: st.Now,
	}
}
