package jws

import (
	"errors"
	"strconv"
	"strings"
)

// ErrMalformed is what every token is that cannot be read as a JWS in the
// serialization that was asked for: the errors of this package that name the
// broken rule match it by errors.Is. None of them holds a byte of the token.
var ErrMalformed = errors.New("malformed token")

// Malformed tokens that a caller may want to tell apart.
var (
	// ErrTooLarge reports a token, a header, a payload or a number of signatures
	// above the bounds that are constants of this package.
	ErrTooLarge error = malformed("token or header is too large")
	// ErrEncrypted reports five segments: a JWE, which nobody has signed.
	ErrEncrypted error = malformed("token is encrypted, not signed")
	// ErrUnsecured reports "alg": "none" in any spelling (RFC 7515, Appendix A.5).
	ErrUnsecured error = malformed("token is not signed: alg is none")
	// ErrCritical reports a "crit" header parameter that is wrong in itself or
	// lists an extension that is not understood, or a "b64" that was not asked for.
	ErrCritical error = malformed("token has a critical header parameter that is not understood")
	// ErrDetached reports a token whose payload has to come from elsewhere.
	ErrDetached error = malformed("token has no payload: it is detached")
)

const (
	errSerialization   = malformed("token is not in the compact serialization")
	errSegments        = malformed("token does not have three segments")
	errNoSignature     = malformed("token has an empty signature")
	errEncoding        = malformed("token has a segment that is not canonical base64url")
	errHeader          = malformed("header is not one strict JSON object")
	errMemberType      = malformed("header has an alg, kid, typ or cty that is not a string")
	errCertificateName = malformed("header has an x5t or x5t#S256 that is not a string")
	errNoAlgorithm     = malformed("header has no alg")
	errKeyID           = malformed("header has a kid above 256 bytes")
	errEnc             = malformed("header has enc, which belongs to an encrypted token")

	errDocument       = malformed("token is not one strict JSON object of the JSON serialization")
	errBothForms      = malformed("token is in both forms of the JSON serialization")
	errNoSignatures   = malformed("token has no signature")
	errEmptyHeader    = malformed("token has an empty header that must not be there")
	errOverlap        = malformed("header parameter is both protected and unprotected")
	errMixedEncoding  = malformed("token is signed with b64 and without")
	errNotDetached    = malformed("token has a payload of its own")
	errCompactPayload = malformed("unencoded payload cannot stand in a compact token")
	errTextPayload    = malformed("unencoded payload is not text")
)

// A malformed names the rule that a token breaks.
type malformed string

func (m malformed) Error() string { return string(m) }

func (m malformed) Is(target error) bool { return target == ErrMalformed }

// A SignaturesError says why a token with several signatures was refused: none of
// them verifies or, where all must, not all do.
type SignaturesError struct {
	Errs []error // by index of the signature; nil for one that verifies
}

// Error implements error.
func (e *SignaturesError) Error() string {
	var reasons []string
	for i, err := range e.Errs {
		if err != nil {
			reasons = append(reasons, "signature "+strconv.Itoa(i)+": "+err.Error())
		}
	}
	return strings.Join(reasons, "; ")
}

// Unwrap makes [errors.Is] look at each of Errs.
func (e *SignaturesError) Unwrap() []error { return e.Errs }
