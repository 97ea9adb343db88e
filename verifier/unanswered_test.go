package verifier_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/verifier"
)

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// tells returns what the last acknowledgement said of reports: for how many seconds one
// has waited, and the records and tokens that do.
func (a *auditor) tells() (seconds float64, records, evidence float64) {
	seen, _ := a.o.lastAck()["seen"].(map[string]any)
	ms, _ := seen["unanswered_ms"].(float64)
	records, _ = seen["records"].(float64)
	evidence, _ = seen["evidence"].(float64)
	return ms / 1000, records, evidence
}

// A verifier whose reports nobody answers, or somebody who cannot sign for the issuer,
// says so where its acknowledgements come through. Nothing is lost meanwhile.
func TestThreat82CutReportsAreTold(t *testing.T) {
	type doors struct{ seen, examine http.HandlerFunc }
	unsigned := answerJSON(`{"wrong":[],"again":[]}`)
	for name, cut := range map[string]doors{
		"503":               {seen: status(503)},
		"refused":           {seen: status(403)},
		"malformed":         {seen: status(400)},
		"hangs":             {seen: hang},
		"evidence alone":    {examine: status(503)},
		"evidence refused":  {examine: status(400)},
		"evidence filtered": {examine: status(403)},
		"evidence hangs":    {examine: hang},
		"evidence, a page":  {examine: answerJSON(`<html>blocked</html>`)},
	} {
		t.Run(name, func(t *testing.T) {
			audited(t, func(t *testing.T, a *auditor) {
				v := a.o.ready(t, nil)
				a.set(func() { a.seen, a.examine = cut.seen, cut.examine })
				verify(t, v, a.forge(nil)) // once, and never again
				for n := range 60 {
					verify(t, v, a.genuine(claims{"n": n}))
					pass(time.Second)
				}
				seconds, records, evidence := a.tells()
				if held := v.Status().Seen.Unanswered; held < 55*time.Second || seconds < 50 || records+evidence == 0 {
					t.Errorf("unanswered for %v; told %v s, %v records, %v tokens", held, seconds, records, evidence)
				}
				a.set(func() { a.seen, a.examine, a.evidence = nil, nil, nil })
				pass(15 * time.Second)
				if _, shown := a.count(); shown != 1 {
					t.Errorf("the forged token was shown %d times", shown)
				}
				if seconds, records, evidence = a.tells(); seconds+records+evidence != 0 || v.Status().Seen.Unanswered != 0 {
					t.Errorf("afterwards: %v s, %v records, %v tokens", seconds, records, evidence)
				}
			})
		})
	}
	// Answers that the issuer did not sign are none.
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.door("/revocation/seen", unsigned)
		verify(t, v, a.forge(nil))
		pass(time.Minute)
		if seconds, _, _ := a.tells(); seconds < 50 {
			t.Errorf("told %v s", seconds)
		}
	})
}

// The issuer's own word that it cannot tell is an answer, and so is that it does not
// look.
func TestAnswersWithoutAVerdictAreAnswers(t *testing.T) {
	for name, ask := range map[string]func(a *auditor){
		"again":   func(a *auditor) { a.seen = answerJSON(`{"wrong":[],"again":[0]}`) },
		"unknown": func(a *auditor) { a.verdict = "unknown" },
	} {
		t.Run(name, func(t *testing.T) {
			audited(t, func(t *testing.T, a *auditor) {
				v := a.o.ready(t, nil)
				a.set(func() { ask(a) })
				verify(t, v, a.forge(nil))
				for range 300 {
					pass(time.Second)
					if s := v.Status().Seen; s.Unanswered > 5*time.Second || s.Waiting+s.Evidence == 0 {
						t.Fatalf("%+v", s)
					}
				}
				if seconds, _, _ := a.tells(); seconds > 5 {
					t.Errorf("told %v s", seconds)
				}
			})
		})
	}
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, func(c *verifier.Config) { c.SeenShare = 0.25 })
		a.o.door("/revocation/seen", a.signed(http.NotFound))
		for n := range 60 {
			verify(t, v, a.genuine(claims{"n": n}))
			pass(time.Second)
		}
		seen, _ := a.o.lastAck()["seen"].(map[string]any)
		if seen["off"] != true || seen["share"] != 0.25 || seen["unanswered_ms"] != 0.0 {
			t.Errorf("%v", seen)
		}
	})
}
