package dpop

import (
	"errors"

	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth"
)

// Errors of [FromHeader].
var (
	ErrNoProof   = errors.New("no DPoP proof")             // no header
	ErrManyTimes = errors.New("more than one DPoP header") // two are never one request
)

// FromHeader takes the proof from the values of a request's DPoP header: there is
// exactly one (RFC 9449, Section 4.3).
func FromHeader(values []string) (proof string, err error) {
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", ErrNoProof
	case len(values) > 1:
		return "", ErrManyTimes
	}
	return values[0], nil
}

// The codes of RFC 9449, Section 12.2.
const (
	InvalidProof oauth.ErrorCode = "invalid_dpop_proof"
	UseNonce     oauth.ErrorCode = "use_dpop_nonce"
)

// ErrorCode returns the code with which to answer an error of [Verify] or
// [FromHeader]. With [UseNonce] the answer has a header DPoP-Nonce (RFC 9449,
// Section 8). An error that is not the client's is the code of
// [jwt.Explanation.Client].
func ErrorCode(err error) oauth.ErrorCode {
	e := jwt.Explain(err)
	switch code, _ := e.Client(); {
	case code != oauth.InvalidToken:
		return code
	case e.Claim == "nonce":
		return UseNonce
	}
	return InvalidProof
}
