package notary

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// ErrEscrow reports something that was not sealed to the notary for the key it was
// asked for.
var ErrEscrow = errors.New("not sealed to this notary for this key")

// A Releaser holds back what was sealed to it until somebody asks: a standby
// signing key, which the issuer sealed with its own key-encryption key first. The
// notary never sees the key, and a thief of backup and key-encryption key does
// not either. A Releaser must be safe for concurrent use.
type Releaser interface {
	// ReleaseKey returns the public key to seal to.
	ReleaseKey(ctx context.Context) (*jwk.Key, error)
	// Release returns what [SealFor] was given, or [ErrEscrow] when sealed was
	// made for another kid or another notary.
	Release(ctx context.Context, kid, sealed string) (inner string, err error)
}

// ReleaseAlgorithm is the algorithm of the keys that a Releaser seals to.
const ReleaseAlgorithm = jwk.ECDHESA256KW

const releaseEncryption = jwe.A256GCM

// An escrowed is what SealFor seals. The kid is inside the seal, so that nobody can
// have a key released under the name of another.
type escrowed struct {
	KeyID string `json:"kid"`
	Inner string `json:"sealed"`
}

// SealFor seals inner, which belongs to the signing key named kid, to a release
// key. The result is a compact JWE (RFC 7516) with the key id of release.
func SealFor(release *jwk.Key, kid, inner string) (string, error) {
	plaintext, err := wire.Marshal(escrowed{kid, inner})
	if err != nil {
		return "", err
	}
	return jwe.Encrypt(release, releaseEncryption, "jose", plaintext)
}

// An Escrow is a [Releaser] with its private keys in this process.
type Escrow struct{ keys *jwk.Set }

// NewEscrow returns an Escrow that is sealed to with the first of keys and that
// opens with any. They are private and for ReleaseAlgorithm.
func NewEscrow(keys *jwk.Set) (*Escrow, error) {
	if keys == nil || keys.Len() == 0 {
		return nil, errors.New("notary: no release key")
	}
	for _, key := range keys.Keys() {
		if !key.IsPrivate() || key.Algorithm() != ReleaseAlgorithm || key.KeyID() == "" {
			return nil, errors.New("notary: a release key is private, for " + string(ReleaseAlgorithm) + " and has a kid")
		}
	}
	return &Escrow{keys}, nil
}

// ReleaseKey returns the public half of the first key.
func (e *Escrow) ReleaseKey(context.Context) (*jwk.Key, error) { return e.keys.Keys()[0].Public() }

// Release opens what was sealed for the signing key named kid.
func (e *Escrow) Release(_ context.Context, kid, sealed string) (string, error) {
	policy := jwe.Policy{Algorithm: ReleaseAlgorithm, Encryption: releaseEncryption}
	plaintext, err := jwe.Decrypt(e.keys, policy, sealed)
	if err != nil {
		return "", ErrEscrow // the cause may tell about the key
	}
	var inside escrowed
	if err := wire.Unmarshal(plaintext, &inside); err != nil || kid == "" || inside.KeyID != kid {
		return "", ErrEscrow
	}
	return inside.Inner, nil
}
