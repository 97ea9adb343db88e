package jwt

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A Token is a token that has been verified, with its claims read as a T. Only
// [Verify] and [As] make one: a Token declared in any other way has nothing to
// say, and its methods panic. It never changes, but for what a T holds by
// reference.
//
// Strings of a token and of its claims share the memory of the payload, which is
// kept as long as one of them is: use [strings.Clone] on what is kept for long.
type Token[T any] struct {
	v      *held
	claims T
}

// A held stands between a Token and what it speaks of. When a struct that holds a
// Token in an unexported field is printed with a wrong verb, package fmt asks no
// method and follows one pointer; it does not follow the second.
type held struct{ *verified }

// A verified is what tokens of every T share.
type verified struct {
	message jws.Message
	claimSet
}

// A bound is a Token and what it speaks of, in one piece of memory.
type bound[T any] struct {
	Token[T]
	held     held
	verified verified
}

// Format implements [fmt.Formatter]: no verb prints the token, whose signature is
// still good.
func (t Token[T]) Format(s fmt.State, _ rune) { io.WriteString(s, "jwt.Token") }

// Claims returns the claims read as a T.
func (t *Token[T]) Claims() T {
	_ = t.v.object // not for a zero Token
	return t.claims
}

// Issuer returns "iss", or "".
func (t *Token[T]) Issuer() string { return t.v.Issuer }

// Subject returns "sub", or "". No other claim stands in for it.
func (t *Token[T]) Subject() string { return t.v.Subject }

// ID returns "jti", or "".
func (t *Token[T]) ID() string { return t.v.ID }

// Audience returns "aud", or nil.
func (t *Token[T]) Audience() []string { return slices.Clone(t.v.Audience) }

// IssuedAt returns "iat", or the zero time.
func (t *Token[T]) IssuedAt() time.Time { return t.v.IssuedAt }

// NotBefore returns "nbf", or the zero time.
func (t *Token[T]) NotBefore() time.Time { return t.v.NotBefore }

// Expiry returns "exp". Every Token has one, but for those of a [Profile] that
// can do without.
func (t *Token[T]) Expiry() time.Time { return t.v.Expiry }

// Header returns the header, which the signature covers too.
func (t *Token[T]) Header() jws.Header { return t.v.message.Header() }

// Key returns the key that verified the signature.
func (t *Token[T]) Key() *jwk.Key { return t.v.message.Key() }

// Payload returns a copy of the claims as they were signed: one JSON object.
func (t *Token[T]) Payload() []byte { return []byte(t.v.message.PayloadString()) }

// SigningInput returns what the signature covers, as it stood in the token. Two
// tokens with the same one say the same under the same key, whatever their
// signatures: ECDSA has two for each message.
func (t *Token[T]) SigningInput() string { return t.v.message.SigningInput() }

// As returns the same verified token with its claims read as a U. The error
// matches [ErrMalformed] when they do not fit.
func As[U, T any](t *Token[T]) (*Token[U], error) {
	o := wire.NewObject()
	defer o.Release()
	as := &Token[U]{v: t.v}
	if o.Parse(t.v.message.PayloadString()) != nil || o.Decode(&as.claims) != nil {
		return nil, errClaimsType[U]()
	}
	return as, nil
}
