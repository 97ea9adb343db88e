package jwk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
)

// An exporter is a material that has a form in the standard library. The results
// share nothing with it that could be changed. Without a private part
// cryptoPrivate returns nil.
type exporter interface {
	cryptoPublic() crypto.PublicKey
	cryptoPrivate() crypto.PrivateKey
}

// errNoForm reports a key that the packages below crypto have no type for.
var errNoForm = errors.New("jwk: the key has no form in the standard library")

// CryptoPublic returns the public key in the form of the standard library, for
// crypto/x509 and others: a [*rsa.PublicKey], [*ecdsa.PublicKey],
// [crypto/ed25519.PublicKey], [*crypto/ecdh.PublicKey] or
// [*filippo.io/mldsa.PublicKey]. It is a
// copy. For a symmetric key the error is [ErrSymmetric].
func (k *Key) CryptoPublic() (crypto.PublicKey, error) {
	if k.IsSymmetric() {
		return nil, ErrSymmetric
	}
	m := k.held()
	if far, ok := m.(*opaqueKey); ok {
		m = far.material
	}
	if e, ok := m.(exporter); ok {
		return e.cryptoPublic(), nil
	}
	return nil, errNoForm
}

// CryptoPrivate returns the private key in the form of the standard library, as
// a copy: for TLS, to make certificates, or to hand it to another library. The
// algorithm, limits and operations of the key do not go with it, and whoever has
// it holds the key. Errors: [ErrNotPrivate], [ErrSymmetric], and [ErrOpaque] for
// a key held elsewhere, which the caller can ask already.
func (k *Key) CryptoPrivate() (crypto.PrivateKey, error) {
	if k.IsSymmetric() {
		return nil, ErrSymmetric
	}
	if !k.IsPrivate() {
		return nil, ErrNotPrivate
	}
	m := k.held()
	if isOpaque(m) {
		return nil, ErrOpaque
	}
	if e, ok := m.(exporter); ok {
		return e.cryptoPrivate(), nil
	}
	return nil, errNoForm
}

func (k *rsaKey) cryptoPublic() crypto.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Set(k.pub.N), E: k.pub.E}
}

func (k *rsaKey) cryptoPrivate() crypto.PrivateKey {
	priv := &rsa.PrivateKey{PublicKey: *k.cryptoPublic().(*rsa.PublicKey), D: new(big.Int).Set(k.priv.D)}
	for _, p := range k.priv.Primes {
		priv.Primes = append(priv.Primes, new(big.Int).Set(p))
	}
	priv.Precompute()
	return priv
}

func (k *ecKey) cryptoPublic() crypto.PublicKey {
	pub, _ := ecdsa.ParseUncompressedPublicKey(k.pub.Curve, k.point()) // checked by newEC
	return pub
}

func (k *ecKey) cryptoPrivate() crypto.PrivateKey {
	d, _ := k.priv.Bytes() // checked by newEC
	priv, _ := ecdsa.ParseRawPrivateKey(k.priv.Curve, d)
	return priv
}

func (k *edKey) cryptoPublic() crypto.PublicKey   { return slices.Clone(k.pub) }
func (k *edKey) cryptoPrivate() crypto.PrivateKey { return slices.Clone(k.priv) }

func (k *mldsaKey) cryptoPublic() crypto.PublicKey   { return k.pub }
func (k *mldsaKey) cryptoPrivate() crypto.PrivateKey { return k.priv }
