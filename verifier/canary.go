package verifier

import (
	"errors"
	"strings"
	"sync"
	"time"

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
	// some algorithms only; the third of a token that names no key, where another was
	// tried.
	if !errors.Is(err, jwk.ErrUnknownKey) && !errors.Is(err, jwk.ErrAlgorithm) && !errors.Is(err, jwk.ErrSignature) {
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
	if u.UnverifiedHeader().KeyID == "" {
		return f.namelessCanary(u, canaries)
	}
	return signerOf(u, canaries)
}

func signerOf(u *jws.Unverified, keys *jwk.Set) *jwk.Key {
	message, err := u.Verify(keys)
	if err != nil {
		return nil
	}
	return message.Key()
}

// namelessCanary tries each canary: most libraries name no key unless they are told to.
func (f *feed) namelessCanary(u *jws.Unverified, canaries *jwk.Set) *jwk.Key {
	for _, canary := range canaries.Keys() {
		if canary.Algorithm() != u.UnverifiedHeader().Algorithm {
			continue
		}
		if !f.nameless.allow(time.Now()) {
			return nil
		}
		one, err := jwk.NewSet(canary)
		if err != nil {
			continue
		}
		if key := signerOf(u, one); key != nil {
			return key
		}
	}
	return nil
}

// maxNameless is how many signatures a second are checked of tokens that name no key:
// here anybody can have signatures checked that are not needed.
const maxNameless = 128

// An allowance is for one second at a time.
type allowance struct {
	mu     sync.Mutex
	second int64
	used   int
}

func (a *allowance) allow(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if second := now.Unix(); second != a.second {
		a.second, a.used = second, 0
	}
	a.used++
	return a.used <= maxNameless
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
