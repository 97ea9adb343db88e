package verifier

import (
	"errors"
	"strings"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// suspect looks at a token that verification has refused, and returns the error to
// refuse it with. A token that a key of the issuer's signed is news to the issuer.
func (v *Verifier) suspect(token string, err error) error {
	f := v.feed()
	if f == nil {
		return err
	}
	// The second comes before a key is looked for, where the configuration allows
	// some algorithms only.
	if !errors.Is(err, jwk.ErrUnknownKey) && !errors.Is(err, jwk.ErrAlgorithm) {
		f.reports.refused(&v.keys, token, err)
		return err
	}
	key := f.canaryOf(token)
	if key == nil {
		return err
	}
	f.reports.sing(key.KeyID(), token)
	return ErrCanary
}

// canaryOf returns the key that signed a token, if it is one that the issuer planted
// for thieves to find: it signs nothing that is good.
func (f *feed) canaryOf(token string) *jwk.Key {
	canaries := f.canaries.Load()
	if canaries == nil {
		return nil // without a look at what anybody may send
	}
	u, err := jws.Parse(token)
	if err != nil {
		return nil
	}
	message, err := u.Verify(canaries)
	if err != nil {
		return nil
	}
	return message.Key()
}

// sing shows the issuer a token that a canary signed.
func (r *reporter) sing(kid, token string) {
	r.counts.canaries.Add(1)
	if r.off.Load() {
		return
	}
	id, _ := r.name(token[:strings.LastIndexByte(token, '.')])
	if r.seen.find(id) == unreported {
		r.show(exhibit{id: id, kid: kid, text: strings.Clone(token), expiry: r.until(r.now().Add(seenLife)), proof: &proof{}})
	}
}
