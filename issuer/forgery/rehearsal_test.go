package forgery_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/notary"
)

// underDrill signs with the key of the drill that is under way.
func (f *fixture) underDrill(jti string, rest []byte) string {
	f.Helper()
	s, err := f.ring.DrillSigner()
	f.check(err)
	token, err := s.Sign(notary.Join(jti, rest))
	f.check(err)
	return token
}

// What the issuer forges in a drill is told as a drill. What somebody else forges with
// the drill's key is told as what it is, before or after it.
func TestDrillKeyInOtherHands(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, forgery.Config{Webhook: r.hook()})
	f.desk = f.open(forgery.Config{Webhook: r.hook(), Keyring: f.ring})
	kids, err := f.ring.AddDrill(t.Context(), keyring.DrillOptions{Audience: "api"})
	f.check(err)
	s, err := f.ring.DrillSigner()
	f.check(err)
	ours := func(sub string) string {
		rest := f.claims(map[string]any{"sub": sub})
		jti, err := f.notary.Tag(t.Context(), forgery.Rehearsal(kids[0]), notary.Sum(s.Header(), rest))
		f.check(err)
		return f.underDrill(jti, rest)
	}
	mine := ours("one")
	jti, _ := f.parts(mine)
	for _, token := range []string{
		mine,
		f.underDrill(jtiOf(1), f.claims(nil)),
		f.underDrill(jti, f.claims(nil)), // the jti of a rehearsal on other claims
		ours("two"),
	} {
		f.evidence(forgery.Forged, token)
		f.clock.advance(time.Second) // alarms are sent in the order of their times
	}
	f.deliver()
	var told []bool
	for _, a := range r.alarms {
		if a.Kind == forgery.KindForged {
			told = append(told, a.Drill)
		}
	}
	if len(told) != 4 || !told[0] || told[1] || told[2] || !told[3] {
		t.Errorf("told as a drill: %v", told)
	}
	if n := strings.Count(f.log.String(), "alarm=forged"); n != 4 || strings.Count(f.log.String(), "drill=true") != 3 {
		t.Errorf("%s", f.log)
	}
}
