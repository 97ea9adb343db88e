package forgery_test

import (
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

// A verifier that is told that a tag is wrong shows the token. One whose evidence does
// not come is named, once an hour; one that shows it is not.
func TestThreat82TokenThatIsNotShown(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	forged := f.forge(1)
	record, err := notary.RecordOf(f.active(), forged)
	f.check(err)
	report := func(reporter string) {
		seen, err := f.desk.Records(t.Context(), reporter, []notary.Record{record})
		if err != nil || len(seen.Wrong) != 1 {
			t.Fatalf("%+v (%v)", seen, err)
		}
	}
	for range 10 {
		report("cut off")
		report("honest")
		f.evidenceTo(f.desk, "honest", forgery.Genuine, f.mint())
		f.clock.advance(31 * time.Second)
		f.check(f.desk.LookRound(t.Context()))
	}
	if got := f.trail(); !slices.Equal(got, []string{"blind"}) || !f.audited(f.active(), "reporter=cut off") {
		t.Errorf("trail %v", got)
	}
	f.clock.advance(time.Hour)
	report("cut off")
	f.clock.advance(31 * time.Second)
	f.check(f.desk.LookRound(t.Context()))
	if f.desk.Counts().Blind != 2 {
		t.Errorf("%+v", f.desk.Counts())
	}
	report("to one node")
	f.evidenceTo(f.open(forgery.Config{}), "to another", forgery.Forged, f.forge(2))
	f.clock.advance(31 * time.Second)
	f.check(f.desk.LookRound(t.Context()))
	if f.desk.Counts().Blind != 2 {
		t.Error("a token that another node was shown is missed")
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
