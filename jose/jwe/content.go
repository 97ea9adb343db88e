package jwe

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// A256GCM is the content encryption of RFC 7518, Section 5.3, with a 256-bit key.
const A256GCM = "A256GCM"

const (
	ivSize  = 12 // bytes, RFC 7518, Section 5.3: 96 bits
	tagSize = 16 // bytes, RFC 7518, Section 5.3: 128 bits
)

// ErrEncryption reports a content encryption that is not known, or not the one
// that the policy pins.
var ErrEncryption = errors.New("jwe: content encryption is not allowed")

// contentKeySizes are the content encryptions there are, with the size of their
// keys in bytes.
var contentKeySizes = map[string]int{A256GCM: 32}

// A sealed is encrypted content with what belongs to it.
type sealed struct{ iv, ciphertext, tag []byte }

// seal encrypts plaintext under cek and a fresh random IV.
func seal(cek, plaintext, aad []byte) (sealed, error) {
	block, err := aes.NewCipher(cek)
	if err != nil {
		return sealed{}, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealed{}, err
	}
	all := gcm.Seal(nil, nil, plaintext, aad)
	end := len(all) - tagSize
	return sealed{iv: all[:ivSize], ciphertext: all[ivSize:end], tag: all[end:]}, nil
}

// open decrypts s, whose IV and tag must have their exact sizes: crypto/cipher
// panics at the one, and would take a longer ciphertext for the other.
func open(cek []byte, s sealed, aad []byte) ([]byte, error) {
	if len(s.iv) != ivSize || len(s.tag) != tagSize {
		return nil, ErrDecrypt
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, ErrDecrypt
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, ErrDecrypt
	}
	text := append(append(make([]byte, 0, len(s.ciphertext)+tagSize), s.ciphertext...), s.tag...)
	plaintext, err := gcm.Open(text[:0], s.iv, text, aad)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plaintext, nil
}
