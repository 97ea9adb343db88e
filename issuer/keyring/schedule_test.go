package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
)

// signs returns the kid that signs with the default algorithm.
func signs(t testing.TB, ring *keyring.Keyring) string {
	t.Helper()
	signer, err := ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	return signer.Key().KeyID()
}

// tick lets time pass and then a second of the issuer's maintenance.
func tick(t testing.TB, now *clock, d time.Duration, gate keyring.Gate, nodes ...*keyring.Keyring) {
	t.Helper()
	now.advance(d)
	for _, n := range nodes {
		if err := errors.Join(n.Reload(t.Context()), n.Scheduled(t.Context(), gate)); err != nil {
			t.Fatal(err)
		}
	}
}

const day = 24 * time.Hour

func TestScheduledRotation(t *testing.T) {
	now := newClock()
	st, kek := newStore(t), newKEK(t)
	ring := open(t, st, keyring.Config{KEK: kek, Now: now.Now})
	first, due := signs(t, ring), now.Now().Add(30*day)
	if p := ring.Plans()[0]; !p.Due.Equal(due) || p.From != first {
		t.Errorf("plan %+v, want it due %v", p, due)
	}
	tick(t, now, 30*day-time.Second, nil, ring)
	if signs(t, ring) != first {
		t.Error("rotated before it was due")
	}
	tick(t, now, time.Second, nil, ring)
	second := signs(t, ring)
	if second == first {
		t.Error("not rotated when it was due")
	}
	if got := counts(ring, jwk.ES256); got != "standby=2 active=1 retiring=1 retired=0 killed=0" {
		t.Error(got)
	}
	tick(t, now, time.Minute, nil, ring)
	if signs(t, ring) != second {
		t.Error("rotated twice")
	}
}

// A key that is due has to have been published for a day, whoever asks how often.
func TestStandbyIsPublishedForADay(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now, RotateEvery: time.Hour})
	published := map[string]time.Time{}
	last := signs(t, ring)
	rotations := 0
	for range 24 * 20 {
		for _, info := range ring.Keys() {
			published[info.KeyID] = info.Published
		}
		tick(t, now, time.Hour, nil, ring)
		if kid := signs(t, ring); kid != last {
			if age := now.Now().Sub(published[kid]); age < day {
				t.Errorf("key %s signs %v after it was published", kid, age)
			}
			last = kid
			rotations++
		}
	}
	if rotations < 30 {
		t.Errorf("%d rotations in 20 days: nothing was tested", rotations)
	}
}

func TestRotationByHandOnly(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now, RotateEvery: -1})
	first := signs(t, ring)
	if p := ring.Plans()[0]; !p.Due.IsZero() {
		t.Errorf("plan %+v", p)
	}
	for range 10 {
		tick(t, now, 1000*day, nil, ring)
	}
	if signs(t, ring) != first {
		t.Error("rotated by itself")
	}
}

// Nodes that are all told the time rotate once, and one that starts afterwards, or
// that was down when it was due, neither does so again nor forgets it.
func TestRestartedNodeNeitherRotatesTwiceNorForgets(t *testing.T) {
	now := newClock()
	st := newStore(t)
	cfg := keyring.Config{KEK: newKEK(t), Now: now.Now, Algorithms: []jwk.Algorithm{jwk.ES256, jwk.EdDSA}}
	nodes := []*keyring.Keyring{open(t, st, cfg), open(t, st, cfg), open(t, st, cfg)}
	for month := range 6 {
		before := len(nodes[0].Keys())
		now.advance(15 * day)
		if month%2 == 1 { // all of them start again, half a month before it is due
			for i := range nodes {
				nodes[i] = open(t, st, cfg)
			}
		}
		now.advance(15 * day)
		for _, n := range nodes { // none has looked since another one rotated
			if err := n.Scheduled(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		tick(t, now, time.Second, nil, open(t, st, cfg))
		tick(t, now, time.Second, nil, nodes...)
		if added := len(nodes[0].Keys()) - before; added != 2 {
			t.Fatalf("month %d: %d keys were made by %d nodes, want one for each algorithm", month, added, len(nodes))
		}
	}
}

// A gate that names verifiers holds a rotation up, and so does one that does not
// answer. Nothing holds up what is forced.
func TestGate(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now})
	first, waiting, trouble := signs(t, ring), []string{"orders/a", "orders/b"}, error(nil)
	var asked []string
	gate := func(_ context.Context, kid string) ([]string, error) {
		asked = append(asked, kid)
		return waiting, trouble
	}
	tick(t, now, 29*day, gate, ring)
	if len(asked) != 0 {
		t.Error("the gate is asked before anything is due")
	}
	next := ring.Plans()[0].To
	tick(t, now, day, gate, ring)
	if signs(t, ring) != first || !slices.Equal(asked, []string{next}) {
		t.Fatalf("signs with %s, asked about %v", signs(t, ring), asked)
	}
	_, err := ring.Rotate(t.Context(), keyring.RotateOptions{Gate: gate})
	var w *keyring.WaitingError
	if !errors.As(err, &w) || w.KeyID != next || !slices.Equal(w.Verifiers, waiting) || !strings.Contains(err.Error(), "orders/b") {
		t.Errorf("got %v", err)
	}
	trouble = errors.New("the store is away")
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Gate: gate}); !errors.Is(err, trouble) || signs(t, ring) != first {
		t.Errorf("rotated though nobody knows who waits: %v", err)
	}
	waiting, trouble = nil, nil
	tick(t, now, time.Second, gate, ring)
	if signs(t, ring) != next {
		t.Error("not rotated when the gate opened")
	}
	waiting = []string{"orders/a"}
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Gate: gate, Force: true}); err != nil {
		t.Error(err)
	}
}

// A verifier that never confirms a key holds a rotation up for a week, which the log
// says each day. Then it is left behind, by name.
func TestGateIsNotWaitedForForEver(t *testing.T) {
	now, st, log := newClock(), newStore(t), &bytes.Buffer{}
	ring := open(t, st, keyring.Config{KEK: newKEK(t), Now: now.Now, Log: slog.New(slog.NewTextHandler(log, nil))})
	first := signs(t, ring)
	liar := func(context.Context, string) ([]string, error) { return []string{"liar/1"}, nil }
	tick(t, now, 30*day, liar, ring)
	for range 7*24 - 1 {
		tick(t, now, time.Hour, liar, ring)
	}
	if signs(t, ring) != first {
		t.Error("not waited for")
	}
	if told := strings.Count(log.String(), "waits for verifiers"); told != 7 {
		t.Errorf("said %d times in 7 days", told)
	}
	tick(t, now, time.Hour, liar, ring)
	if signs(t, ring) == first {
		t.Fatal("after a week the first key still signs")
	}
	if !strings.Contains(log.String(), `level=WARN msg="another key signs, though`) || !strings.Contains(log.String(), "liar/1") {
		t.Error(log)
	}
	if rows := audited(t, st, audit.KeyRotate, 1); !strings.Contains(rows[0].Detail, `left="liar/1"`) {
		t.Error(rows[0].Detail)
	}
}

func TestRotateFrom(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	nodes := []*keyring.Keyring{open(t, st, keyring.Config{KEK: kek}), open(t, st, keyring.Config{KEK: kek})}
	first := signs(t, nodes[0])
	if _, err := nodes[1].Rotate(t.Context(), keyring.RotateOptions{From: first, Force: true}); err != nil {
		t.Fatal(err)
	}
	// The other node has not heard of it.
	for _, from := range []string{first, kids(nodes[0], jwk.ES256, keyring.Standby)[1]} {
		if _, err := nodes[0].Rotate(t.Context(), keyring.RotateOptions{From: from, Force: true}); !errors.Is(err, keyring.ErrNotActive) {
			t.Errorf("from %s: %v", from, err)
		}
	}
	if _, err := nodes[0].Rotate(t.Context(), keyring.RotateOptions{From: "nonesuch", Force: true}); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
	if a, b := signs(t, nodes[0]), signs(t, nodes[1]); a != b {
		t.Errorf("%s and %s sign", a, b)
	}
}

// mint makes an access token as an issuer does, but for the tag.
func mint(t testing.TB, signer *jws.Signer, iat time.Time, life time.Duration) string {
	t.Helper()
	rest := fmt.Sprintf(`,"iss":%q,"sub":"ada","aud":"api","iat":%d,"exp":%d}`, issuerURL, iat.Unix(), iat.Add(life).Unix())
	token, err := signer.Sign(notary.Join(strings.Repeat("A", notary.IDSize), []byte(rest)))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// verify is what any verifier does that knows Level 0.
func verify(set *jwk.Set, at time.Time, token string) error {
	_, err := jwt.Verify[struct{}](jwt.Policy{
		Issuer: issuerURL, Audience: "api", Type: "at+jwt", Now: func() time.Time { return at },
	}, set, token)
	return err
}

// A caching verifier keeps a key set for half a day, whatever it is told.
type caching struct {
	set     *jwk.Set
	fetched time.Time
}

func (c *caching) verify(ring *keyring.Keyring, token string) error {
	if c.set == nil || time.Since(c.fetched) >= 12*time.Hour {
		c.set, c.fetched = ring.Public(), time.Now()
	}
	return verify(c.set, time.Now(), token)
}

// A hundred rotations, each when it is due, and verifiers that keep an old key set
// for half a day: each token verifies everywhere as long as it lives.
func TestThreat92HundredRotations(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), RotateEvery: 25 * time.Hour})
		verifiers := make([]caching, 4)
		seen := map[string]bool{}
		for step := 0; len(seen) <= 100; step++ {
			s := signer(t, ring)
			seen[s.Key().KeyID()] = true
			token := mint(t, s, time.Now(), time.Hour)
			for _, later := range []time.Duration{0, 59 * time.Minute} {
				time.Sleep(later)
				for i := range verifiers[:min(step/2+1, 4)] { // each fetches at another hour
					if err := verifiers[i].verify(ring, token); err != nil {
						t.Fatalf("after %d rotations: %v", len(seen)-1, err)
					}
				}
				if err := errors.Join(ring.Scheduled(t.Context(), nil), ring.Expire(t.Context())); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Hour)
		}
	})
}

// Without the day as a standby, the same verifiers do fail.
func TestRotationsWithoutADayOfStandby(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t)})
		v := caching{}
		if err := v.verify(ring, mint(t, signer(t, ring), time.Now(), time.Hour)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(time.Second) // or the new standby would be as old as the one before it
			if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.verify(ring, mint(t, signer(t, ring), time.Now(), time.Hour)); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("a verifier with an old key set was expected to fail: %v", err)
		}
	})
}

func signer(t testing.TB, ring *keyring.Keyring) *jws.Signer {
	t.Helper()
	s, err := ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The stolen key of 2023 was an old one that still verified. A key that is retired
// signs nothing that passes: not with the present iat, which is outside its window,
// nor, once its tokens have died, with one from inside.
func TestThreat89RetiredKeyUsed(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now})
	stolen := signer(t, ring)
	if err := verify(ring.Public(), now.Now(), mint(t, stolen, now.Now(), time.Hour)); err != nil {
		t.Fatal(err)
	}
	tick(t, now, 30*day, nil, ring)
	stopped := now.Now()
	if signs(t, ring) == stolen.Key().KeyID() {
		t.Fatal("not rotated")
	}
	kept := ring.Public() // a verifier that never fetches again

	var claim *jwt.ClaimError
	now.advance(2 * time.Minute)
	if err := verify(kept, now.Now(), mint(t, stolen, now.Now(), time.Hour)); !errors.As(err, &claim) || claim.Claim != "iat" {
		t.Errorf("with the present iat: %v", err)
	}
	if err := verify(kept, now.Now(), mint(t, stolen, stopped.Add(-time.Minute), time.Hour)); err != nil {
		t.Errorf("what was signed before the rotation: %v", err)
	}
	if err := verify(kept, now.Now(), mint(t, stolen, stopped, 30*day)); !errors.As(err, &claim) {
		t.Errorf("with a long life: %v", err)
	}
	tick(t, now, 3*time.Hour, nil, ring)
	if err := ring.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, iat := range map[string]time.Time{"present": now.Now(), "old": stopped.Add(-time.Minute)} {
		token := mint(t, stolen, iat, time.Hour)
		if verify(kept, now.Now(), token) == nil {
			t.Errorf("%s iat: taken by a verifier that never fetched again", name)
		}
		if err := verify(ring.Public(), now.Now(), token); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("%s iat: %v", name, err)
		}
	}
	if key, info, ok := ring.Verification(stolen.Key().KeyID()); !ok || info.State != keyring.Retired || key.Limits().Until.IsZero() {
		t.Errorf("as evidence: %v %+v", ok, info)
	}
}

// A key that was withdrawn, at its time or by force, is in no set from then on, and
// who keeps to max-age refuses it when that has passed.
func TestThreat96WithdrawnKeyAtItsIssuer(t *testing.T) {
	now := newClock()
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t), Now: now.Now})
	killed := signer(t, ring)
	if _, err := ring.Kill(t.Context(), killed.Key().KeyID(), "test"); err != nil {
		t.Fatal(err)
	}
	retired := signer(t, ring)
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*jws.Signer{"killed": killed, "retired": retired} {
		err := verify(ring.Public(), now.Now(), mint(t, s, now.Now(), time.Hour))
		if want := name == "killed"; errors.Is(err, jwk.ErrUnknownKey) != want {
			t.Errorf("%s at once: %v", name, err)
		}
	}
	now.advance(keyring.DefaultMaxTokenLife + 13*time.Minute)
	if err := ring.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := verify(ring.Public(), now.Now(), mint(t, retired, now.Now(), time.Hour)); !errors.Is(err, jwk.ErrUnknownKey) {
		t.Errorf("retired: %v", err)
	}
}

// An algorithm that is not configured any more loses its keys as by a rotation that has
// no successor, and has new ones when it comes back.
func TestAlgorithmTakenAway(t *testing.T) {
	now, st, kek := newClock(), newStore(t), newKEK(t)
	both := keyring.Config{KEK: kek, Now: now.Now, Algorithms: []jwk.Algorithm{jwk.ES256, jwk.EdDSA}}
	first := open(t, st, both)
	signer, err := first.Signer(jwk.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	token := mint(t, signer, now.Now(), time.Hour)

	ring := openQuiet(t, st, keyring.Config{KEK: kek, Now: now.Now})
	if got := counts(ring, jwk.EdDSA); got != "standby=0 active=0 retiring=1 retired=2 killed=0" {
		t.Error("taken away: ", got)
	}
	if err := verify(ring.Public(), now.Now().Add(time.Minute), token); err != nil {
		t.Error("an honest token: ", err)
	}
	late := mint(t, signer, now.Now().Add(5*time.Minute), time.Hour)
	if err := verify(ring.Public(), now.Now().Add(6*time.Minute), late); err == nil {
		t.Error("a token of after is good")
	}
	steps := 0
	for _, row := range audited(t, st, audit.KeyState, 9) {
		if strings.Contains(row.Detail, "alg=EdDSA from=") {
			steps++
		}
	}
	if steps != 3 {
		t.Errorf("%d steps in the audit trail", steps)
	}
	tick(t, now, time.Minute, nil, ring)
	if got := counts(ring, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=0" {
		t.Error("what stays: ", got)
	}
	if _, err := ring.Kill(t.Context(), kids(ring, jwk.EdDSA, keyring.Retiring)[0], "test"); err != nil {
		t.Fatal(err)
	}
	if got := counts(ring, jwk.EdDSA); got != "standby=0 active=0 retiring=0 retired=2 killed=1" {
		t.Error("killed: ", got)
	}

	again := open(t, st, both)
	if got := counts(again, jwk.EdDSA); got != "standby=2 active=1 retiring=0 retired=2 killed=1" {
		t.Error("back again: ", got)
	}
	if got := counts(again, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=0" {
		t.Error("beside it: ", got)
	}
}
