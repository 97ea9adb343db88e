package verifier_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// An answer without an end is read up to its limit and no further, wherever it
// comes from, and never into a line that grows.
func TestThreat97EndlessAnswers(t *testing.T) {
	const most = 16 << 20 // a few answers, each up to a shard's 1.2 MB
	for _, path := range []string{
		oauth.WellKnownOpenID, "/jwks", "/jwks.jwt", "/revocation/key", "/revocation/manifest", "/revocation/tail", "/revocation/snapshot",
	} {
		t.Run(path, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				if path == "/jwks.jwt" {
					signing(o)
				}
				revokeSessions(o, 3)
				o.takeSnapshot(t)
				o.revoke(revocation.Session, "gone-3") // so that the tail is needed as well
				var taken atomic.Int64                 // answers may overlap
				o.door(path, func(w http.ResponseWriter, r *http.Request) {
					chunk := []byte(strings.Repeat("a", 64<<10))
					for taken.Load() < 2*most {
						n, err := w.Write(chunk)
						taken.Add(int64(n))
						if err != nil {
							return
						}
					}
				})
				v := o.verifier(t, nil)
				pass(time.Second)
				if err := v.Ready(); err == nil {
					t.Error("ready after an answer without an end")
				}
				if n := taken.Load(); n == 0 || n > most {
					t.Errorf("%d bytes taken in a second", n)
				}
			})
		})
	}
}
