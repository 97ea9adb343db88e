package verifier_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// A proxy where TLS ends that works with the thief proves nothing: the issuer signs
// its answers to reports, each for one question.
func TestThreat98RelayAnswersReports(t *testing.T) {
	const nothingWrong = `{"wrong":[],"again":[]}`
	// signing answers so to every report, with a signature that was changed for it.
	signing := func(change func(e *revocation.Exchange, key **jwk.Key)) func(*auditor) http.HandlerFunc {
		return func(a *auditor) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				e := revocation.Exchange{
					Issuer: a.o.iss, Path: revocation.SeenPath, Nonce: r.Header.Get(revocation.NonceHeader), Request: must(io.ReadAll(r.Body)), Answer: []byte(nothingWrong),
				}
				key := a.o.feedKey
				change(&e, &key)
				w.Header().Set(revocation.AnswerHeader, must(e.Sign(key)))
				answerJSON(nothingWrong)(w, r)
			}
		}
	}
	stranger := generate(t, jwk.EdDSA)
	for name, relay := range map[string]func(*auditor) http.HandlerFunc{
		"none there":          func(*auditor) http.HandlerFunc { return http.NotFound },
		"unsigned":            func(*auditor) http.HandlerFunc { return answerJSON(nothingWrong) },
		"by a key of its own": signing(func(_ *revocation.Exchange, key **jwk.Key) { *key = stranger }),
		"of another time":     signing(func(e *revocation.Exchange, _ **jwk.Key) { e.Nonce = strings.Repeat("0", 26) }),
		"of evidence":         signing(func(e *revocation.Exchange, _ **jwk.Key) { e.Path = revocation.EvidencePath }),
		"to another report":   signing(func(e *revocation.Exchange, _ **jwk.Key) { e.Request = e.Request[1:] }),
		"of another issuer":   signing(func(e *revocation.Exchange, _ **jwk.Key) { e.Issuer = "https://evil.example" }),
		"to another answer":   signing(func(e *revocation.Exchange, _ **jwk.Key) { e.Answer = []byte(`{"wrong":[0],"again":[]}`) }),
	} {
		t.Run(name, func(t *testing.T) {
			audited(t, func(t *testing.T, a *auditor) {
				v := a.o.ready(t, nil)
				a.o.door("/revocation/seen", relay(a))
				first, second := a.forge(nil), a.forge(claims{"n": 2})
				verify(t, v, first)
				pass(time.Second)
				a.o.quarantine()
				pass(time.Second)
				for _, forged := range []string{first, second} {
					pass401(t, verify(t, v, forged), verifier.ErrUnproved)
				}
				if s := v.Status().Seen; s.Proved != 0 || s.Errors == 0 || s.Waiting != 2 {
					t.Errorf("%+v", s)
				}
				a.o.door("/revocation/seen", a.signed(a.serveSeen))
				pass(10 * time.Second)
				if _, shown := a.count(); shown != 2 {
					t.Errorf("%d shown without the relay", shown)
				}
			})
		})
	}
}

// The same where it says of evidence that it is genuine.
func TestThreat98RelayJudgesEvidence(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.door("/revocation/seen/evidence", answerJSON(`{"verdict":"genuine"}`))
		forged := a.forge(nil)
		verify(t, v, forged)
		pass(time.Second)
		a.o.quarantine()
		pass(time.Second)
		pass401(t, verify(t, v, forged), verifier.ErrForged)
		if s := v.Status().Seen; s.EvidenceSent != 0 || s.Evidence != 1 {
			t.Errorf("%+v", s)
		}
	})
}
