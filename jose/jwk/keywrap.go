package jwk

import (
	"crypto/aes"
	"crypto/cipher"
)

const (
	ivSize  = 12 // 96 bits, RFC 7518, Section 4.7.1.1
	tagSize = 16 // 128 bits, RFC 7518, Section 4.7.1.2
)

// A gcmKW is a key-encryption key for A128GCMKW, A192GCMKW or A256GCMKW (RFC 7518,
// Section 4.7).
type gcmKW struct {
	sharedSecret
	aead cipher.AEAD // makes its own IV and puts it first
}

// newGCMKW checks and takes over secret.
func newGCMKW(info algorithmInfo, secret []byte) (material, error) {
	if err := checkExact(secret, info.size); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, malformed("k")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, malformed("k")
	}
	return &gcmKW{sharedSecret{secret: secret}, aead}, nil
}

func (k *gcmKW) wrap(cek []byte, _ WrapParams) (Wrapped, error) {
	sealed := k.aead.Seal(nil, nil, cek, nil)
	end := len(sealed) - tagSize
	return Wrapped{IV: sealed[:ivSize:ivSize], Key: sealed[ivSize:end:end], Tag: sealed[end:]}, nil
}

func (k *gcmKW) unwrap(w Wrapped) ([]byte, error) {
	if len(w.IV) != ivSize || len(w.Tag) != tagSize {
		return nil, ErrUnwrap
	}
	sealed := make([]byte, 0, ivSize+len(w.Key)+tagSize)
	sealed = append(append(append(sealed, w.IV...), w.Key...), w.Tag...)
	cek, err := k.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, ErrUnwrap
	}
	return cek, nil
}
