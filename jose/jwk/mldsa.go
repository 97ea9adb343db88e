package jwk

import (
	"bytes"

	"filippo.io/mldsa"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// An mldsaKey is a key for ML-DSA (FIPS 204) in the form of RFC 9964.
type mldsaKey struct {
	pub  *mldsa.PublicKey
	priv *mldsa.PrivateKey // nil for a public key
}

// newMLDSA checks the raw numbers of a key. seed is nil for a public key.
func newMLDSA(info algorithmInfo, pub, seed []byte) (material, error) {
	key, err := mldsa.NewPublicKey(info.params, pub)
	if err != nil { // any other length than that of the parameter set
		return nil, malformed("pub")
	}
	k := &mldsaKey{pub: key}
	if seed == nil {
		return k, nil
	}
	// RFC 9964, Section 4: the seed and never the key expanded from it.
	if k.priv, err = mldsa.NewPrivateKey(info.params, seed); err != nil {
		return nil, malformed("priv")
	}
	// RFC 9964, Section 7.4: a pair that does not match may cost the private key.
	if !bytes.Equal(k.priv.PublicKey().Bytes(), pub) {
		return nil, malformed("priv does not belong to pub")
	}
	return k, nil
}

// mldsa reads the members of RFC 9964, Section 3. What "pub" and "priv" mean is
// for "alg" alone to say, so that the caller's word does not stand in for it.
func (j object) mldsa(info algorithmInfo) (material, error) {
	if !j.has("alg") {
		return nil, ErrNoAlgorithm
	}
	var pub, seed []byte
	if err := j.read(encoded{"pub", &pub}, encoded{"priv", &seed}); err != nil {
		return nil, err
	}
	return newMLDSA(info, pub, seed)
}

// fitsMLDSA reports whether key is of the parameter set of info. The length
// tells them apart, also from a key that nobody has filled in, whose Parameters
// would panic.
func fitsMLDSA(info algorithmInfo, key *mldsa.PublicKey) bool {
	return info.family == familyMLDSA && len(key.Bytes()) == info.params.PublicKeySize()
}

// sign makes a hedged signature under the empty context (RFC 9964, Section 5).
func (k *mldsaKey) sign(input []byte) ([]byte, error) {
	if k.priv == nil {
		return nil, ErrNotPrivate
	}
	return k.priv.Sign(nil, input, nil)
}

// verify relies on package mldsa for the exact length and for the one encoding
// of the hint (FIPS 204, Algorithm 21).
func (k *mldsaKey) verify(input, sig []byte) bool {
	return mldsa.Verify(k.pub, input, sig, nil) == nil
}

func (k *mldsaKey) isPrivate() bool  { return k.priv != nil }
func (k *mldsaKey) public() material { return &mldsaKey{pub: k.pub} }

// required has "alg" in it (RFC 9964, Section 6), unlike those of other types.
func (k *mldsaKey) required() []member {
	return []member{{"alg", k.pub.Parameters().String()}, k.publicMember()}
}

func (k *mldsaKey) publicMember() member { return member{"pub", wire.Encode(k.pub.Bytes())} }

func (k *mldsaKey) members() members {
	m := members{k.publicMember()}
	if k.priv != nil {
		m = append(m, member{"priv", wire.Encode(k.priv.Bytes())})
	}
	return m
}
