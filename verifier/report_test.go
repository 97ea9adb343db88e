package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// reportEvery is how long tokens are gathered at most before they are reported.
const reportEvery = 250 * time.Millisecond

func TestThreat82ForgedWithRandomID(t *testing.T) {
	for _, cache := range []int{verifier.DefaultCacheTokens, -1} {
		audited(t, func(t *testing.T, a *auditor) {
			v := a.o.ready(t, func(c *verifier.Config) { c.CacheTokens = cache })
			good, forged := a.genuine(nil), a.forge(nil)
			for range 3 {
				for _, token := range []string{good, forged} {
					if err := verify(t, v, token); err != nil {
						t.Fatal(err) // its signature is good, and nobody has spoken yet
					}
				}
			}
			pass(reportEvery + 10*time.Millisecond)
			a.wantEvidence(t, forged)
			pass(time.Minute)
			for range 3 {
				verify(t, v, good)
				verify(t, v, forged)
			}
			pass(time.Minute)
			a.wantEvidence(t, forged)
			a.wantRecords(t, 2)
			s := v.Status().Seen
			if s.Reported != 2 || s.Proved != 1 || s.Wrong != 1 || s.EvidenceSent != 1 || s.Reports != 1 || s.Tokens != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The seen set is keyed by all that is signed: a jti that was seen vouches for no
// other token.
func TestThreat83CopiedIDOnOtherClaims(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		good := a.genuine(nil)
		verify(t, v, good)
		pass(time.Second)
		forged := must(a.signer("at+jwt").Sign(notary.Join(idOf(good), a.payload(claims{"sub": "admin"}))))
		if err := verify(t, v, forged); err != nil {
			t.Fatal(err)
		}
		pass(reportEvery + 10*time.Millisecond)
		a.wantEvidence(t, forged)
	})
}

// What no tagged key signs is refused, and shown at once: there is no tag to ask
// the auditor about.
func TestThreat131GenuinePayloadInAnotherForm(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		good := a.genuine(nil)
		payload := must(jws.Parse(good)).UnverifiedPayload()
		for name, forged := range map[string]string{
			"typ JWT":           must(a.signer("JWT").Sign(payload)),
			"no typ":            must(a.signer("").Sign(payload)),
			"claims before jti": must(a.signer("at+jwt").Sign([]byte(strings.Replace(string(payload), `{"jti"`, `{"admin":true,"jti"`, 1)))),
			"space before jti":  must(a.signer("at+jwt").Sign([]byte(strings.Replace(string(payload), `{"jti"`, `{ "jti"`, 1)))),
			"short jti":         must(a.signer("at+jwt").Sign(notary.Join("x", a.payload(nil)))),
			"not JSON":          must(a.signer("at+jwt").Sign([]byte("hello"))),
			"life":              must(a.signer("at+jwt").Sign([]byte(`{"jti":"x","iss":"https://id.example"}`))),
			"another issuer's":  a.forge(claims{"iss": "https://evil.example"}),
		} {
			a.set(func() { a.evidence = nil })
			for range 3 {
				if verify(t, v, forged) == nil {
					t.Errorf("%s: accepted", name)
				}
			}
			pass(reportEvery + 100*time.Millisecond)
			verify(t, v, forged)
			pass(time.Second)
			a.mu.Lock()
			if len(a.evidence) != 1 || a.evidence[0] != forged {
				t.Errorf("%s: %d shown", name, len(a.evidence))
			}
			a.mu.Unlock()
		}
	})
}

// Tokens that are refused here and genuine all the same are reported too, once; and
// those that have only expired are not.
func TestRefusedTokensAreReported(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		elsewhere, forged := a.genuine(claims{"aud": "billing"}), a.forge(claims{"aud": "billing"})
		for range 3 {
			for _, token := range []string{elsewhere, forged} {
				if err := verify(t, v, token); jwt.Explain(err).Claim != "aud" {
					t.Fatal(err)
				}
			}
			pass(time.Second)
		}
		a.wantRecords(t, 2)
		a.wantEvidence(t, forged)
		old := a.genuine(claims{"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(-time.Hour + tokenLife).Unix()})
		oldElsewhere := a.genuine(claims{"aud": "billing", "iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(-time.Hour + tokenLife).Unix()})
		for _, token := range []string{old, oldElsewhere} {
			if verify(t, v, token) == nil {
				t.Fatal("accepted")
			}
		}
		pass(time.Minute)
		a.wantRecords(t, 2)
	})
}

func TestRevokedTokensAreReported(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		forged := a.forge(nil)
		a.o.revoke(revocation.Subject, "user-1")
		pass(time.Second)
		if err := verify(t, v, forged); !refusedAs(err, revocation.Subject) {
			t.Fatal(err)
		}
		pass(time.Second)
		a.wantEvidence(t, forged)
	})
}

// A second signature of the same content is the same token (ECDSA has two), and
// nothing is asked of tokens by keys without tags.
func TestEachDistinctTokenOnce(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		payload := must(jws.Parse(a.genuine(nil))).UnverifiedPayload()
		for range 5 {
			if err := verify(t, v, must(a.signer("at+jwt").Sign(payload))); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		a.wantRecords(t, 1)
	})
	bubble(t, func(t *testing.T, o *origin) {
		a := o.audit(t)
		untagged := generate(t, jwk.ES256)
		o.set(func() { o.signing = []*jwk.Key{untagged} })
		v := o.ready(t, nil)
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Fatal(err)
		}
		verify(t, v, o.token(t, claims{"aud": "billing"}))
		pass(time.Minute)
		a.wantRecords(t, 0)
		a.wantEvidence(t)
	})
}

// Junk makes no report and no evidence, however much of it comes.
func TestThreat87JunkIsNotReported(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		good := a.genuine(nil)
		dot := strings.LastIndexByte(good, '.')
		stranger := generate(t, jwk.ES256)
		for i := range 300 {
			for _, junk := range []string{
				good[:dot+1] + strings.Repeat("A", 86),
				a.o.token(t, claims{"key": stranger, "jti": fmt.Sprint(i)}),
				good[:dot],
				fmt.Sprint(i),
			} {
				if verify(t, v, junk) == nil {
					t.Fatal("accepted")
				}
			}
		}
		pass(time.Minute)
		a.wantRecords(t, 0)
		a.wantEvidence(t)
	})
}

// A report that got lost is made again; a token counts as seen only when the answer
// has come.
func TestReportsSurviveAnOutage(t *testing.T) {
	for name, door := range map[string]http.HandlerFunc{
		"503":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"400":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"413":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) },
		"415":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnsupportedMediaType) },
		"408":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestTimeout) },
		"429":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"401":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"a broken one": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"catch-all":    answerJSON(`{}`),
		"half":         answerJSON(`{"wrong":[]}`),
		"out of range": answerJSON(`{"wrong":[2],"again":[]}`),
		"negative":     answerJSON(`{"wrong":[-1],"again":[]}`),
		"twice":        answerJSON(`{"wrong":[0,0],"again":[]}`),
		"both":         answerJSON(`{"wrong":[0],"again":[0]}`),
		"null":         answerJSON(`{"wrong":null,"again":[]}`),
		"not JSON":     answerJSON(`ok`),
		"again":        answerJSON(`{"wrong":[],"again":[0,1]}`),
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, `{"wrong":[],"again":[]}`)
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			audited(t, func(t *testing.T, a *auditor) {
				v := a.o.ready(t, nil)
				a.set(func() { a.seen = door })
				forged := a.forge(nil)
				verify(t, v, a.genuine(nil))
				verify(t, v, forged)
				pass(3 * time.Minute)
				a.mu.Lock()
				reports := a.reports
				a.mu.Unlock()
				if reports < 5 || reports > 200 {
					t.Errorf("%d requests in three minutes", reports)
				}
				a.wantEvidence(t)
				if s := v.Status().Seen; s.Waiting != 2 || s.Tokens != 0 || s.Proved != 0 {
					t.Errorf("during: %+v", s)
				}
				a.set(func() { a.seen = nil })
				pass(time.Minute)
				a.wantEvidence(t, forged)
				if s := v.Status().Seen; s.Waiting != 0 || s.Proved != 1 || s.WaitingBytes != 0 {
					t.Errorf("after: %+v", s)
				}
			})
		})
	}
}

// An answer that is no use costs no connection.
func TestRefusedReportsKeepTheirConnection(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		var dials atomic.Int32
		v := a.o.ready(t, func(c *verifier.Config) {
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				dials.Add(1)
				return a.o.ln.Dial(ctx, network, address)
			}
			c.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dial}}
		})
		a.set(func() {
			a.seen = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "busy", http.StatusServiceUnavailable) }
		})
		verify(t, v, a.genuine(nil))
		pass(time.Second)
		before := dials.Load()
		pass(time.Minute)
		if n := dials.Load() - before; n > 1 {
			t.Errorf("%d connections in a minute of %d reports", n, v.Status().Seen.Reports)
		}
	})
}

func answerJSON(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	}
}

// An issuer without an auditor is asked every ten minutes.
func TestNothingIsCollectedWithoutAnAuditor(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.door("/revocation/seen", a.signed(http.NotFound))
		token := a.genuine(nil)
		for range 600 {
			verify(t, v, token)
			pass(time.Second)
		}
		if n := a.o.count("/revocation/seen"); n != 1 {
			t.Errorf("%d requests in ten minutes", n)
		}
		if s := v.Status().Seen; !s.Off || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		a.o.door("/revocation/seen", a.signed(a.serveSeen))
		pass(5 * time.Second)
		token = a.genuine(nil)
		verify(t, v, token)
		pass(time.Second)
		if s := v.Status().Seen; s.Off || s.Proved != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Evidence is shown until somebody has looked at it.
func TestEvidenceIsShownUntilAVerdict(t *testing.T) {
	for name, door := range map[string]http.HandlerFunc{
		"503":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"408":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestTimeout) },
		"429":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"garbage": answerJSON(`{"verdict":"fine"}`),
		"unknown": answerJSON(`{"verdict":"unknown"}`),
		"empty":   answerJSON(`{}`),
	} {
		t.Run(name, func(t *testing.T) {
			audited(t, func(t *testing.T, a *auditor) {
				v := a.o.ready(t, nil)
				a.set(func() { a.examine = door })
				forged := a.forge(nil)
				verify(t, v, forged)
				pass(time.Minute)
				_, n := a.count()
				if n < 4 || n > 60 {
					t.Errorf("shown %d times in a minute", n)
				}
				a.set(func() { a.examine = nil; a.evidence = nil })
				pass(30 * time.Second)
				a.wantEvidence(t, forged)
				if s := v.Status().Seen; s.Evidence != 0 || s.EvidenceSent != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestCloseReportsWhatWaits(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		forged := a.forge(nil)
		verify(t, v, a.genuine(nil))
		verify(t, v, forged)
		begin := time.Now()
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("closing took %v", took)
		}
		a.wantRecords(t, 2)
		a.wantEvidence(t, forged)
		verify(t, v, a.genuine(nil))
		if s := v.Status().Seen; s.Waiting != 0 {
			t.Errorf("collected after Close: %+v", s)
		}
	})
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		verify(t, v, a.genuine(nil))
		a.set(func() { a.seen = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() } })
		begin := time.Now()
		v.Close()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("closing took %v with an auditor that hangs", took)
		}
		if ack := a.o.lastAck(); ack["done"] != true {
			t.Errorf("not signed off while the auditor hangs: %v", ack)
		}
	})
}

// An issuer that restarts at the same time, or a flight that Close cut off, does not
// cost the last reports.
func TestCloseReportsAgain(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		var tries, shown atomic.Int32
		a.set(func() {
			a.seen = func(w http.ResponseWriter, r *http.Request) {
				n := tries.Add(1)
				if n == 1 {
					<-r.Context().Done() // under way when Close comes
				}
				if n < 4 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				answerJSON(`{"wrong":[0],"again":[]}`)(w, r)
			}
			a.examine = func(w http.ResponseWriter, r *http.Request) {
				if shown.Add(1) < 3 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				answerJSON(`{"verdict":"forged"}`)(w, r)
			}
		})
		verify(t, v, a.forge(nil))
		pass(reportEvery + 10*time.Millisecond)
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if s := v.Status().Seen; s.EvidenceSent != 1 || s.Wrong != 1 {
			t.Errorf("after %d tries: %+v", tries.Load(), s)
		}
	})
}

// More than one report's worth goes out as soon as it is there.
func TestFullReportDoesNotWait(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		key := generate(t, jwk.EdDSA).WithLimits(jwk.Limits{Tagged: true})
		a.o.set(func() { a.o.signing = []*jwk.Key{key} })
		v := a.o.ready(t, nil)
		for i := range notary.MaxRecords + 1 {
			if err := verify(t, v, a.genuine(claims{"n": i})); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Millisecond) // nothing has moved the clock before
		a.wantRecords(t, notary.MaxRecords)
		pass(time.Second)
		a.wantRecords(t, notary.MaxRecords+1)
	})
}

// A proxy may take no body as long as a whole report. One burst must not end them.
func TestReportTooLongForTheWay(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		const longest = 8 << 10
		key := generate(t, jwk.EdDSA).WithLimits(jwk.Limits{Tagged: true})
		a.o.set(func() { a.o.signing = []*jwk.Key{key} })
		v := a.o.ready(t, nil)
		through := a.signed(a.serveSeen)
		a.o.door("/revocation"+revocation.SeenPath, func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > longest {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			through(w, r)
		})
		const burst = 2500
		for i := range burst {
			if err := verify(t, v, a.genuine(claims{"n": i})); err != nil {
				t.Fatal(err)
			}
		}
		pass(5 * time.Minute)
		a.wantRecords(t, burst)
		if err := verify(t, v, a.forge(nil)); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		if _, shown := a.count(); shown == 0 {
			t.Error("after one burst a forged token is not reported")
		}
	})
}

// Whatever the table does meanwhile, reports go on.
func TestReportsGoOnAcrossAnEpoch(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		forged := a.forge(nil)
		a.set(func() {
			a.seen = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		})
		verify(t, v, forged)
		pass(time.Second)
		a.o.newEpoch()
		pass(5 * time.Second)
		a.set(func() { a.seen = nil })
		pass(10 * time.Second)
		a.wantEvidence(t, forged)
		if s := v.Status(); s.Epoch != 2 {
			t.Errorf("epoch %d", s.Epoch)
		}
	})
}

// A token that is forgotten by the cache while its report is under way is not
// reported twice, and what the verdict says holds when it comes back.
func TestForgottenWhileReported(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, func(c *verifier.Config) { c.CacheTokens = 32 })
		first := a.genuine(nil)
		held := make(chan struct{})
		a.set(func() {
			a.seen = func(w http.ResponseWriter, r *http.Request) {
				<-held
				answerJSON(`{"wrong":[],"again":[]}`)(w, r)
			}
		})
		verify(t, v, first)
		pass(time.Second)
		for i := range 200 {
			verify(t, v, a.genuine(claims{"n": i}))
		}
		for range 3 {
			verify(t, v, first)
		}
		close(held)
		pass(time.Second)
		verify(t, v, first)
		pass(time.Second)
		a.wantRecords(t, 201)
		if s := v.Status().Seen; s.Proved != 201 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestStatusOfReportsIsAnswered(t *testing.T) {
	pass401(t, verifier.ErrForged, verifier.ErrForged)
	pass401(t, verifier.ErrUnproved, verifier.ErrUnproved)
	pass401(t, verifier.ErrCanary, verifier.ErrCanary)
	if _, challenge, _ := verifier.StatusOf(errors.Join(verifier.ErrForged)); strings.Contains(challenge, "forged") {
		t.Error("the thief is told")
	}
}

// An answer that comes after everything was forgotten changes nothing.
func TestAnswerAfterEverythingWasForgotten(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		late := make(chan struct{})
		a.set(func() {
			a.seen = func(w http.ResponseWriter, r *http.Request) {
				<-late
				answerJSON(`{"wrong":[0],"again":[]}`)(w, r)
			}
		})
		verify(t, v, a.genuine(nil))
		pass(time.Second) // under way
		a.o.quarantine()
		pass(time.Second)
		a.o.door("/revocation/seen", a.signed(http.NotFound))
		pass401(t, verify(t, v, a.genuine(claims{"n": 1})), verifier.ErrUnproved)
		if s := v.Status().Seen; !s.Off || s.Waiting != 0 || s.WaitingBytes != 0 {
			t.Errorf("%+v", s)
		}
		close(late)
		pass(time.Second)
		if s := v.Status().Seen; s.Waiting != 0 || s.WaitingBytes != 0 || s.Wrong != 0 {
			t.Errorf("after the late answer: %+v", s)
		}
		a.wantEvidence(t)
	})
}

// What the issuer cannot tell, and nobody can use any more, is given up.
func TestPuzzlesEndWithTheirTokens(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.set(func() { a.verdict, a.seen = "unknown", answerJSON(`{"wrong":[],"again":[0]}`) })
		verify(t, v, a.genuine(nil))
		verify(t, v, must(a.signer("JWT").Sign(notary.Join(idOf(a.genuine(nil)), a.payload(nil)))))
		pass(tokenLife + jwt.MaxLeeway)
		if s := v.Status().Seen; s.Waiting != 1 || s.Evidence != 1 {
			t.Errorf("while the tokens are good: %+v", s)
		}
		pass(2 * time.Minute)
		s := v.Status().Seen
		if s.Waiting != 0 || s.Evidence != 0 || s.Dropped != 1 || s.EvidenceDropped != 1 {
			t.Errorf("after: %+v", s)
		}
		records, evidence := a.count()
		if records > 120 || evidence > 120 {
			t.Errorf("asked %d times and shown %d times", records, evidence)
		}
	})
}
