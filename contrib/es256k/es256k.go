// Package es256k adds the algorithm ES256K to package jwk: ECDSA with the curve
// secp256k1 and SHA-256 (RFC 8812).
//
//	params := jwk.Params{Extensions: []jwk.Extension{es256k.Extension()}}
//	key, err := jwk.ParseAs(data, params)
//
// The curve is that of github.com/decred/dcrd/dcrec/secp256k1. Its signing does
// not take constant time: do not sign where others can measure it, as beside
// their programs on one machine. Verifying has no secrets.
//
// As with the other curves, (r, n-s) verifies where (r, s) does: RFC 8812 asks
// for no low s, and others do not make it. What this package signs has one. So
// nothing may be keyed by the bytes of a token.
package es256k

import (
	"crypto/sha256"
	"errors"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Algorithm is the value of "alg" (RFC 8812, Section 3.2).
const Algorithm jwk.Algorithm = "ES256K"

// Curve is the value of "crv" (RFC 8812, Section 3.1).
const Curve = "secp256k1"

// size is the length of a coordinate, of d, of r and of s, in bytes.
const size = 32

// Extension returns ES256K for [jwk.Params]. As secp256k1 has no other algorithm,
// a JWK without "alg" takes it.
func Extension() jwk.Extension {
	return jwk.Extension{
		Algorithm: Algorithm,
		KeyType:   "EC",
		Curve:     Curve,
		NewKey:    newKey,
		Generate:  generate,
	}
}

func generate() (jwk.Raw, error) {
	priv, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return jwk.Raw{}, err
	}
	point := priv.PubKey().SerializeUncompressed()
	return jwk.Raw{X: point[1 : 1+size], Y: point[1+size:], D: priv.Serialize()}, nil
}

// A key implements [jwk.ExtensionKey].
type key struct {
	pub  *secp256k1.PublicKey
	priv *secp256k1.PrivateKey // nil for a public key
}

var (
	errLength = errors.New("x, y or d has not 32 bytes")
	errPoint  = errors.New("point is not on the curve")
	errRange  = errors.New("d is not in 1..n-1")
	errHalves = errors.New("d does not belong to x and y")
)

func newKey(raw jwk.Raw) (jwk.ExtensionKey, error) {
	if len(raw.X) != size || len(raw.Y) != size {
		return nil, errLength
	}
	// This refuses coordinates that are not below p and points off the curve;
	// the point at infinity has no such form.
	point := append(append([]byte{secp256k1.PubKeyFormatUncompressed}, raw.X...), raw.Y...)
	pub, err := secp256k1.ParsePubKey(point)
	if err != nil {
		return nil, errPoint // the error of secp256k1 shows the numbers
	}
	k := &key{pub: pub}
	if raw.D == nil {
		return k, nil
	}
	return k.withPrivate(raw.D)
}

func (k *key) withPrivate(d []byte) (jwk.ExtensionKey, error) {
	if len(d) != size {
		return nil, errLength
	}
	var scalar secp256k1.ModNScalar
	if !setScalar(&scalar, d) {
		return nil, errRange
	}
	k.priv = secp256k1.NewPrivateKey(&scalar)
	if !k.priv.PubKey().IsEqual(k.pub) {
		return nil, errHalves
	}
	return k, nil
}

// setScalar sets n to b and reports whether that is in 1..n-1.
func setScalar(n *secp256k1.ModNScalar, b []byte) bool {
	overflow := n.SetByteSlice(b)
	return !overflow && !n.IsZero()
}

// Sign returns r and s, each in full length (RFC 8812, Section 3.2). The nonce is
// that of RFC 6979.
func (k *key) Sign(input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	signature := ecdsa.Sign(k.priv, sum[:])
	r, s := signature.R(), signature.S()
	sig := make([]byte, 2*size)
	r.PutBytesUnchecked(sig[:size])
	s.PutBytesUnchecked(sig[size:])
	return sig, nil
}

// Verify takes r and s in full length and in 1..n-1, and never ASN.1.
func (k *key) Verify(input, sig []byte) bool {
	if len(sig) != 2*size {
		return false
	}
	var r, s secp256k1.ModNScalar
	if !setScalar(&r, sig[:size]) || !setScalar(&s, sig[size:]) {
		return false
	}
	sum := sha256.Sum256(input)
	return ecdsa.NewSignature(&r, &s).Verify(sum[:], k.pub)
}
