package forgery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
)

// A verifier that is connected while its reports are cut off is named, once an hour
// however often that comes and goes, and so is the end of it. Its credential can say so
// of itself alone.
func TestThreat82CutReportsAreAnAlarm(t *testing.T) {
	var fleet []forgery.Reporting
	f := newFixture(t, forgery.Config{Reporting: func() []forgery.Reporting { return fleet }})
	at := func(reporter, instance string, cut bool) forgery.Reporting {
		return forgery.Reporting{Reporter: reporter, Instance: instance, Answered: !cut, Cut: cut}
	}
	rounds := func(n int) {
		for range n {
			f.probe()
			f.check(f.desk.CutRound(t.Context()))
			f.clock.advance(time.Second)
		}
	}
	rounds(15)
	fleet = []forgery.Reporting{at("billing", "b-1", false), at("orders", "o-1", true), at("orders", "o-2", false), at("orders", "o-3", true)}
	rounds(60)
	if got := f.trail(); !slices.Equal(got, []string{"blind"}) || !f.audited(forgery.ProbeKeyID, `reporter=orders instance="o-1"`) {
		t.Fatalf("trail %v", got)
	}
	for _, want := range []string{"reporter=orders", "instance=o-1", "POST /revocation/seen"} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("no %q in %s", want, f.log)
		}
	}
	fleet = []forgery.Reporting{{Reporter: "orders", Instance: "o-1"}} // it is to be seen
	rounds(10)
	fleet = nil // none is connected
	rounds(10)
	if got := f.trail(); len(got) != 1 {
		t.Fatalf("trail %v", got)
	}
	for i := range 100 {
		fleet = []forgery.Reporting{at("orders", fmt.Sprint("o-", i), i%2 == 1)}
		rounds(20)
	}
	if got := f.trail(); len(got) != 1 { // who comes and goes is told of once
		t.Errorf("trail %v", got)
	}
	fleet = []forgery.Reporting{at("orders", "o-1", false)}
	rounds(599)
	if got := f.trail(); len(got) != 1 {
		t.Errorf("trail %v", got)
	}
	rounds(2)
	if got := f.trail(); !slices.Equal(got, []string{"blind", "seeing"}) {
		t.Errorf("trail %v", got)
	}
	fleet = []forgery.Reporting{at("orders", "o-1", true)} // the last word is never a false one
	rounds(1)
	if got := f.trail(); !slices.Equal(got, []string{"blind", "seeing", "blind"}) || f.desk.Counts().Blind != 2 {
		t.Errorf("trail %v", got)
	}
}

// What this node could not have answered is not the verifiers' trouble, and many of them
// at once are one trouble.
func TestCutReportsOfTheWholeFleet(t *testing.T) {
	var fleet []forgery.Reporting
	for i := range 100 {
		fleet = append(fleet, forgery.Reporting{Reporter: fmt.Sprint("v", i), Instance: "1", Cut: true})
	}
	s := newSplit(right, right)
	f := newFixture(t, forgery.Config{Notary: s, Reporting: func() []forgery.Reporting { return fleet }})
	round := func() {
		_ = f.desk.ProbeRound(t.Context())
		f.check(f.desk.CutRound(t.Context()))
		f.clock.advance(time.Second)
	}
	s.away.Store(true)
	for range 90 {
		round()
	}
	if got := f.trail(); !slices.Equal(got, []string{"blind"}) {
		t.Errorf("trail with the notary away: %v", got)
	}
	s.away.Store(false)
	for range 9 {
		round()
	}
	if got := f.trail(); !slices.Equal(got, []string{"blind", "seeing"}) {
		t.Errorf("trail just after it came back: %v", got)
	}
	for range 90 {
		round()
	}
	if n := len(f.trail()) - 2; n != 16 {
		t.Errorf("%d alarms about 100 verifiers", n)
	}
	// Those that never come back leave their places to others.
	fleet = nil
	f.clock.advance(time.Hour + time.Second)
	round()
	for range 15 {
		round()
	}
	fleet = []forgery.Reporting{{Reporter: "new", Instance: "1", Cut: true}}
	round()
	if n := len(f.trail()) - 2; n != 17 {
		t.Errorf("%d alarms when one more is cut off", n)
	}
}
