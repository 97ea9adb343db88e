package verifier

import (
	"errors"
	"strings"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// canary returns the key of that name that the issuer has planted somewhere for
// thieves to find, or nil. It signs nothing that is good.
func (v *Verifier) canary(kid string) *jwk.Key {
	f := v.feed()
	if f == nil || kid == "" {
		return nil
	}
	set := f.canaries.Load()
	if set == nil {
		return nil
	}
	for _, key := range set.Keys() {
		if key.KeyID() == kid {
			return key
		}
	}
	return nil
}

// suspect looks at a token that verification has refused, and returns the error to
// refuse it with. A token that a key of the issuer's signed is news to the issuer.
func (v *Verifier) suspect(token string, err error) error {
	f := v.feed()
	if f == nil {
		return err
	}
	if !errors.Is(err, jwk.ErrUnknownKey) {
		f.reports.refused(&v.keys, token, err)
		return err
	}
	key := v.canaryOf(token)
	if key == nil {
		return err
	}
	f.reports.sing(key.KeyID(), token)
	return ErrCanary
}

// canaryOf returns the canary that signed a token, or nil.
func (v *Verifier) canaryOf(token string) *jwk.Key {
	u, err := jws.Parse(token)
	if err != nil {
		return nil
	}
	key := v.canary(u.UnverifiedHeader().KeyID)
	if key == nil {
		return nil
	}
	if _, err := u.Verify(key); err != nil {
		return nil
	}
	return key
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
