package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// nodes writes and reads what processes tell each other.
func nodes(t *testing.T, db Database) {
	a, b := open(t, db), open(t, db)
	save := func(st *store.Store, id, heard string) {
		update(t, st, func(tx *store.Tx) error { return tx.SaveNode(store.NodeRow{ID: id, Heard: heard}) })
	}
	node := func(st *store.Store, id string) store.NodeRow {
		return read(t, st, func(tx *store.Tx) (store.NodeRow, error) { return tx.Node(id) })
	}
	now := func() time.Time { return read(t, a, (*store.Tx).Now) }

	save(a, "a", `["x"]`)
	save(b, "b", `["y"]`)
	save(a, "a", `["z"]`)
	if n := node(b, "a"); n.Heard != `["z"]` || n.Version != 2 || !n.Waits.IsZero() || n.At.IsZero() {
		t.Errorf("%+v", n)
	}
	until := now().Add(3 * time.Second)
	update(t, a, func(tx *store.Tx) error { return tx.MarkNode("a", until) })
	update(t, a, func(tx *store.Tx) error { return tx.MarkNode("c", until) })
	save(a, "a", `["w"]`)
	if n := node(b, "a"); !n.Waits.Equal(until) || n.Heard != `["w"]` || n.Version != 3 {
		t.Errorf("a mark does not stand beside what was heard: %+v", n)
	}
	if n := node(b, "c"); !n.Waits.Equal(until) || n.Heard != `[]` {
		t.Errorf("%+v", n)
	}
	for _, n := range read(t, b, (*store.Tx).Nodes) {
		if n.Heard != "" || n.Version == 0 {
			t.Errorf("%+v", n)
		}
	}
	wantUpdate(t, a, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Node("d"); return err })

	db.Tick(t)
	limit := now()
	db.Tick(t)
	save(b, "b", "[]")
	update(t, a, func(tx *store.Tx) error { return tx.RemoveNodes(limit) })
	if left := read(t, a, (*store.Tx).Nodes); len(left) != 1 || left[0].ID != "b" {
		t.Errorf("%+v", left)
	}
	for i := range 70 {
		save(a, fmt.Sprint("n", i), "[]")
	}
	if got := len(read(t, a, (*store.Tx).Nodes)); got != 64 {
		t.Errorf("%d nodes", got)
	}
}
