package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

func traces(t *testing.T, db Database) {
	st := open(t, db)
	a := store.Trace{KeyID: "k1", Hash: [32]byte{1}, At: someTime.Add(1e9), Says: store.Said{
		TokenID: "j", Subject: `a\u009b`, Audience: []string{"x", "y"}, Scope: "all", Roles: []string{"r"}, ClientID: "c",
		IssuedAt: someTime, Expiry: someTime.Add(1e9), Level0: "passes", NotKept: []string{"sub"},
	}}
	b := store.Trace{KeyID: "k1", Hash: [32]byte{2}, At: someTime}
	other := store.Trace{KeyID: "k2", Hash: [32]byte{1}, At: someTime.Add(2e9)}
	changed := a
	changed.Says = store.Said{Subject: "somebody else"}
	first, second := store.Sighting{Reporter: "g1", At: someTime}, store.Sighting{Reporter: "g2", At: someTime.Add(1e9)}
	update(t, st, func(tx *store.Tx) error {
		return errors.Join(tx.KeepTrace(a), tx.KeepTrace(b), tx.KeepTrace(other), tx.KeepTrace(changed),
			tx.KeepSighting("k1", a.Hash, second), tx.KeepSighting("k1", a.Hash, first),
			tx.KeepSighting("k1", a.Hash, store.Sighting{Reporter: "g1", At: someTime.Add(9e9)}),
			tx.KeepSighting("k2", other.Hash, first), tx.KeepSighting("k1", [32]byte{9}, first))
	})
	a.SeenBy, other.SeenBy = []store.Sighting{first, second}, []store.Sighting{first}
	of := func(kid string) []store.Trace {
		return read(t, st, func(tx *store.Tx) ([]store.Trace, error) { return tx.Traces(kid) })
	}
	equal(t, "traces", of("k1"), []store.Trace{b, a})

	update(t, st, func(tx *store.Tx) error { return tx.RemoveTraces(someTime.Add(2e9)) })
	equal(t, "traces that were removed", len(of("k1")), 0)
	equal(t, "traces that are younger", of("k2"), []store.Trace{other})
	// No sighting is left of what was removed.
	update(t, st, func(tx *store.Tx) error { return tx.KeepTrace(a) })
	a.SeenBy = nil
	equal(t, "a trace again", of("k1"), []store.Trace{a})
}

func tracesAreBounded(t *testing.T, db Database) {
	st := open(t, db)
	hash := func(i int) (h [32]byte) {
		h[0], h[1] = byte(i), byte(i>>8)
		return h
	}
	update(t, st, func(tx *store.Tx) error {
		var all []error
		for i := range store.MaxTraces + 2 {
			all = append(all, tx.KeepTrace(store.Trace{KeyID: "k1", Hash: hash(i), At: someTime}))
		}
		for i := range store.MaxSightings + 2 {
			at := someTime.Add(time.Duration(i) * time.Second)
			all = append(all, tx.KeepSighting("k1", hash(0), store.Sighting{Reporter: fmt.Sprint(i), At: at}))
		}
		return errors.Join(append(all, tx.KeepTrace(store.Trace{KeyID: "k2", Hash: hash(0), At: someTime}))...)
	})
	for kid, want := range map[string]int{"k1": store.MaxTraces, "k2": 1} {
		list := read(t, st, func(tx *store.Tx) ([]store.Trace, error) { return tx.Traces(kid) })
		equal(t, "traces of "+kid, len(list), want)
		if kid == "k1" {
			equal(t, "sightings", len(list[0].SeenBy), store.MaxSightings)
		}
	}
}
