package jwk

import (
	"crypto/hpke"
	"fmt"
	"strings"
)

// Hybrid Public Key Encryption (RFC 9180) as draft-ietf-jose-hpke-encrypt has it.
// Package jwe/hpke has the names of the algorithms, and says which text.

// An hpkeSuite is what an algorithm names beside the curve, which decides the KEM.
type hpkeSuite struct {
	kdf  hpke.KDF
	aead hpke.AEAD
}

// hpkeSuites are those for which crypto/hpke has all parts, by the name for
// integrated encryption. For key encryption "-KE" comes after it.
var hpkeSuites = map[Algorithm]hpkeSuite{
	"HPKE-0": {hpke.HKDFSHA256(), hpke.AES128GCM()},
	"HPKE-1": {hpke.HKDFSHA384(), hpke.AES256GCM()},
	"HPKE-2": {hpke.HKDFSHA512(), hpke.AES256GCM()},
	"HPKE-3": {hpke.HKDFSHA256(), hpke.AES128GCM()},
	"HPKE-4": {hpke.HKDFSHA256(), hpke.ChaCha20Poly1305()},
	"HPKE-7": {hpke.HKDFSHA256(), hpke.AES256GCM()},
}

// Integrated reports whether a is one of the algorithms of HPKE that encrypt the
// content themselves, so that a message has no "enc".
func (a Algorithm) Integrated() bool {
	if !strings.HasPrefix(string(a), "HPKE-") { // before a look into the table
		return false
	}
	info := algorithms[a]
	return info.family == familyHPKE && info.integrated
}

// An hpkeKey is a key for one suite. All that is checked of its numbers is what
// an ecdhKey checks.
type hpkeKey struct {
	*ecdhKey
	hpkeSuite
	sender   hpke.PublicKey
	receiver hpke.PrivateKey // nil for a public key
}

// newHPKE makes numbers ready for the suite of the algorithm.
func newHPKE(info algorithmInfo, numbers *ecdhKey) (material, error) {
	k := &hpkeKey{ecdhKey: numbers, hpkeSuite: hpkeSuites[Algorithm(strings.TrimSuffix(string(info.alg), "-KE"))]}
	if k.crv != info.crv {
		return nil, fmt.Errorf("%w: crv against alg", ErrAlgorithm)
	}
	var err error
	if k.sender, err = hpke.NewDHKEMPublicKey(k.pub); err != nil {
		return nil, malformed("point is not on the curve")
	}
	if !k.isPrivate() {
		return k, nil
	}
	if k.receiver, err = hpke.NewDHKEMPrivateKey(k.exchanger()); err != nil {
		return nil, malformed("d")
	}
	return k, nil
}

func (k *hpkeKey) public() material {
	return &hpkeKey{ecdhKey: k.ecdhKey.public().(*ecdhKey), hpkeSuite: k.hpkeSuite, sender: k.sender}
}

// recipientInfo is the Recipient_structure of the draft, without extra
// information: it ties a wrapped key to the content encryption.
func recipientInfo(enc Encryption) []byte {
	return []byte("JOSE-HPKE rcpt\xff" + string(enc) + "\xff")
}

func (k *hpkeKey) wrap(cek []byte, p WrapParams) (Wrapped, error) {
	if p.Encryption.KeySize() != len(cek) {
		return Wrapped{}, fmt.Errorf("%w: HPKE needs the enc of the key", ErrUnsupported)
	}
	encapsulated, sealed, err := k.seal(recipientInfo(p.Encryption), cek, nil)
	return Wrapped{Key: sealed, EK: encapsulated, Encryption: p.Encryption}, err
}

func (k *hpkeKey) unwrap(w Wrapped) ([]byte, error) {
	return k.open(recipientInfo(w.Encryption), w.EK, w.Key, nil)
}

// seal encrypts one text in base mode (RFC 9180, Section 6.1).
func (k *hpkeKey) seal(info, plaintext, aad []byte) (encapsulated, sealed []byte, err error) {
	encapsulated, sender, err := hpke.NewSender(k.sender, k.kdf, k.aead, info)
	if err != nil {
		return nil, nil, fmt.Errorf("jwk: %w", err)
	}
	sealed, err = sender.Seal(aad, plaintext)
	return encapsulated, sealed, err
}

// open decrypts what seal made, or answers ErrUnwrap.
func (k *hpkeKey) open(info, encapsulated, sealed, aad []byte) ([]byte, error) {
	recipient, err := hpke.NewRecipient(encapsulated, k.receiver, k.kdf, k.aead, info)
	if err != nil {
		return nil, unwrapError(err)
	}
	plaintext, err := recipient.Open(aad, sealed)
	if err != nil {
		return nil, ErrUnwrap
	}
	return plaintext, nil
}

// SealIntegrated encrypts plaintext itself, each time under a fresh encapsulated
// secret. The error is [ErrUse] for a key whose algorithm is not
// [Algorithm.Integrated].
func (k *Key) SealIntegrated(plaintext, aad []byte) (encapsulated, sealed []byte, err error) {
	m, ok := k.held().(*hpkeKey)
	if !ok || !k.info.integrated || !k.mayEncrypt() {
		return nil, nil, ErrUse
	}
	return m.seal(nil, plaintext, aad)
}

// OpenIntegrated opens what [Key.SealIntegrated] made. The errors are those of
// [Key.UnwrapKey].
func (k *Key) OpenIntegrated(encapsulated, sealed, aad []byte) ([]byte, error) {
	m, ok := k.held().(*hpkeKey)
	if !ok || !k.info.integrated || !k.mayDecrypt() {
		return nil, ErrUse
	}
	if !k.IsPrivate() {
		return nil, ErrNotPrivate
	}
	return m.open(nil, encapsulated, sealed, aad)
}
