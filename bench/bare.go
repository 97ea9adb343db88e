package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// The bare operations are those of Go's standard library over the signing input,
// hashing included, with everything prepared that a key can prepare: no library
// can be faster without a primitive of its own.

var errBare = errors.New("the bare operation does not verify")

func result(ok bool) error {
	if !ok {
		return errBare
	}
	return nil
}

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// bareVerify verifies signature, which for ECDSA is in ASN.1.
func bareVerify(alg jwk.Algorithm, public any) (func(input, signature []byte) error, error) {
	switch key := public.(type) {
	case []byte:
		mac, sum := hmac.New(sha256.New, key), make([]byte, 0, sha256.Size)
		return func(input, signature []byte) error {
			mac.Reset()
			mac.Write(input)
			return result(hmac.Equal(mac.Sum(sum), signature))
		}, nil
	case *rsa.PublicKey:
		return func(input, signature []byte) error {
			digest := sha256.Sum256(input)
			if alg == jwk.PS256 {
				return rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, pss)
			}
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature)
		}, nil
	case *ecdsa.PublicKey:
		return func(input, signature []byte) error {
			return result(ecdsa.VerifyASN1(key, ecdsaDigest(alg, input), signature))
		}, nil
	case ed25519.PublicKey:
		return func(input, signature []byte) error { return result(ed25519.Verify(key, input, signature)) }, nil
	}
	return nil, fmt.Errorf("no bare operation for %s", alg)
}

// bareSign signs, for ECDSA in ASN.1.
func bareSign(alg jwk.Algorithm, private any) (func(input []byte) ([]byte, error), error) {
	switch key := private.(type) {
	case []byte:
		mac, sum := hmac.New(sha256.New, key), make([]byte, 0, sha256.Size)
		return func(input []byte) ([]byte, error) {
			mac.Reset()
			mac.Write(input)
			return mac.Sum(sum), nil
		}, nil
	case *rsa.PrivateKey:
		return func(input []byte) ([]byte, error) {
			digest := sha256.Sum256(input)
			if alg == jwk.PS256 {
				return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], pss)
			}
			return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		}, nil
	case *ecdsa.PrivateKey:
		return func(input []byte) ([]byte, error) {
			return ecdsa.SignASN1(rand.Reader, key, ecdsaDigest(alg, input))
		}, nil
	case ed25519.PrivateKey:
		return func(input []byte) ([]byte, error) { return ed25519.Sign(key, input), nil }, nil
	}
	return nil, fmt.Errorf("no bare operation for %s", alg)
}

func ecdsaDigest(alg jwk.Algorithm, input []byte) []byte {
	if alg == jwk.ES384 {
		digest := sha512.Sum384(input)
		return digest[:]
	}
	digest := sha256.Sum256(input)
	return digest[:]
}
