package jwt

import (
	"time"

	"github.com/counterfoil/counterfoil/jose/jws"
)

// ErrMalformed is what every token is that cannot be read: [jws.ErrMalformed],
// and claims that are not one strict JSON object or do not fit the type asked
// for. Errors of package jws and jwk, such as [jwk.ErrUnknownKey] and
// [jwk.ErrSignature], are found by errors.Is. No error holds a byte of a token.
var ErrMalformed = jws.ErrMalformed

// A malformedClaims says why claims of a signed token cannot be read.
type malformedClaims string

const errNotObject = malformedClaims("claims are not one strict JSON object")

func (m malformedClaims) Error() string { return "malformed token: " + string(m) }

func (m malformedClaims) Is(target error) bool { return target == ErrMalformed }

// A PolicyError reports a [Policy] that cannot be applied. It says nothing about
// the token: the program is at fault.
type PolicyError struct {
	Field  string // of Policy
	Reason string
}

// Error implements error.
func (e *PolicyError) Error() string { return "jwt: policy: " + e.Field + " " + e.Reason }

// An ExpiredError reports a token that is genuine in every other respect but too
// old.
type ExpiredError struct{ Expiry time.Time }

// Error implements error.
func (e *ExpiredError) Error() string {
	return "token expired at " + e.Expiry.UTC().Format(time.RFC3339)
}

// A NotYetError reports a signed token from the future: by "nbf", or by an "iat"
// that only a wrong clock explains.
type NotYetError struct {
	Claim string // "nbf", "iat" or "auth_time"
	At    time.Time
}

// Error implements error.
func (e *NotYetError) Error() string { return "token is not valid yet: " + e.Claim + " is ahead" }

// A ClaimError reports a claim of a signed token, or its "typ", that is missing,
// is not what RFC 7519 says it is, or is not what the policy wants.
type ClaimError struct {
	Claim  string // name of the claim, or "typ" of the header
	Reason string // never the value
}

// Error implements error.
func (e *ClaimError) Error() string { return e.Claim + " " + e.Reason }

// A LimitError reports a valid signature outside what its key may sign
// ([jwk.Limits]). No honest issuer makes such a token: the key may be in other
// hands. It unwraps to its ClaimError.
type LimitError struct{ ClaimError }

// Error implements error.
func (e *LimitError) Error() string { return "key may not sign this: " + e.ClaimError.Error() }

// Unwrap returns the ClaimError.
func (e *LimitError) Unwrap() error { return &e.ClaimError }
