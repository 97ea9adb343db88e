package issuer

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

// entriesInLog are so many that a snapshot of one-entry pages takes much longer than
// tinyLimit.
const (
	entriesInLog = 2000
	tinyLimit    = 10 * time.Millisecond
)

// newFullHub returns a hub that nobody runs, over a log with entries.
func newFullHub(t *testing.T) *hub {
	t.Helper()
	const url = "https://id.example"
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"), sqlite.Config{Issuer: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: url, KEK: kek})
	if err != nil {
		t.Fatal(err)
	}
	err = st.Update(t.Context(), func(tx *store.Tx) error {
		for i := range entriesInLog {
			e := revocation.Entry{Kind: revocation.Tenant, Handle: revocation.Handle(i)}
			if _, err := tx.Revoke(store.Revocation{Value: fmt.Sprint(i), Entry: e}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h := newHub(st, ring, slog.New(slog.DiscardHandler), time.Now)
	h.snaps.page = 1
	return h
}

func newEpoch(t *testing.T, st *store.Store) (head store.Head) {
	t.Helper()
	err := st.Update(t.Context(), func(tx *store.Tx) (err error) { head, err = tx.NewEpoch(); return err })
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// After a failover the feed comes back with a snapshot, however long that takes to make.
func TestNewEpochOfALargeLog(t *testing.T) {
	h := newFullHub(t)
	if _, err := h.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	h.limit = tinyLimit
	var running sync.WaitGroup
	running.Go(func() { h.run(ctx) })
	defer running.Wait()
	defer stop()
	head := newEpoch(t, h.st)
	for {
		v, err := h.fresh(ctx)
		if ctx.Err() != nil {
			t.Fatal("the feed did not come back")
		}
		if err != nil || v.head.Epoch != head.Epoch {
			continue
		}
		if snap := h.snaps.before(v.head); snap == nil || snap.ref.Seq != head.Base || len(snap.ref.Shards) == 0 {
			t.Error("the new epoch has no snapshot of what was revoked before")
		}
		return
	}
}

// A snapshot is made in as many tries as it takes.
func TestSnapshotGoesOnWhereItWas(t *testing.T) {
	h := newFullHub(t)
	head := newEpoch(t, h.st)
	var had pages
	for range 500 {
		ctx, cancel := context.WithTimeout(t.Context(), tinyLimit)
		err := h.snaps.build(ctx, head, &had)
		cancel()
		if err != nil {
			continue
		}
		records := decode(t, h.snaps.before(head))
		if len(records) != entriesInLog || records[0].Entry.Handle != 0 || records[entriesInLog-1].Entry.Handle != entriesInLog-1 {
			t.Errorf("%d entries of %d", len(records), entriesInLog)
		}
		return
	}
	t.Fatal("each try begins from nothing")
}

// What was read before a failover may be gone from the log, and what is there instead
// has the same numbers.
func TestPagesOfAnotherEpochAreReadAgain(t *testing.T) {
	h := newFullHub(t)
	head := newEpoch(t, h.st)
	had := pages{epoch: head.Epoch - 1, after: head.Base - 1}
	if err := h.snaps.build(t.Context(), head, &had); err != nil {
		t.Fatal(err)
	}
	if n := len(decode(t, h.snaps.before(head))); n != entriesInLog {
		t.Errorf("%d entries of %d", n, entriesInLog)
	}
}

func decode(t *testing.T, snap *snapshot) []revocation.Record {
	t.Helper()
	var shards [][]byte
	for _, name := range snap.ref.Shards {
		shards = append(shards, snap.shards[name])
	}
	s, err := revocation.DecodeSnapshot(&revocation.Manifest{Snapshot: &snap.ref}, shards)
	if err != nil {
		t.Fatal(err)
	}
	return s.Records
}

// The snapshot of an old epoch that was under way when a new one began does not take the
// place of the new one's, and a view is given none that is ahead of it.
func TestSnapshotForAView(t *testing.T) {
	s := newSnapshots(nil, nil, time.Now)
	keep := func(epoch, seq uint64) {
		s.keep(s.current(), &snapshot{ref: revocation.SnapshotRef{Epoch: epoch, Seq: seq}})
	}
	keep(1, 10)
	begun := s.current()
	keep(2, 20)
	keep(2, 30)
	s.keep(begun, &snapshot{ref: revocation.SnapshotRef{Epoch: 1, Seq: 15}})
	for _, c := range []struct{ epoch, head, want uint64 }{
		{2, 35, 30}, {2, 30, 30}, {2, 29, 20}, {2, 20, 20}, {2, 19, 0}, {1, 19, 10}, {3, 40, 0},
	} {
		var got uint64
		if snap := s.before(store.Head{Epoch: c.epoch, Seq: c.head}); snap != nil {
			got = snap.ref.Seq
		}
		if got != c.want {
			t.Errorf("%d.%d: %d, want %d", c.epoch, c.head, got, c.want)
		}
	}
	if cur := s.current(); cur.ref.Seq != 30 {
		t.Errorf("the newest is at %d.%d", cur.ref.Epoch, cur.ref.Seq)
	}
}
