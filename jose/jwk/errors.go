package jwk

import (
	"errors"
	"fmt"
)

// Facts that a caller may want to branch on. None of them, nor anything that
// wraps them, carries key material or bytes of a token.
var (
	ErrUnknownKey  = errors.New("jwk: no such key")
	ErrAlgorithm   = errors.New("jwk: key is not for this algorithm")
	ErrNoAlgorithm = errors.New("jwk: key does not say its algorithm")
	ErrSignature   = errors.New("jwk: signature does not verify")
	ErrUnwrap      = errors.New("jwk: wrapped key does not open")
	ErrNotPrivate  = errors.New("jwk: key has no private part")
	ErrPrivate     = errors.New("jwk: private key where a public one belongs")
	ErrSymmetric   = errors.New("jwk: symmetric key has no public part")
	ErrUse         = errors.New("jwk: key is not for this use")
	ErrWeakKey     = errors.New("jwk: key is too weak")
	ErrMalformed   = errors.New("jwk: malformed key")
	ErrDuplicate   = errors.New("jwk: two keys with the same kid")
)

// ErrUnavailable is for a [Source] that cannot answer now, be the token good or
// bad, and for somebody outside this process who holds a private key and cannot be
// asked: the error matches this one, and the caller tries again later.
var ErrUnavailable = errors.New("jwk: keys are not available now")

// ErrUnsupported is an [ErrAlgorithm]: the key may be in order, but nothing here
// knows its type, its curve or its algorithm.
var ErrUnsupported = fmt.Errorf("%w: not supported", ErrAlgorithm)
