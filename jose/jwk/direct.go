package jwk

import (
	"fmt"

	"github.com/counterfoil/counterfoil/jose/internal/content"
)

// A directKey encrypts content itself (RFC 7518, Section 4.5). Its ciphers are
// ready: one, or where the encryption was left open one for each that has keys of
// this size.
type directKey struct {
	sharedSecret
	ciphers []contentCipher
}

type contentCipher struct {
	enc Encryption
	content.Cipher
}

// newDirect checks and takes over secret.
func newDirect(info algorithmInfo, secret []byte) (material, error) {
	names := content.Names(len(secret))
	if info.enc != "" {
		names = []string{string(info.enc)}
	}
	if len(names) == 0 {
		return nil, directSize(secret)
	}
	if err := checkExact(secret, Encryption(names[0]).KeySize()); err != nil {
		return nil, err
	}
	k := &directKey{sharedSecret: sharedSecret{secret: secret}}
	for _, name := range names {
		c, err := content.NewReusable(name, secret)
		if err != nil {
			return nil, malformed("k")
		}
		k.ciphers = append(k.ciphers, contentCipher{Encryption(name), c})
	}
	return k, nil
}

// directSize is the error for a secret that fits no content encryption.
func directSize(secret []byte) error {
	const smallest = 16 // bytes, of A128GCM
	if err := checkSecret(secret, smallest); err != nil {
		return err
	}
	return malformed(fmt.Sprintf("k of %d bytes fits no enc", len(secret)))
}

// cipher returns nil if the key is not for enc.
func (k *directKey) cipher(enc Encryption) content.Cipher {
	for i := range k.ciphers {
		if k.ciphers[i].enc == enc {
			return k.ciphers[i].Cipher
		}
	}
	return nil
}
