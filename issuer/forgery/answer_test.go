package forgery_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// state returns where a key stands.
func (f *fixture) state(kid string) keyring.State {
	f.Helper()
	f.check(f.ring.Reload(f.Context()))
	for _, info := range f.ring.Keys() {
		if info.KeyID == kid {
			return info.State
		}
	}
	f.Fatalf("no key %s", kid)
	return ""
}

// want fails the test unless the incident and its key stand where they should.
func (f *fixture) want(kid string, incident store.IncidentState, key keyring.State) {
	f.Helper()
	if in := f.incident(kid); in.State != incident || f.state(kid) != key {
		f.Fatalf("incident is %s and the key %s, want %s and %s", in.State, f.state(kid), incident, key)
	}
}

// The whole answer: who has a token goes on with it until there is a new one, and the
// key goes when the last has refreshed.
func TestThreat82AnswerGoesToItsEnd(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	f.signIn("s1")
	f.signIn("s2")
	f.signIn("ended")
	f.check(f.store.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Revoke(f.sessionEntry("ended"))
		return err
	}))
	f.clock.advance(time.Minute)
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	f.want(kid, store.IncidentQuarantined, keyring.Active)
	f.answer()
	f.want(kid, store.IncidentSwitched, keyring.Retiring)
	if in := f.incident(kid); in.Successor != f.active() || in.Switched.IsZero() {
		t.Errorf("%+v", in)
	}
	f.clock.advance(time.Second)
	f.refresh("s1")
	f.answer()
	f.clock.advance(time.Minute)
	f.answer()
	f.want(kid, store.IncidentSwitched, keyring.Retiring) // s2 still has its token
	f.refresh("s2")
	f.answer()
	f.clock.advance(forgery.Grace - time.Millisecond)
	f.answer()
	f.want(kid, store.IncidentSwitched, keyring.Retiring)
	f.clock.advance(time.Millisecond)
	f.answer()
	f.want(kid, store.IncidentKilled, keyring.Killed)
	if got := f.entries(kid, jtiOf(1)); !slices.Equal(got[1:], []string{"token absolute " + jtiOf(1), "key quarantine " + kid, "key absolute " + kid}) {
		t.Errorf("log %v", got)
	}
	if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined", "rotated", "killed"}) {
		t.Errorf("trail %v", got)
	}
	if in := f.incident(kid); !in.Automatic || in.KillSeq == 0 || in.Killed.IsZero() {
		t.Errorf("%+v", in)
	}
	c := f.desk.Counts()
	if c.Forged != 1 || c.Quarantined != 1 || c.Rotated != 1 || c.Killed != 1 {
		t.Errorf("%+v", c)
	}
}

// A session whose holder is away keeps the key no longer than its token lives.
func TestThreat82IdleSessionsDoNotKeepTheKey(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	f.signIn("asleep")
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	f.answer()
	f.clock.advance(tokenLife + time.Minute - time.Millisecond)
	f.answer()
	f.clock.advance(forgery.Grace)
	f.want(kid, store.IncidentSwitched, keyring.Retiring)
	f.answer() // finds the token dead
	f.clock.advance(forgery.Grace)
	f.answer()
	f.want(kid, store.IncidentKilled, keyring.Killed)
}

// Whatever node dies after whatever step, another one goes on, and no step is taken
// twice.
func TestThreat82NodesDieBetweenSteps(t *testing.T) {
	steps := []struct {
		name string
		do   func(f *fixture, kid string)
	}{
		{"evidence", func(f *fixture, _ string) { f.evidence(forgery.Forged, f.forge(1)) }},
		{"rotation without its note", func(f *fixture, kid string) {
			_, err := f.openRing().Rotate(f.Context(), keyring.RotateOptions{From: kid, Force: true})
			f.check(err)
		}},
		{"switch", func(f *fixture, _ string) { f.answer() }},
		{"drain", func(f *fixture, _ string) { f.answer() }},
		{"grace", func(f *fixture, _ string) { f.clock.advance(forgery.Grace) }},
		{"kill", func(f *fixture, _ string) { f.answer() }},
	}
	for died := range len(steps) + 1 {
		f := newFixture(t, forgery.Config{})
		kid := f.active()
		token := f.forge(1)
		for i, s := range steps {
			if i == died { // another node, which knows no more than the store
				f.desk = f.open(forgery.Config{})
				f.evidence(forgery.Forged, token)
			}
			s.do(f, kid)
		}
		f.want(kid, store.IncidentKilled, keyring.Killed)
		if got := f.entries(kid, jtiOf(1)); !slices.Equal(got, []string{"token absolute " + jtiOf(1), "key quarantine " + kid, "key absolute " + kid}) {
			t.Errorf("died before step %d: log %v", died, got)
		}
		if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined", "rotated", "killed"}) {
			t.Errorf("died before step %d: trail %v", died, got)
		}
	}
}

// Nodes that all take every step at the same time take each once.
func TestThreat82NodesRace(t *testing.T) { race(t, newFixture(t, forgery.Config{})) }

func race(t *testing.T, f *fixture) {
	kid := f.active()
	token := f.forge(1)
	nodes := make([]*forgery.Desk, 4)
	for i := range nodes {
		nodes[i] = f.open(forgery.Config{})
	}
	all := func(do func(d *forgery.Desk) error) {
		t.Helper()
		var wg sync.WaitGroup
		for _, d := range nodes {
			wg.Go(func() {
				if err := do(d); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	all(func(d *forgery.Desk) error {
		_, err := d.Evidence(t.Context(), "guard", netip.Addr{}, token)
		return err
	})
	for range 3 {
		all(func(d *forgery.Desk) error { return d.AnswerRound(t.Context()) })
	}
	f.moveOn(forgery.Grace)
	for range 2 {
		all(func(d *forgery.Desk) error { return d.AnswerRound(t.Context()) })
	}
	f.want(kid, store.IncidentKilled, keyring.Killed)
	if got := f.entries(kid, jtiOf(1)); !slices.Equal(got, []string{"token absolute " + jtiOf(1), "key quarantine " + kid, "key absolute " + kid}) {
		t.Errorf("log %v", got)
	}
	if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined", "rotated", "killed"}) {
		t.Errorf("trail %v", got)
	}
	if got := f.trailOf("key.rotate"); len(got) != 1 {
		t.Errorf("rotated to %v", got)
	}
}

// A node that read which key signs before another replaced it, and has learned of the
// new one since, replaces no more than that one.
func TestThreat82LateNode(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	f.evidence(forgery.Forged, f.forge(1))
	ring := f.openRing()
	late := f.open(forgery.Config{Keyring: ring, Waiting: func(ctx context.Context, _ string) ([]string, error) {
		f.answer()
		return nil, ring.Reload(ctx)
	}})
	f.check(late.AnswerRound(t.Context()))
	if got := f.trailOf("key.rotate"); len(got) != 1 {
		t.Errorf("rotated to %v", got)
	}
}

// Of two stolen keys in a day a person decides about the second.
func TestThreat82OneKillADay(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kill := func() (kid string) {
		kid = f.active()
		f.evidence(forgery.Forged, f.forge(1))
		for range 2 {
			f.answer()
		}
		f.clock.advance(forgery.Grace)
		f.answer()
		return kid
	}
	f.want(kill(), store.IncidentKilled, keyring.Killed)
	f.clock.advance(forgery.KillEvery - time.Hour)
	second := kill()
	f.want(second, store.IncidentSwitched, keyring.Retiring)
	if in := f.incident(second); !in.Held {
		t.Errorf("%+v", in)
	}
	f.clock.advance(20 * time.Minute)
	f.answer()
	if got := f.trail(); !slices.Equal(got[4:], []string{"forged", "quarantined", "rotated", "held"}) {
		t.Errorf("trail %v", got)
	}
	_, err := f.ring.Kill(t.Context(), second, "user:ada")
	f.check(err)
	f.check(f.desk.Settle(t.Context(), second, "user:ada"))
	f.want(second, store.IncidentKilled, keyring.Killed)
	if f.incident(second).Held {
		t.Error("it still waits for a person")
	}
	if in := f.incident(second); in.Automatic {
		t.Error("a kill by hand counts as one of the issuer's own")
	}
	f.clock.advance(2 * time.Hour)
	f.want(kill(), store.IncidentKilled, keyring.Killed) // a day after the first
}

// keys kill at any point goes to the end, and the answer ends with it.
func TestKillByHandEndsTheIncident(t *testing.T) {
	for rounds := range 3 {
		f := newFixture(t, forgery.Config{})
		kid := f.active()
		f.evidence(forgery.Forged, f.forge(1))
		for range rounds {
			f.answer()
		}
		_, err := f.ring.Kill(t.Context(), kid, "socket")
		f.check(err)
		if rounds == 1 { // the process died before it could say so
			f.answer()
		} else {
			f.check(f.desk.Settle(t.Context(), kid, "socket"))
		}
		f.answer()
		f.want(kid, store.IncidentKilled, keyring.Killed)
		if got := f.entries(kid); count(got, "key absolute "+kid) != 1 {
			t.Errorf("log %v", got)
		}
		if got := f.trail(); count(got, "killed") != 1 {
			t.Errorf("trail %v", got)
		}
	}
	f := newFixture(t, forgery.Config{})
	f.check(f.desk.Settle(t.Context(), f.active(), "socket")) // there is none
}

// A stolen key that has not signed yet has no honest token: it goes at once, nothing
// rotates, and it does not use up the one kill a day.
func TestThreat82StolenStandbysGo(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	signing := f.active()
	for n := range 2 {
		kid := f.standby()
		f.evidence(forgery.Forged, f.forgeUnder(kid, n))
		f.answer()
		f.answer()
		f.want(kid, store.IncidentKilled, keyring.Killed)
	}
	if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined", "killed", "forged", "quarantined", "killed"}) || f.active() != signing {
		t.Errorf("trail %v", got)
	}
	f.evidence(forgery.Forged, f.forge(2))
	f.answer()
	f.answer()
	f.clock.advance(forgery.Grace)
	f.answer()
	f.want(signing, store.IncidentKilled, keyring.Killed)
}

// A stolen key that retires when it is found goes as well, and nothing rotates again.
func TestThreat137StolenKeyThatRetires(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	f.signIn("s1")
	signing := f.active()
	stolen := f.forge(1)
	_, err := f.ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}) // who signed the forgery retires
	f.check(err)
	f.evidence(forgery.Forged, stolen)
	f.answer()
	if f.active() == signing || f.incident(signing).State != store.IncidentSwitched {
		t.Errorf("%+v", f.incident(signing))
	}
	if got := len(f.trailOf("key.rotate")); got != 1 {
		t.Errorf("rotated %d times", got)
	}
}

// What a key signs that nobody accepts any more alarms, and needs no answer.
func TestForgeryUnderARetiredKeyAlarmsOnly(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	forged := f.forge(1)
	_, err := f.ring.Kill(t.Context(), kid, "socket")
	f.check(err)
	f.evidence(forgery.Forged, forged)
	if got := f.entries(kid); !slices.Equal(got, []string{"key absolute " + kid}) {
		t.Errorf("log %v", got)
	}
	if in := f.incident(kid); in.State != store.IncidentNoted {
		t.Errorf("%+v", in)
	}
}

func TestClose(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	if err := f.desk.Close(t.Context(), kid, "socket"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	f.evidence(forgery.Forged, f.forge(1))
	f.check(f.desk.Close(t.Context(), kid, "socket"))
	f.check(f.desk.Close(t.Context(), kid, "socket"))
	f.answer()
	f.want(kid, store.IncidentClosed, keyring.Active)
	f.evidence(forgery.Forged, f.forge(1))
	f.want(kid, store.IncidentClosed, keyring.Active)
	f.evidence(forgery.Forged, f.forge(2)) // a new one begins it anew
	f.want(kid, store.IncidentQuarantined, keyring.Active)
	if list, err := f.desk.Incidents(t.Context()); err != nil || len(list) != 1 || list[0].Tokens != 2 {
		t.Errorf("%+v %v", list, err)
	}
	if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined", "closed", "forged", "quarantined"}) {
		t.Errorf("trail %v", got)
	}
}

func count(list []string, want string) (n int) {
	for _, s := range list {
		if strings.HasPrefix(s, want) {
			n++
		}
	}
	return n
}

// Thieves who are quick find a standby that verifiers do not hold yet: it does not sign
// before they do, as long as the moment lasts that they need. One who never says that
// it does holds nothing up for longer, and nothing when a key never signed.
func TestThreat82StandbyIsKnownBeforeItSigns(t *testing.T) {
	var waiting []string
	asked := ""
	f := newFixture(t, forgery.Config{Waiting: func(_ context.Context, kid string) ([]string, error) {
		asked = kid
		return waiting, nil
	}})
	for _, honest := range []bool{true, false} {
		waiting = []string{"guard/1"}
		kid := f.active()
		f.evidence(forgery.Forged, f.forge(1))
		f.answer()
		f.moveOn(forgery.Patience - time.Millisecond)
		f.answer()
		f.want(kid, store.IncidentQuarantined, keyring.Active)
		if honest {
			waiting = nil
		} else {
			f.moveOn(time.Millisecond)
		}
		f.answer()
		f.want(kid, store.IncidentSwitched, keyring.Retiring)
		if f.active() != asked {
			t.Errorf("verifiers were waited for to hold %s, and %s signs", asked, f.active())
		}
	}
	stolen := f.standby()
	f.evidence(forgery.Forged, f.forgeUnder(stolen, 2))
	f.answer()
	f.answer()
	f.want(stolen, store.IncidentKilled, keyring.Killed)
}

// The clock of a node may be wrong by an hour, before and in the middle of an answer:
// what is forged, expired, drained and killed goes by the clock of the store.
func TestThreat88NodeWithAWrongClock(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		f := newFixture(t, forgery.Config{})
		f.signIn("s1")
		late := f.forge(1)
		f.desk = f.open(forgery.Config{Now: func() time.Time { return f.clock.Now().Add(off) }})
		f.probe()
		if got := f.trail(); len(got) != 0 {
			t.Fatalf("off by %v: %v", off, got)
		}
		f.clock.advance(tokenLife + forgery.AfterLife + time.Minute)
		f.evidence(forgery.Unknown, late)
		kid := f.active()
		f.refresh("s1")
		f.evidence(forgery.Forged, f.forge(2))
		if in := f.incident(kid); in.Level0 != "passes" || !in.Found.Equal(f.clock.Now()) {
			t.Errorf("off by %v: %+v", off, in)
		}
		f.answer()
		f.want(kid, store.IncidentSwitched, keyring.Retiring)
		f.answer()
		f.moveOn(time.Second)
		f.refresh("s1")
		f.answer()
		f.moveOn(forgery.Grace - time.Millisecond)
		f.answer()
		f.want(kid, store.IncidentSwitched, keyring.Retiring)
		f.moveOn(time.Millisecond)
		f.answer()
		f.want(kid, store.IncidentKilled, keyring.Killed)
	}
}
