package jwt

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func errClaimsType[T any]() error {
	return malformedClaims(fmt.Sprintf("claims do not fit Go type %v", reflect.TypeFor[T]()))
}

// Verify checks token against the policy and with the keys, and reads its claims
// as a T by the rules of encoding/json/v2: names are case-sensitive, claims that T
// does not know are passed over. T may be struct{} when the registered claims are
// enough. Verify does no I/O as long as keys.Find does none.
//
// The order is structure, header, key, signature, then claims, and "exp" as the
// last of these. Errors: [*PolicyError]; [ErrMalformed]; [jwk.ErrAlgorithm];
// what keys.Find returns, such as [jwk.ErrUnknownKey]; [jwk.ErrSignature];
// [*ClaimError]; [*LimitError]; [*NotYetError]; [*ExpiredError].
func Verify[T any](p Policy, keys jwk.Source, token string) (*Token[T], error) {
	p, err := p.check(keys)
	if err != nil {
		return nil, err
	}
	now := p.Now()
	v, err := verify(&p, keys, token, now)
	if err != nil {
		return nil, err
	}
	t, err := newToken[T](v)
	if err != nil {
		return nil, err
	}
	if err := p.checkExpiry(&v.claimSet, now); err != nil {
		return nil, err
	}
	return t, nil
}

// verify is Verify but for the expiry.
func verify(p *Policy, keys jwk.Source, token string, now time.Time) (*verified, error) {
	if len(token) > p.MaxToken {
		return nil, jws.ErrTooLarge
	}
	u, err := jws.Parse(token)
	if err != nil {
		return nil, err
	}
	h := u.UnverifiedHeader()
	if p.Algorithms != nil && !slices.Contains(p.Algorithms, h.Algorithm) {
		return nil, jwk.ErrAlgorithm
	}
	message, err := u.Verify(keys)
	if err != nil {
		return nil, err
	}
	claims, err := parseClaims(message.Payload())
	if err != nil {
		return nil, err
	}
	if err := p.checkScope(h, claims); err != nil {
		return nil, err
	}
	if err := checkLimits(message.Key().Limits(), h, claims, message.Payload()); err != nil {
		return nil, err
	}
	if err := p.checkBegun(claims, now); err != nil {
		return nil, err
	}
	if err := p.checkProfile(h, claims, now); err != nil {
		return nil, err
	}
	return &verified{message: message, claimSet: *claims}, nil
}
