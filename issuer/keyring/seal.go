package keyring

import (
	"crypto/rand"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// What a sealed key is for. The purpose is the beginning of the key id of what is
// not published, so that a sealed key put into the row of another is noticed.
const (
	purposeFeed    = "feed"
	purposeRoot    = "root"
	purposeHandle  = "handle"
	purposeRefresh = "refresh"
)

const (
	sealAlgorithm   = "A256GCMKW"
	sealEncryption  = "A256GCM"
	sealContentType = "jwk+json" // RFC 7517, Section 8.5.1
)

// kidBytes is the size of a key id: 48 random bits, 8 characters in the header of
// each token. The primary key of the store, which keeps retired ids, makes sure
// that none is used twice.
const kidBytes = 6

func newKeyID() string {
	var b [kidBytes]byte
	rand.Read(b[:])
	return wire.Encode(b[:])
}

// seal encrypts the whole JWK of key under the key-encryption key.
func (k *Keyring) seal(key *jwk.Key) (string, error) {
	plain, err := key.MarshalPrivate()
	if err != nil {
		return "", err
	}
	defer clear(plain)
	return jwe.Encrypt(k.cfg.KEK, sealEncryption, sealContentType, plain)
}

func (k *Keyring) sealJSON(v any) (string, error) {
	plain, err := wire.Marshal(v)
	if err != nil {
		return "", err
	}
	defer clear(plain)
	return jwe.Encrypt(k.cfg.KEK, sealEncryption, sealContentType, plain)
}

// open decrypts what seal made. Its error says nothing of the content.
func (k *Keyring) open(sealed string) ([]byte, error) {
	plain, err := jwe.Decrypt(k.cfg.KEK, jwe.Policy{Algorithm: sealAlgorithm, Encryption: sealEncryption}, sealed)
	if err != nil {
		return nil, ErrKEK
	}
	return plain, nil
}

func (k *Keyring) unseal(sealed string) (*jwk.Key, error) {
	plain, err := k.open(sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	key, err := jwk.Parse(plain)
	if err != nil {
		return nil, ErrKEK
	}
	return key, nil
}

func (k *Keyring) unsealJSON(sealed string, v any) error {
	plain, err := k.open(sealed)
	if err != nil {
		return err
	}
	defer clear(plain)
	if wire.Unmarshal(plain, v) != nil {
		return ErrKEK
	}
	return nil
}

// unsealFor opens a sealed key that must be for the given purpose.
func (k *Keyring) unsealFor(purpose, sealed string) (*jwk.Key, error) {
	key, err := k.unseal(sealed)
	if err != nil {
		return nil, err
	}
	if got, _, _ := strings.Cut(key.KeyID(), "."); got != purpose {
		return nil, ErrKEK
	}
	return key, nil
}
