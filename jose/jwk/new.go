package jwk

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"filippo.io/mldsa"
)

// Generate makes a fresh key for p.Algorithm: RSA of 2048 bits, the curve that
// the algorithm names or, for ECDH-ES, p does, or a secret: as long as the hash or
// the key that the algorithm takes, and else 32 bytes.
func Generate(p Params) (*Key, error) {
	info, err := p.algorithm()
	if err != nil {
		return nil, err
	}
	material, err := generate(info, p.Curve)
	if err != nil {
		return nil, err
	}
	if info.kty == ktyOct && p.KeyID == "" {
		p.KeyID = randomKeyID()
	}
	return New(material, p)
}

func generate(info algorithmInfo, crv string) (any, error) {
	switch info.family {
	case familyPKCS1, familyPSS, familyOAEP:
		return rsa.GenerateKey(rand.Reader, defaultModulus)
	case familyECDSA:
		return ecdsa.GenerateKey(curves[info.crv].curve, rand.Reader)
	case familyECDH:
		return generateECDH(crv)
	case familyHPKE:
		return generateECDH(info.crv)
	case familyEd25519:
		_, priv, err := ed25519.GenerateKey(rand.Reader)
		return priv, err
	case familyMLDSA:
		return mldsa.GenerateKey(info.params)
	case familyExtension:
		return generateExtension(info.extension)
	case familyHMAC:
		return randomBytes(info.hash.Size()), nil
	default:
		return randomBytes(cmp.Or(info.size, info.enc.KeySize(), defaultSecret)), nil
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return b
}

// New makes a key of material that is already in memory: []byte for a shared
// secret, [*rsa.PrivateKey], [*rsa.PublicKey], [*ecdsa.PrivateKey],
// [*ecdsa.PublicKey], [*ecdh.PrivateKey], [*ecdh.PublicKey], [ed25519.PrivateKey], [ed25519.PublicKey],
// [*mldsa.PrivateKey], [*mldsa.PublicKey], or a [Raw] for an [Extension]. It copies
// the material and checks it as [Parse] would. The error wraps [ErrAlgorithm] where material and p.Algorithm
// do not fit, else [ErrWeakKey] or [ErrMalformed].
//
// Any other [ContextSigner] or [crypto.Signer] is a private key held elsewhere:
// the Key signs by asking it, and what would show the private part answers
// [ErrOpaque]. For the algorithms that encrypt, an [ecdh.KeyExchanger] is such a
// key for ECDH-ES in all its forms and for HPKE, and a [crypto.Decrypter] for
// RSA-OAEP: see [Key.UnwrapKey].
func New(material any, p Params) (*Key, error) {
	info, err := p.algorithm()
	if err != nil {
		return nil, err
	}
	m, err := newMaterial(material, info)
	if err != nil {
		return nil, err
	}
	return newKey(m, info, nil, &p)
}

func errNoSuch(alg Algorithm) error {
	switch alg {
	case "":
		return ErrNoAlgorithm
	case "RSA1_5": // RFC 8725, Section 3.2
		return errRSA15
	}
	return ErrUnsupported
}

func newMaterial(key any, info algorithmInfo) (material, error) {
	switch key := key.(type) {
	case []byte:
		if info.kty == ktyOct {
			return newSecret(info, bytes.Clone(key))
		}
	case *rsa.PublicKey:
		if info.kty == ktyRSA && key != nil {
			return fromRSA(info, key, nil)
		}
	case *rsa.PrivateKey:
		if info.kty == ktyRSA && key != nil {
			return fromRSA(info, &key.PublicKey, key)
		}
	case *ecdh.PublicKey:
		if key != nil && info.agrees() {
			return newECDHFrom(info, key, nil)
		}
	case *ecdh.PrivateKey:
		if key != nil && info.agrees() {
			return newECDHFrom(info, nil, key)
		}
	case *ecdsa.PublicKey:
		if key != nil && info.agrees() {
			return agreeingPublic(info, key)
		}
		if key != nil && onCurve(info, key.Curve) {
			return fromEC(info, key, nil)
		}
	case *ecdsa.PrivateKey:
		if key != nil && info.agrees() {
			return agreeingPrivate(info, key)
		}
		if key != nil && onCurve(info, key.Curve) {
			return fromEC(info, &key.PublicKey, key)
		}
	case ed25519.PublicKey:
		if info.family == familyEd25519 {
			return newEd25519(bytes.Clone(key), nil)
		}
	case ed25519.PrivateKey:
		if info.family == familyEd25519 && len(key) == ed25519.PrivateKeySize {
			return newEd25519(bytes.Clone(key[ed25519.SeedSize:]), key.Seed())
		}
	case *mldsa.PublicKey:
		if key != nil && fitsMLDSA(info, key) {
			return newMLDSA(info, key.Bytes(), nil)
		}
	case *mldsa.PrivateKey:
		if key != nil && fitsMLDSA(info, key.PublicKey()) {
			return newMLDSA(info, key.PublicKey().Bytes(), key.Bytes())
		}
	case rsaNumbers:
		if info.kty == ktyRSA {
			return newRSA(info, key)
		}
	case Raw:
		if info.family == familyExtension {
			return newExtension(info, key)
		}
	default:
		if m, err := newHeldElsewhere(key, info); m != nil || err != nil {
			return m, err
		}
	}
	if _, ok := key.(rsaNumbers); ok {
		key = "an RSA key"
	}
	return nil, fmt.Errorf("%w: %T", ErrAlgorithm, key)
}

// newSecret takes over secret.
func newSecret(info algorithmInfo, secret []byte) (material, error) {
	if info.wraps {
		return newEncryption(info, secret)
	}
	return newHMAC(info, secret)
}

func onCurve(info algorithmInfo, curve elliptic.Curve) bool {
	return info.family == familyECDSA && curve == curves[info.crv].curve
}

func fromRSA(info algorithmInfo, pub *rsa.PublicKey, priv *rsa.PrivateKey) (material, error) {
	numbers, err := numbersOf(pub, priv)
	if err != nil {
		return nil, err
	}
	return newRSA(info, numbers)
}

func fromEC(info algorithmInfo, pub *ecdsa.PublicKey, priv *ecdsa.PrivateKey) (material, error) {
	if lacksNumbers(pub, priv) {
		return nil, errNoNumbers
	}
	point, err := pub.Bytes()
	if err != nil {
		return nil, malformed("point is not on the curve")
	}
	var d []byte
	if priv != nil {
		if d, err = priv.Bytes(); err != nil {
			return nil, malformed("d")
		}
	}
	size := (len(point) - 1) / 2
	return newEC(info, point[1:1+size], point[1+size:], d)
}

var errNoNumbers = malformed("key of crypto/ecdsa without numbers")

// lacksNumbers reports whether somebody has put a key together and left out parts
// without which crypto/ecdsa panics. priv is nil for a public key.
func lacksNumbers(pub *ecdsa.PublicKey, priv *ecdsa.PrivateKey) bool {
	//lint:ignore SA1019 only to see whether they are there
	return pub.X == nil || pub.Y == nil || priv != nil && priv.D == nil
}
