package notary

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// WitnessHeader is the protected header parameter that holds a witness.
const WitnessHeader = "witness"

const (
	witnessLabel = "cfw1" // first bytes of what a witness signs

	witnessSize    = 64 // an Ed25519 signature (RFC 8032, Section 5.1.6)
	witnessOpening = `,"` + WitnessHeader + `":"`
	witnessClosing = `"}`
)

var witnessLen = wire.EncodedLen(witnessSize)

var (
	// ErrNoWitness reports a token without a witness at the one place where it may be.
	ErrNoWitness = errors.New("token has no witness")
	// ErrWitness reports a witness that the notary did not make for this token.
	ErrWitness = errors.New("witness does not match the token")
)

// A Witnesser is a Tagger that also signs what it tags, with a key of its own. A
// verifier then recognizes a forgery by itself, without asking the auditor.
type Witnesser interface {
	Tagger

	// TagWitness is Tag for a token whose header segment, without a witness, is
	// header and whose payload after the jti is rest. The witness goes into the
	// header parameter "witness", the last one: see [WithWitness].
	TagWitness(ctx context.Context, kid, header string, rest []byte) (jti, witness string, err error)

	// WitnessKeys returns the public keys that verify witnesses, the one in use
	// first.
	WitnessKeys(ctx context.Context) (*jwk.Set, error)
}

// WithWitness returns a header segment with witness as its last parameter. The
// segment must be one of a JSON object with at least one member and no witness.
func WithWitness(header, witness string) (string, error) {
	b, err := wire.Decode(header)
	if err != nil || len(b) < len(`{"":0}`) || b[len(b)-1] != '}' || len(witness) != witnessLen {
		return "", ErrWitness
	}
	b = append(append(b[:len(b)-1], witnessOpening...), witness...)
	return wire.Encode(append(b, witnessClosing...)), nil
}

// SplitWitness takes the witness out of a header segment: bare is what
// [WithWitness] was given. Only a witness that is the last parameter, written
// exactly so, is one; without it bare is header itself.
func SplitWitness(header string) (bare, witness string) {
	tail := len(witnessOpening) + witnessLen + len(witnessClosing)
	if len(header) < wire.EncodedLen(tail) {
		return header, "" // most are
	}
	b, err := wire.Decode(header)
	if err != nil || len(b) <= tail || !bytes.HasSuffix(b, []byte(witnessClosing)) {
		return header, ""
	}
	b, last := b[:len(b)-tail], b[len(b)-tail:len(b)-len(witnessClosing)]
	value, ok := bytes.CutPrefix(last, []byte(witnessOpening))
	if !ok {
		return header, ""
	}
	if _, err := wire.Decode(value); err != nil {
		return header, ""
	}
	return wire.Encode(append(b, '}')), string(value)
}

// VerifyWitness checks the witness in the header segment of a token under the key
// named kid. Any of keys may have made it. Errors: [ErrNoWitness], [ErrWitness],
// [ErrPayload].
func VerifyWitness(keys *jwk.Set, kid, header string, payload []byte) error {
	bare, witness := SplitWitness(header)
	if witness == "" {
		return ErrNoWitness
	}
	jti, rest, err := SplitPayload(payload)
	if err != nil {
		return err
	}
	signature, err := wire.Decode(witness)
	if err != nil || keys == nil {
		return ErrWitness
	}
	input := witnessInput(kid, jti, sum(bare, rest))
	for _, key := range keys.Keys() {
		if key.Verify(input, signature) == nil {
			return nil
		}
	}
	return ErrWitness
}

// witnessInput returns "cfw1" ‖ len(kid) ‖ kid ‖ jti ‖ h, the length as two bytes.
func witnessInput(kid, jti string, h [sha256.Size]byte) []byte {
	b := make([]byte, 0, len(witnessLabel)+2+len(kid)+len(jti)+len(h))
	b = append(appendKeyID(append(b, witnessLabel...), kid), jti...)
	return append(b, h[:]...)
}

// sum returns SHA-256(bare ‖ '.' ‖ rest).
func sum(bare string, rest []byte) [sha256.Size]byte {
	h := sha256.New()
	io.WriteString(h, bare)
	io.WriteString(h, ".")
	h.Write(rest)
	return [sha256.Size]byte(h.Sum(nil))
}
