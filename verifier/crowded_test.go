package verifier_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
)

// unsure makes the issuer say of tokens that have expired for everybody what it says
// in truth, that it cannot tell, and of those that puzzles names.
func (a *auditor) unsure(puzzles func(token string) bool) {
	a.examine = func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		token := a.evidence[len(a.evidence)-1]
		a.mu.Unlock()
		var c struct {
			Expiry int64 `json:"exp"`
		}
		json.Unmarshal(must(jws.Parse(token)).UnverifiedPayload(), &c)
		verdict := "unknown"
		if c.Expiry > time.Now().Add(-jwt.MaxLeeway-time.Minute).Unix() && !puzzles(token) {
			verdict = a.judge(token)
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"verdict": verdict})
	}
}

// A thief fills what waits for the issuer with tokens of which it cannot tell: they
// hide no forgery.
func TestThreat82PuzzlesHideNoForgery(t *testing.T) {
	for name, old := range map[string]bool{"expired": true, "alive": false} {
		t.Run(name, func(t *testing.T) {
			audited(t, func(t *testing.T, a *auditor) {
				var puzzles sync.Map // of tokens
				a.unsure(func(token string) bool { _, ok := puzzles.Load(token); return ok })
				v := a.o.ready(t, nil)
				now := time.Now()
				if old {
					now = now.Add(-time.Hour)
				}
				for i := range 40 {
					token := must(a.signer("JWT").Sign(notary.Join("x", a.payload(claims{"n": i, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix()}))))
					puzzles.Store(token, true)
					if verify(t, v, token) == nil {
						t.Fatal("accepted")
					}
				}
				pass(5 * time.Second)
				forged := a.forge(nil)
				for range 10 {
					verify(t, v, forged)
					pass(time.Second)
				}
				a.mu.Lock()
				defer a.mu.Unlock()
				if !contains(a.evidence, forged) {
					t.Errorf("%d tokens shown, and not the forged one", len(a.evidence))
				}
			})
		})
	}
}

// A token that names no key is reported as what its key signed, also beside others.
func TestThreat87TokenWithoutKeyIDSpoilsNoReport(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		forged := a.forge(nil)
		if err := verify(t, v, forged); err != nil {
			t.Fatal(err)
		}
		signer := a.signer("at+jwt").Key()
		for i := range 3 {
			payload := notary.Join(idOf(forged), a.payload(claims{"aud": fmt.Sprint("billing", i)}))
			input := wire.Encode([]byte(`{"alg":"ES256","typ":"at+jwt"}`)) + "." + wire.Encode(payload)
			token := input + "." + wire.Encode(must(signer.Sign([]byte(input))))
			if err := verify(t, v, token); jwt.Explain(err).Claim != "aud" {
				t.Fatal(err)
			}
		}
		pass(5 * time.Second)
		a.wantRecords(t, 4)
	})
}
