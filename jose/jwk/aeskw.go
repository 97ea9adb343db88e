package jwk

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// Key Wrap works on halves of an AES block (RFC 3394, Section 2).
const (
	semiblock  = 8 // bytes
	wrapRounds = 6
	minWrapped = 2 * semiblock // bytes of key data: n is at least 2
)

// wrapIV is the initial value of RFC 3394, Section 2.2.3.1. What is found there
// after unwrapping is the integrity check.
var wrapIV = [semiblock]byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}

var errKeyData = errors.New("jwk: content encryption key cannot be wrapped with this length")

// An aesKW is a key-encryption key for A128KW, A192KW or A256KW (RFC 7518, Section
// 4.4).
type aesKW struct {
	sharedSecret
	block cipher.Block
}

// newAESKW checks and takes over secret.
func newAESKW(info algorithmInfo, secret []byte) (material, error) {
	if err := checkExact(secret, info.size); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, malformed("k")
	}
	return &aesKW{sharedSecret{secret: secret}, block}, nil
}

func (k *aesKW) wrap(cek []byte, _ WrapParams) (Wrapped, error) {
	wrapped, err := wrapAES(k.block, cek)
	return Wrapped{Key: wrapped}, err
}

func (k *aesKW) unwrap(w Wrapped) ([]byte, error) { return unwrapAES(k.block, w.Key) }

// wrapWith wraps cek under a key-encryption key that is used once.
func wrapWith(kek, cek []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	return wrapAES(block, cek)
}

func unwrapWith(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, ErrUnwrap
	}
	return unwrapAES(block, wrapped)
}

// wrapAES is the key wrap process in its indexed form (RFC 3394, Section 2.2.1).
func wrapAES(block cipher.Block, cek []byte) ([]byte, error) {
	if len(cek) < minWrapped || len(cek)%semiblock != 0 {
		return nil, errKeyData
	}
	wrapped := make([]byte, semiblock+len(cek))
	copy(wrapped[semiblock:], cek)
	b := make([]byte, aes.BlockSize) // A ‖ R[i]
	copy(b, wrapIV[:])
	t := uint64(0)
	for range wrapRounds {
		for i := semiblock; i < len(wrapped); i += semiblock {
			r := wrapped[i : i+semiblock]
			copy(b[semiblock:], r)
			block.Encrypt(b, b)
			t++
			binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^t)
			copy(r, b[semiblock:])
		}
	}
	copy(wrapped, b[:semiblock])
	return wrapped, nil
}

// unwrapAES is the key unwrap process (RFC 3394, Section 2.2.2).
func unwrapAES(block cipher.Block, wrapped []byte) ([]byte, error) {
	if len(wrapped) < semiblock+minWrapped || len(wrapped)%semiblock != 0 {
		return nil, ErrUnwrap
	}
	cek := append([]byte(nil), wrapped[semiblock:]...)
	b := make([]byte, aes.BlockSize) // A ‖ R[i]
	copy(b, wrapped[:semiblock])
	t := uint64(wrapRounds * len(cek) / semiblock)
	for range wrapRounds {
		for i := len(cek) - semiblock; i >= 0; i -= semiblock {
			r := cek[i : i+semiblock]
			binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^t)
			copy(b[semiblock:], r)
			block.Decrypt(b, b)
			t--
			copy(r, b[semiblock:])
		}
	}
	if subtle.ConstantTimeCompare(b[:semiblock], wrapIV[:]) != 1 {
		clear(cek)
		return nil, ErrUnwrap
	}
	return cek, nil
}
