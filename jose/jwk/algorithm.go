package jwk

import (
	"crypto"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"filippo.io/mldsa"
)

// An Algorithm is a value of the "alg" parameter (RFC 7518, Sections 3.1 and
// 4.1; RFC 8037; RFC 9864; RFC 9964). There is no "none".
type Algorithm string

// The algorithms that a [Key] can have.
const (
	HS256 Algorithm = "HS256" // HMAC, RFC 7518, Section 3.2
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"

	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5, RFC 7518, Section 3.3
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"

	PS256 Algorithm = "PS256" // RSASSA-PSS, RFC 7518, Section 3.5
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"

	ES256 Algorithm = "ES256" // ECDSA on P-256, RFC 7518, Section 3.4
	ES384 Algorithm = "ES384" // on P-384
	ES512 Algorithm = "ES512" // on P-521

	Ed25519 Algorithm = "Ed25519" // RFC 9864, Section 2.2
	EdDSA   Algorithm = "EdDSA"   // RFC 8037: the older name; here always on the curve Ed25519

	MLDSA44 Algorithm = "ML-DSA-44" // RFC 9964, FIPS 204; a signature has 2,420 bytes
	MLDSA65 Algorithm = "ML-DSA-65" // 3,309 bytes
	MLDSA87 Algorithm = "ML-DSA-87" // 4,627 bytes

	RSAOAEP    Algorithm = "RSA-OAEP"     // RSAES-OAEP with SHA-1, RFC 7518, Section 4.3
	RSAOAEP256 Algorithm = "RSA-OAEP-256" // with SHA-256
	RSAOAEP384 Algorithm = "RSA-OAEP-384" // these two by the IANA registry
	RSAOAEP512 Algorithm = "RSA-OAEP-512"

	ECDHES       Algorithm = "ECDH-ES"        // key agreement, RFC 7518, Section 4.6, on P-256, P-384, P-521 and X25519
	ECDHESA128KW Algorithm = "ECDH-ES+A128KW" // with key wrapping
	ECDHESA192KW Algorithm = "ECDH-ES+A192KW"
	ECDHESA256KW Algorithm = "ECDH-ES+A256KW"

	A128KW Algorithm = "A128KW" // AES Key Wrap, RFC 7518, Section 4.4
	A192KW Algorithm = "A192KW"
	A256KW Algorithm = "A256KW"

	A128GCMKW Algorithm = "A128GCMKW" // key wrapping with AES-GCM, RFC 7518, Section 4.7
	A192GCMKW Algorithm = "A192GCMKW"
	A256GCMKW Algorithm = "A256GCMKW"

	Dir Algorithm = "dir" // the key itself encrypts the content, RFC 7518, Section 4.5

	PBES2HS256A128KW Algorithm = "PBES2-HS256+A128KW" // a password, RFC 7518, Section 4.8
	PBES2HS384A192KW Algorithm = "PBES2-HS384+A192KW"
	PBES2HS512A256KW Algorithm = "PBES2-HS512+A256KW"
)

// Key types, RFC 7518, Section 6.1, RFC 8037, Section 2, and RFC 9964, Section 3.
const (
	ktyEC  = "EC"
	ktyRSA = "RSA"
	ktyOct = "oct"
	ktyOKP = "OKP"
	ktyAKP = "AKP"
)

// A family is what the algorithms of one construction have in common.
type family uint8

const (
	familyHMAC family = iota + 1
	familyPKCS1
	familyPSS
	familyECDSA
	familyEd25519
	familyMLDSA
	familyExtension
	familyOAEP
	familyECDH
	familyHPKE
	familyAESKW
	familyGCMKW
	familyDirect
	familyPBES2
)

// An algorithmInfo is a row of the table of algorithms.
type algorithmInfo struct {
	family     family
	kty        string // "" for ECDH-ES: EC or OKP, the curve decides
	hash       crypto.Hash
	crv        string
	params     mldsa.Parameters // of ML-DSA
	extension  *Extension       // of familyExtension
	wraps      bool             // for encryption; false: signs
	size       int              // bytes of the key-encryption key; 0 where there is none of fixed size
	enc        Encryption       // of a key for Dir, if it is for one only
	integrated bool             // HPKE without a content encryption key
	alg        Algorithm        // the name
}

// algorithms is every algorithm there is. What has no row does not exist.
var algorithms = named(map[Algorithm]algorithmInfo{
	HS256:   {family: familyHMAC, kty: ktyOct, hash: crypto.SHA256},
	HS384:   {family: familyHMAC, kty: ktyOct, hash: crypto.SHA384},
	HS512:   {family: familyHMAC, kty: ktyOct, hash: crypto.SHA512},
	RS256:   {family: familyPKCS1, kty: ktyRSA, hash: crypto.SHA256},
	RS384:   {family: familyPKCS1, kty: ktyRSA, hash: crypto.SHA384},
	RS512:   {family: familyPKCS1, kty: ktyRSA, hash: crypto.SHA512},
	PS256:   {family: familyPSS, kty: ktyRSA, hash: crypto.SHA256},
	PS384:   {family: familyPSS, kty: ktyRSA, hash: crypto.SHA384},
	PS512:   {family: familyPSS, kty: ktyRSA, hash: crypto.SHA512},
	ES256:   {family: familyECDSA, kty: ktyEC, hash: crypto.SHA256, crv: "P-256"},
	ES384:   {family: familyECDSA, kty: ktyEC, hash: crypto.SHA384, crv: "P-384"},
	ES512:   {family: familyECDSA, kty: ktyEC, hash: crypto.SHA512, crv: "P-521"},
	Ed25519: {family: familyEd25519, kty: ktyOKP, crv: crvEd25519},
	EdDSA:   {family: familyEd25519, kty: ktyOKP, crv: crvEd25519},
	MLDSA44: {family: familyMLDSA, kty: ktyAKP, params: mldsa.MLDSA44()},
	MLDSA65: {family: familyMLDSA, kty: ktyAKP, params: mldsa.MLDSA65()},
	MLDSA87: {family: familyMLDSA, kty: ktyAKP, params: mldsa.MLDSA87()},

	RSAOAEP:    {family: familyOAEP, kty: ktyRSA, hash: crypto.SHA1, wraps: true},
	RSAOAEP256: {family: familyOAEP, kty: ktyRSA, hash: crypto.SHA256, wraps: true},
	RSAOAEP384: {family: familyOAEP, kty: ktyRSA, hash: crypto.SHA384, wraps: true},
	RSAOAEP512: {family: familyOAEP, kty: ktyRSA, hash: crypto.SHA512, wraps: true},

	ECDHES:       {family: familyECDH, wraps: true},
	ECDHESA128KW: {family: familyECDH, size: 16, wraps: true},
	ECDHESA192KW: {family: familyECDH, size: 24, wraps: true},
	ECDHESA256KW: {family: familyECDH, size: 32, wraps: true},

	A128KW: {family: familyAESKW, kty: ktyOct, size: 16, wraps: true},
	A192KW: {family: familyAESKW, kty: ktyOct, size: 24, wraps: true},
	A256KW: {family: familyAESKW, kty: ktyOct, size: 32, wraps: true},

	A128GCMKW: {family: familyGCMKW, kty: ktyOct, size: 16, wraps: true},
	A192GCMKW: {family: familyGCMKW, kty: ktyOct, size: 24, wraps: true},
	A256GCMKW: {family: familyGCMKW, kty: ktyOct, size: 32, wraps: true},

	"HPKE-0":    {family: familyHPKE, kty: ktyEC, crv: "P-256", wraps: true, integrated: true},
	"HPKE-1":    {family: familyHPKE, kty: ktyEC, crv: "P-384", wraps: true, integrated: true},
	"HPKE-2":    {family: familyHPKE, kty: ktyEC, crv: "P-521", wraps: true, integrated: true},
	"HPKE-3":    {family: familyHPKE, kty: ktyOKP, crv: crvX25519, wraps: true, integrated: true},
	"HPKE-4":    {family: familyHPKE, kty: ktyOKP, crv: crvX25519, wraps: true, integrated: true},
	"HPKE-7":    {family: familyHPKE, kty: ktyEC, crv: "P-256", wraps: true, integrated: true},
	"HPKE-0-KE": {family: familyHPKE, kty: ktyEC, crv: "P-256", wraps: true},
	"HPKE-1-KE": {family: familyHPKE, kty: ktyEC, crv: "P-384", wraps: true},
	"HPKE-2-KE": {family: familyHPKE, kty: ktyEC, crv: "P-521", wraps: true},
	"HPKE-3-KE": {family: familyHPKE, kty: ktyOKP, crv: crvX25519, wraps: true},
	"HPKE-4-KE": {family: familyHPKE, kty: ktyOKP, crv: crvX25519, wraps: true},
	"HPKE-7-KE": {family: familyHPKE, kty: ktyEC, crv: "P-256", wraps: true},

	Dir: {family: familyDirect, kty: ktyOct, wraps: true},

	PBES2HS256A128KW: {family: familyPBES2, kty: ktyOct, hash: crypto.SHA256, size: 16, wraps: true},
	PBES2HS384A192KW: {family: familyPBES2, kty: ktyOct, hash: crypto.SHA384, size: 24, wraps: true},
	PBES2HS512A256KW: {family: familyPBES2, kty: ktyOct, hash: crypto.SHA512, size: 32, wraps: true},
})

// named writes the name of each row into it.
func named(rows map[Algorithm]algorithmInfo) map[Algorithm]algorithmInfo {
	for alg, info := range rows {
		info.alg = alg
		rows[alg] = info
	}
	return rows
}

const crvEd25519 = "Ed25519"

// A nistCurve is a curve of RFC 7518, Section 6.2.1.1.
type nistCurve struct {
	curve elliptic.Curve
	alg   Algorithm // that the curve implies
	size  int       // bytes of a coordinate
	order []byte    // n, size bytes
}

var curves = map[string]nistCurve{
	"P-256": newCurve(elliptic.P256(), ES256),
	"P-384": newCurve(elliptic.P384(), ES384),
	"P-521": newCurve(elliptic.P521(), ES512),
}

func newCurve(c elliptic.Curve, alg Algorithm) nistCurve {
	size := (c.Params().BitSize + 7) / 8
	return nistCurve{curve: c, alg: alg, size: size, order: c.Params().N.FillBytes(make([]byte, size))}
}

// agrees reports whether keys of info are for key agreement in some form.
func (info algorithmInfo) agrees() bool {
	return info.family == familyECDH || info.family == familyHPKE
}

// sameKey reports whether a and b are two names under which one key may be
// declared: EdDSA and Ed25519, and no others.
func sameKey(a, b Algorithm) bool {
	return a == EdDSA && b == Ed25519 || a == Ed25519 && b == EdDSA
}

// newHash returns the constructor for h.
func newHash(h crypto.Hash) func() hash.Hash {
	switch h {
	case crypto.SHA256:
		return sha256.New
	case crypto.SHA384:
		return sha512.New384
	default:
		return sha512.New
	}
}

// digest appends the hash of input to dst, which needs room for 64 bytes to
// stay on the caller's stack.
func digest(h crypto.Hash, dst, input []byte) []byte {
	switch h {
	case crypto.SHA256:
		sum := sha256.Sum256(input)
		return append(dst, sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(input)
		return append(dst, sum[:]...)
	default:
		sum := sha512.Sum512(input)
		return append(dst, sum[:]...)
	}
}
