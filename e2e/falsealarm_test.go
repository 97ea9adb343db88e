package e2e_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/verifier"
)

const (
	honestTokens = 100_000
	// honestEnv replaces honestTokens; make soak wants ten million.
	honestEnv = "COUNTERFOIL_HONEST_TOKENS"

	// batch is how many tokens are minted before they are shown.
	batch = 2000
	// held is how many tokens of a batch are shown later, after what happens next.
	held = 64
)

// A steppedClock is the clock of one machine.
type steppedClock struct{ offset atomic.Int64 }

func (c *steppedClock) Now() time.Time        { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *steppedClock) step(by time.Duration) { c.offset.Add(int64(by)) }

// A countingNotary is the notary of the deployment, whose secrets can be changed.
// It counts what the auditor was asked, so that a test knows that it was.
type countingNotary struct {
	local atomic.Pointer[notary.Local]
	right atomic.Int64
	wrong atomic.Int64
}

func newSecret() (s notary.Secret) {
	rand.Read(s[:])
	return s
}

func (n *countingNotary) Tag(ctx context.Context, kid string, d notary.Digest) (string, error) {
	return n.local.Load().Tag(ctx, kid, d)
}

func (n *countingNotary) Check(ctx context.Context, records []notary.Record) ([]bool, error) {
	right, err := n.local.Load().Check(ctx, records)
	for i := range right {
		if right[i] {
			n.right.Add(1)
		} else {
			n.wrong.Add(1)
		}
	}
	return right, err
}

// An honestWorld is a deployment in this process to which things happen, none of
// them a theft.
type honestWorld struct {
	t       *testing.T
	clock   *steppedClock // of the issuer's machine
	notary  *countingNotary
	secrets []notary.Secret
	alarms  *alarms
	iss     *issuertest.Issuer

	verifiers []*honestVerifier
	late      []string // tokens to be shown after what happens next
	shown     int
	refused   int // for a clock that disagrees, never as forged
}

// An honestVerifier may be restarted, and its clock stepped.
type honestVerifier struct {
	*verifier.Verifier
	clock      *steppedClock
	credential string
	state      string
}

func newHonestWorld(t *testing.T) *honestWorld {
	t.Helper()
	w := &honestWorld{
		t: t, clock: new(steppedClock), notary: new(countingNotary),
		secrets: []notary.Secret{newSecret()}, alarms: newAlarms(t),
	}
	w.notary.local.Store(notary.NewLocal(w.secrets[0]))
	w.iss = issuertest.Start(t, issuer.Config{Now: w.clock.Now, Tagger: w.notary})
	for _, name := range []string{"one", "two"} {
		v := &honestVerifier{clock: new(steppedClock), credential: w.iss.Credential(t, name), state: t.TempDir()}
		w.verifiers = append(w.verifiers, v)
		w.open(v)
	}
	return w
}

func (w *honestWorld) open(v *honestVerifier) {
	v.Verifier = w.iss.VerifierWith(w.t, verifier.Config{Now: v.clock.Now, Credential: v.credential, StateDir: v.state})
}

// An event is what happens to an honest deployment.
type event struct {
	name string
	do   func(w *honestWorld)
}

var events = []event{
	{"a rotation", (*honestWorld).rotate},
	{"a restart of the issuer", (*honestWorld).restartIssuer},
	{"a restart of a verifier", func(w *honestWorld) { w.restart(w.verifiers[0]) }},
	{"a second secret that checks", func(w *honestWorld) { w.setSecrets(append(w.secrets, newSecret())...) }},
	{"the second secret that tags", func(w *honestWorld) { w.setSecrets(w.secrets[1], w.secrets[0]) }},
	{"a restart of the issuer with both", (*honestWorld).restartIssuer},
	{"the issuer's clock an hour ahead", func(w *honestWorld) { w.clock.step(time.Hour) }},
	{"a rotation an hour ahead", (*honestWorld).rotate},
	{"a restart an hour ahead", (*honestWorld).restartIssuer},
	{"the issuer's clock an hour back", func(w *honestWorld) { w.clock.step(-time.Hour) }},
	{"the issuer's clock an hour behind", func(w *honestWorld) { w.clock.step(-time.Hour) }},
	{"a rotation an hour behind", (*honestWorld).rotate},
	{"a restart of the other verifier", func(w *honestWorld) { w.restart(w.verifiers[1]) }},
	{"the issuer's clock right again", func(w *honestWorld) { w.clock.step(time.Hour) }},
	{"a verifier's clock an hour ahead", func(w *honestWorld) { w.verifiers[0].clock.step(time.Hour) }},
	{"a verifier's clock an hour behind", func(w *honestWorld) { w.verifiers[0].clock.step(-2 * time.Hour) }},
	{"a verifier's clock right again", func(w *honestWorld) { w.verifiers[0].clock.step(time.Hour) }},
	{"a rotation and a restart of everything", func(w *honestWorld) {
		w.rotate()
		w.restartIssuer()
		w.restart(w.verifiers[0])
		w.restart(w.verifiers[1])
	}},
	{"an hour, in which the tokens of the first secret die", (*honestWorld).waitAnHour},
	{"the first secret dropped", func(w *honestWorld) { w.setSecrets(w.secrets[0]) }},
	{"a restart of the issuer without it", (*honestWorld).restartIssuer},
}

func (w *honestWorld) rotate() {
	if _, err := w.iss.Keyring(w.t).Rotate(w.t.Context(), keyring.RotateOptions{Force: true, Actor: "test"}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *honestWorld) restart(v *honestVerifier) {
	if err := v.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open(v)
}

func (w *honestWorld) restartIssuer() {
	w.iss.Stop(w.t)
	w.iss.Restart(w.t)
}

// waitAnHour lets an hour pass for everybody, until the issuer has forgotten the
// probes of before too.
func (w *honestWorld) waitAnHour() {
	w.late = nil
	before := w.clock.Now()
	w.clock.step(time.Hour)
	for _, v := range w.verifiers {
		v.clock.step(time.Hour)
	}
	waitFor(w.t, nil, "the end of the probes of before", func() error {
		return w.iss.Store(w.t).View(w.t.Context(), func(tx *store.Tx) error {
			old, err := tx.Probes(time.Time{})
			if err == nil && slices.ContainsFunc(old, func(p store.Probe) bool { return !p.At.After(before) }) {
				err = errors.New("they are still there")
			}
			return err
		})
	})
	w.restartIssuer()
}

// setSecrets changes the notary's secrets: the first tags, all check.
func (w *honestWorld) setSecrets(secrets ...notary.Secret) {
	w.secrets = secrets
	w.notary.local.Store(notary.NewLocal(secrets[0], secrets[1:]...))
}

// round shows n honest tokens, each to one verifier and some to both, and keeps a
// few for later.
func (w *honestWorld) round(n int) {
	w.t.Helper()
	var refused atomic.Int64
	for done := 0; done < n; done += batch {
		tokens := w.mint(min(batch, n-done))
		tokens, w.late = append(tokens, w.late...), nil
		var wg sync.WaitGroup
		for i, v := range w.verifiers {
			wg.Go(func() {
				for j, token := range tokens {
					if j%len(w.verifiers) != i && j%10 != 0 {
						continue
					}
					if _, err := v.Verify(w.t.Context(), token); err != nil {
						refused.Add(1)
						w.checkRefusal(err)
					}
				}
			})
		}
		wg.Wait()
		w.late = tokens[:min(held, len(tokens))]
	}
	w.shown += n
	w.refused += int(refused.Load())
}

// checkRefusal: clocks that disagree are the only reason to refuse an honest token.
func (w *honestWorld) checkRefusal(err error) {
	var expired *jwt.ExpiredError
	var early *jwt.NotYetError
	var limit *jwt.LimitError
	if !errors.As(err, &expired) && !errors.As(err, &early) && !errors.As(err, &limit) {
		w.t.Errorf("an honest token is refused: %v", err)
	}
}

// mint makes tokens as the issuer does, two at a time. The log does not move
// meanwhile, so that its head is read once.
func (w *honestWorld) mint(n int) []string {
	head := w.head()
	tokens := make([]string, n)
	const workers = 2
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for i := k; i < n; i += workers {
				tokens[i] = w.iss.Mint(w.t, issuertest.Claims{"sid": "session-" + strconv.Itoa(mathrand.IntN(1000)), "rsq": head})
			}
		})
	}
	wg.Wait()
	return tokens
}

func (w *honestWorld) head() (seq uint64) {
	w.t.Helper()
	err := w.iss.Store(w.t).View(w.t.Context(), func(tx *store.Tx) error {
		head, err := tx.Head()
		seq = head.Seq
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return seq
}

// TestNoFalseAlarm: whatever happens to an honest deployment, no honest token is
// ever taken for a forged one.
func TestNoFalseAlarm(t *testing.T) {
	total := honestTokens
	if s := os.Getenv(honestEnv); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	w := newHonestWorld(t)
	began := time.Now()
	for _, e := range events {
		w.round(total / (len(events) + 1))
		e.do(w)
		w.check(e.name)
		t.Logf("%s: %d honest tokens, %.0f a second, alarms 0", e.name, w.shown, float64(w.shown)/time.Since(began).Seconds())
	}
	w.round(total - w.shown)
	w.checkSeen()
	t.Logf("measured: honest tokens %d, refused for a clock %d, records checked by the auditor %d, wrong %d, alarms 0",
		w.shown, w.refused, w.notary.right.Load(), w.notary.wrong.Load())
}

// check: nothing that happened was taken for a theft.
func (w *honestWorld) check(after string) {
	w.t.Helper()
	if raised, _ := w.alarms.all(); len(raised) > 0 {
		w.t.Fatalf("after %s: a false alarm: %s", after, raised[0].body)
	}
	if n := w.notary.wrong.Load(); n > 0 {
		w.t.Fatalf("after %s: %d tags of honest tokens are wrong", after, n)
	}
	for _, v := range w.verifiers {
		if seen := v.Status().Seen; seen.Wrong+seen.Forged+seen.Unproved > 0 {
			w.t.Fatalf("after %s: %+v", after, seen)
		}
	}
}

// checkSeen: the auditor was asked about the tokens, or all of this shows nothing.
// Those that had expired by the verifier's clock are not reported, and those from
// before their key's time are shown whole, as many as there is room for.
func (w *honestWorld) checkSeen() {
	w.t.Helper()
	for _, v := range w.verifiers {
		waitFor(w.t, nil, "the auditor's answers", func() error {
			if n := v.Status().Seen.Waiting; n > 0 {
				return fmt.Errorf("%d tokens wait", n)
			}
			return nil
		})
	}
	if seen := w.notary.right.Load(); seen < int64(w.shown)/2 {
		w.t.Errorf("of %d tokens the auditor was asked about %d", w.shown, seen)
	}
	err := w.iss.Store(w.t).View(w.t.Context(), func(tx *store.Tx) error {
		incidents, err := tx.Incidents()
		if len(incidents) > 0 {
			w.t.Errorf("incidents: %+v", incidents)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
