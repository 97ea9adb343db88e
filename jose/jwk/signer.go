package jwk

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"filippo.io/mldsa"
)

// ErrOpaque reports that a private key is held by somebody else, a KMS, an HSM
// or a token of PKCS #11, so that there is nothing to write out.
var ErrOpaque = errors.New("jwk: the private key is held outside this process")

// A ContextSigner holds a private key and never shows it. It is [crypto.Signer]
// for a service that is reached over a network; [New] takes either.
type ContextSigner interface {
	// Public returns the public half. New calls it once.
	Public() crypto.PublicKey
	// SignContext signs digest: the message itself where opts.HashFunc() is 0,
	// as for Ed25519 and ML-DSA, else its hash. opts is a [crypto.Hash], or a
	// [*rsa.PSSOptions] for RSASSA-PSS. An ECDSA signature is returned in ASN.1,
	// as [crypto/ecdsa.PrivateKey.Sign] does. It may be called by several
	// goroutines at once.
	SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

// A localSigner makes a ContextSigner of a [crypto.Signer], which cannot be
// interrupted.
type localSigner struct{ crypto.Signer }

func (s localSigner) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.Sign(rand.Reader, digest, opts)
}

// An opaqueKey is a public key, whose methods it has, with somebody who can sign
// for it.
type opaqueKey struct {
	material // public
	signer   ContextSigner
	family   family
	hash     crypto.Hash
}

// newHeldElsewhere makes a key of somebody who holds the private part, or nothing
// of anything else. One device may both sign and decrypt: the algorithm decides.
func newHeldElsewhere(key any, info algorithmInfo) (material, error) {
	if info.wraps {
		return newOpaqueUnwrapper(key, info)
	}
	switch key := key.(type) {
	case ContextSigner:
		return newOpaque(key, info)
	case crypto.Signer:
		return newOpaque(localSigner{key}, info)
	}
	return nil, nil
}

// newOpaque asks signer for its public key and checks that.
func newOpaque(signer ContextSigner, info algorithmInfo) (material, error) {
	public := signer.Public()
	switch public.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, *mldsa.PublicKey:
	default:
		return nil, fmt.Errorf("%w: public key of type %T", ErrAlgorithm, public)
	}
	m, err := newMaterial(public, info)
	if err != nil {
		return nil, err
	}
	return &opaqueKey{material: m, signer: signer, family: info.family, hash: info.hash}, nil
}

func (k *opaqueKey) isPrivate() bool  { return true }
func (k *opaqueKey) isOpaque() bool   { return true }
func (k *opaqueKey) public() material { return k.material }

func (k *opaqueKey) sign(input []byte) ([]byte, error) {
	return k.signContext(context.Background(), input)
}

func (k *opaqueKey) signContext(ctx context.Context, input []byte) ([]byte, error) {
	if _, ok := k.material.(hasher); ok {
		return k.signDigest(ctx, digest(k.hash, nil, input))
	}
	// Where ctx has ended the signer may still hold the message, and the memory of
	// input is the caller's.
	input = bytes.Clone(input)
	return k.ask(ctx, input, func(sig []byte) bool { return k.verify(input, sig) })
}

func (k *opaqueKey) signDigest(ctx context.Context, sum []byte) ([]byte, error) {
	return k.ask(ctx, sum, func(sig []byte) bool { return k.material.(hasher).verifyDigest(sum, sig) })
}

// ask has digest signed and looks at the answer before it leaves: a device that
// has lost its step, a key version that was switched behind the same name or an
// option that was not understood gives tokens that nobody accepts, and one faulty
// RSA signature can give its key away. That costs a verification, which is little
// beside a call to a device or over a network.
func (k *opaqueKey) ask(ctx context.Context, digest []byte, verifies func(sig []byte) bool) ([]byte, error) {
	sig, err := k.signer.SignContext(ctx, digest, k.options())
	if err != nil {
		return nil, fmt.Errorf("jwk: signer: %w", err)
	}
	if k.family == familyECDSA {
		if sig, err = k.material.(*ecKey).fromASN1(sig); err != nil {
			return nil, err
		}
	}
	if !verifies(sig) {
		return nil, errors.New("jwk: the signer's answer is not a signature by its public key")
	}
	return sig, nil
}

// options say how to sign, and what it is that is handed over.
func (k *opaqueKey) options() crypto.SignerOpts {
	switch k.family {
	case familyPKCS1, familyECDSA:
		return k.hash
	case familyPSS:
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: k.hash}
	default:
		return crypto.Hash(0)
	}
}

var errASN1 = errors.New("jwk: the signer's answer is not an ECDSA signature in DER")

// SignContext is [Key.Sign] for a key whose private part may be far away: ctx is
// handed to the [ContextSigner] that [New] was given. Other keys sign at once
// unless ctx has ended.
//
// What an outside signer answers is verified before it is returned, which costs
// about as much as verifying a token.
func (k *Key) SignContext(ctx context.Context, input []byte) ([]byte, error) {
	if !k.maySign() {
		return nil, ErrUse
	}
	if far, ok := k.held().(*opaqueKey); ok {
		return far.signContext(ctx, input)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return k.held().sign(input)
}
