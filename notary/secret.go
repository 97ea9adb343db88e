package notary

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

const (
	// SecretSize is the length of a Secret in bytes.
	SecretSize = 32
	// MaxSecrets is how many secrets a notary has at most.
	MaxSecrets = 4

	maxKeyID = math.MaxUint16 // bytes of a kid: its length is two bytes of the MAC's input

	// Each is the HKDF info of a kind of key that is made of a secret.
	tagKeyLabel     = "counterfoil/notary/tag/v1" // before NUL and kid
	witnessKeyLabel = "counterfoil/notary/witness/v1"
)

// ErrKeyID reports a kid of no or of more than 65,535 bytes.
var ErrKeyID = errors.New("kid is empty or too long to be tagged")

// A Secret is what the notary keeps from the signer. No format verb prints it.
type Secret [SecretSize]byte

const hidden = "notary secret (not shown)"

// Format writes that there is a secret, whatever the verb.
func (Secret) Format(s fmt.State, _ rune) { io.WriteString(s, hidden) }

// LogValue returns that there is a secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText refuses: a secret is sealed by whoever keeps it, never encoded
// by accident.
func (Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("a notary secret is not encoded")
}

// tagMAC returns HMAC-SHA256 under K_tag, which is of its own for each kid.
func (s *Secret) tagMAC(kid string) (hash.Hash, error) {
	if kid == "" || len(kid) > maxKeyID {
		return nil, ErrKeyID
	}
	key, err := hkdf.Key(sha256.New, s[:], nil, tagKeyLabel+"\x00"+kid, sha256.Size)
	if err != nil {
		return nil, err
	}
	return hmac.New(sha256.New, key), nil
}

// witnessKey returns the key that signs witnesses. It is made of the secret, so
// that notaries with the same secret make the same.
func (s *Secret) witnessKey() *jwk.Key {
	seed, err := hkdf.Key(sha256.New, s[:], nil, witnessKeyLabel, ed25519.SeedSize)
	if err != nil {
		panic(err) // the length is right
	}
	private := ed25519.NewKeyFromSeed(seed)
	id := sha256.Sum256(private.Public().(ed25519.PublicKey))
	key, err := jwk.New(private, jwk.Params{Algorithm: jwk.EdDSA, KeyID: "witness-" + wire.Encode(id[:9])})
	if err != nil {
		panic(err) // a fresh key of this algorithm
	}
	return key
}
