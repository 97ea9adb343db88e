package jwk

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/internal/content"
)

// defaultSecret is the size of a generated secret, in bytes, where the algorithm
// leaves it open.
const defaultSecret = 32

// An Encryption is a value of the "enc" parameter (RFC 7518, Section 5.1): how
// the content of a JWE is encrypted. Package jwe has the constants.
type Encryption string

// KeySize returns the size in bytes of the keys of e, or 0 if there is no such
// content encryption.
func (e Encryption) KeySize() int {
	suite, _ := content.Lookup(string(e))
	return suite.Key
}

// A Wrapped is what a JWE carries so that its recipient gets at the content
// encryption key: the JWE Encrypted Key, and header parameters. Which of them are
// there depends on the algorithm.
type Wrapped struct {
	Key []byte // JWE Encrypted Key; empty for [Dir] and [ECDHES]

	IV, Tag  []byte         // A*GCMKW, RFC 7518, Section 4.7.1
	EPK      jsontext.Value // ECDH-ES, a public JWK, Section 4.6.1
	APU, APV []byte         // ECDH-ES; may be empty
	P2S      []byte         // PBES2, the salt, Section 4.8.1
	P2C      int            // PBES2, the number of iterations
	EK       []byte         // HPKE, the encapsulated secret

	Encryption Encryption // HPKE: the "enc" of the message, to which the key is tied
}

// WrapParams are what a sender may choose. The zero value is right for nearly
// everybody.
type WrapParams struct {
	APU, APV   []byte // ECDH-ES: names of the parties, which enter the key (RFC 7518, Section 4.6.1)
	Iterations int    // PBES2; default [DefaultIterations] of the algorithm

	Encryption Encryption // HPKE: the "enc" of the message; required
}

// encryption completes the row of an algorithm of this package by what p says.
func (p *Params) encryption(info algorithmInfo) (algorithmInfo, error) {
	switch {
	case p.Encryption == "":
		return info, nil
	case info.family != familyDirect:
		return info, fmt.Errorf("%w: Encryption is for keys for dir", ErrAlgorithm)
	case p.Encryption.KeySize() == 0:
		return info, fmt.Errorf("%w: enc", ErrUnsupported)
	}
	info.enc = p.Encryption
	return info, nil
}

// A wrapper is the material of a key that encrypts other keys. The error of
// unwrap is ErrUnwrap, whatever is wrong, unless it is an ErrUnavailable.
type wrapper interface {
	wrap(cek []byte, p WrapParams) (Wrapped, error)
	unwrap(w Wrapped) ([]byte, error)
}

// Direct reports whether a content encryption key is never wrapped by k but
// follows from it: k is for [Dir], [ECDHES] or an algorithm that is [Algorithm.Integrated]. A
// message has then one recipient.
func (k *Key) Direct() bool { return k.alg == Dir || k.alg == ECDHES || k.info.integrated }

// Fixed reports whether nothing that a message carries for k in its header
// changes from one message to the next.
func (k *Key) Fixed() bool {
	switch k.info.family {
	case familyOAEP, familyAESKW, familyDirect:
		return true
	}
	return k.info.integrated
}

// CanEncrypt returns nil for a key that encrypts, [ErrUse] for one that does not:
// because its algorithm signs, or its "key_ops" say so.
func (k *Key) CanEncrypt() error {
	if !k.info.wraps || !k.mayEncrypt() {
		return ErrUse
	}
	return nil
}

// Encryption returns the one content encryption that a key for [Dir] is for, or
// "" where that was left open.
func (k *Key) Encryption() Encryption { return k.info.enc }

// WrapKey encrypts a content encryption key, each time in another way. One key of
// the GCM kind should not wrap more than 2^32 times (NIST SP 800-38D, Section
// 8.3). The error is [ErrUse] for a key that is not for wrapping; another one
// means that p, or the length of cek, is not possible with the algorithm.
func (k *Key) WrapKey(cek []byte, p WrapParams) (Wrapped, error) {
	w, ok := k.held().(wrapper)
	if !ok || k.Direct() || !k.mayEncrypt() {
		return Wrapped{}, ErrUse
	}
	return w.wrap(cek, p)
}

// UnwrapKey opens what [Key.WrapKey] made. The error is [ErrUse] for a key that
// is not for unwrapping, [ErrNotPrivate] for one that cannot, else [ErrUnwrap],
// whatever is wrong. PBES2 does as many iterations as w says, at most
// [MaxIterations]: a caller that wants less looks at w first. Where somebody outside
// this process holds the private part and cannot be asked now, the error matches
// [ErrUnavailable]: it says nothing of w.
func (k *Key) UnwrapKey(w Wrapped) ([]byte, error) {
	m, ok := k.held().(wrapper)
	if !ok || k.Direct() || !k.mayDecrypt() {
		return nil, ErrUse
	}
	if !k.IsPrivate() {
		return nil, ErrNotPrivate
	}
	return m.unwrap(w)
}

// AgreeKey makes a content encryption key for enc together with the holder of the
// private half of k, which is for [ECDHES]. It uses a fresh ephemeral key each
// time. The error is [ErrUse] for any other key, [ErrUnsupported] for an unknown
// enc.
func (k *Key) AgreeKey(enc Encryption, p WrapParams) (cek []byte, w Wrapped, err error) {
	m, ok := k.held().(*ecdhKey)
	if !ok || k.alg != ECDHES || !k.mayEncrypt() {
		return nil, w, ErrUse
	}
	if enc.KeySize() == 0 {
		return nil, w, ErrUnsupported
	}
	return m.agree(string(enc), enc.KeySize(), p)
}

// AgreedKey returns the key that [Key.AgreeKey] made for the private half k. The
// errors are those of [Key.UnwrapKey].
func (k *Key) AgreedKey(enc Encryption, w Wrapped) ([]byte, error) {
	m, ok := k.held().(*ecdhKey)
	if !ok || k.alg != ECDHES || !k.mayDecrypt() {
		return nil, ErrUse
	}
	if !k.IsPrivate() {
		return nil, ErrNotPrivate
	}
	if enc.KeySize() == 0 || len(w.Key) != 0 { // RFC 7516, Section 5.2, step 10
		return nil, ErrUnwrap
	}
	return m.agreed(string(enc), enc.KeySize(), w)
}

// Seal encrypts plaintext by k itself, which is for [Dir], and appends iv,
// ciphertext and tag to dst, whose memory must not overlap that of plaintext. One
// key should not seal more than 2^32 times. The error is [ErrUse] for any other
// key, [ErrUnsupported] if k is not for enc.
func (k *Key) Seal(enc Encryption, dst, plaintext, aad []byte) ([]byte, error) {
	m, ok := k.held().(*directKey)
	if !ok || !k.mayEncrypt() {
		return nil, ErrUse
	}
	c := m.cipher(enc)
	if c == nil {
		return nil, ErrUnsupported
	}
	return c.Seal(dst, plaintext, aad), nil
}

// Open appends the plaintext of what [Key.Seal] made to dst, whose memory must
// not overlap that of sealed. The error is [ErrUse] for a key that may not,
// [ErrUnsupported] if k is not for enc, else [ErrUnwrap], whatever is wrong.
func (k *Key) Open(enc Encryption, dst, sealed, aad []byte) ([]byte, error) {
	m, ok := k.held().(*directKey)
	if !ok || !k.ops.allow(opDecrypt) {
		return nil, ErrUse
	}
	c := m.cipher(enc)
	if c == nil {
		return nil, ErrUnsupported
	}
	plaintext, err := c.Open(dst, sealed, aad)
	if err != nil {
		return nil, ErrUnwrap
	}
	return plaintext, nil
}

// An encryptOnly is the part of a material that makes no signatures.
type encryptOnly struct{}

func (encryptOnly) sign([]byte) ([]byte, error) { return nil, ErrUse }
func (encryptOnly) verify(_, _ []byte) bool     { return false }

// A sharedSecret is the part of a material that is a secret of exact size.
type sharedSecret struct {
	encryptOnly
	secret []byte
}

func (s sharedSecret) isPrivate() bool    { return true }
func (s sharedSecret) public() material   { return nil }
func (s sharedSecret) required() []member { return octMembers(s.secret) }
func (s sharedSecret) members() members   { return octMembers(s.secret) }

// newEncryption checks and takes over a secret for an algorithm that encrypts.
func newEncryption(info algorithmInfo, secret []byte) (material, error) {
	switch info.family {
	case familyAESKW:
		return newAESKW(info, secret)
	case familyPBES2:
		return newPBES2(info, secret)
	case familyDirect:
		return newDirect(info, secret)
	default:
		return newGCMKW(info, secret)
	}
}

// checkExact is checkSecret for a secret of exactly size bytes.
func checkExact(secret []byte, size int) error {
	if err := checkSecret(secret, size); err != nil {
		return err
	}
	if len(secret) != size {
		return malformed("k has the wrong length")
	}
	return nil
}
