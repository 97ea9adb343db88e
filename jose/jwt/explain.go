package jwt

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A Stage is how far a token came. Stages up to StageSignature speak of a token
// that anybody may have made.
type Stage string

// The stages, in their order.
const (
	StageUnknown    Stage = ""           // an error of another package, such as the caller's own Source
	StagePolicy     Stage = "policy"     // the program asks for what cannot be; the token is not to blame
	StageForm       Stage = "form"       // size and structure
	StageHeader     Stage = "header"     // the protected header, "typ" included
	StageKey        Stage = "key"        // finding a key, reading one, and whether it is for this
	StageDecryption Stage = "decryption" // of a JWE, which says nothing of who made it
	StageSignature  Stage = "signature"
	StageClaims     Stage = "claims"
	StageLimits     Stage = "limits" // what the key may sign: see LimitError
	StageTime       Stage = "time"
)

// A Reason is what a program may branch on, where a Stage does not tell enough.
type Reason string

// The reasons.
const (
	ReasonUnknown     Reason = ""            // an error of another package
	ReasonMisuse      Reason = "misuse"      // the program is at fault
	ReasonUnavailable Reason = "unavailable" // there are no keys now; the same token may be good later
	ReasonTooLarge    Reason = "too_large"
	ReasonMalformed   Reason = "malformed"
	ReasonEncrypted   Reason = "encrypted"   // a JWE in the place of a JWS
	ReasonUnsigned    Reason = "unsigned"    // "alg": "none"
	ReasonCritical    Reason = "critical"    // an extension that is not understood
	ReasonUnknownKey  Reason = "unknown_key" // no key has this "kid"
	ReasonAlgorithm   Reason = "algorithm"   // not that of the key, or not that of the policy
	ReasonUnsupported Reason = "unsupported" // nothing here knows the algorithm, the curve or the type
	ReasonUse         Reason = "use"         // the key is for something else
	ReasonWeakKey     Reason = "weak_key"    //
	ReasonNotPrivate  Reason = "not_private" // a public key cannot sign
	ReasonPrivate     Reason = "private"     // a private or symmetric key where a public one belongs
	ReasonNotAllowed  Reason = "not_allowed" // a policy has to ask for it: compression, PBES2
	ReasonDuplicate   Reason = "duplicate"   // two keys with one "kid"
	ReasonBadSeal     Reason = "bad_seal"    // the signature does not verify, or the ciphertext does not open
	ReasonMissing     Reason = "missing"     // the claim
	ReasonWrongType   Reason = "wrong_type"  // of the claim
	ReasonMismatch    Reason = "mismatch"    // the claim is not what is wanted
	ReasonNotYet      Reason = "not_yet"     //
	ReasonExpired     Reason = "expired"     //
)

// An Explanation is an error taken apart: for a program, for a person, and for
// whoever sent the token. None of the three holds a byte of a token or a key.
type Explanation struct {
	Stage  Stage
	Reason Reason
	Claim  string // name of the claim, of the header parameter, or of the Policy's field; or ""
	Hint   string // what a person who runs the program may do, or ""

	err error
}

// Explain takes apart an error of this package or of packages jwk, jws, jwe and
// jwks, whatever it is wrapped in. Of other errors, of nil, and of mistakes in
// what is to be signed or encrypted, Stage and Reason are unknown.
func Explain(err error) Explanation {
	e := explainType(err)
	if e.Stage == StageUnknown {
		for _, known := range explanations {
			if errors.Is(err, known.err) {
				e = known
				break
			}
		}
	}
	e.err = err
	return e
}

// explainType is for the errors that have parts.
func explainType(err error) Explanation {
	if e, ok := errors.AsType[*PolicyError](err); ok {
		return Explanation{Stage: StagePolicy, Reason: ReasonMisuse, Claim: e.Field, Hint: "this is a mistake in the program, whatever the token"}
	}
	if e, ok := errors.AsType[*LimitError](err); ok {
		limit := explainClaim(&e.ClaimError)
		limit.Stage, limit.Hint = StageLimits, "no honest issuer makes such a token: find out whether the key is in other hands"
		return limit
	}
	if e, ok := errors.AsType[*ClaimError](err); ok {
		return explainClaim(e)
	}
	if _, ok := errors.AsType[malformedClaims](err); ok {
		return Explanation{Stage: StageClaims, Reason: ReasonMalformed, Hint: "the claims are not those of the Go type, or two programs may read them differently"}
	}
	if e, ok := errors.AsType[*NotYetError](err); ok {
		return Explanation{Stage: StageTime, Reason: ReasonNotYet, Claim: e.Claim, Hint: "compare the clocks of issuer and verifier"}
	}
	if _, ok := errors.AsType[*ExpiredError](err); ok {
		return Explanation{Stage: StageTime, Reason: ReasonExpired, Claim: "exp", Hint: "get a new token; if this one is new, compare the clocks of issuer and verifier"}
	}
	return Explanation{}
}

func explainClaim(c *ClaimError) Explanation {
	e := Explanation{Stage: StageClaims, Reason: ReasonMismatch, Claim: c.Claim}
	switch c.Reason {
	case missing:
		e.Reason, e.Hint = ReasonMissing, "ask the issuer to write it, or for a token of the right kind"
	case notString, notDate, notAudience, wrongKind, isEmpty:
		e.Reason, e.Hint = ReasonWrongType, "the issuer does not follow RFC 7519 or the token's profile here"
	}
	switch {
	case c.Claim == "jwk":
		e.Stage = StageHeader
	case c.Claim == "typ":
		e.Stage, e.Hint = StageHeader, "this is another kind of token: send the one that is asked for here, or correct the policy"
	case e.Reason != ReasonMismatch:
	case c.Claim == "iss":
		e.Hint = "compare the policy's issuer with the issuer's own metadata, byte for byte: a slash at the end counts"
	case c.Claim == "aud":
		e.Hint = "the token is for somebody else, or the issuer knows this service under another name than the policy says"
	case c.Reason == tooLong:
		e.Hint = "ask the issuer for tokens of a shorter life, or raise the longest life that the policy allows"
	case c.Claim == "nonce":
		e.Hint = "the token answers another request: start again"
	}
	return e
}

// explanations are those of errors without parts. Of two that match one error
// the narrower stands first.
var explanations = []Explanation{
	{err: jwk.ErrUnavailable, Stage: StageKey, Reason: ReasonUnavailable, Hint: "try again; see why the source of the keys does not answer"},
	{err: context.Canceled, Stage: StageKey, Reason: ReasonUnavailable, Hint: "the caller gave up"},
	{err: context.DeadlineExceeded, Stage: StageKey, Reason: ReasonUnavailable, Hint: "try again; see why the holder of the key does not answer"},

	{err: jws.ErrTooLarge, Stage: StageForm, Reason: ReasonTooLarge, Hint: "put less into the token"},
	{err: jws.ErrEncrypted, Stage: StageForm, Reason: ReasonEncrypted, Hint: "decrypt it first, and verify what is inside: VerifyNested"},
	{err: jws.ErrUnsecured, Stage: StageHeader, Reason: ReasonUnsigned, Hint: "such a token may be by anybody"},
	{err: jws.ErrCritical, Stage: StageHeader, Reason: ReasonCritical, Hint: "the token must not be read by programs that do not know this extension"},
	{err: jws.ErrDetached, Stage: StageForm, Reason: ReasonMalformed, Hint: "the payload travels apart from this token: VerifyDetached"},
	{err: jwk.ErrNotStreamable, Stage: StageForm, Reason: ReasonTooLarge, Hint: "take an algorithm that hashes first, such as ES256"},
	{err: jws.ErrMalformed, Stage: StageForm, Reason: ReasonMalformed, Hint: "check that it is the whole token and nothing else: no quotation marks, no line ends, no Bearer"},

	{err: jwe.ErrPolicy, Stage: StagePolicy, Reason: ReasonMisuse, Hint: "this is a mistake in the program, whatever the token"},
	{err: jwe.ErrCritical, Stage: StageHeader, Reason: ReasonCritical, Hint: "the token must not be read by programs that do not know this extension"},
	{err: jwe.ErrCompressed, Stage: StageHeader, Reason: ReasonNotAllowed, Hint: "see Policy.AllowZip of package jwe"},
	{err: jwe.ErrIterations, Stage: StageHeader, Reason: ReasonNotAllowed, Hint: "see Policy.MaxIterations of package jwe"},
	{err: jwe.ErrAlgorithm, Stage: StageHeader, Reason: ReasonAlgorithm, Hint: "the policy names one algorithm of key management, and the token another"},
	{err: jwe.ErrMalformed, Stage: StageForm, Reason: ReasonMalformed, Hint: "check that it is the whole token and nothing else: no quotation marks, no line ends"},
	{err: jwe.ErrEncryption, Stage: StageHeader, Reason: ReasonAlgorithm, Hint: "the policy names one content encryption, and the token another"},
	{err: jwe.ErrDecrypt, Stage: StageDecryption, Reason: ReasonBadSeal, Hint: "the token was changed, or is for another key"},
	{err: jwk.ErrUnwrap, Stage: StageDecryption, Reason: ReasonBadSeal, Hint: "the token was changed, or is for another key"},

	{err: jwk.ErrSignature, Stage: StageSignature, Reason: ReasonBadSeal, Hint: "the token was changed, or another key signed it"},
	{err: jwk.ErrUnknownKey, Stage: StageKey, Reason: ReasonUnknownKey, Hint: "the key set is another issuer's, or older than the key"},
	{err: jwk.ErrUnsupported, Stage: StageKey, Reason: ReasonUnsupported, Hint: "see docs/specs.md for what is supported"},
	{err: jwk.ErrNoAlgorithm, Stage: StageKey, Reason: ReasonAlgorithm, Hint: "name the algorithm in Params when the key is read, a JWK with ParseAs"},
	{err: jwk.ErrAlgorithm, Stage: StageKey, Reason: ReasonAlgorithm, Hint: "a key is for one algorithm: compare it with the token's alg, and with the policy"},
	{err: jwk.ErrUse, Stage: StageKey, Reason: ReasonUse, Hint: "compare use and key_ops of the key with what it is used for"},
	{err: jwk.ErrWeakKey, Stage: StageKey, Reason: ReasonWeakKey, Hint: "make a new one"},
	{err: jwk.ErrNotPrivate, Stage: StageKey, Reason: ReasonNotPrivate, Hint: "sign and decrypt with the private key"},
	{err: jwk.ErrOpaque, Stage: StageKey, Reason: ReasonNotPrivate, Hint: "write out its public part, and keep a reference to where it is held"},
	{err: jwk.ErrEncrypted, Stage: StageKey, Reason: ReasonUnsupported, Hint: "take the password off first: openssl pkey"},
	{err: jwk.ErrCertificate, Stage: StageKey, Reason: ReasonUnknownKey, Hint: "the certificate leads to no root that you named, or is not valid now, or not for this"},
	{err: jwk.ErrPrivate, Stage: StageKey, Reason: ReasonPrivate, Hint: "somebody has given a private key away: replace it"},
	{err: jwk.ErrSymmetric, Stage: StageKey, Reason: ReasonPrivate, Hint: "what verifies under a shared secret can sign as well: use a key pair"},
	{err: jwk.ErrDuplicate, Stage: StageKey, Reason: ReasonDuplicate, Hint: "give each key of the set a kid of its own"},
	{err: jwk.ErrMalformed, Stage: StageKey, Reason: ReasonMalformed, Hint: "the key breaks a rule of RFC 7517 or RFC 7518"},
}

// Error implements error: what is wrong and what to do, for a log or for the
// person who runs the program.
func (e Explanation) Error() string {
	switch {
	case e.err == nil:
		return "no error"
	case e.Hint == "":
		return e.err.Error()
	}
	return e.err.Error() + " (" + e.Hint + ")"
}

// Unwrap returns the error that was explained.
func (e Explanation) Unwrap() error { return e.err }

// Codes of RFC 6750, Section 3.1, and RFC 6749, Section 4.1.2.1.
const (
	codeInvalidToken = "invalid_token"
	codeServerError  = "server_error"
	codeUnavailable  = "temporarily_unavailable"
)

// Client returns what whoever sent the token may be told: an error code and a
// description, as in RFC 6750, Section 3. It is the same whether a key is
// unknown or a signature wrong, and says nothing of what the policy wants: only
// what the sender can act on, or has seen before.
func (e Explanation) Client() (code, description string) {
	switch {
	case e.Reason == ReasonUnavailable:
		return codeUnavailable, "try again later"
	case e.Stage == StagePolicy:
		return codeServerError, "the server is misconfigured"
	case e.Stage == StageForm:
		return codeInvalidToken, "the token is malformed"
	case e.Stage == StageTime && e.Reason == ReasonExpired:
		return codeInvalidToken, "the token expired"
	case e.Stage == StageTime:
		return codeInvalidToken, "the token is not valid yet"
	}
	return codeInvalidToken, "the token is not good here"
}
