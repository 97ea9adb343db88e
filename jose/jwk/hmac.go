package jwk

import (
	"bytes"
	"crypto/hmac"
	"hash"
	"sync"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// maxSecret bounds a shared secret, in bytes. More than one block of the hash
// adds nothing.
const maxSecret = 1024

// An hmacKey is a shared secret with keyed hashes ready for use.
type hmacKey struct {
	secret []byte
	states sync.Pool // of *hmacState
}

// An hmacState is one keyed hash and room for its sum.
type hmacState struct {
	hash.Hash
	sum [64]byte
}

// newHMAC checks and takes over secret.
func newHMAC(info algorithmInfo, secret []byte) (material, error) {
	// RFC 7518, Section 3.2: a key of the size of the hash or larger.
	if err := checkSecret(secret, info.hash.Size()); err != nil {
		return nil, err
	}
	k := &hmacKey{secret: secret}
	newState := newHash(info.hash)
	k.states.New = func() any { return &hmacState{Hash: hmac.New(newState, secret)} }
	return k, nil
}

// with calls use with the authentication code of input, in memory that is used
// again afterwards.
func (k *hmacKey) with(input []byte, use func(mac []byte)) {
	s := k.states.Get().(*hmacState)
	s.Reset()
	s.Write(input)
	use(s.Sum(s.sum[:0]))
	k.states.Put(s)
}

func (k *hmacKey) sign(input []byte) (sig []byte, err error) {
	k.with(input, func(mac []byte) { sig = bytes.Clone(mac) })
	return sig, nil
}

func (k *hmacKey) verify(input, sig []byte) (ok bool) {
	// hmac.Equal takes constant time and compares the length: no truncation.
	k.with(input, func(mac []byte) { ok = hmac.Equal(mac, sig) })
	return ok
}

func (k *hmacKey) isPrivate() bool    { return true }
func (k *hmacKey) public() material   { return nil }
func (k *hmacKey) required() []member { return octMembers(k.secret) }
func (k *hmacKey) members() members   { return octMembers(k.secret) }

func octMembers(secret []byte) []member {
	return []member{{"k", wire.Encode(secret)}}
}
