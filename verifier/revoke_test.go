package verifier_test

import (
	"crypto/elliptic"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// refusedAs reports whether err says that a token was revoked by kind.
func refusedAs(err error, kind revocation.Kind) bool {
	var revoked *verifier.RevokedError
	return errors.As(err, &revoked) && revoked.Kind == kind
}

func verify(t *testing.T, v *verifier.Verifier, token string) error {
	t.Helper()
	_, err := v.Verify(t.Context(), token)
	return err
}

func TestThreat62EveryKindIsRefused(t *testing.T) {
	for _, c := range []struct {
		kind  revocation.Kind
		value func(o *origin) string
	}{
		{revocation.Token, func(*origin) string { return "token-1" }},
		{revocation.Session, func(*origin) string { return "session-1" }},
		{revocation.Subject, func(*origin) string { return "user-1" }},
		{revocation.Device, func(*origin) string { return "device-1" }},
		{revocation.Client, func(*origin) string { return "app-1" }},
		{revocation.Tenant, func(*origin) string { return "tenant-1" }},
		{revocation.Key, func(o *origin) string { return o.signing[0].KeyID() }},
		{revocation.Everything, func(*origin) string { return "" }},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				v := o.ready(t, nil)
				token := o.token(t, claims{"cnf": map[string]string{"jkt": "device-1"}})
				check := func() error {
					_, err := v.CheckUnproved(t.Context(), token, verifier.Route{})
					return err
				}
				if err := check(); err != nil {
					t.Fatalf("before: %v", err)
				}
				if err := verify(t, v, token); err != verifier.ErrBound {
					t.Errorf("without a proof: %v", err)
				}
				o.revoke(c.kind, c.value(o)+"-another")
				pass(time.Second)
				if err := check(); err != nil {
					t.Fatalf("after the revocation of another: %v", err)
				}
				o.revoke(c.kind, c.value(o))
				pass(10 * time.Millisecond)
				if err := check(); !refusedAs(err, c.kind) {
					t.Errorf("after: %v", err)
				}
			})
		})
	}
}

func TestThreat62ActorIsASubjectToo(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		token := o.token(t, claims{"act": map[string]string{"sub": "agent-7"}})
		if err := verify(t, v, token); err != nil {
			t.Fatal(err)
		}
		o.revoke(revocation.Subject, "agent-7")
		pass(time.Second)
		if err := verify(t, v, token); !refusedAs(err, revocation.Subject) {
			t.Errorf("the actor was revoked: %v", err)
		}
	})
}

func TestThreat63NewTokenRightAfterRevocation(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Second, 0, 5 * time.Second} {
		bubble(t, func(t *testing.T, o *origin) {
			v := o.ready(t, func(c *verifier.Config) {
				c.Now = func() time.Time { return time.Now().Add(skew) }
			})
			old := o.token(t, nil)
			for i := range 50 {
				o.revoke(revocation.Subject, "user-1")
				fresh := o.token(t, claims{"jti": "after"})
				// At once, when this verifier has not heard of anything.
				if err := verify(t, v, fresh); err != nil {
					t.Fatalf("skew %v, revocation %d: new token: %v", skew, i, err)
				}
				pass(7 * time.Millisecond)
				if err := verify(t, v, fresh); err != nil {
					t.Fatalf("skew %v, revocation %d: new token, later: %v", skew, i, err)
				}
				if err := verify(t, v, old); !refusedAs(err, revocation.Subject) {
					t.Fatalf("skew %v, revocation %d: old token: %v", skew, i, err)
				}
			}
		})
	}
}

func TestThreat64MintedOnALaggingNode(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		seq := o.revoke(revocation.Subject, "user-1")
		pass(time.Second)
		for rsq, good := range map[uint64]bool{seq - 1: false, seq: true, o.base: false} {
			if err := verify(t, v, o.token(t, claims{"rsq": rsq})); (err == nil) != good {
				t.Errorf("rsq %d with a revocation at %d: %v", rsq, seq, err)
			}
		}
		if err := verify(t, v, o.token(t, claims{"rsq": o.base - 1, "sub": "user-2"})); !refusedAs(err, 0) {
			t.Errorf("rsq below low water: %v", err)
		}
	})
}

func TestThreat65MadeUpNumbers(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		for name, rsq := range map[string]any{
			"missing": nil, "negative": -1, "fraction": 1000.5, "string": "1000", "true": true, "null": wireNull{},
			"above 2^53": uint64(1) << 53, "far above": uint64(1) << 63,
		} {
			if err := verify(t, v, o.token(t, claims{"rsq": rsq})); err == nil {
				t.Errorf("%s: accepted", name)
			} else if status, _, _ := verifier.StatusOf(err); status != 401 {
				t.Errorf("%s: status %d for %v", name, status, err)
			}
		}
	})
}

type wireNull struct{}

func (wireNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func TestThreat65AheadOfTheHead(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		pass(500 * time.Millisecond)
		token := o.token(t, claims{"rsq": o.head() + 5})
		before := o.count("/revocation/manifest")
		if err := verify(t, v, token); err != nil {
			t.Fatalf("first seen: judged by what is held, which is nothing: %v", err)
		}
		pass(time.Millisecond) // not a second: the head was asked for at once
		if n := o.count("/revocation/manifest") - before; n != 1 {
			t.Errorf("%d manifests fetched, want 1", n)
		}
		// That question was asked at the very moment of the first sight, not later.
		if err := verify(t, v, token); err != nil {
			t.Fatalf("seen again: %v", err)
		}
		pass(100 * time.Millisecond)
		if err := verify(t, v, token); !errors.Is(err, verifier.ErrAhead) {
			t.Errorf("after a later head that is still lower: %v, want ErrAhead", err)
		}
		if n := v.Status().Ahead; n != 1 {
			t.Errorf("reported %d times, want 1", n)
		}
	})
}

// The stream is held up somewhere. A token that knows more than we do makes us
// look at once, and then its number is none too high.
func TestThreat65CatchUp(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		o.door("/revocation/tail", holdStreams(o))
		v := o.ready(t, nil)
		old := o.token(t, nil)
		o.revoke(revocation.Session, "session-2")
		o.revoke(revocation.Session, "session-1")
		young := o.token(t, claims{"sid": "session-3", "jti": "young"})
		pass(100 * time.Millisecond)
		if err := verify(t, v, old); err != nil {
			t.Fatalf("nothing told this verifier yet: %v", err)
		}
		if err := verify(t, v, young); err != nil {
			t.Fatalf("young token: %v", err)
		}
		pass(time.Millisecond)
		if err := verify(t, v, old); !refusedAs(err, revocation.Session) {
			t.Errorf("after catching up: %v", err)
		}
		if err := verify(t, v, young); err != nil {
			t.Errorf("young token, after catching up: %v", err)
		}
	})
}

func TestThreat65SensitiveRoutesWait(t *testing.T) {
	sensitive := verifier.Route{Sensitive: true}
	bubble(t, func(t *testing.T, o *origin) {
		o.door("/revocation/tail", holdStreams(o))
		v := o.ready(t, nil)
		pass(400 * time.Millisecond)
		o.revoke(revocation.Subject, "user-1")
		young := o.token(t, claims{"rsq": o.head(), "sub": "user-2"})
		revoked := o.token(t, claims{"rsq": o.append(o.entry(revocation.Token, "token-9")), "jti": "token-9"})
		if _, err := v.Check(t.Context(), young, sensitive); err != nil {
			t.Errorf("good token: %v", err)
		}
		if _, err := v.Check(t.Context(), revoked, sensitive); !refusedAs(err, revocation.Token) {
			t.Errorf("token revoked in what we had not heard: %v", err)
		}

		// Now nothing answers: the wait is bounded, and the route stays closed.
		hang := func() { o.door("/revocation/manifest", func(_ httpWriter, r *httpRequest) { <-r.Context().Done() }) }
		hang()
		o.revoke(revocation.Subject, "user-3")
		lagging := o.token(t, claims{"sub": "user-2"})
		start := time.Now()
		_, err := v.Check(t.Context(), lagging, sensitive)
		if !errors.Is(err, verifier.ErrStale) {
			t.Errorf("behind: %v, want ErrStale", err)
		}
		if d := time.Since(start); d != verifier.CatchUp {
			t.Errorf("waited %v, want %v", d, verifier.CatchUp)
		}
		start = time.Now()
		if _, err := v.Check(t.Context(), lagging, verifier.Route{}); err != nil || time.Since(start) != 0 {
			t.Errorf("ordinary route: %v after %v", err, time.Since(start))
		}
		made, _ := v.Check(t.Context(), o.token(t, claims{"rsq": o.head() + 9}), sensitive)
		if made != nil {
			t.Error("a made-up number passed a sensitive route")
		}
	})
}

func TestThreat77MalleatedToken(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		token := o.token(t, nil)
		other := malleate(t, token)
		if other == token {
			t.Fatal("the signature has not changed")
		}
		if err := errors.Join(verify(t, v, token), verify(t, v, other)); err != nil {
			t.Fatalf("both forms are valid before: %v", err)
		}
		o.revoke(revocation.Token, "token-1")
		pass(time.Second)
		if err := verify(t, v, other); !refusedAs(err, revocation.Token) {
			t.Errorf("the second form of a revoked token: %v", err)
		}
		// The same for a number that was refuted: it is remembered by itself.
		ahead := o.token(t, claims{"rsq": o.head() + 3, "jti": "ahead"})
		verify(t, v, ahead)
		pass(time.Second)
		if err := verify(t, v, malleate(t, ahead)); !errors.Is(err, verifier.ErrAhead) {
			t.Errorf("the second form of a refuted token: %v", err)
		}
	})
}

// malleate turns s of an ES256 signature into n-s.
func malleate(t *testing.T, token string) string {
	t.Helper()
	i := strings.LastIndexByte(token, '.') + 1
	sig, err := wire.Decode(token[i:])
	if err != nil || len(sig) != 64 {
		t.Fatal("not an ES256 signature")
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	return token[:i] + wire.Encode(sig)
}

func TestThreat54KeyOfAnotherIssuer(t *testing.T) {
	bubble(t, func(t *testing.T, a *origin) {
		b := newOrigin(t, "https://other.example")
		va, vb := a.ready(t, nil), b.ready(t, nil)
		forged := a.token(t, claims{"key": b.signing[0]})
		if err := verify(t, va, forged); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("key of B in a token that names A: %v, want ErrUnknownKey", err)
		}
		var claim *jwt.ClaimError
		if err := verify(t, vb, forged); !errors.As(err, &claim) || claim.Claim != "iss" {
			t.Errorf("the same at B: %v, want a ClaimError about iss", err)
		}
		// A key that says whose it is stays so even in the wrong set.
		public, err := b.signing[0].Public()
		if err != nil {
			t.Fatal(err)
		}
		a.set(func() { a.signing = append(a.signing, public.WithLimits(jwk.Limits{Issuer: b.iss})) })
		pass(2 * time.Second)
		var limit *jwt.LimitError
		if err := verify(t, va, a.token(t, claims{"key": b.signing[0]})); !errors.As(err, &limit) {
			t.Errorf("key limited to B, published by A: %v, want a LimitError", err)
		}
	})
}

func TestThreat57TokenOfAnotherService(t *testing.T) {
	bubble(t, func(t *testing.T, a *origin) {
		b := newOrigin(t, "https://other.example")
		orders := a.ready(t, nil)
		stock := a.ready(t, func(c *verifier.Config) { c.Audience = "stock" })
		foreign := b.ready(t, nil)
		token := a.token(t, nil)
		if err := verify(t, orders, token); err != nil {
			t.Fatal(err)
		}
		var claim *jwt.ClaimError
		if err := verify(t, stock, token); !errors.As(err, &claim) || claim.Claim != "aud" {
			t.Errorf("at another service: %v, want a ClaimError about aud", err)
		}
		if err := verify(t, foreign, token); err == nil {
			t.Error("accepted at a verifier of another issuer")
		}
		// What one issuer revokes is nothing to the other.
		b.revoke(revocation.Everything, "")
		b.revoke(revocation.Subject, "user-1")
		pass(time.Second)
		if err := verify(t, orders, token); err != nil {
			t.Errorf("revoked by another issuer: %v", err)
		}
	})
}
