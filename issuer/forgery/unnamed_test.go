package forgery_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

// unnamed signs a payload under a header that names no key.
func (f *fixture) unnamed(key *jwk.Key, payload []byte) string {
	f.Helper()
	input := wire.Encode([]byte(`{"alg":"ES256","typ":"at+jwt"}`)) + "." + wire.Encode(payload)
	signature, err := key.Sign([]byte(input))
	f.check(err)
	return input + "." + wire.Encode(signature)
}

// A verifier takes a token without a kid where it has one key for the algorithm. Such
// a token is no way round the proof, also beside the same content under another key, and whoever
// shows it is not made to be silent.
func TestThreat131TokenWithoutKeyIDIsProof(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	canary, err := f.ring.AddCanary(t.Context(), "", "test")
	f.check(err)
	f.desk = f.open(forgery.Config{}) // which has read of it
	stolen := f.signer().Key()
	for want, key := range map[forgery.Verdict]*jwk.Key{forgery.Canary: canary, forgery.Forged: stolen} {
		for i := range 20 {
			f.evidence(want, f.unnamed(key, notary.Join(jtiOf(i), f.claims(nil))))
		}
		if in := f.incident(key.KeyID()); in.Tokens < 16 {
			t.Errorf("%s: %+v", want, in)
		}
	}
	if !slices.Contains(f.entries(stolen.KeyID()), "key quarantine "+stolen.KeyID()) {
		t.Error(f.entries(stolen.KeyID()))
	}
}

// A token without a kid that none of our keys signed is junk, of which whoever shows
// too much is silenced.
func TestThreat87UnnamedJunkIsJunk(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	stranger, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	f.check(err)
	for i := range 16 {
		f.evidence(forgery.Unknown, f.unnamed(stranger, notary.Join(jtiOf(i), f.claims(nil))))
	}
	if _, err := f.desk.Evidence(t.Context(), "guard", netip.Addr{}, f.forge(1)); err == nil {
		t.Error("not silenced")
	}
	if n := strings.Count(f.log.String(), "junk for evidence"); n != 1 || !strings.Contains(f.log.String(), "reporter=guard") {
		t.Errorf("the silence is in the log %d times", n)
	}
}
