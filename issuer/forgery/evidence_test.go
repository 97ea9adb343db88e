package forgery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testkey"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
)

// parts returns jti and rest of a token's payload.
func (f *fixture) parts(token string) (jti string, rest []byte) {
	f.Helper()
	u, err := jws.Parse(token)
	f.check(err)
	jti, rest, err = notary.SplitPayload(u.UnverifiedPayload())
	f.check(err)
	return jti, rest
}

// Each way to forge is proof, whether or not a verifier would have let it pass.
func TestThreat131EveryWayToForgeIsProof(t *testing.T) {
	const at = "at+jwt"
	for _, tt := range []struct {
		name   string
		forge  func(f *fixture) string
		level0 string
	}{
		{"a jti of its own", func(f *fixture) string { return f.forge(1) }, "passes"},
		{"a genuine jti on other claims", func(f *fixture) string {
			jti, _ := f.parts(f.mint())
			return f.under(at, notary.Join(jti, f.claims(map[string]any{"sub": "admin"})))
		}, "passes"},
		{"a backdated iat", func(f *fixture) string {
			return f.under(at, notary.Join(jtiOf(1), f.claims(map[string]any{"iat": f.clock.Now().Unix() - 86400, "exp": f.clock.Now().Unix() + 60})))
		}, "key may not sign this: iat is outside the key's time"},
		{"a genuine payload under another typ", func(f *fixture) string {
			jti, rest := f.parts(f.mint())
			return f.under("JWT", notary.Join(jti, rest))
		}, "typ is not the type wanted"},
		{"no typ", func(f *fixture) string {
			jti, rest := f.parts(f.mint())
			return f.under("", notary.Join(jti, rest))
		}, "typ is missing"},
		{"claims before the jti", func(f *fixture) string {
			jti, rest := f.parts(f.mint())
			return f.under(at, []byte(`{"admin":true,"jti":"`+jti+`"`+string(rest)))
		}, "key may not sign this: jti does not carry a tag"},
		{"a space before the jti", func(f *fixture) string {
			jti, rest := f.parts(f.mint())
			return f.under(at, append([]byte(" "), notary.Join(jti, rest)...))
		}, "key may not sign this: jti does not carry a tag"},
		{"a claim changed behind a genuine jti", func(f *fixture) string {
			jti, rest := f.parts(f.mint())
			return f.under(at, notary.Join(jti, bytes.Replace(rest, []byte("alice"), []byte("bobby"), 1)))
		}, "passes"},
		{"no jti", func(f *fixture) string {
			return f.under(at, append([]byte("{"), f.claims(nil)[1:]...))
		}, "key may not sign this: jti does not carry a tag"},
		{"claims that are no JSON", func(f *fixture) string { return f.under(at, []byte("thief")) }, "malformed token: claims are not one strict JSON object"},
		{"another key's tag", func(f *fixture) string {
			rest := f.claims(nil)
			jti, err := f.notary.Tag(t.Context(), "other", notary.Sum(f.signer().Header(), rest))
			f.check(err)
			return f.under(at, notary.Join(jti, rest))
		}, "passes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, forgery.Config{})
			token := tt.forge(f)
			f.evidence(forgery.Forged, token)
			in := f.incident(f.active())
			if in.State != store.IncidentQuarantined || in.Tokens != 1 || in.Level0 != tt.level0 {
				t.Errorf("%s after %d tokens; Level 0 %q, want %q", in.State, in.Tokens, in.Level0, tt.level0)
			}
			if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined"}) {
				t.Errorf("trail %v", got)
			}
		})
	}
}

// A right tag is never a forgery, whatever else is wrong; what proves nothing does
// nothing.
func TestThreat87NothingElseIsProof(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	genuine := f.mint()
	canary, err := f.ring.AddCanary(t.Context(), "", "test")
	f.check(err)
	stranger, err := f.ring.AddCanary(t.Context(), "", "test") // a key of the same algorithm
	f.check(err)
	signed, _, _ := cutLast(genuine)
	if _, err := jws.Sign(stranger, jws.Header{KeyID: f.active(), Type: "at+jwt"}, []byte("{}")); err == nil {
		t.Fatal("a signer takes another's kid")
	}
	other, err := jws.Sign(canary, jws.Header{Type: "at+jwt"}, []byte("{}"))
	f.check(err)
	_, _, foreign := cutLast(other)
	for _, tt := range []struct {
		name, token string
		want        forgery.Verdict
	}{
		{"genuine", genuine, forgery.Genuine},
		{"genuine with a life that the key forbids", f.mintBy(f.notary, map[string]any{"exp": f.clock.Now().Unix() + 1e6}), forgery.Genuine},
		{"genuine for another issuer", f.mintBy(f.notary, map[string]any{"iss": "https://other.example"}), forgery.Genuine},
		{"expired, whatever its tag", f.mintBy(notary.NewLocal(wrong), map[string]any{"exp": f.clock.Now().Unix() - 662}), forgery.Unknown},
		{"another's signature", signed + "." + foreign, forgery.Unsigned},
		{"no token", "thief", forgery.Unsigned},
		{"none", "", forgery.Unsigned},
		{"a kid that nobody has", reheader(f, genuine, `{"alg":"ES256","kid":"nobody","typ":"at+jwt"}`), forgery.Unknown},
		{"no kid", reheader(f, genuine, `{"alg":"ES256","typ":"at+jwt"}`), forgery.Unknown},
		{"alg none", reheader(f, genuine, `{"alg":"none","kid":"`+f.active()+`"}`), forgery.Unsigned},
	} {
		if got, err := f.open(forgery.Config{}).Evidence(t.Context(), "guard", netip.Addr{}, tt.token); err != nil || got != tt.want {
			t.Errorf("%s: %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
	if got := f.entries(); len(got) != 0 {
		t.Errorf("log %v", got)
	}
	if got := f.trail(); !slices.Equal(got, []string{"late"}) { // of the expired one, and nothing is done
		t.Errorf("trail %v", got)
	}
}

func cutLast(token string) (before string, dot bool, after string) {
	i := strings.LastIndexByte(token, '.')
	return token[:i], true, token[i+1:]
}

// reheader puts another header before payload and signature.
func reheader(f *fixture, token, header string) string {
	_, rest, _ := strings.Cut(token, ".")
	return wire.Encode([]byte(header)) + "." + rest
}

// Expiry is judged as the most lenient verifier does: what it still accepts is proof.
func TestExpiredForgeryIsProofAsLongAsAnybodyAcceptsIt(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	exp := f.clock.Now().Add(tokenLife)
	token := f.forge(1)
	f.clock.advance(exp.Add(forgery.AfterLife + time.Second).Sub(f.clock.Now()))
	f.evidence(forgery.Unknown, token)
	f.clock.advance(-time.Second)
	f.evidence(forgery.Forged, token)
}

// A hundred verifiers that see one forged token are one alarm, and so is the same
// token with the other form of its signature.
func TestThreat82OneForgedTokenIsOneAlarm(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	nodes := []*forgery.Desk{f.desk, f.open(forgery.Config{}), f.open(forgery.Config{})}
	token := f.forge(1)
	again, err := f.signer().Sign(notary.Join(f.parts(token))) // ECDSA: another signature
	f.check(err)
	if again == token {
		t.Fatal("one signature twice")
	}
	errs := make(chan error, 100)
	for i := range cap(errs) {
		go func() {
			verdict, err := nodes[i%3].Evidence(t.Context(), fmt.Sprint("guard", i), netip.Addr{}, []string{token, again}[i%2])
			if err == nil && verdict != forgery.Forged {
				err = errors.New(string(verdict))
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		f.check(<-errs)
	}
	kid := f.active()
	if got := f.trail(); !slices.Equal(got, []string{"forged", "quarantined"}) {
		t.Errorf("trail %v", got)
	}
	if got := f.entries(kid, jtiOf(1)); !slices.Equal(got, []string{"token absolute " + jtiOf(1), "key quarantine " + kid}) {
		t.Errorf("log %v", got)
	}
	if in := f.incident(kid); in.Tokens != 1 || in.Entries != 1 || len(in.Forgeries) != 1 || in.TokenID != jtiOf(1) {
		t.Errorf("%+v", in)
	}
}

// Nothing that a forged token names is revoked but itself and its key.
func TestThreat82ForgedClaimsRevokeNobody(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	f.signIn("s1")
	for i := range 3 {
		rest := f.claims(map[string]any{"sub": "victim", "sid": "s1", "client_id": "c", "tenant": "t", "act": map[string]any{"sub": "x"}})
		token, err := f.signer().Sign(notary.Join(jtiOf(i), rest))
		f.check(err)
		f.evidence(forgery.Forged, token)
	}
	for _, e := range f.entries() {
		if !strings.HasPrefix(e, "token absolute") && !strings.HasPrefix(e, "key ") {
			t.Errorf("log holds %q", e)
		}
	}
	f.refresh("s1") // its holder goes on
	for _, secret := range []string{"victim", "s1", "first-party"} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log names %q", secret)
		}
	}
}

// The holder of a genuine token is not hit because a thief copied its jti.
func TestThreat83CopiedJTIDoesNotHitItsHolder(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	genuine := f.mint()
	record, err := notary.RecordOf(f.active(), genuine)
	f.check(err)
	seen, err := f.desk.Records(t.Context(), "guard", []notary.Record{record})
	if err != nil || len(seen.Wrong)+len(seen.Again) != 0 {
		t.Fatalf("%+v %v", seen, err)
	}
	jti, _ := f.parts(genuine)
	f.evidence(forgery.Forged, f.under("at+jwt", notary.Join(jti, f.claims(map[string]any{"sub": "admin"}))))
	if got := f.entries(f.active()); !slices.Equal(got, []string{"key quarantine " + f.active()}) {
		t.Errorf("log %v", got)
	}
	if in := f.incident(f.active()); in.TokenID != jti || in.Tokens != 1 || in.Entries != 0 {
		t.Errorf("%+v", in)
	}
}

func TestThreat90CanaryAlarms(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	canary, err := f.ring.AddCanary(t.Context(), "", "test")
	f.check(err)
	f.check(f.ring.Reload(t.Context()))
	f.desk = f.open(forgery.Config{})
	jti, rest := f.parts(f.mint())
	for _, payload := range [][]byte{notary.Join(jti, rest), []byte("{}"), f.claims(nil)} {
		token, err := jws.Sign(canary, jws.Header{Type: "at+jwt"}, payload)
		f.check(err)
		f.evidence(forgery.Canary, token)
		f.evidence(forgery.Canary, token)
	}
	f.evidence(forgery.Canary, testkey.Unnamed(f, canary, f.mint()))
	if got := f.trail(); !slices.Equal(got, []string{"canary", "canary", "canary", "canary"}) {
		t.Errorf("trail %v", got)
	}
	if got := f.entries(); len(got) != 0 {
		t.Errorf("log %v", got)
	}
	if in := f.incident(canary.KeyID()); in.State != store.IncidentNoted || in.Tokens != 4 {
		t.Errorf("%+v", in)
	}
	f.answer()
	for _, info := range f.ring.Keys() {
		if info.State == keyring.Killed {
			t.Errorf("%s was given up", info.KeyID)
		}
	}
}

// A dry run alarms and does nothing else; with the answer off nothing is looked at.
func TestDryRunAndOff(t *testing.T) {
	f := newFixture(t, forgery.Config{Answer: forgery.AlarmOnly})
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	f.answer()
	if got := f.entries(); len(got) != 0 || f.active() != kid {
		t.Errorf("a dry run wrote %v", got)
	}
	if got := f.trail(); !slices.Equal(got, []string{"forged"}) || f.incident(kid).State != store.IncidentNoted {
		t.Errorf("trail %v", got)
	}
	off := f.open(forgery.Config{Answer: forgery.Off})
	if _, err := off.Evidence(t.Context(), "guard", netip.Addr{}, f.forge(2)); !errors.Is(err, forgery.ErrOff) {
		t.Error(err)
	}
	if _, err := off.Records(t.Context(), "guard", nil); !errors.Is(err, forgery.ErrOff) {
		t.Error(err)
	}
	off.Present(t.Context(), f.forge(3))
	if got := f.trail(); len(got) != 1 {
		t.Errorf("trail %v", got)
	}
	// What was noted in a dry run is answered when it comes again in earnest.
	f.evidenceTo(f.open(forgery.Config{}), "guard", forgery.Forged, f.forge(4))
	if got := f.incident(kid); got.State != store.IncidentQuarantined || got.Tokens != 2 {
		t.Errorf("%+v", got)
	}
}

// A watched notary says when it has been asked.
type watched struct {
	*notary.Local
	asked chan struct{}
}

func (w *watched) Check(ctx context.Context, records []notary.Record) ([]bool, error) {
	defer func() { w.asked <- struct{}{} }()
	return w.Local.Check(ctx, records)
}

// Whoever is told that a token is forged shows it to nobody else. So it is in the
// store by then, though another request with it came first and has gone away.
func TestThreat82ForgedIsSaidWhenItIsWritten(t *testing.T) {
	w := &watched{notary.NewLocal(right), make(chan struct{}, 16)}
	f := newFixture(t, forgery.Config{Notary: w})
	kid := f.active()
	hold, held := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = f.store.Update(t.Context(), func(*store.Tx) error {
			close(held)
			<-hold
			return nil
		})
	})
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	for _, ctx := range []context.Context{ctx, t.Context()} {
		said := make(chan struct{})
		all.Go(func() {
			defer close(said)
			v, err := f.desk.Found(ctx, kid, 1)
			if err != nil {
				t.Error(err)
			}
			if _, err := f.desk.Incident(t.Context(), kid); v != forgery.Forged || err != nil {
				t.Errorf("%s is said, and the incident is %v", v, err)
			}
		})
		select {
		case <-w.asked:
		case <-said:
		}
	}
	cancel()
	close(hold)
	all.Wait()
	if in := f.incident(kid); in.Tokens != 1 {
		t.Errorf("%d tokens", in.Tokens)
	}
}
