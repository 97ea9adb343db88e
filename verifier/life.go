package verifier

import (
	"time"

	"github.com/counterfoil/counterfoil/jose/jwt"
)

// ended refuses a token that is over by the issuer's clock, where ours is behind. Whoever
// can set ours back would have tokens pass of which the issuer does not tell any more
// whether they are forged.
func (f *feed) ended(tok *jwt.Token[Access]) error {
	behind := time.Duration(f.behind.Load())
	if behind == 0 || f.cfg.Now().Add(behind).Before(tok.Expiry().Add(f.cfg.leeway())) {
		return nil
	}
	return &jwt.ExpiredError{Expiry: tok.Expiry()}
}

// lives refuses a token that lives longer than the issuer's root key says that any
// does, whatever its key says of itself. A revocation is held no longer than that.
func (l *lookup) lives(tok *jwt.Token[Access]) error {
	if l == nil || tok.Expiry().Sub(tok.IssuedAt()) <= l.maxLife {
		return nil
	}
	return &jwt.ClaimError{Claim: "exp", Reason: "is later than the issuer lets a token live: " + l.maxLife.Truncate(time.Second).String()}
}
