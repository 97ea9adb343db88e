//go:build pkcs11 && cgo

package pkcs11

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"
)

// Public is part of [jwk.ContextSigner].
func (k *key) Public() crypto.PublicKey { return k.public }

// SignContext is part of [jwk.ContextSigner]: package jwk verifies what it returns.
func (k *key) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	mechanism, input, err := k.mechanism(digest, opts)
	if err != nil {
		return nil, err
	}
	sig, err := k.ask(ctx, func(p *pkcs11.Ctx, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) ([]byte, error) {
		if err := p.SignInit(s, []*pkcs11.Mechanism{mechanism}, h); err != nil {
			return nil, trouble("C_SignInit", err)
		}
		sig, err := p.Sign(s, input)
		return sig, trouble("C_Sign", err)
	})
	if err != nil {
		return nil, err
	}
	if _, ok := k.public.(*ecdsa.PublicKey); ok {
		return derSignature(sig)
	}
	return sig, nil
}

// hashes are what PSS is told of a hash: the mechanisms of the hash and of MGF1
// with it.
var hashes = map[crypto.Hash]struct {
	oid       asn1.ObjectIdentifier // RFC 8017, Appendix B.1
	hash, mgf uint
}{
	crypto.SHA256: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256},
	crypto.SHA384: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384},
	crypto.SHA512: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512},
}

// mechanism returns how to sign, and what the mechanism takes for its input.
func (k *key) mechanism(digest []byte, opts crypto.SignerOpts) (*pkcs11.Mechanism, []byte, error) {
	hash, known := hashes[opts.HashFunc()]
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		return pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), digest, nil
	case ed25519.PublicKey:
		return pkcs11.NewMechanism(ckmEdDSA, nil), digest, nil
	case *rsa.PublicKey:
		if !known {
			break
		}
		if _, pss := opts.(*rsa.PSSOptions); pss { // the salt has the length of the hash (RFC 7518, Section 3.5)
			params := pkcs11.NewPSSParams(hash.hash, hash.mgf, uint(opts.HashFunc().Size()))
			return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, params), digest, nil
		}
		input, err := digestInfo(hash.oid, digest)
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), input, err
	}
	return nil, nil, errors.New("pkcs11: no mechanism for this kind of signature")
}

// digestInfo is the T of RFC 8017, Section 9.2, which the mechanism pads.
func digestInfo(oid asn1.ObjectIdentifier, digest []byte) ([]byte, error) {
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue}, digest})
}

// derSignature turns r and s of equal length, as a token returns them, into the
// form that a crypto.Signer returns.
func derSignature(sig []byte) ([]byte, error) {
	if len(sig) == 0 || len(sig)%2 != 0 {
		return nil, fmt.Errorf("pkcs11: an ECDSA signature of %d bytes", len(sig))
	}
	half := len(sig) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
}
