package jwk

import (
	"bytes"
	"crypto/ed25519"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// An edKey is a key for Ed25519.
type edKey struct {
	pub  ed25519.PublicKey
	priv ed25519.PrivateKey // nil for a public key
}

// newEd25519 checks the raw numbers of a key and takes them over. d, the seed,
// is nil for a public key.
func newEd25519(x, d []byte) (material, error) {
	if len(x) != ed25519.PublicKeySize {
		return nil, malformed("x has the wrong length")
	}
	if !canonicalPoint(x) {
		return nil, malformed("x is not canonical")
	}
	if smallOrder(x) {
		return nil, ErrWeakKey
	}
	if !decodablePoint(x) {
		return nil, malformed("point is not on the curve")
	}
	k := &edKey{pub: x}
	if d == nil {
		return k, nil
	}
	if len(d) != ed25519.SeedSize {
		return nil, malformed("d has the wrong length")
	}
	k.priv = ed25519.NewKeyFromSeed(d)
	if !bytes.Equal(k.priv[ed25519.SeedSize:], x) {
		return nil, malformed("d does not belong to x")
	}
	return k, nil
}

// fieldPrime is p = 2^255 - 19, little-endian as in RFC 8032.
var fieldPrime = [32]byte{
	0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
}

// smallOrderY are the y coordinates of the eight points whose order divides the
// cofactor. With such a public key one signature fits every message, and
// crypto/ed25519 accepts it. The bit for the sign of x is left out: each
// coordinate is refused with both.
var smallOrderY = [5][32]byte{
	{},     // y = 0, order 4
	{0: 1}, // y = 1, the neutral element
	{ // y = p-1, order 2
		0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
	},
	{ // order 8
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	{ // order 8
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
}

// yOf returns the encoding of a point without the sign of x.
func yOf(x []byte) (y [32]byte) {
	copy(y[:], x)
	y[31] &= 0x7f
	return y
}

// canonicalPoint reports whether y < p (RFC 8032, Section 5.1.3). The other
// non-canonical encodings, x = 0 with its sign set, are of small order.
func canonicalPoint(x []byte) bool {
	y := yOf(x)
	for i := 31; i >= 0; i-- {
		if y[i] != fieldPrime[i] {
			return y[i] < fieldPrime[i]
		}
	}
	return false
}

// decodablePoint reports whether some x belongs to the y of a point (RFC 8032,
// Section 5.1.3). crypto/ed25519 has no question for that: it is asked to verify an
// empty signature, and decodes the key before it looks at the length.
func decodablePoint(x []byte) bool {
	err := ed25519.VerifyWithOptions(x, nil, nil, &ed25519.Options{})
	return err != nil && err.Error() == emptySignature
}

// emptySignature is what crypto/ed25519 says of one under a key that it can decode:
// here the generator of the group.
var emptySignature = func() string {
	generator := ed25519.PublicKey(bytes.Repeat([]byte{0x66}, ed25519.PublicKeySize))
	generator[0] = 0x58
	return ed25519.VerifyWithOptions(generator, nil, nil, &ed25519.Options{}).Error()
}()

func smallOrder(x []byte) bool {
	y := yOf(x)
	for _, small := range smallOrderY {
		if y == small {
			return true
		}
	}
	return false
}

func (k *edKey) sign(input []byte) ([]byte, error) {
	if k.priv == nil {
		return nil, ErrNotPrivate
	}
	return ed25519.Sign(k.priv, input), nil
}

// verify relies on crypto/ed25519 for S < L (RFC 8032, Section 5.1.7) and for
// the comparison of R by its bytes.
func (k *edKey) verify(input, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(k.pub, input, sig)
}

func (k *edKey) isPrivate() bool  { return k.priv != nil }
func (k *edKey) public() material { return &edKey{pub: k.pub} }

func (k *edKey) required() []member {
	return []member{{"crv", crvEd25519}, {"x", wire.Encode(k.pub)}}
}

func (k *edKey) members() members {
	m := members(k.required())
	if k.priv != nil {
		m = append(m, member{"d", wire.Encode(k.priv.Seed())})
	}
	return m
}
