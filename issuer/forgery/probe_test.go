package forgery_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
)

// A split notary tags with one secret and checks with another, until it is mended.
type split struct {
	tagger  *notary.Local
	checker atomic.Pointer[notary.Local]
	away    atomic.Bool
}

func newSplit(tag, check notary.Secret) *split {
	s := &split{tagger: notary.NewLocal(tag)}
	s.checker.Store(notary.NewLocal(check))
	return s
}

func (s *split) Tag(ctx context.Context, kid string, d notary.Digest) (string, error) {
	if s.away.Load() {
		return "", notary.ErrUnavailable
	}
	return s.tagger.Tag(ctx, kid, d)
}

func (s *split) Check(ctx context.Context, records []notary.Record) ([]bool, error) {
	if s.away.Load() {
		return nil, notary.ErrUnavailable
	}
	return s.checker.Load().Check(ctx, records)
}

// probe runs a self-test of the fixture's desk.
func (f *fixture) probe() {
	f.Helper()
	f.check(f.desk.ProbeRound(f.Context()))
}

// An auditor with another secret than the tagger finds every honest token wrong. The
// probe notices first, alarms once, and nobody is called a thief.
func TestThreat88AuditorWithAnotherSecret(t *testing.T) {
	s := newSplit(right, right)
	f := newFixture(t, forgery.Config{Notary: s})
	kid := f.active()
	f.probe()
	s.checker.Store(notary.NewLocal(wrong))
	for range 5 {
		f.probe()
		f.clock.advance(time.Second)
	}
	for i := range 20 {
		honest := f.mint()
		record, err := notary.RecordOf(kid, honest)
		f.check(err)
		if seen, err := f.desk.Records(t.Context(), "guard", []notary.Record{record}); err != nil || !slices.Equal(seen.Wrong, []int{0}) {
			t.Fatalf("%+v %v", seen, err)
		}
		f.evidence(forgery.Unknown, honest)
		f.evidence(forgery.Unknown, f.forge(i)) // nobody can tell
		f.clock.advance(time.Second)
	}
	f.answer()
	if got := f.trail(); !slices.Equal(got, []string{"misconfigured"}) {
		t.Errorf("trail %v", got)
	}
	if got := f.entries(); len(got) != 0 || f.active() != kid {
		t.Errorf("log %v", got)
	}
	if c := f.desk.Counts(); c.Misconfigured != 1 || c.ProbesFailed != 5 || c.Forged != 0 {
		t.Errorf("%+v", c)
	}

	s.checker.Store(notary.NewLocal(right))
	f.probe()
	f.evidence(forgery.Unknown, f.forge(100)) // tokens of the bad time are still about
	f.clock.advance(f.desk.Life() + 10*time.Second)
	f.probe()
	f.evidence(forgery.Genuine, f.mint())
	f.evidence(forgery.Forged, f.forge(101))
	if got := f.trail(); !slices.Equal(got, []string{"misconfigured", "recovered", "forged", "quarantined"}) {
		t.Errorf("trail %v", got)
	}
}

// Without a probe before it, the first piece of evidence finds out.
func TestThreat88EvidenceBeforeTheProbe(t *testing.T) {
	s := newSplit(right, right)
	f := newFixture(t, forgery.Config{Notary: s})
	s.checker.Store(notary.NewLocal(wrong))
	for range 3 {
		f.evidence(forgery.Unknown, f.mint())
	}
	if got := f.trail(); !slices.Equal(got, []string{"misconfigured"}) {
		t.Errorf("trail %v", got)
	}
}

// Each of two nodes trusts its own notary, and neither finds the other's tokens right.
func TestThreat88NodesWithDifferentSecrets(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	f.probe()
	stranger := notary.NewLocal(wrong)
	other := f.open(forgery.Config{Notary: stranger})
	f.evidence(forgery.Unknown, f.mintBy(stranger, nil)) // made by the other node, shown to this one
	f.evidenceTo(other, "guard", forgery.Unknown, f.mint())
	f.check(other.ProbeRound(t.Context()))
	f.probe()
	if got := f.trail(); !slices.Equal(got, []string{"misconfigured"}) {
		t.Errorf("trail %v", got)
	}
	if got := f.entries(); len(got) != 0 {
		t.Errorf("log %v", got)
	}
}

// A secret that everybody changed at once makes strangers of the tokens that are
// about.
func TestThreat88SecretReplacedAtOnce(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	f.probe()
	before := f.mint()
	f.clock.advance(time.Minute)
	f.notary = notary.NewLocal(wrong)
	f.desk = f.open(forgery.Config{})
	f.evidence(forgery.Unknown, before)
	if got := f.trail(); !slices.Equal(got, []string{"misconfigured"}) {
		t.Errorf("trail %v", got)
	}
}

// A secret that is added, made the first, and dropped when its last token is dead is
// no trouble at all.
func TestSecretChangedInSteps(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	for _, secrets := range [][]notary.Secret{{right}, {right, wrong}, {wrong, right}, {wrong}} {
		f.notary = notary.NewLocal(secrets[0], secrets[1:]...)
		f.desk = f.open(forgery.Config{})
		for range 4 {
			f.probe()
			f.evidence(forgery.Genuine, f.mint())
			f.clock.advance(f.desk.Life() / 3)
		}
	}
	if got := f.trail(); len(got) != 0 {
		t.Errorf("trail %v", got)
	}
	f.evidence(forgery.Forged, f.forge(1))
}

// One of several notaries that disagrees with the others is found out, though the
// issuer asks another one.
func TestThreat88OneNotaryOfSeveral(t *testing.T) {
	a, b := notary.NewLocal(right), notary.NewLocal(wrong)
	f := newFixture(t, forgery.Config{Notary: a, Each: []notary.Notary{a, b}})
	f.probe()
	if got := f.trail(); !slices.Equal(got, []string{"misconfigured"}) {
		t.Errorf("trail %v", got)
	}
}

// Without the notary nothing is known: nothing is done, and nothing is lost.
func TestThreat91NotaryAway(t *testing.T) {
	s := newSplit(right, right)
	f := newFixture(t, forgery.Config{Notary: s})
	kid := f.active()
	token := f.forge(1)
	record, err := notary.RecordOf(kid, token)
	f.check(err)
	s.away.Store(true)
	if _, err := f.desk.Evidence(t.Context(), "guard", netip.Addr{}, token); !errors.Is(err, notary.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := f.desk.Records(t.Context(), "guard", []notary.Record{record}); !errors.Is(err, notary.ErrUnavailable) {
		t.Error(err)
	}
	if err := f.desk.ProbeRound(t.Context()); !errors.Is(err, notary.ErrUnavailable) {
		t.Error(err)
	}
	f.open(forgery.Config{Notary: s}) // and an issuer starts
	s.away.Store(false)
	f.evidence(forgery.Forged, token)
	s.away.Store(true)
	if err := f.desk.AnswerRound(t.Context()); !errors.Is(err, notary.ErrUnavailable) {
		t.Error(err)
	}
	f.want(kid, store.IncidentQuarantined, keyring.Active)
	s.away.Store(false)
	f.answer()
	f.want(kid, store.IncidentSwitched, keyring.Retiring)
	if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined", "rotated"}) {
		t.Errorf("trail %v", got)
	}
}

// Doubt that arises in the middle of an answer stops it until it is gone.
func TestThreat88DoubtStopsTheAnswer(t *testing.T) {
	s := newSplit(right, right)
	f := newFixture(t, forgery.Config{Notary: s})
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	s.checker.Store(notary.NewLocal(wrong))
	f.answer()
	f.want(kid, store.IncidentQuarantined, keyring.Active)
	s.checker.Store(notary.NewLocal(right))
	f.probe()
	f.clock.advance(f.desk.Life() + time.Second)
	f.probe()
	f.answer()
	f.want(kid, store.IncidentSwitched, keyring.Retiring)
	if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined", "misconfigured", "recovered", "quarantined", "rotated"}) {
		t.Errorf("trail %v", got)
	}
}

// One of several notaries that is away, or hangs, keeps the others from nothing.
func TestThreat91OneNotaryOfSeveralAway(t *testing.T) {
	a, b := newSplit(right, right), newSplit(right, right)
	f := newFixture(t, forgery.Config{Notary: a, Each: []notary.Notary{a, b}})
	b.away.Store(true)
	f.probe()
	f.evidence(forgery.Forged, f.forge(1))
	a.away.Store(true)
	if err := f.desk.ProbeRound(t.Context()); !errors.Is(err, notary.ErrUnavailable) {
		t.Error(err)
	}
	b.checker.Store(notary.NewLocal(wrong))
	b.away.Store(false)
	f.probe() // the one that answers tags with a secret and checks with another
	if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined", "misconfigured"}) {
		t.Errorf("trail %v", got)
	}
}

// An answer that cannot go on keeps the key in quarantine.
func TestQuarantineIsProlonged(t *testing.T) {
	s := newSplit(right, right)
	f := newFixture(t, forgery.Config{Notary: s})
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	s.away.Store(true)
	for range 100 {
		if err := f.desk.AnswerRound(t.Context()); err != nil && !errors.Is(err, notary.ErrUnavailable) {
			t.Fatal(err)
		}
		f.clock.advance(time.Minute)
	}
	if got := f.entries(kid); count(got, "key quarantine "+kid) != 4 {
		t.Errorf("log %v", got)
	}
}

// Who makes tokens live shorter, and changes the notary's secret with the wait that
// the shorter life asks for, has not outlived the tokens of before: they are no
// forgeries, and their sessions keep the key.
func TestThreat88TokensThatLiveLongerThanNewOnes(t *testing.T) {
	const longer = time.Hour
	f := newFixture(t, forgery.Config{TokenLife: longer})
	f.signIn("s1")
	old := f.mintBy(f.notary, map[string]any{"exp": f.clock.Now().Add(longer).Unix()})
	for _, secrets := range [][]notary.Secret{{right, wrong}, {wrong, right}} {
		f.notary = notary.NewLocal(secrets[0], secrets[1:]...)
		f.desk = f.open(forgery.Config{})
		f.probe()
	}
	f.clock.advance((longer + forgery.AfterLife) / 2)
	if f.desk.Life() != longer+forgery.AfterLife {
		t.Errorf("tokens are taken to live %v", f.desk.Life()-forgery.AfterLife)
	}
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	for range 2 {
		f.answer()
	}
	if in := f.incident(kid); in.State != store.IncidentSwitched || !in.Drained.IsZero() {
		t.Errorf("a session has its token of before, and %+v", in)
	}
	f.notary = notary.NewLocal(wrong)
	f.desk = f.open(forgery.Config{})
	f.evidence(forgery.Unknown, old)
	f.clock.advance(longer)
	f.probe()
	if f.desk.Life() != tokenLife+forgery.AfterLife {
		t.Errorf("the last of them is gone, and tokens are taken to live %v", f.desk.Life()-forgery.AfterLife)
	}
}
