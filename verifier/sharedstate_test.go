package verifier_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

type deadEnd struct{}

func (deadEnd) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("cut off") }

// Two processes on one StateDir: the table of the one that was cut off is not taken for
// as fresh as that of the other was.
func TestThreat74OlderTableInItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		dir := t.TempDir()
		token := o.token(t, nil)
		one := o.ready(t, func(c *verifier.Config) { c.StateDir = dir })
		pass(11 * time.Second)
		two := o.verifier(t, func(c *verifier.Config) {
			c.StateDir, c.HTTPClient = dir, &http.Client{Transport: deadEnd{}}
		})
		pass(time.Second)
		o.revoke(revocation.Session, "session-1")
		pass(12 * time.Second) // one has applied and saved it
		if err := verify(t, one, token); !refusedAs(err, revocation.Session) {
			t.Fatal(err)
		}
		two.Close() // writes its own table over it
		pass(11 * time.Second)
		one.Close() // which has nothing new to save but how fresh it is
		o.shut()
		three := o.verifier(t, func(c *verifier.Config) { c.StateDir = dir })
		pass(100 * time.Millisecond)
		if err := verify(t, three, token); !errors.Is(err, verifier.ErrBlind) && !refusedAs(err, revocation.Session) {
			t.Errorf("%v, %+v", err, three.Status().State)
		}
		o.open()
		pass(5 * time.Second)
		if err := verify(t, three, token); !refusedAs(err, revocation.Session) {
			t.Errorf("with the issuer back: %v", err)
		}
	})
}
