package jwks_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwks"
)

// What comes under another status than 200 is not the source's set, whatever it
// looks like: an error page of a host that has changed hands, a part, a cache's
// answer to somebody else.
func TestThreat97SetUnderAnotherStatus(t *testing.T) {
	for _, status := range []int{201, 203, 206, 301, 400, 401, 404, 410, 500, 503} {
		bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
			key, foreign := generate(t), generate(t)
			src.publish(t, key)
			r := open(jwks.Config{})
			body := document(t, foreign)
			src.answer(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				io.WriteString(w, body)
			})
			r.Refresh()
			pass(5 * time.Second)
			if err := found(r, foreign); err == nil {
				t.Errorf("%d: its key is believed", status)
			}
			if err := found(r, key); err != nil {
				t.Errorf("%d: the old set is gone: %v", status, err)
			}
			if r.Status().LastError == nil {
				t.Errorf("%d: does not show", status)
			}
		})
	}
}
