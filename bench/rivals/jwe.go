package rivals

import (
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
)

// An EncryptionLibrary makes compact JWEs and opens those of any serialization. Keys are *rsa.PublicKey and
// *rsa.PrivateKey, for ECDH-ES *ecdsa keys, or []byte.
type EncryptionLibrary struct {
	Name, Version string

	Encrypter func(alg, enc, kid string, public any) (func(plaintext []byte) (string, error), error)
	Decrypter func(alg, enc string, private any) (func(token string) ([]byte, error), error)
}

// JWE are the libraries for encryption.
var JWE = []EncryptionLibrary{
	{"go-jose", "4.1.8", goJoseEncrypter, goJoseDecrypter},
	{"jwx", "3.3.0", jwxEncrypter, jwxDecrypter},
}

func goJoseEncrypter(alg, enc, kid string, public any) (func([]byte) (string, error), error) {
	to := jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: public, KeyID: kid}
	encrypter, err := jose.NewEncrypter(jose.ContentEncryption(enc), to, nil)
	if err != nil {
		return nil, err
	}
	return func(plaintext []byte) (string, error) {
		message, err := encrypter.Encrypt(plaintext)
		if err != nil {
			return "", err
		}
		return message.CompactSerialize()
	}, nil
}

func goJoseDecrypter(alg, enc string, private any) (func(string) ([]byte, error), error) {
	algs, encs := []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.ContentEncryption(enc)}
	return func(token string) ([]byte, error) {
		//lint:ignore SA1019 either serialization, as the caller gives it
		message, err := jose.ParseEncrypted(token, algs, encs)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(strings.TrimSpace(token), "{") { // may have several recipients
			_, _, plaintext, err := message.DecryptMulti(private)
			return plaintext, err
		}
		return message.Decrypt(private)
	}, nil
}

func jwxEncrypter(alg, enc, kid string, public any) (func([]byte) (string, error), error) {
	a, ok := jwa.LookupKeyEncryptionAlgorithm(alg)
	e, known := jwa.LookupContentEncryptionAlgorithm(enc)
	if !ok || !known {
		return nil, ErrUnsupported
	}
	header := jwe.NewHeaders()
	if err := header.Set(jwe.KeyIDKey, kid); err != nil {
		return nil, err
	}
	key, content, protected := jwe.WithKey(a, public), jwe.WithContentEncryption(e), jwe.WithProtectedHeaders(header)
	return func(plaintext []byte) (string, error) {
		token, err := jwe.Encrypt(plaintext, key, content, protected)
		return string(token), err
	}, nil
}

// jwxDecrypter does not pin the content encryption: the library has no option for it.
func jwxDecrypter(alg, _ string, private any) (func(string) ([]byte, error), error) {
	a, ok := jwa.LookupKeyEncryptionAlgorithm(alg)
	if !ok {
		return nil, ErrUnsupported
	}
	key := jwe.WithKey(a, private)
	return func(token string) ([]byte, error) { return jwe.Decrypt([]byte(token), key) }, nil
}
