package jwk

import (
	"crypto"
	"crypto/pbkdf2"
	"fmt"

	"github.com/counterfoil/counterfoil/jose/internal/content"
)

// Bounds of PBES2 (RFC 7518, Section 4.8). The number of iterations stands in the
// header of a message that nobody has checked: without an upper bound one message
// keeps a processor busy for hours.
const (
	MinIterations = 1_000     // "p2c", Section 4.8.1.2
	MaxIterations = 1_200_000 // half a second or more of one processor

	minSalt     = 8    // bytes of "p2s", Section 4.8.1.1
	maxSalt     = 1024 // bytes
	saltSize    = 16   // bytes, of those that are made here
	maxPassword = 128  // bytes, Section 8.8
)

// DefaultIterations returns how many iterations a sender does that says nothing:
// as many as take an attacker about the same time with any of the hashes. It is 0
// for an algorithm without a password.
func DefaultIterations(alg Algorithm) int {
	switch info := algorithms[alg]; {
	case info.family != familyPBES2:
		return 0
	case info.hash == crypto.SHA256:
		return 600_000
	default:
		return 210_000
	}
}

// A pbes2Key is a password (RFC 7518, Section 4.8).
type pbes2Key struct {
	sharedSecret
	alg        Algorithm
	hash       crypto.Hash
	size       int // bytes of the derived key
	iterations int // default
}

// newPBES2 checks and takes over a password. Section 8.8 recommends at least as
// many bytes as the derived key has.
func newPBES2(info algorithmInfo, password []byte) (material, error) {
	if err := checkSecret(password, info.size); err != nil {
		return nil, err
	}
	if len(password) > maxPassword {
		return nil, malformed(fmt.Sprintf("k, a password, above %d bytes", maxPassword))
	}
	return &pbes2Key{
		sharedSecret: sharedSecret{secret: password},
		alg:          info.alg,
		hash:         info.hash,
		size:         info.size,
		iterations:   DefaultIterations(info.alg),
	}, nil
}

func (k *pbes2Key) wrap(cek []byte, p WrapParams) (Wrapped, error) {
	w := Wrapped{P2S: randomBytes(saltSize), P2C: p.Iterations}
	if w.P2C == 0 {
		w.P2C = k.iterations
	}
	if w.P2C < MinIterations || w.P2C > MaxIterations {
		return Wrapped{}, fmt.Errorf("jwk: PBES2 takes %d to %d iterations", MinIterations, MaxIterations)
	}
	kek, err := k.derive(w)
	if err != nil {
		return Wrapped{}, fmt.Errorf("jwk: %w", err)
	}
	w.Key, err = wrapWith(kek, cek)
	return w, err
}

// unwrap looks at everything there is to see before it derives a key.
func (k *pbes2Key) unwrap(w Wrapped) ([]byte, error) {
	if w.P2C < MinIterations || w.P2C > MaxIterations || len(w.P2S) < minSalt || len(w.P2S) > maxSalt ||
		len(w.Key) < semiblock+minWrapped || len(w.Key) > semiblock+content.MaxKey {
		return nil, ErrUnwrap
	}
	kek, err := k.derive(w)
	if err != nil {
		return nil, ErrUnwrap
	}
	return unwrapWith(kek, w.Key)
}

// derive computes the key-encryption key. The salt is alg ‖ 0x00 ‖ p2s (Section
// 4.8.1.1).
func (k *pbes2Key) derive(w Wrapped) ([]byte, error) {
	salt := append(append([]byte(k.alg), 0), w.P2S...)
	return pbkdf2.Key(newHash(k.hash), string(k.secret), salt, w.P2C, k.size)
}
