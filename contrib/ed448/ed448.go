// Package ed448 adds the algorithm Ed448 to package jwk: EdDSA on the curve
// edwards448 (RFC 8032, RFC 8037) under its name of RFC 9864.
//
//	params := jwk.Params{Extensions: []jwk.Extension{ed448.Extension()}}
//	key, err := jwk.ParseAs(data, params)
//
// The curve is that of github.com/cloudflare/circl. Under the older name "EdDSA",
// which does not say the curve, a key of this one is refused: package jwk knows
// that name, and it means Ed25519 there.
package ed448

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cloudflare/circl/ecc/goldilocks"
	"github.com/cloudflare/circl/sign/ed448"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Algorithm is the value of "alg" (RFC 9864, Section 2.2).
const Algorithm jwk.Algorithm = "Ed448"

// Curve is the value of "crv" (RFC 8037, Section 3.1).
const Curve = "Ed448"

// Extension returns Ed448 for [jwk.Params]. As the curve has no other algorithm,
// a JWK without "alg" takes it.
func Extension() jwk.Extension {
	return jwk.Extension{
		Algorithm: Algorithm,
		KeyType:   "OKP",
		Curve:     Curve,
		NewKey:    newKey,
		Generate:  generate,
	}
}

func generate() (jwk.Raw, error) {
	pub, priv, err := ed448.GenerateKey(nil)
	if err != nil {
		return jwk.Raw{}, err
	}
	return jwk.Raw{X: pub, D: priv.Seed()}, nil
}

// A key implements [jwk.ExtensionKey].
type key struct {
	pub  ed448.PublicKey
	priv ed448.PrivateKey // nil for a public key
}

var (
	errLength = errors.New("x or d has not 57 bytes")
	errPoint  = errors.New("point is not on the curve or not canonical")
	errHalves = errors.New("d does not belong to x")
)

func newKey(raw jwk.Raw) (jwk.ExtensionKey, error) {
	if len(raw.X) != ed448.PublicKeySize {
		return nil, errLength
	}
	// This refuses y >= p, stray bits beside the sign of x, and points off the
	// curve (RFC 8032, Section 5.2.3).
	if _, err := goldilocks.FromBytes(raw.X); err != nil {
		return nil, errPoint
	}
	if smallOrder(raw.X) {
		return nil, jwk.ErrWeakKey
	}
	k := &key{pub: raw.X}
	if raw.D == nil {
		return k, nil
	}
	return k.withPrivate(raw.D)
}

func (k *key) withPrivate(d []byte) (jwk.ExtensionKey, error) {
	if len(d) != ed448.SeedSize {
		return nil, errLength
	}
	k.priv = ed448.NewKeyFromSeed(d)
	if !bytes.Equal(k.priv[ed448.SeedSize:], k.pub) {
		return nil, errHalves
	}
	return k, nil
}

// smallOrderY are the y coordinates, little-endian, of the four points whose order
// divides the cofactor. With such a public key one signature fits every message.
var smallOrderY = [][]byte{
	make([]byte, 56),                       // y = 0, order 4
	append([]byte{1}, make([]byte, 55)...), // y = 1, the neutral element
	minusOne(),                             // y = p-1, order 2
}

// minusOne returns p-1, where p = 2^448 - 2^224 - 1 (RFC 8032, Section 5.2).
func minusOne() []byte {
	b := bytes.Repeat([]byte{0xff}, 56)
	b[0], b[28] = 0xfe, 0xfe
	return b
}

// smallOrder looks at y alone: each of those is refused with either sign of x.
func smallOrder(x []byte) bool {
	return slices.ContainsFunc(smallOrderY, func(y []byte) bool { return bytes.Equal(x[:len(y)], y) })
}

// Sign makes a signature under the empty context (RFC 8037, Section 3.1).
func (k *key) Sign(input []byte) ([]byte, error) {
	return ed448.Sign(k.priv, input, ""), nil
}

// Verify relies on circl for the exact length, for S < L (RFC 8032, Section
// 5.2.7) and for the comparison of R by its bytes.
func (k *key) Verify(input, sig []byte) bool {
	return ed448.Verify(k.pub, input, sig, "")
}
