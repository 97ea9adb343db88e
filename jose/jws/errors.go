package jws

import "errors"

// ErrMalformed is what every token is that cannot be read as a compact JWS:
// the errors of this package that name the broken rule match it by errors.Is.
// None of them holds a byte of the token.
var ErrMalformed = errors.New("malformed token")

// Malformed tokens that a caller may want to tell apart.
var (
	// ErrTooLarge reports a token above MaxToken or a header above MaxHeader.
	ErrTooLarge error = malformed("token or header is too large")
	// ErrEncrypted reports five segments: a JWE, which nobody has signed.
	ErrEncrypted error = malformed("token is encrypted, not signed")
	// ErrUnsecured reports "alg": "none" in any spelling (RFC 7515, Appendix A.5).
	ErrUnsecured error = malformed("token is not signed: alg is none")
	// ErrCritical reports a "crit" or "b64" header parameter.
	ErrCritical error = malformed("token has a critical header parameter that is not understood")
)

const (
	errSerialization = malformed("token is not in the compact serialization")
	errSegments      = malformed("token does not have three segments")
	errNoSignature   = malformed("token has an empty signature")
	errEncoding      = malformed("token has a segment that is not canonical base64url")
	errHeader        = malformed("header is not one strict JSON object")
	errMemberType    = malformed("header has an alg, kid, typ or cty that is not a string")
	errNoAlgorithm   = malformed("header has no alg")
	errKeyID         = malformed("header has a kid above 256 bytes")
	errEnc           = malformed("header has enc, which belongs to an encrypted token")
)

// A malformed names the rule that a token breaks.
type malformed string

func (m malformed) Error() string { return string(m) }

func (m malformed) Is(target error) bool { return target == ErrMalformed }
