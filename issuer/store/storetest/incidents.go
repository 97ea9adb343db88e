package storetest

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

func incidents(t *testing.T, db Database) {
	st := open(t, db)
	in := store.Incident{
		KeyID: "k1", State: store.IncidentQuarantined, Drill: true, TokenID: "j1", Level0: "passes", Reporter: "guard",
		Successor: "k2", Tokens: 1, Entries: 1, QuarantineSeq: 7, KillSeq: 8, Found: someTime, Seen: someTime,
		Quarantined: someTime.Add(1e9), Switched: someTime.Add(2e9), Drained: someTime.Add(3e9), Killed: someTime.Add(4e9),
		Closed: someTime.Add(5e9), Held: true, Automatic: true,
	}
	older := store.Incident{KeyID: "k0", State: store.IncidentNoted, Found: someTime.Add(-1e9), Tokens: 2}
	wantUpdate(t, st, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Incident("k1"); return err })
	update(t, st, func(tx *store.Tx) error { return errors.Join(tx.InsertIncident(in), tx.InsertIncident(older)) })
	wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.InsertIncident(in) })
	in.Version, older.Version = 1, 1
	equal(t, "incidents", read(t, st, (*store.Tx).Incidents), []store.Incident{in, older})
	equal(t, "open incidents", read(t, st, (*store.Tx).OpenIncidents), []store.Incident{in})

	// What counts tokens does not get in the way of who takes a step.
	update(t, st, func(tx *store.Tx) error { return tx.CountForgeries("k1", math.MaxUint32, someTime.Add(9e9)) })
	in.State, in.Held = store.IncidentSwitched, false
	update(t, st, func(tx *store.Tx) error { return tx.UpdateIncident(in) })
	wantUpdate(t, st, store.ErrConflict, func(tx *store.Tx) error { return tx.UpdateIncident(in) })
	in.Tokens, in.Seen, in.Version = 1+math.MaxUint32, someTime.Add(9e9), 2
	equal(t, "incident", read(t, st, func(tx *store.Tx) (store.Incident, error) { return tx.Incident("k1") }), in)
	in.State = store.IncidentKilled
	update(t, st, func(tx *store.Tx) error { return tx.UpdateIncident(in) })
	equal(t, "open incidents", len(read(t, st, (*store.Tx).OpenIncidents)), 0)
}

func keysKilled(t *testing.T, db Database) {
	st := open(t, db)
	for i, in := range []store.Incident{
		{Automatic: true, Killed: someTime},
		{Automatic: true, Killed: someTime.Add(time.Millisecond)},
		{Automatic: true, Killed: someTime.Add(time.Hour), Drill: true},
		{Killed: someTime.Add(time.Hour)},
		{Automatic: true},
	} {
		in.KeyID, in.State = fmt.Sprint(i), store.IncidentKilled
		update(t, st, func(tx *store.Tx) error { return tx.InsertIncident(in) })
	}
	since := func(at time.Time) uint64 {
		return read(t, st, func(tx *store.Tx) (uint64, error) { return tx.KeysKilledSince(at) })
	}
	equal(t, "since the first", since(someTime), uint64(1))
	equal(t, "since before", since(someTime.Add(-time.Millisecond)), uint64(2))
	equal(t, "since the second", since(someTime.Add(time.Millisecond)), uint64(0))
}

func forgeries(t *testing.T, db Database) {
	st := open(t, db)
	a := store.Forgery{KeyID: "k1", Hash: [32]byte{1}, TokenID: "j", Seq: 3, At: someTime.Add(1e9)}
	b := store.Forgery{KeyID: "k1", Hash: [32]byte{2}, At: someTime}
	other := store.Forgery{KeyID: "k2", Hash: [32]byte{1}, At: someTime}
	update(t, st, func(tx *store.Tx) error {
		return errors.Join(tx.InsertForgery(a), tx.InsertForgery(b), tx.InsertForgery(other))
	})
	wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.InsertForgery(a) })
	equal(t, "forgeries", read(t, st, func(tx *store.Tx) ([]store.Forgery, error) { return tx.Forgeries("k1") }), []store.Forgery{b, a})
}

func undrained(t *testing.T, db Database) {
	st := open(t, db)
	now := read(t, st, (*store.Tx).Now)
	between := func(after, before time.Time) bool {
		return read(t, st, func(tx *store.Tx) (bool, error) { return tx.Undrained(before, after) })
	}
	add := func(id string, rotated, expires time.Time) {
		s := session(id, "u")
		s.RotatedAt, s.Expires = rotated, expires
		update(t, st, func(tx *store.Tx) error { return tx.CreateSession(s) })
	}
	add("over", now, now.Add(-time.Second))
	add("revoked", now, time.Time{})
	revokeIn(t, st, of(revocation.Session, "revoked"))
	if between(now.Add(-time.Hour), now) {
		t.Error("a session that has ended counts")
	}
	add("alive", now, now.Add(time.Hour))
	for _, tt := range []struct {
		after, before time.Time
		want          bool
	}{
		{now.Add(-time.Millisecond), now, true},
		{now, now.Add(time.Hour), false},
		{now.Add(-time.Hour), now.Add(-time.Millisecond), false},
	} {
		if got := between(tt.after, tt.before); got != tt.want {
			t.Errorf("after %v and not after %v: %v", tt.after.Sub(now), tt.before.Sub(now), got)
		}
	}
	add("without an end", now.Add(-time.Minute), time.Time{})
	if !between(now.Add(-time.Hour), now.Add(-time.Second)) {
		t.Error("a session without an end does not count")
	}
}

func alarms(t *testing.T, db Database) {
	st := open(t, db)
	update(t, st, func(tx *store.Tx) error { return tx.InsertIncident(store.Incident{KeyID: "k1"}) })
	a := store.Alarm{ID: "a", KeyID: "k1", Body: "{}", At: someTime, Due: someTime.Add(2e9)}
	b := store.Alarm{ID: "b", KeyID: "k1", Body: "{}", At: someTime, Due: someTime.Add(1e9)}
	update(t, st, func(tx *store.Tx) error { return errors.Join(tx.InsertAlarm(a), tx.InsertAlarm(b)) })
	list := func(limit int) []store.Alarm {
		return read(t, st, func(tx *store.Tx) ([]store.Alarm, error) { return tx.Alarms(limit) })
	}
	equal(t, "alarms", list(0), []store.Alarm{b, a})
	equal(t, "the first", list(1), []store.Alarm{b})

	update(t, st, func(tx *store.Tx) error { return tx.ClaimAlarm(b, someTime.Add(9e9)) })
	wantUpdate(t, st, store.ErrConflict, func(tx *store.Tx) error { return tx.ClaimAlarm(b, someTime) })
	update(t, st, func(tx *store.Tx) error { return tx.DelayAlarm("b", someTime.Add(8e9), "no answer") })
	b.Attempts, b.Due, b.Error = 1, someTime.Add(8e9), "no answer"
	equal(t, "alarms", list(0), []store.Alarm{a, b})
	trouble := func() store.Undelivered {
		return read(t, st, func(tx *store.Tx) (store.Undelivered, error) { return tx.Undelivered("k1") })
	}
	equal(t, "trouble", trouble(), store.Undelivered{Alarms: 1, Since: someTime, Tries: 1, Error: "no answer"})

	alarmed := func() time.Time {
		return read(t, st, func(tx *store.Tx) (store.Incident, error) { return tx.Incident("k1") }).Alarmed
	}
	update(t, st, func(tx *store.Tx) error { return tx.RemoveAlarm(a, time.Time{}) })
	equal(t, "alarmed", alarmed(), time.Time{})
	update(t, st, func(tx *store.Tx) error { return tx.RemoveAlarm(b, someTime) })
	update(t, st, func(tx *store.Tx) error { return tx.RemoveAlarm(b, someTime.Add(1e9)) })
	equal(t, "alarmed", alarmed(), someTime)
	equal(t, "trouble", trouble(), store.Undelivered{})
	equal(t, "alarms", len(list(0)), 0)
}

func alarmsAreBounded(t *testing.T, db Database) {
	st := open(t, db)
	update(t, st, func(tx *store.Tx) error {
		for i := range store.MaxAlarms {
			if err := tx.InsertAlarm(store.Alarm{ID: fmt.Sprint(i)}); err != nil {
				return err
			}
		}
		return nil
	})
	wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.InsertAlarm(store.Alarm{ID: "more"}) })
}

func probes(t *testing.T, db Database) {
	st := open(t, db)
	a := store.Probe{KeyID: "k1", Node: "n", At: someTime, Dies: someTime.Add(1e9), Record: []byte{1}}
	b := store.Probe{KeyID: "k1", Node: "n", At: someTime.Add(1e9), Dies: someTime.Add(2e9), Record: []byte{2}}
	update(t, st, func(tx *store.Tx) error { return errors.Join(tx.InsertProbe(a), tx.InsertProbe(b), tx.InsertProbe(a)) })
	after := func(at time.Time) []store.Probe {
		return read(t, st, func(tx *store.Tx) ([]store.Probe, error) { return tx.Probes(at) })
	}
	equal(t, "probes", after(someTime.Add(1e9-1e6)), []store.Probe{b, a})
	equal(t, "probes that live", after(someTime.Add(1e9)), []store.Probe{b})
	update(t, st, func(tx *store.Tx) error { return tx.RemoveProbes(someTime.Add(1e9)) })
	equal(t, "probes kept", after(time.Time{}), []store.Probe{b})
}
