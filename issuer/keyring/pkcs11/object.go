//go:build pkcs11 && cgo

package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Of PKCS #11 v3.0, Section 2.3.
const (
	ckkEdwards        = 0x40
	ckmEdwardsPairGen = 0x1055
	ckmEdDSA          = 0x1057
)

const (
	modulusBits = 2048        // of RSA keys that are made
	makeTimeout = time.Minute // a card takes its time for an RSA key
)

// A kind is how a key pair is made.
type kind struct {
	keyType   uint
	mechanism uint
	params    []byte // CKA_EC_PARAMS, a curve's OID in DER; nil for RSA
}

// Curves, by the OIDs of RFC 5480, Section 2.1.1.1, and RFC 8410, Section 3.
var (
	p256    = kind{pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}}
	p384    = kind{pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, []byte{6, 5, 0x2b, 0x81, 4, 0, 0x22}}
	p521    = kind{pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, []byte{6, 5, 0x2b, 0x81, 4, 0, 0x23}}
	edwards = kind{ckkEdwards, ckmEdwardsPairGen, []byte{6, 3, 0x2b, 0x65, 0x70}}
	rsaPair = kind{pkcs11.CKK_RSA, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil}
)

var kinds = map[jwk.Algorithm]kind{
	jwk.ES256: p256, jwk.ES384: p384, jwk.ES512: p521, jwk.Ed25519: edwards, jwk.EdDSA: edwards,
	jwk.RS256: rsaPair, jwk.RS384: rsaPair, jwk.RS512: rsaPair, jwk.PS256: rsaPair, jwk.PS384: rsaPair, jwk.PS512: rsaPair,
}

// make makes a key pair in the token whose private half may do one thing: sign or
// derive.
func (t *Token) make(ctx context.Context, name keyName, k kind, purpose uint) (*key, error) {
	making, cancel := context.WithTimeoutCause(ctx, makeTimeout, ErrSilent)
	defer cancel()
	_, err := useUntil(making, t, func(c *connection, s pkcs11.SessionHandle) (struct{}, error) {
		_, _, err := c.module.ctx.GenerateKeyPair(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(k.mechanism, nil)},
			publicTemplate(name, k, purpose), privateTemplate(name, k, purpose))
		return struct{}{}, trouble("C_GenerateKeyPair", err)
	})
	if err != nil {
		return nil, err
	}
	made, err := t.find(ctx, name, strict)
	if err != nil {
		return nil, errors.Join(err, t.destroy(context.WithoutCancel(ctx), name))
	}
	return made, nil
}

func publicTemplate(name keyName, k kind, purpose uint) []*pkcs11.Attribute {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, k.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, name.label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, name.id),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY, purpose == pkcs11.CKA_SIGN),
	}
	if k.params != nil {
		return append(template, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, k.params))
	}
	return append(template, pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, modulusBits),
		pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
}

func privateTemplate(name keyName, k kind, purpose uint) []*pkcs11.Attribute {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, k.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, name.label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, name.id),
	}
	for _, use := range []uint{pkcs11.CKA_SIGN, pkcs11.CKA_DERIVE, pkcs11.CKA_DECRYPT, pkcs11.CKA_UNWRAP} {
		template = append(template, pkcs11.NewAttribute(use, use == purpose))
	}
	return template
}

// A strictness is what is asked of a private key that is found.
type strictness bool

const (
	lenient strictness = false // it cannot be read
	strict  strictness = true  // nor could it ever, wrapped or not, since it was made in the token
)

// find returns the one private key of that name.
func (t *Token) find(ctx context.Context, name keyName, how strictness) (*key, error) {
	public, err := use(ctx, t, func(c *connection, s pkcs11.SessionHandle) (crypto.PublicKey, error) {
		private, err := c.module.findOne(s, name, pkcs11.CKO_PRIVATE_KEY)
		if err != nil {
			return nil, err
		}
		if err := c.module.inspect(s, private, how); err != nil {
			return nil, err
		}
		public, err := c.module.findOne(s, name, pkcs11.CKO_PUBLIC_KEY)
		if err != nil {
			return nil, err
		}
		return c.module.publicKey(s, public)
	})
	if err != nil {
		return nil, err
	}
	return &key{token: t, name: name, public: public}, nil
}

// findOne returns the handle of the object of that class and name.
func (m *module) findOne(s pkcs11.SessionHandle, name keyName, class uint) (pkcs11.ObjectHandle, error) {
	found, err := m.findAll(s, name, class, 2)
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, fmt.Errorf("pkcs11: the token has no such key: %w", jwk.ErrUnknownKey)
	case len(found) > 1:
		return 0, ErrAmbiguous
	}
	return found[0], nil
}

func (m *module) findAll(s pkcs11.SessionHandle, name keyName, class uint, most int) ([]pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}
	if name.label != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, name.label))
	}
	if name.id != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, name.id))
	}
	if err := m.ctx.FindObjectsInit(s, template); err != nil {
		return nil, trouble("C_FindObjectsInit", err)
	}
	found, _, err := m.ctx.FindObjects(s, most)
	if ended := m.ctx.FindObjectsFinal(s); err == nil {
		err = ended
	}
	return found, trouble("C_FindObjects", err)
}

// destroy removes both halves of a pair.
func (m *module) destroy(s pkcs11.SessionHandle, name keyName) error {
	for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
		found, err := m.findAll(s, name, class, 2)
		if err != nil {
			return err
		}
		for _, h := range found {
			if err := m.ctx.DestroyObject(s, h); err != nil && !is(err, pkcs11.CKR_OBJECT_HANDLE_INVALID) {
				return trouble("C_DestroyObject", err)
			}
		}
	}
	return nil
}

// inspect reads back what keeps a private key inside.
func (m *module) inspect(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, how strictness) error {
	want := map[uint]bool{pkcs11.CKA_SENSITIVE: true}
	if how == strict {
		want[pkcs11.CKA_EXTRACTABLE] = false
		want[pkcs11.CKA_ALWAYS_SENSITIVE] = true
		want[pkcs11.CKA_NEVER_EXTRACTABLE] = true
		want[pkcs11.CKA_LOCAL] = true
	}
	for attribute, must := range want {
		values, err := m.ctx.GetAttributeValue(s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(attribute, nil)})
		if err != nil {
			return trouble("C_GetAttributeValue", err)
		}
		if len(values[0].Value) != 1 || (values[0].Value[0] != 0) != must {
			return ErrWeak
		}
	}
	return nil
}

// publicKey reads a public key. Package jwk checks its numbers.
func (m *module) publicKey(s pkcs11.SessionHandle, h pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	keyType, err := m.read(s, h, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(keyType[0], pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA).Value) {
		numbers, err := m.read(s, h, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT)
		if err != nil {
			return nil, err
		}
		e := new(big.Int).SetBytes(numbers[1])
		if !e.IsInt64() || e.Int64() > 1<<31-1 {
			return nil, errPublic
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(numbers[0]), E: int(e.Int64())}, nil
	}
	numbers, err := m.read(s, h, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	return ecPublic(numbers[0], numbers[1])
}

func (m *module) read(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, attributes ...uint) (values [][]byte, err error) {
	for _, a := range attributes {
		got, err := m.ctx.GetAttributeValue(s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(a, nil)})
		if err != nil {
			return nil, trouble("C_GetAttributeValue", err)
		}
		values = append(values, got[0].Value)
	}
	return values, nil
}

var errPublic = errors.New("pkcs11: the token's public key is none that we know")

// ecPublic reads a point, which is an OCTET STRING in DER (PKCS #11 v3.0, Section
// 2.3.3); some modules leave that out.
func ecPublic(params, point []byte) (crypto.PublicKey, error) {
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner
	}
	for curve, k := range map[elliptic.Curve]kind{elliptic.P256(): p256, elliptic.P384(): p384, elliptic.P521(): p521} {
		if bytes.Equal(params, k.params) {
			return ecdsa.ParseUncompressedPublicKey(curve, point)
		}
	}
	if bytes.Equal(params, edwards.params) && len(point) == ed25519.PublicKeySize {
		return ed25519.PublicKey(point), nil
	}
	return nil, errPublic
}
