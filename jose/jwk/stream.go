package jwk

import (
	"context"
	"crypto/hmac"
	"errors"
	"hash"
)

// MaxWhole is the longest input, in bytes, that a [Stream] takes for Ed25519,
// EdDSA and ML-DSA. They read their input more than once, so that it has to be
// kept: for all other algorithms a Stream keeps no more than a hash of it.
const MaxWhole = 16 << 20

// ErrNotStreamable reports input above [MaxWhole] for an algorithm that needs the
// whole of it at once.
var ErrNotStreamable = errors.New("jwk: input is too long for an algorithm that cannot be streamed")

// A Stream takes input in pieces, by Write, to sign it or to verify a signature
// of it without holding all of it. It is not safe for concurrent use.
type Stream struct {
	key   *Key
	hash  hash.Hash // nil when the whole input is needed
	whole []byte
	err   error // ErrNotStreamable from the write on that was too much
}

// A hasher is a material whose algorithm signs a hash of its input and never
// looks at the input again.
type hasher interface {
	newHash() hash.Hash // of the algorithm; keyed for HMAC
	verifyDigest(sum, sig []byte) bool
}

// NewStream returns a Stream without input yet.
func (k *Key) NewStream() *Stream {
	s := &Stream{key: k}
	if h, ok := k.verifier().(hasher); ok {
		s.hash = h.newHash()
	}
	return s
}

// verifier returns the material that verifies.
func (k *Key) verifier() material {
	held := k.held()
	if far, ok := held.(*opaqueKey); ok {
		return far.material
	}
	return held
}

// Write adds to the input. The only error is [ErrNotStreamable].
func (s *Stream) Write(p []byte) (int, error) {
	switch {
	case s.hash != nil:
		return s.hash.Write(p)
	case s.err == nil && len(p) > MaxWhole-len(s.whole):
		s.whole, s.err = nil, ErrNotStreamable
	}
	if s.err != nil {
		return 0, s.err
	}
	s.whole = append(s.whole, p...)
	return len(p), nil
}

// Sign returns the signature of what has been written, as [Key.SignContext] does.
func (s *Stream) Sign(ctx context.Context) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.hash == nil {
		return s.key.SignContext(ctx, s.whole)
	}
	if !s.key.maySign() {
		return nil, ErrUse
	}
	return s.signDigest(ctx, s.hash.Sum(nil))
}

func (s *Stream) signDigest(ctx context.Context, sum []byte) ([]byte, error) {
	switch m := s.key.held().(type) {
	case *opaqueKey:
		return m.signDigest(ctx, sum)
	case interface{ signDigest([]byte) ([]byte, error) }:
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return m.signDigest(sum)
	}
	return nil, ErrNotPrivate
}

// Verify checks the signature sig of what has been written, as [Key.Verify] does.
func (s *Stream) Verify(sig []byte) error {
	if s.err != nil {
		return s.err
	}
	if s.hash == nil {
		return s.key.Verify(s.whole, sig)
	}
	if !s.key.mayVerify() {
		return ErrUse
	}
	if !s.key.verifier().(hasher).verifyDigest(s.hash.Sum(nil), sig) {
		return ErrSignature
	}
	return nil
}

func (k *ecKey) newHash() hash.Hash  { return newHash(k.hash)() }
func (k *rsaKey) newHash() hash.Hash { return newHash(k.hash)() }

// The hash of an HMAC is the authentication code itself.

func (k *hmacKey) newHash() hash.Hash { return k.states.New().(*hmacState).Hash }

func (k *hmacKey) signDigest(mac []byte) ([]byte, error) { return mac, nil }
func (k *hmacKey) verifyDigest(mac, sig []byte) bool     { return hmac.Equal(mac, sig) }
