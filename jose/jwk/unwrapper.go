package jwk

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
)

// isOpaque reports whether the private part of m is held outside this process.
func isOpaque(m material) bool {
	o, ok := m.(interface{ isOpaque() bool })
	return ok && o.isOpaque()
}

// newOpaqueUnwrapper makes a key of somebody who decrypts or agrees, or nothing of
// anything else.
func newOpaqueUnwrapper(key any, info algorithmInfo) (material, error) {
	switch info.family {
	case familyECDH, familyHPKE:
		if far, ok := key.(ecdh.KeyExchanger); ok {
			return newOpaqueAgreement(far, info)
		}
	case familyOAEP:
		if far, ok := key.(crypto.Decrypter); ok {
			return newOpaqueOAEP(far, info)
		}
	}
	return nil, nil
}

// newOpaqueAgreement asks far for its public key and checks that.
func newOpaqueAgreement(far ecdh.KeyExchanger, info algorithmInfo) (material, error) {
	plain := info
	plain.family = familyECDH // the suite of HPKE is made with the private part in place
	m, err := newECDHFrom(plain, far.PublicKey(), nil)
	if err != nil {
		return nil, err
	}
	k := m.(*ecdhKey)
	k.far = &farExchanger{far, k.agreementCurve}
	return k.forAlgorithm(info)
}

// A farExchanger looks at what a device answers, as crypto/ecdh does at its own.
type farExchanger struct {
	ecdh.KeyExchanger
	curve *agreementCurve
}

var errAgreed = errors.New("jwk: the device's answer is no agreed secret")

// ECDH refuses an answer that lost its leading zeros, and the zero to which every
// point of low order leads (RFC 8037, Section 3.2).
func (f *farExchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	z, err := f.KeyExchanger.ECDH(peer)
	if err != nil {
		return nil, err
	}
	if len(z) != f.curve.size || len(trimZeros(z)) == 0 {
		return nil, errAgreed
	}
	return z, nil
}

func (k *ecdhKey) isOpaque() bool { return k.far != nil }

// exchanger returns whatever holds the private part.
func (k *ecdhKey) exchanger() ecdh.KeyExchanger {
	if k.far != nil {
		return k.far
	}
	return k.priv
}

// An opaqueOAEP is a public key for RSAES-OAEP, whose methods it has, with somebody
// who can decrypt for it.
type opaqueOAEP struct {
	*oaepKey // public
	far      crypto.Decrypter
	options  rsa.OAEPOptions
}

// newOpaqueOAEP asks far for its public key and checks that.
func newOpaqueOAEP(far crypto.Decrypter, info algorithmInfo) (material, error) {
	public, ok := far.Public().(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: public key of type %T", ErrAlgorithm, far.Public())
	}
	m, err := newMaterial(public, info)
	if err != nil {
		return nil, err
	}
	return &opaqueOAEP{m.(*oaepKey), far, rsa.OAEPOptions{Hash: info.hash}}, nil
}

func (k *opaqueOAEP) isOpaque() bool   { return true }
func (k *opaqueOAEP) isPrivate() bool  { return true }
func (k *opaqueOAEP) public() material { return k.oaepKey }

// unwrap gives the decrypter options of its own: it may keep or change them.
func (k *opaqueOAEP) unwrap(w Wrapped) ([]byte, error) {
	if len(w.Key) != k.pub.Size() {
		return nil, ErrUnwrap
	}
	options := k.options
	cek, err := k.far.Decrypt(rand.Reader, w.Key, &options)
	if err != nil {
		return nil, unwrapError(err)
	}
	return cek, nil
}

// unwrapError keeps of what an outside holder of a key answers that it cannot be
// asked. Any other answer could say something about the key that was wrapped (RFC
// 7516, Section 11.5).
func unwrapError(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return ErrUnwrap
}
