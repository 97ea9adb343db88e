package jwk

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509" // which is crypto/x509 for all other keys
)

// ErrEncrypted reports a private key that is encrypted under a password. Nothing
// here decrypts: that is for the tool that made it.
var ErrEncrypted = errors.New("jwk: the key is encrypted under a password")

// ParseDER reads one key in DER: a private key in PKCS #8 (RFC 5958), PKCS #1 (RFC
// 8017) or SEC 1 (RFC 5915), a public key in SubjectPublicKeyInfo (RFC 5280) or PKCS
// #1, or an X.509 certificate, whose key it is then and which is kept as "x5c".
//
// None of these says what the key is for: that is p.Algorithm, or the one algorithm
// that the key implies, as in [Parse]. The key is RSA, EC, Ed25519, X25519 or
// ML-DSA, of at most [MaxKey] bytes, and passes the checks of [New]. Errors:
// [ErrMalformed] also for anything behind the key, [ErrUnsupported],
// [ErrEncrypted], [ErrWeakKey], [ErrAlgorithm], [ErrNoAlgorithm].
func ParseDER(der []byte, p Params) (*Key, error) {
	if len(der) > MaxKey {
		return nil, errTooLarge
	}
	parse := formOf(der)
	if parse == nil {
		return nil, malformed("DER of no known form")
	}
	return parse(der, p)
}

// A form reads one of the forms of a key.
type form func(der []byte, p Params) (*Key, error)

// formOf recognises a form by the tags of its first members.
func formOf(der []byte) form {
	var members []asn1.RawValue
	if !isDER(der, &members) || len(members) < 2 {
		return nil
	}
	switch first, second := members[0].Tag, members[1].Tag; {
	case first == asn1.TagSequence && second == asn1.TagBitString:
		return asMaterial(parseSPKI)
	case first == asn1.TagSequence && second == asn1.TagSequence:
		return parseCertificate
	case first == asn1.TagSequence && second == asn1.TagOctetString:
		return refuseEncrypted // RFC 5958, Section 3
	case first == asn1.TagInteger && second == asn1.TagSequence:
		return asMaterial(parsePKCS8)
	case first == asn1.TagInteger && second == asn1.TagOctetString:
		return asMaterial(parseSEC1)
	case first == asn1.TagInteger && second == asn1.TagInteger && len(members) == 2:
		return asMaterial(parsePKCS1Public)
	case first == asn1.TagInteger && second == asn1.TagInteger:
		return asMaterial(parsePKCS1)
	}
	return nil
}

func refuseEncrypted([]byte, Params) (*Key, error) { return nil, ErrEncrypted }

// asMaterial makes a form of a function that returns material for New.
func asMaterial(parse func(der []byte) (any, error)) form {
	return func(der []byte, p Params) (*Key, error) {
		material, err := parse(der)
		if err != nil {
			return nil, err
		}
		return newImplied(material, p)
	}
}

// newImplied is New with the algorithm that the material implies where p has none.
func newImplied(material any, p Params) (*Key, error) {
	if p.Algorithm == "" {
		p.Algorithm, p.Also = impliedBy(material)
	}
	return New(material, p)
}

// impliedBy returns the only algorithm that material can be for, if there is one.
func impliedBy(material any) (alg, also Algorithm) {
	switch key := material.(type) {
	case *ecdsa.PublicKey:
		return curves[key.Curve.Params().Name].alg, ""
	case *ecdsa.PrivateKey:
		return curves[key.Curve.Params().Name].alg, ""
	case ed25519.PublicKey, ed25519.PrivateKey:
		return Ed25519, EdDSA
	case *mldsa.PublicKey:
		return Algorithm(key.Parameters().String()), ""
	case *mldsa.PrivateKey:
		return Algorithm(key.PublicKey().Parameters().String()), ""
	}
	return "", ""
}

var (
	oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

	// keyTypes are the types of key that are read (RFC 3279, RFC 5480, RFC 8410,
	// RFC 9881), and the curves of the second.
	oidEC    = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	keyTypes = []asn1.ObjectIdentifier{
		oidRSA, oidEC,
		{1, 3, 101, 110},                                                                                        // X25519
		{1, 3, 101, 112},                                                                                        // Ed25519
		{2, 16, 840, 1, 101, 3, 4, 3, 17}, {2, 16, 840, 1, 101, 3, 4, 3, 18}, {2, 16, 840, 1, 101, 3, 4, 3, 19}, // ML-DSA
	}
	namedCurves = []asn1.ObjectIdentifier{
		{1, 2, 840, 10045, 3, 1, 7}, {1, 3, 132, 0, 34}, {1, 3, 132, 0, 35}, // P-256, P-384, P-521
	}
)

// checkType refuses types of key that are not read, by name.
func checkType(alg pkix.AlgorithmIdentifier) error {
	if !contains(keyTypes, alg.Algorithm) {
		return fmt.Errorf("%w: key type %s", ErrUnsupported, alg.Algorithm)
	}
	var curve asn1.ObjectIdentifier
	switch {
	case !alg.Algorithm.Equal(oidEC):
		return nil
	case !isDER(alg.Parameters.FullBytes, &curve): // written out in numbers: CVE-2020-0601
		return fmt.Errorf("%w: curve without a name", ErrUnsupported)
	case !contains(namedCurves, curve):
		return fmt.Errorf("%w: curve %s", ErrUnsupported, curve)
	}
	return nil
}

func contains(list []asn1.ObjectIdentifier, oid asn1.ObjectIdentifier) bool {
	for _, other := range list {
		if other.Equal(oid) {
			return true
		}
	}
	return false
}

// parseSPKI reads SubjectPublicKeyInfo (RFC 5280, Section 4.1).
func parseSPKI(der []byte) (any, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if !isDER(der, &info) {
		return nil, malformed("SubjectPublicKeyInfo")
	}
	if err := checkType(info.Algorithm); err != nil {
		return nil, err
	}
	key, err := mldsax509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, malformed("SubjectPublicKeyInfo")
	}
	return key, nil
}

// parsePKCS8 reads OneAsymmetricKey (RFC 5958, Section 2).
func parsePKCS8(der []byte) (any, error) {
	var info struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		Key        []byte
		Attributes asn1.RawValue  `asn1:"optional,tag:0"`
		Public     asn1.BitString `asn1:"optional,tag:1"`
	}
	if !isDER(der, &info) || info.Version < 0 || info.Version > 1 {
		return nil, malformed("PKCS #8")
	}
	if err := checkType(info.Algorithm); err != nil {
		return nil, err
	}
	if info.Algorithm.Algorithm.Equal(oidRSA) {
		return parsePKCS1(info.Key) // with its bounds before any arithmetic
	}
	key, err := mldsax509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, malformed("PKCS #8")
	}
	if info.Algorithm.Algorithm.Equal(oidEC) && !ownPoint(info.Key, key) {
		return nil, malformed("PKCS #8: public key of another private key")
	}
	return key, checkPublic(key, info.Public)
}

// parseSEC1 reads ECPrivateKey (RFC 5915, Section 3).
func parseSEC1(der []byte) (any, error) {
	info, ok := readSEC1(der)
	if !ok {
		return nil, malformed("EC private key")
	}
	if !contains(namedCurves, info.Curve) {
		return nil, fmt.Errorf("%w: curve %s", ErrUnsupported, info.Curve)
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return nil, malformed("EC private key")
	}
	return key, checkPublic(key, info.Public)
}

// ownPoint reports whether the point in an ECPrivateKey, if there is one, is that
// of key.
func ownPoint(der []byte, key any) bool {
	info, ok := readSEC1(der)
	return ok && checkPublic(key, info.Public) == nil
}

// A sec1 is an ECPrivateKey.
type sec1 struct {
	Version int
	Key     []byte
	Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

func readSEC1(der []byte) (info sec1, ok bool) {
	return info, isDER(der, &info) && info.Version == 1
}

// checkPublic refuses a private key that brings another public key with it: who
// reads which of the two would then see two keys.
func checkPublic(private any, public asn1.BitString) error {
	if public.BitLength == 0 {
		return nil
	}
	var own []byte
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		own, _ = key.PublicKey.Bytes()
	case ed25519.PrivateKey:
		own = key[ed25519.SeedSize:]
	case *ecdh.PrivateKey:
		own = key.PublicKey().Bytes()
	case *mldsa.PrivateKey:
		own = key.PublicKey().Bytes()
	}
	if !bytes.Equal(own, public.RightAlign()) {
		return malformed("public key of another private key")
	}
	return nil
}

// parsePKCS1 reads RSAPrivateKey of two primes (RFC 8017, Appendix A.1.2).
func parsePKCS1(der []byte) (any, error) {
	var info struct {
		Version                   int
		N, E, D, P, Q, Dp, Dq, Qi *big.Int
	}
	if !isDER(der, &info) || info.Version != 0 || !isWhole(der, info) {
		return nil, malformed("RSA private key of two primes")
	}
	for _, n := range []*big.Int{info.N, info.E, info.D, info.P, info.Q, info.Dp, info.Dq, info.Qi} {
		if n.Sign() <= 0 {
			return nil, malformed("RSA private key")
		}
	}
	return rsaNumbers{
		n: info.N.Bytes(), e: info.E.Bytes(), d: info.D.Bytes(), p: info.P.Bytes(), q: info.Q.Bytes(),
		dp: info.Dp.Bytes(), dq: info.Dq.Bytes(), qi: info.Qi.Bytes(),
	}, nil
}

// parsePKCS1Public reads RSAPublicKey (RFC 8017, Appendix A.1.1).
func parsePKCS1Public(der []byte) (any, error) {
	var info struct{ N, E *big.Int }
	if !isDER(der, &info) || !isWhole(der, info) || info.N.Sign() <= 0 || info.E.Sign() <= 0 {
		return nil, malformed("RSA public key")
	}
	return rsaNumbers{n: info.N.Bytes(), e: info.E.Bytes()}, nil
}

// isWhole reports whether info is all that der holds: encoding/asn1 passes over
// further elements of a sequence.
func isWhole(der []byte, info any) bool {
	again, err := asn1.Marshal(info)
	return err == nil && bytes.Equal(again, der)
}

// MarshalDER returns the public key as SubjectPublicKeyInfo (RFC 5280, Section
// 4.1). Algorithm, key id and limits have no place there. For a symmetric key the
// error is [ErrSymmetric].
func (k *Key) MarshalDER() ([]byte, error) {
	pub, err := k.CryptoPublic()
	if err != nil {
		return nil, err
	}
	return mldsax509.MarshalPKIXPublicKey(pub)
}

// errNoPrimes reports an RSA key of n, e and d alone.
var errNoPrimes = errors.New("jwk: an RSA private key without its primes has no form in DER")

// MarshalPrivateDER returns the private key in PKCS #8 (RFC 5958). Whoever reads it
// holds the key. Errors as in [Key.CryptoPrivate]; an RSA key that came without its
// primes has no such form.
func (k *Key) MarshalPrivateDER() ([]byte, error) {
	priv, err := k.CryptoPrivate()
	if err != nil {
		return nil, err
	}
	if key, ok := priv.(*rsa.PrivateKey); ok && len(key.Primes) == 0 {
		return nil, errNoPrimes
	}
	return mldsax509.MarshalPKCS8PrivateKey(priv)
}
