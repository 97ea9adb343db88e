//go:build pkcs11 && cgo

package pkcs11

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"

	"github.com/miekg/pkcs11"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// kek returns k as a key for what its kind can do. Its kid is its thumbprint, so
// that whatever is sealed names the key that opens it.
func (k *key) kek() (*jwk.Key, error) {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		agreed, err := public.ECDH()
		if err != nil {
			return nil, err
		}
		return jwk.New(&exchanger{k, agreed}, jwk.Params{Algorithm: jwk.ECDHESA256KW})
	case *rsa.PublicKey:
		return jwk.New(decrypter{k}, jwk.Params{Algorithm: jwk.RSAOAEP})
	}
	return nil, fmt.Errorf("pkcs11: %w: a key-encryption key is an EC or RSA key", jwk.ErrUnsupported)
}

// An exchanger agrees by a private key in a token.
type exchanger struct {
	key    *key
	public *ecdh.PublicKey
}

// PublicKey is part of [ecdh.KeyExchanger].
func (e *exchanger) PublicKey() *ecdh.PublicKey { return e.public }

// Curve is part of [ecdh.KeyExchanger].
func (e *exchanger) Curve() ecdh.Curve { return e.public.Curve() }

// ECDH is part of [ecdh.KeyExchanger]. The agreed secret, which is that of one
// message, leaves the token; the private key does not.
func (e *exchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	size := (len(e.public.Bytes()) - 1) / 2 // of a coordinate
	point := peer.Bytes()
	z, err := e.key.ask(context.Background(), func(p *pkcs11.Ctx, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) ([]byte, error) {
		return derive(p, s, h, point, size)
	})
	if err != nil {
		return nil, unanswered(err)
	}
	if len(z) > size {
		return nil, errors.New("pkcs11: an agreed secret that is too long")
	}
	return append(make([]byte, size-len(z)), z...), nil // some tokens drop leading zeros
}

func derive(p *pkcs11.Ctx, s pkcs11.SessionHandle, h pkcs11.ObjectHandle, point []byte, size int) ([]byte, error) {
	params := pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, point)
	secret, err := p.DeriveKey(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDH1_DERIVE, params)}, h, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, size),
	})
	if err != nil {
		return nil, trouble("C_DeriveKey", err)
	}
	values, err := p.GetAttributeValue(s, secret, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
	if gone := p.DestroyObject(s, secret); err == nil {
		err = gone
	}
	if err != nil {
		return nil, trouble("C_GetAttributeValue", err)
	}
	return values[0].Value, nil
}

// A decrypter decrypts by a private key in a token.
type decrypter struct{ key *key }

// Public is part of [crypto.Decrypter].
func (d decrypter) Public() crypto.PublicKey { return d.key.public }

// Decrypt is part of [crypto.Decrypter], for RSA-OAEP with SHA-1, which is what
// every token knows.
func (d decrypter) Decrypt(_ io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if o, ok := opts.(*rsa.OAEPOptions); !ok || o.Hash != crypto.SHA1 || o.MGFHash != 0 || len(o.Label) != 0 {
		return nil, errors.New("pkcs11: only RSA-OAEP")
	}
	params := pkcs11.NewOAEPParams(pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, pkcs11.CKZ_DATA_SPECIFIED, nil)
	plain, err := d.key.ask(context.Background(), func(p *pkcs11.Ctx, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) ([]byte, error) {
		if err := p.DecryptInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, params)}, h); err != nil {
			return nil, trouble("C_DecryptInit", err)
		}
		plain, err := p.Decrypt(s, msg)
		if err != nil {
			return nil, decryptError(p, s, err)
		}
		return plain, nil
	})
	return plain, unanswered(err)
}

var errDecrypt = errors.New("pkcs11: it does not decrypt")

// decryptError tells a message that is not for the key from a token that does not
// work. Some modules, SoftHSM among them, have one answer for both: then a token
// that still answers to something else has found fault with the message.
func decryptError(p *pkcs11.Ctx, s pkcs11.SessionHandle, err error) error {
	if is(err, pkcs11.CKR_ENCRYPTED_DATA_INVALID, pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE, pkcs11.CKR_DATA_INVALID) {
		return errDecrypt
	}
	if is(err, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED) {
		if _, alive := p.GetSessionInfo(s); alive == nil {
			return errDecrypt
		}
	}
	return trouble("C_Decrypt", err)
}

// unanswered makes a [jwk.ErrUnavailable] of everything but fault with the message:
// a key that was deleted, or a token that did not answer in time, say nothing of it.
func unanswered(err error) error {
	if err == nil || errors.Is(err, errDecrypt) {
		return err
	}
	return &unavailableError{err}
}
