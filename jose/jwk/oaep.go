package jwk

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"fmt"
	"hash"
)

// errRSA15 refuses the padding of PKCS #1 v1.5 for encryption: every error of it
// answers a question about the plaintext.
var errRSA15 = fmt.Errorf("%w: RSA1_5 is not allowed", ErrUnsupported)

// An oaepKey is a key for RSAES-OAEP (RFC 7518, Section 4.3), the same hash in the
// mask generation function, and no label.
type oaepKey struct {
	*rsaKey
	hash func() hash.Hash
}

// newOAEP makes the material of an RSA key that has passed its checks.
func newOAEP(info algorithmInfo, k *rsaKey) material {
	if info.hash == crypto.SHA1 {
		// The mask generation and the hash of an empty label need no resistance to
		// collisions, which is what SHA-1 has lost.
		return &oaepKey{k, sha1.New}
	}
	return &oaepKey{k, newHash(info.hash)}
}

func (k *oaepKey) wrap(cek []byte, _ WrapParams) (Wrapped, error) {
	wrapped, err := rsa.EncryptOAEP(k.hash(), rand.Reader, k.pub, cek, nil)
	if err != nil {
		return Wrapped{}, fmt.Errorf("jwk: %w", err)
	}
	return Wrapped{Key: wrapped}, nil
}

func (k *oaepKey) unwrap(w Wrapped) ([]byte, error) {
	// crypto/rsa takes a shorter text for one with leading zeros.
	if k.priv == nil || len(w.Key) != k.pub.Size() {
		return nil, ErrUnwrap
	}
	cek, err := rsa.DecryptOAEP(k.hash(), nil, k.priv, w.Key, nil)
	if err != nil {
		return nil, ErrUnwrap
	}
	return cek, nil
}

func (k *oaepKey) public() material {
	return &oaepKey{&rsaKey{pub: k.pub}, k.hash}
}

func (k *oaepKey) sign([]byte) ([]byte, error) { return nil, ErrUse }
func (k *oaepKey) verify(_, _ []byte) bool     { return false }
