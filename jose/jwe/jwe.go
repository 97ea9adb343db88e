package jwe

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// An Encryption is a value of "enc" (RFC 7518, Section 5.1): how the content is
// encrypted.
type Encryption = jwk.Encryption

// The content encryptions there are.
const (
	A128GCM Encryption = "A128GCM" // AES-GCM, RFC 7518, Section 5.3
	A192GCM Encryption = "A192GCM"
	A256GCM Encryption = "A256GCM"

	A128CBCHS256 Encryption = "A128CBC-HS256" // AES-CBC with HMAC, RFC 7518, Section 5.2
	A192CBCHS384 Encryption = "A192CBC-HS384"
	A256CBCHS512 Encryption = "A256CBC-HS512"
)

// Bounds of what is read and written.
const (
	MaxToken      = 256 << 10         // bytes of the whole serialization
	MaxHeader     = 4 << 10           // bytes of each header as JSON
	MaxRecipients = 64                // of one message
	MaxInflated   = 250_000           // bytes of a plaintext that was compressed
	MaxIterations = jwk.MaxIterations // of PBES2, over a whole message

	maxAttempts   = 8    // recipients of one message for whom we have the key
	maxParameters = 1024 // of all headers of one message in JSON
)

// ErrMalformed reports a text that is not a JWE as it must be; [ErrCritical] and
// [ErrCompressed] are such. ErrDecrypt reports one that does not open, and never
// says why: which step refused would help an attacker. ErrAlgorithm and
// ErrEncryption report an "alg" and an "enc" that are not those that the policy
// pins, or that do not exist here; the first matches [jwk.ErrAlgorithm] too.
// ErrPolicy reports a mistake in the program, whatever the token.
var (
	ErrMalformed  = errors.New("jwe: malformed")
	ErrDecrypt    = errors.New("jwe: does not decrypt")
	ErrAlgorithm  = fmt.Errorf("jwe: key management is not allowed: %w", jwk.ErrAlgorithm)
	ErrEncryption = errors.New("jwe: content encryption is not allowed")
	ErrCritical   = malformed("critical header parameter is not understood")
	ErrCompressed = malformed("compression is not allowed")
	ErrIterations = errors.New("jwe: PBES2 iterations beyond what is allowed")
	ErrPolicy     = errors.New("jwe: Policy needs Algorithm and Encryption")

	errTokenSize = malformed("too large")
	errSegments  = malformed("not five segments")

	errRSA15    = fmt.Errorf("%w: RSA1_5 is never allowed", ErrAlgorithm)
	errTooLarge = errors.New("jwe: too large")
)

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// A Policy says what [Decrypt] accepts. Algorithm and Encryption are required,
// since either alone leaves the other to the attacker; only for an algorithm that
// is [jwk.Algorithm.Integrated] there is no Encryption.
type Policy struct {
	Algorithm  jwk.Algorithm // "alg", how the content encryption key is found
	Encryption Encryption    // "enc", how the content is encrypted

	// AllowZip reads compressed plaintexts too ("zip", RFC 7516, Section 4.1.3), up
	// to MaxInflated.
	AllowZip bool

	// MaxIterations bounds the work for a password, over all recipients of a
	// message. Zero refuses PBES2; more than the constant MaxIterations cannot be
	// allowed.
	MaxIterations int

	// Critical has the extensions that the application understands ("crit", RFC
	// 7516, Section 4.1.13), each with a function that is called, once the message
	// has been decrypted, with the protected header and the extension's value. Its
	// error refuses the message.
	Critical map[string]func(Header, jsontext.Value) error
}

func (p *Policy) check() error {
	switch {
	case p.Algorithm == "" || !fits(p.Algorithm, p.Encryption):
		return ErrPolicy
	case p.MaxIterations < 0 || p.MaxIterations > MaxIterations:
		return fmt.Errorf("jwe: Policy.MaxIterations is not within 0 to %d", MaxIterations)
	}
	return nil
}

// fits reports whether enc may stand beside alg: every algorithm needs a content
// encryption, but for those that do it themselves.
func fits(alg jwk.Algorithm, enc Encryption) bool {
	if alg.Integrated() {
		return enc == ""
	}
	return enc.KeySize() != 0
}
