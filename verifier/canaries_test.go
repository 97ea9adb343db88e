package verifier_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/verifier"
)

// A canary that is planted is known to every verifier within about a second, and is
// still known after a restart with the issuer down.
func TestThreat90CanaryIsLearnt(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		canary := generate(t, jwk.ES256)
		if err := verify(t, v, o.token(t, claims{"key": canary})); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("before it was planted: %v", err)
		}
		o.set(func() { o.canaries = []*jwk.Key{canary} })
		pass(1100 * time.Millisecond)
		sung := o.token(t, claims{"key": canary})
		if err := verify(t, v, sung); !errors.Is(err, verifier.ErrCanary) {
			t.Errorf("a second after it was planted: %v", err)
		}
		n := o.count("/revocation/key")
		pass(time.Minute)
		if more := o.count("/revocation/key") - n; more != 0 {
			t.Errorf("asked for again %d times", more)
		}
		v.Close()

		o.shut()
		v = o.ready(t, inDir)
		if err := verify(t, v, o.token(t, claims{"key": canary})); !errors.Is(err, verifier.ErrCanary) {
			t.Errorf("after a restart with the issuer down: %v", err)
		}
		o.open()
		other := generate(t, jwk.ES256)
		o.set(func() { o.canaries = append(o.canaries, other) })
		pass(10 * time.Second)
		for _, key := range []*jwk.Key{canary, other} {
			if err := verify(t, v, o.token(t, claims{"key": key})); !errors.Is(err, verifier.ErrCanary) {
				t.Errorf("one of two: %v", err)
			}
		}
		o.set(func() { o.canaries = nil })
		pass(2 * time.Second)
		if err := verify(t, v, sung); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("after it was taken away: %v", err)
		}
	})
}

// Somebody on the way who answers other canaries than the issuer has signed for makes
// the verifier believe nothing, and the issuer is not asked without end.
func TestThreat90OtherCanaries(t *testing.T) {
	var many []*jwk.Key
	for range 65 {
		many = append(many, generate(t, jwk.ES256))
	}
	genuine := generate(t, jwk.ES256)
	public, err := genuine.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(o *origin){
		"others": func(o *origin) {
			o.door("/revocation/key", o.edited(string(public), `{"kty":"oct","k":"AAAA"}`))
		},
		"none": func(o *origin) { o.door("/revocation/key", o.edited(`"canaries"`, `"x"`)) },
		"not a set": func(o *origin) {
			o.door("/revocation/key", o.edited(string(keySetOf([]*jwk.Key{genuine})), `[]`))
		},
		"nothing":     func(o *origin) { o.door("/revocation/key", broken) },
		"too many":    func(o *origin) { o.set(func() { o.canaries = many }) },
		"not allowed": func(o *origin) { o.door("/revocation/key", unauthorized) },
	} {
		bubble(t, func(t *testing.T, o *origin) {
			v := o.ready(t, nil)
			o.set(func() { o.canaries = []*jwk.Key{genuine} })
			lie(o)
			n := o.count("/revocation/key")
			pass(time.Minute)
			if more := o.count("/revocation/key") - n; more < 2 || more > 13 {
				t.Errorf("%s: asked %d times in a minute", name, more)
			}
			for _, key := range []*jwk.Key{genuine, many[0]} {
				if err := verify(t, v, o.token(t, claims{"key": key})); !errors.Is(err, jwk.ErrUnknownKey) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := verify(t, v, o.token(t, nil)); err != nil {
				t.Errorf("%s: an honest token: %v", name, err)
			}
			if err := v.Status().LastError; err == nil || strings.Contains(err.Error(), genuine.KeyID()) {
				t.Errorf("%s: %v", name, err)
			}
			o.door("/revocation/key", nil)
			o.set(func() { o.canaries = []*jwk.Key{genuine} })
			pass(10 * time.Second)
			if err := verify(t, v, o.token(t, claims{"key": genuine})); !errors.Is(err, verifier.ErrCanary) {
				t.Errorf("%s: afterwards: %v", name, err)
			}
		})
	}
}

var unauthorized http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
