package verifier

import (
	"time"

	"github.com/counterfoil/counterfoil/jose/jwt"
)

// lives refuses a token that lives longer than the issuer's root key says that any
// does, whatever its key says of itself. A revocation is held no longer than that.
func (l *lookup) lives(tok *jwt.Token[Access]) error {
	if l == nil || tok.Expiry().Sub(tok.IssuedAt()) <= l.maxLife {
		return nil
	}
	return &jwt.ClaimError{Claim: "exp", Reason: "is later than the issuer lets a token live: " + l.maxLife.Truncate(time.Second).String()}
}
