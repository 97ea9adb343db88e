package jwt

import (
	"fmt"
	"reflect"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func errClaimsType[T any]() error {
	t := reflect.TypeFor[T]()
	return malformedClaims(fmt.Sprintf("claims do not fit Go type %v%s", t, noteClaims(t)))
}

// noteClaims says of a type that it has Claims in it, as other libraries want it.
func noteClaims(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if f := t.Field(i).Type; f == reflect.TypeFor[Claims]() || f == reflect.TypeFor[*Claims]() {
				return ", which must not have Claims in it"
			}
		}
	}
	return ""
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
	if err := p.check(keys); err != nil {
		return nil, err
	}
	return verify[T](p, keys, token)
}

// verify is Verify under a policy that has been checked.
func verify[T any](p Policy, keys jwk.Source, token string) (*Token[T], error) {
	var message jws.Message
	if err := p.verify(&message, keys, token); err != nil {
		return nil, err
	}
	now := p.Now()
	o := wire.NewObject()
	defer o.Release()
	t := new(bound[T])
	t.held.verified = &t.verified
	t.v = &t.held
	t.v.message = message
	if err := t.v.check(&p, now, o); err != nil {
		return nil, err
	}
	if err := o.Decode(&t.claims); err != nil {
		return nil, errClaimsType[T]()
	}
	if err := p.checkExpiry(&t.v.claimSet, now); err != nil {
		return nil, err
	}
	t.v.object = nil
	return &t.Token, nil
}

// verify checks all that is not about claims.
func (p *Policy) verify(m *jws.Message, keys jwk.Source, token string) error {
	if len(token) > p.MaxToken {
		return jws.ErrTooLarge
	}
	verified, err := jws.Options{Algorithms: p.Algorithms, MaxToken: p.MaxToken}.Verify(keys, token)
	if err != nil {
		return err
	}
	*m = *verified
	return nil
}

// check reads the claims, by means of o, and checks them but for the expiry.
func (v *verified) check(p *Policy, now time.Time, o *wire.Object) error {
	if o.Parse(v.message.PayloadString()) != nil {
		return errNotObject
	}
	c, h := &v.claimSet, v.message.Header()
	if err := c.read(o); err != nil {
		return err
	}
	if err := p.checkScope(&h, c); err != nil {
		return err
	}
	if err := checkLimits(&v.message, c); err != nil {
		return err
	}
	if err := p.checkBegun(c, now); err != nil {
		return err
	}
	return p.checkProfile(&h, c, now)
}
