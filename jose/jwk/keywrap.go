package jwk

import (
	"crypto/aes"
	"crypto/cipher"
)

const (
	kekSize = 32 // AES-256
	ivSize  = 12 // 96 bits, RFC 7518, Section 4.7.1.1
	tagSize = 16 // 128 bits, RFC 7518, Section 4.7.1.2
)

// A Wrapped is a content encryption key encrypted with A256GCMKW: the JWE
// Encrypted Key and the header parameters "iv" and "tag".
type Wrapped struct{ Key, IV, Tag []byte }

// WrapKey encrypts a content encryption key under a fresh random IV. One key
// should not wrap more than 2^32 times (NIST SP 800-38D, Section 8.3). The error
// is [ErrUse] for a key that is not for wrapping.
func (k *Key) WrapKey(cek []byte) (Wrapped, error) {
	kek, ok := k.material.material.(*kekKey)
	if !ok || !k.ops.allow(opWrap, opEncrypt) {
		return Wrapped{}, ErrUse
	}
	sealed := kek.seal.Seal(nil, nil, cek, nil)
	end := len(sealed) - tagSize
	return Wrapped{IV: sealed[:ivSize:ivSize], Key: sealed[ivSize:end:end], Tag: sealed[end:]}, nil
}

// UnwrapKey opens what [Key.WrapKey] made. The error is [ErrUse] for a key that
// is not for unwrapping, else [ErrUnwrap], whatever is wrong.
func (k *Key) UnwrapKey(w Wrapped) ([]byte, error) {
	kek, ok := k.material.material.(*kekKey)
	if !ok || !k.ops.allow(opUnwrap, opDecrypt) {
		return nil, ErrUse
	}
	if len(w.IV) != ivSize || len(w.Tag) != tagSize {
		return nil, ErrUnwrap
	}
	sealed := append(append(make([]byte, 0, len(w.Key)+tagSize), w.Key...), w.Tag...)
	cek, err := kek.open.Open(nil, w.IV, sealed, nil)
	if err != nil {
		return nil, ErrUnwrap
	}
	return cek, nil
}

// A kekKey is a key-encryption key for A256GCMKW.
type kekKey struct {
	secret []byte
	seal   cipher.AEAD // makes its own IV and puts it first
	open   cipher.AEAD
}

// newKEK checks and takes over secret.
func newKEK(secret []byte) (material, error) {
	if err := checkSecret(secret, kekSize); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil { // longer than kekSize
		return nil, malformed("k has the wrong length")
	}
	k := &kekKey{secret: secret}
	if k.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, malformed("k")
	}
	if k.open, err = cipher.NewGCM(block); err != nil {
		return nil, malformed("k")
	}
	return k, nil
}

func (k *kekKey) sign([]byte) ([]byte, error) { return nil, ErrUse }
func (k *kekKey) verify(_, _ []byte) bool     { return false }
func (k *kekKey) isPrivate() bool             { return true }
func (k *kekKey) public() material            { return nil }
func (k *kekKey) required() []member          { return octMembers(k.secret) }

func (k *kekKey) members() members { return octMembers(k.secret) }
