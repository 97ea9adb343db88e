package verifier_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testkey"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

func unavailable(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
}

func TestThreat86Quarantine(t *testing.T) {
	for _, cache := range []int{verifier.DefaultCacheTokens, -1} {
		audited(t, func(t *testing.T, a *auditor) {
			v := a.o.ready(t, func(c *verifier.Config) { c.CacheTokens = cache })
			known, forged := a.genuine(nil), a.forge(nil)
			verify(t, v, known)
			verify(t, v, forged)
			pass(time.Second)
			a.o.quarantine()
			pass(time.Second)

			begin := time.Now()
			if err := verify(t, v, known); err != nil || time.Since(begin) > 0 {
				t.Errorf("a proved token: %v after %v", err, time.Since(begin))
			}
			pass401(t, verify(t, v, forged), verifier.ErrForged)
			fresh, thief := a.genuine(claims{"n": 1}), a.forge(claims{"n": 1})
			begin = time.Now()
			if err := verify(t, v, fresh); err != nil {
				t.Errorf("a first-seen token: %v", err)
			}
			pass401(t, verify(t, v, thief), verifier.ErrForged)
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("two proofs took %v", took)
			}
			pass(time.Second)
			pass401(t, verify(t, v, thief), verifier.ErrForged)
			a.wantEvidence(t, forged, thief)
			a.wantRecords(t, 4)

			a.set(func() { a.seen = unavailable })
			if err := verify(t, v, fresh); err != nil {
				t.Errorf("a proved token while the auditor is down: %v", err)
			}
			begin = time.Now()
			pass401(t, verify(t, v, a.genuine(claims{"n": 2})), verifier.ErrUnproved)
			if took := time.Since(begin); took != verifier.ProveWait {
				t.Errorf("an unproved token waited %v", took)
			}
			if s := v.Status().Seen; s.Unproved != 1 || s.Proving != 0 || s.Forged != 3 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A token that is on its way to the auditor already is waited for, and one that the
// share leaves out is proved all the same.
func TestThreat86TokenOnItsWay(t *testing.T) {
	for _, share := range []float64{1, 1e-9} {
		audited(t, func(t *testing.T, a *auditor) {
			v := a.o.ready(t, func(c *verifier.Config) { c.SeenShare = share })
			pending := a.genuine(nil)
			if share == 1 {
				a.set(func() { a.seen = unavailable })
			}
			verify(t, v, pending)
			pass(10 * time.Second)
			a.o.quarantine()
			pass(time.Second)
			a.set(func() { a.seen = nil })
			begin := time.Now()
			err := verify(t, v, pending)
			if took := time.Since(begin); err != nil || took > 120*time.Millisecond {
				t.Errorf("share %v: %v after %v", share, err, took)
			}
		})
	}
}

// Many that wait for one token wait for one record.
func TestThreat86Coalesced(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.quarantine()
		pass(time.Second)
		tokens := make([]string, 20)
		for i := range tokens {
			tokens[i] = a.genuine(claims{"n": i})
		}
		var wg sync.WaitGroup
		for range 50 {
			for _, token := range tokens {
				wg.Go(func() {
					if err := verify(t, v, token); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		a.wantRecords(t, len(tokens))
		if s := v.Status().Seen; s.Reports > 3 || s.ProvingPeak > s.ProvingCap {
			t.Errorf("%+v", s)
		}
	})
}

// Those who wait are bounded, and honour their contexts.
func TestThreat86WaitersAreBounded(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.quarantine()
		pass(time.Second)
		a.set(func() { a.seen = hang })
		token := a.genuine(nil)
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2000)
		for range cap(errs) {
			go func() { _, err := v.Verify(ctx, token); errs <- err }()
		}
		pass(time.Millisecond)
		const most = 1024 // with one token
		s := v.Status().Seen
		if s.Proving != most || s.Unproved != uint64(cap(errs)-most) {
			t.Errorf("%+v", s)
		}
		cancel()
		pass(0)
		var gaveUp int
		for range cap(errs) {
			select {
			case err := <-errs:
				if errors.Is(err, context.Canceled) {
					gaveUp++
				}
			default:
				t.Fatal("somebody waits although his context has ended")
			}
		}
		if s := v.Status().Seen; gaveUp != most || s.Proving != 0 {
			t.Errorf("%d gave up, %+v", gaveUp, s)
		}
	})
}

// An auditor that comes back is used at once by those who wait, whatever the pause
// after its absence.
func TestThreat86AuditorComesBack(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.set(func() { a.seen = unavailable })
		a.o.quarantine()
		verify(t, v, a.genuine(nil))
		pass(time.Minute)
		a.set(func() { a.seen = nil })
		if err := verify(t, v, a.genuine(claims{"n": 1})); err != nil {
			t.Error(err)
		}
	})
	// Nor does an answer that the issuer has none stand in the way for long.
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.set(func() { a.seen = http.NotFound })
		verify(t, v, a.genuine(nil))
		pass(time.Minute)
		a.o.quarantine()
		pass(time.Second)
		pass401(t, verify(t, v, a.genuine(claims{"n": 1})), verifier.ErrUnproved)
		a.set(func() { a.seen = nil })
		pass(time.Second)
		if err := verify(t, v, a.genuine(claims{"n": 2})); err != nil {
			t.Error(err)
		}
		if v.Status().Seen.Off {
			t.Error("still off")
		}
	})
}

// One auditor that hangs does not keep others from being asked.
func TestThreat86HangingRequest(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.set(func() { a.seen = hang })
		verify(t, v, a.genuine(nil))
		pass(time.Second) // an ordinary report hangs
		a.o.quarantine()
		pass(10 * time.Millisecond)
		a.set(func() { a.seen = nil })
		if err := verify(t, v, a.genuine(claims{"n": 1})); err != nil {
			t.Error(err)
		}
	})
}

// No verdict at all is no proof, and what is wrong is wrong however many there are.
func TestThreat86FloodOfForgeries(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.quarantine()
		pass(time.Second)
		var wg sync.WaitGroup
		for i := range 200 {
			good, forged := a.genuine(claims{"n": i}), a.forge(claims{"n": i})
			wg.Go(func() {
				if err := verify(t, v, good); err != nil {
					t.Errorf("honest: %v", err)
				}
			})
			wg.Go(func() {
				if err := verify(t, v, forged); !errors.Is(err, verifier.ErrForged) && !errors.Is(err, verifier.ErrUnproved) {
					t.Errorf("forged: %v", err)
				}
			})
		}
		wg.Wait()
		pass(time.Minute)
		s := v.Status().Seen
		if s.Waiting != 0 || s.Wrong != 200 || s.Proved != 200 || s.EvidencePeak > s.EvidenceCap || s.Evidence != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// The token is revoked, or its key killed, while somebody waits for the proof.
func TestThreat86RevokedWhileProving(t *testing.T) {
	for _, kind := range []revocation.Kind{revocation.Token, revocation.Key} {
		audited(t, func(t *testing.T, a *auditor) {
			v := a.o.ready(t, nil)
			a.o.quarantine()
			pass(time.Second)
			token := a.genuine(nil)
			a.set(func() {
				a.seen = func(w http.ResponseWriter, r *http.Request) {
					value := idOf(token)
					if kind == revocation.Key {
						value = a.o.signing[0].KeyID()
					}
					entry := a.o.entry(kind, value)
					entry.Flags = revocation.Absolute
					a.o.append(entry)
					time.Sleep(50 * time.Millisecond) // the entry arrives
					answerJSON(`{"wrong":[],"again":[]}`)(w, r)
				}
			})
			if err := verify(t, v, token); !refusedAs(err, kind) {
				t.Errorf("%v: %v", kind, err)
			}
		})
	}
}

// The table is loaded anew while somebody waits.
func TestThreat86TableReloadedWhileProving(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.quarantine()
		pass(time.Second)
		token := a.genuine(nil)
		a.set(func() {
			a.seen = func(w http.ResponseWriter, r *http.Request) {
				a.o.newEpoch()
				time.Sleep(300 * time.Millisecond)
				answerJSON(`{"wrong":[0],"again":[]}`)(w, r)
			}
		})
		pass401(t, verify(t, v, token), verifier.ErrForged)
	})
}

// witnessing lets the root vouch for the notary's witness keys.
func (a *auditor) witnessing() {
	keys := must(a.WitnessKeys(context.Background()))
	a.o.set(func() { a.o.witnesses, a.o.version = keys, a.o.version+1 })
}

func TestThreat85Witness(t *testing.T) {
	for _, mode := range []verifier.WitnessMode{verifier.WitnessOff, verifier.WitnessReport, verifier.WitnessEnforce} {
		t.Run(mode.String(), func(t *testing.T) {
			audited(t, func(t *testing.T, a *auditor) {
				a.witnessing()
				v := a.o.ready(t, func(c *verifier.Config) { c.Witness = mode })
				good, other := a.witnessed(nil), a.witnessed(claims{"sub": "user-2"})
				without := a.genuine(nil)
				_, witness := notary.SplitWitness(other[:strings.IndexByte(other, '.')])
				s, rest := a.signer("at+jwt"), a.payload(nil)
				jti := must(a.Tag(context.Background(), s.Key().KeyID(), notary.Sum(s.Header(), rest)))
				otherPayload := must(must(s.With(notary.WitnessHeader, witness)).Sign(notary.Join(jti, rest)))
				stranger := notary.NewLocal(notary.Secret{5})
				jti, witness, err := stranger.TagWitness(context.Background(), s.Key().KeyID(), s.Header(), rest)
				if err != nil {
					t.Fatal(err)
				}
				wrong := must(must(s.With(notary.WitnessHeader, witness)).Sign(notary.Join(jti, rest)))
				enforced := mode == verifier.WitnessEnforce
				for name, c := range map[string]struct {
					token string
					want  error
				}{
					"right": {good, nil}, "another right one": {other, nil}, "without": {without, notary.ErrNoWitness},
					"of another payload": {otherPayload, notary.ErrWitness}, "by another notary": {wrong, notary.ErrWitness},
				} {
					for range 2 {
						err := verify(t, v, c.token)
						if c.want != nil && enforced {
							pass401(t, err, c.want)
						} else if err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
				}
				status := v.Status().Seen
				if looked := mode != verifier.WitnessOff; looked != (status.WitnessMissing == 1 && status.WitnessWrong == 2) {
					t.Errorf("%+v", status)
				}
			})
		})
	}
}

// A quarantine turns report-only into enforced: a right witness passes without the
// auditor, a missing one does not; what was proved before flows.
func TestThreat85QuarantineEnforcesWitness(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		a.witnessing()
		v := a.o.ready(t, func(c *verifier.Config) { c.Witness = verifier.WitnessReport })
		proved := a.genuine(nil)
		verify(t, v, proved)
		pass(time.Second)
		a.o.quarantine()
		a.set(func() { a.seen = unavailable })
		pass(time.Second)
		if err := verify(t, v, proved); err != nil {
			t.Errorf("proved: %v", err)
		}
		if err := verify(t, v, a.witnessed(nil)); err != nil {
			t.Errorf("witnessed: %v", err)
		}
		pass401(t, verify(t, v, a.genuine(claims{"n": 1})), notary.ErrNoWitness)
		pass401(t, verify(t, v, a.forge(nil)), notary.ErrNoWitness)
	})
	// An issuer that makes no witnesses has none enforced.
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, func(c *verifier.Config) { c.Witness = verifier.WitnessReport })
		a.o.quarantine()
		pass(time.Second)
		if err := verify(t, v, a.genuine(nil)); err != nil {
			t.Error(err)
		}
	})
	// Enforced without any key to check them by is closed, also for one that claims
	// to have a witness.
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, func(c *verifier.Config) { c.Witness = verifier.WitnessEnforce })
		pass401(t, verify(t, v, a.genuine(nil)), notary.ErrNoWitness)
		pass401(t, verify(t, v, a.witnessed(nil)), notary.ErrWitness)
	})
}

// A witness key that the root names later counts for tokens that are remembered,
// and one that it takes away counts until tokens of then are gone.
func TestThreat85WitnessKeysChange(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, func(c *verifier.Config) { c.Witness = verifier.WitnessEnforce })
		token := a.witnessed(nil)
		pass401(t, verify(t, v, token), notary.ErrWitness)
		a.witnessing()
		pass(2 * time.Second)
		if err := verify(t, v, token); err != nil {
			t.Error(err)
		}
		other := must(notary.NewLocal(notary.Secret{5}).WitnessKeys(context.Background()))
		a.o.set(func() { a.o.witnesses, a.o.version = other, a.o.version+1 })
		pass(2 * time.Second)
		if err := verify(t, v, token); err != nil {
			t.Errorf("after a change of the key: %v", err)
		}
	})
}

func TestParseWitnessMode(t *testing.T) {
	for _, m := range []verifier.WitnessMode{verifier.WitnessOff, verifier.WitnessReport, verifier.WitnessEnforce} {
		if got, err := verifier.ParseWitnessMode(m.String()); err != nil || got != m {
			t.Errorf("%v: %v %v", m, got, err)
		}
	}
	for _, name := range []string{"", "Off", "on", "witness mode 3"} {
		if _, err := verifier.ParseWitnessMode(name); err == nil {
			t.Errorf("%q is a mode", name)
		}
	}
}

func TestThreat90Canary(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		canary, stranger := generate(t, jwk.ES256), generate(t, jwk.ES256)
		a.set(func() { a.verdict = "canary" })
		verifier.PlantCanaries(v, must(jwk.NewSet(must(canary.Public()))))
		sung := a.o.token(t, claims{"key": canary})
		for range 3 {
			pass401(t, verify(t, v, sung), verifier.ErrCanary)
		}
		pass(time.Second)
		pass401(t, verify(t, v, sung), verifier.ErrCanary)
		a.wantEvidence(t, sung)
		// Who only knows its name raises nothing.
		dot := strings.LastIndexByte(sung, '.')
		pass401(t, verify(t, v, sung[:dot+1]+strings.Repeat("A", 86)), jwk.ErrUnknownKey)
		pass401(t, verify(t, v, a.o.token(t, claims{"key": stranger})), jwk.ErrUnknownKey)
		pass(time.Minute)
		a.wantEvidence(t, sung)
		if s := v.Status().Seen; s.Canaries != 4 {
			t.Errorf("%+v", s)
		}
		narrow := a.o.ready(t, func(c *verifier.Config) { c.Algorithms = []jwk.Algorithm{jwk.EdDSA} })
		verifier.PlantCanaries(narrow, must(jwk.NewSet(must(canary.Public()))))
		pass401(t, verify(t, narrow, sung), verifier.ErrCanary)
	})
}

// Most libraries name no key in a token unless they are told to.
func TestThreat90CanaryWithoutAName(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		canary, another := generate(t, jwk.ES256), generate(t, jwk.ES256)
		a.set(func() { a.verdict = "canary" })
		verifier.PlantCanaries(v, must(jwk.NewSet(must(another.Public()), must(canary.Public()))))
		token := a.o.token(t, nil)
		sung := testkey.Unnamed(t, canary, token)
		pass401(t, verify(t, v, sung), verifier.ErrCanary)
		pass(time.Second)
		a.wantEvidence(t, sung)
		// Anybody can send tokens that name no key. They cost so much and no more.
		junk := testkey.Unnamed(t, generate(t, jwk.ES256), token)
		for range verifier.MaxNameless {
			if verify(t, v, junk) == nil {
				t.Fatal("junk passes")
			}
		}
		if err := verify(t, v, sung); err == nil || errors.Is(err, verifier.ErrCanary) {
			t.Errorf("%v: the allowance is used up, and it is looked at", err)
		}
		pass(time.Second)
		pass401(t, verify(t, v, sung), verifier.ErrCanary)
	})
}

// An auditor that cannot say is asked again while somebody waits, and not in a loop.
func TestThreat86NoVerdict(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.quarantine()
		pass(time.Second)
		a.set(func() { a.seen = answerJSON(`{"wrong":[],"again":[0]}`) })
		pass401(t, verify(t, v, a.genuine(nil)), verifier.ErrUnproved)
		a.mu.Lock()
		reports := a.reports
		a.mu.Unlock()
		if reports < 3 || reports > 7 {
			t.Errorf("asked %d times in %v", reports, verifier.ProveWait)
		}
	})
}

// The auditor was wrong about a token, or the issuer's notaries did not agree: what the
// issuer finds genuine in the end flows.
func TestThreat86GenuineAfterAll(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		token := a.genuine(nil)
		a.set(func() { a.seen = answerJSON(`{"wrong":[0],"again":[]}`) })
		verify(t, v, token)
		pass(time.Second)
		a.o.quarantine()
		a.set(func() { a.seen = unavailable })
		pass(time.Second)
		if err := verify(t, v, token); err != nil {
			t.Error(err)
		}
		a.wantEvidence(t, token)
	})
}
