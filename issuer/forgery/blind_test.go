package forgery_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/notary"
)

// Where no notary checks tags, no forgery is found, and that alone is an alarm: one,
// and one when it is over.
func TestThreat91BlindnessIsAnAlarm(t *testing.T) {
	s := newSplit(right, right)
	f := newFixture(t, forgery.Config{Notary: s})
	f.probe()
	s.away.Store(true)
	for range 90 {
		f.clock.advance(time.Second)
		if err := f.desk.ProbeRound(t.Context()); err == nil {
			t.Fatal("a notary that is away passed")
		}
		if got := f.trail(); f.clock.Now().Sub(newClock().Now()) < time.Minute && len(got) != 0 {
			t.Fatalf("too soon: %v", got)
		}
	}
	if got := f.trail(); !slices.Equal(got, []string{"blind"}) {
		t.Errorf("trail %v", got)
	}
	s.away.Store(false)
	f.probe()
	f.probe()
	if got := f.trail(); !slices.Equal(got, []string{"blind", "seeing"}) {
		t.Errorf("trail %v", got)
	}
	if f.desk.Counts().Blind != 1 {
		t.Errorf("%+v", f.desk.Counts())
	}
}

// report lets a reporter ask about a token whose tag is wrong.
func (f *fixture) report(reporter, token string) {
	f.Helper()
	record, err := notary.RecordOf(f.active(), token)
	f.check(err)
	seen, err := f.desk.Records(f.Context(), reporter, []notary.Record{record})
	if err != nil || len(seen.Wrong) != 1 {
		f.Fatalf("%+v (%v)", seen, err)
	}
}

// wait lets enough time pass that a token is missed, and looks.
func (f *fixture) wait() {
	f.Helper()
	f.clock.advance(31 * time.Second)
	f.check(f.desk.LookRound(f.Context()))
}

// A verifier that is told that a tag is wrong shows the token. One whose evidence does
// not come is named, once an hour, whatever else it shows.
func TestThreat82TokenThatIsNotShown(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	forged := f.forge(1)
	for range 10 {
		f.report("cut off", forged)
		f.evidenceTo(f.desk, "cut off", forgery.Genuine, f.mint())
		f.wait()
	}
	if got := f.trail(); !slices.Equal(got, []string{"unshown"}) || !f.audited(f.active(), "reporter=cut off") {
		t.Errorf("trail %v", got)
	}
	if c := f.desk.Counts(); c.Unshown != 10 || c.Blind != 0 {
		t.Errorf("%+v", c)
	}
	f.clock.advance(time.Hour)
	f.report("cut off", forged)
	f.wait()
	if got := f.trail(); !slices.Equal(got, []string{"unshown", "unshown"}) {
		t.Errorf("trail %v", got)
	}
	f.report("to one node", forged)
	f.evidenceTo(f.open(forgery.Config{}), "to another", forgery.Forged, f.forge(2))
	f.wait()
	if got := f.trail(); slices.Contains(got[2:], "unshown") {
		t.Errorf("a token that another node was shown is missed: %v", got)
	}
}

// What cannot be told now, as the store is away just then, is told of every reporter
// when it can be.
func TestMissedTokensAreToldLater(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	forged := f.forge(1)
	for _, reporter := range []string{"a", "b", "c"} {
		f.report(reporter, forged)
	}
	f.clock.advance(31 * time.Second)
	ended, end := context.WithCancel(t.Context())
	end()
	if err := f.desk.LookRound(ended); err == nil {
		t.Fatal("told without a store")
	}
	f.check(f.desk.LookRound(t.Context()))
	f.check(f.desk.LookRound(t.Context()))
	if got := f.trail(); !slices.Equal(got, []string{"unshown", "unshown", "unshown"}) || f.desk.Counts().Unshown != 3 {
		t.Errorf("trail %v, %+v", got, f.desk.Counts())
	}
}

// Who shows the very token owes nothing, nor does anybody else who was asked for it.
func TestTokenThatIsShownIsNotMissed(t *testing.T) {
	f := newFixture(t, forgery.Config{Answer: forgery.AlarmOnly})
	forged := f.forge(1)
	f.report("orders", forged)
	f.report("pay", forged)
	f.evidenceTo(f.desk, "orders", forgery.Forged, forged)
	f.check(f.desk.Close(t.Context(), f.active(), "test"))
	f.wait()
	if got := f.trail(); !slices.Equal(got, []string{"forged", "closed"}) {
		t.Errorf("trail %v", got)
	}
}

// Whoever has a verifier's credential can make records up, of tokens that there are not.
// That names him, and wakes nobody.
func TestThreat87MadeUpRecordsNameWhoSentThem(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	for hour := range 3 {
		for i := range 1000 {
			f.report("orders", f.forge(1000*hour+i))
		}
		for range 10 {
			f.wait()
		}
		f.clock.advance(time.Hour)
	}
	if got := f.trail(); !slices.Equal(got, []string{"unshown", "unshown", "unshown"}) {
		t.Errorf("trail %v", got)
	}
	if strings.Contains(f.log.String(), "level=ERROR") {
		t.Error("it is an error in the log")
	}
}

// Whoever holds a report back until the token has ended cannot be answered, since a
// tag of another secret would look the same. He is not passed over in silence, either.
func TestThreat82EvidenceThatComesLate(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	honest, first, second := f.mint(), f.forge(1), f.forge(2)
	for range 27 * 2 { // the life of a token, and what a verifier may still forgive
		f.clock.advance(30 * time.Second)
		f.probe()
	}
	f.evidenceTo(f.desk, "orders", forgery.Genuine, honest)
	f.desk.Present(t.Context(), first) // as anybody may, with a token of years ago
	if got := f.trail(); len(got) != 0 {
		t.Errorf("trail %v", got)
	}
	f.report("orders", first)
	f.evidenceTo(f.desk, "orders", forgery.Unknown, first)
	f.evidenceTo(f.desk, "orders", forgery.Unknown, second)
	f.wait()
	if got := f.trail(); !slices.Equal(got, []string{"late"}) || !f.audited(f.active(), "reporter=orders") {
		t.Errorf("trail %v", got)
	}
	if len(f.entries()) != 0 || f.desk.Counts().Late != 2 {
		t.Errorf("%v %+v", f.entries(), f.desk.Counts())
	}
	f.clock.advance(time.Hour)
	f.evidenceTo(f.desk, "orders", forgery.Unknown, first)
	if got := f.trail(); !slices.Equal(got, []string{"late", "late"}) {
		t.Errorf("trail %v", got)
	}
}

// Whoever is woken is told what it is and what to do, with the key's name in the
// command.
func TestEveryAlarmSaysWhatToDo(t *testing.T) {
	f := newFixture(t, forgery.Config{Answer: forgery.AlarmOnly})
	for _, k := range forgery.Kinds() {
		what, next := f.desk.Advice(k, "Kx")
		if what == "" || next == "" || strings.Contains(next, "KID") {
			t.Errorf("%s: %q, %q", k, what, next)
		}
	}
	for k, command := range map[forgery.Kind]string{
		forgery.KindForged: "counterfoil keys kill Kx --wait", forgery.KindHeld: "counterfoil keys kill Kx --wait",
		forgery.KindCanary: "counterfoil keys canary --remove Kx",
	} {
		if _, next := f.desk.Advice(k, "Kx"); !strings.Contains(next, command) {
			t.Errorf("%s: %q", k, next)
		}
	}
	f.evidence(forgery.Forged, f.forge(1))
	for _, want := range []string{"level=ERROR msg=forgery alarm=forged kid=" + f.active(), "what=", "next=", "counterfoil incident show " + f.active()} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("no %q in %s", want, f.log)
		}
	}
}
