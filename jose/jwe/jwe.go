package jwe

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Bounds of what is read and written, in bytes.
const (
	MaxToken  = 256 << 10 // the whole serialization
	MaxHeader = 4 << 10   // the header as JSON
)

// ErrMalformed reports a text that is not a compact JWE as it must be. ErrDecrypt
// reports one that does not open, and never says why: which step refused would
// help an attacker.
var (
	ErrMalformed = errors.New("jwe: malformed")
	ErrDecrypt   = errors.New("jwe: does not decrypt")

	errTooLarge = errors.New("jwe: too large")
)

// A Policy says what [Decrypt] accepts. Both fields are required, since either
// algorithm alone leaves the other to the attacker.
type Policy struct {
	Algorithm  string // "alg", how the content key is wrapped: "A256GCMKW"
	Encryption string // "enc", how the content is encrypted: [A256GCM]
}

// Encrypt seals plaintext for key under a fresh content encryption key. enc is
// the content encryption, [A256GCM]; contentType becomes "cty" unless empty. The
// error wraps [jwk.ErrUse] if key is not for wrapping, or [ErrEncryption].
func Encrypt(key *jwk.Key, enc, contentType string, plaintext []byte) (string, error) {
	size, ok := contentKeySizes[enc]
	if !ok {
		return "", ErrEncryption
	}
	if len(plaintext) > MaxToken {
		return "", errTooLarge
	}
	cek := make([]byte, size)
	rand.Read(cek) // never fails, see crypto/rand
	wrapped, err := key.WrapKey(cek, jwk.WrapParams{})
	if err != nil {
		return "", err
	}
	segment, err := header{
		Algorithm:   string(key.Algorithm()),
		Encryption:  enc,
		KeyID:       key.KeyID(),
		ContentType: contentType,
		IV:          wire.Encode(wrapped.IV),
		Tag:         wire.Encode(wrapped.Tag),
	}.encode()
	if err != nil {
		return "", err
	}
	content, err := seal(cek, plaintext, []byte(segment))
	if err != nil {
		return "", fmt.Errorf("jwe: %w", err)
	}
	token := []byte(segment)
	for _, part := range [][]byte{wrapped.Key, content.iv, content.ciphertext, content.tag} {
		token = wire.AppendEncode(append(token, '.'), part)
	}
	if len(token) > MaxToken {
		return "", errTooLarge
	}
	return string(token), nil
}

// Decrypt opens a compact JWE with key if the JWE, the key and the policy agree
// on the algorithms. A "kid" in the header must be the key's. Errors wrap
// [ErrMalformed], [jwk.ErrAlgorithm], [jwk.ErrUnknownKey], [ErrEncryption] or
// [ErrDecrypt]; none carries bytes of the token.
func Decrypt(key *jwk.Key, p Policy, token string) ([]byte, error) {
	size, ok := contentKeySizes[p.Encryption]
	if !ok || p.Algorithm == "" {
		return nil, errors.New("jwe: Policy needs Algorithm and Encryption")
	}
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(parts[0])
	if err != nil {
		return nil, err
	}
	if err := h.check(key, p); err != nil {
		return nil, err
	}
	content, err := decodeContent(parts)
	if err != nil {
		return nil, err
	}
	wrapped, err := h.wrapped(parts[1])
	if err != nil {
		return nil, err
	}
	cek, err := key.UnwrapKey(wrapped)
	if errors.Is(err, jwk.ErrUse) {
		return nil, err
	}
	// RFC 7516, Section 5.2, step 10: the key has exactly the size of enc.
	if err != nil || len(cek) != size {
		return nil, ErrDecrypt
	}
	return open(cek, content, []byte(parts[0]))
}

// check holds header, key and policy against one another.
func (h header) check(key *jwk.Key, p Policy) error {
	if h.Algorithm != p.Algorithm {
		return jwk.ErrAlgorithm
	}
	if h.Encryption != p.Encryption {
		return ErrEncryption
	}
	_, err := key.Find(h.KeyID, h.Algorithm)
	return err
}

// split cuts a token into its five segments.
func split(token string) (parts []string, err error) {
	if len(token) > MaxToken {
		return nil, malformed("too large")
	}
	if strings.Count(token, ".") != 4 {
		return nil, malformed("not five segments")
	}
	return strings.Split(token, "."), nil
}

// decodeContent reads the last three segments.
func decodeContent(parts []string) (s sealed, err error) {
	if s.iv, err = wire.Decode(parts[2]); err != nil {
		return s, malformed("initialization vector")
	}
	if s.ciphertext, err = wire.Decode(parts[3]); err != nil {
		return s, malformed("ciphertext")
	}
	if s.tag, err = wire.Decode(parts[4]); err != nil {
		return s, malformed("authentication tag")
	}
	return s, nil
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
