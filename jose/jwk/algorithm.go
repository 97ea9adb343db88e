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

	A256GCMKW Algorithm = "A256GCMKW" // key wrapping with AES-GCM, RFC 7518, Section 4.7
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
	familyGCMKW
)

// An algorithmInfo is a row of the table of algorithms.
type algorithmInfo struct {
	family    family
	kty       string
	hash      crypto.Hash
	crv       string
	params    mldsa.Parameters // of ML-DSA
	extension *Extension       // of familyExtension
	wraps     bool             // encrypts keys; false: signs
}

// algorithms is every algorithm there is. What has no row does not exist.
var algorithms = map[Algorithm]algorithmInfo{
	HS256:     {family: familyHMAC, kty: ktyOct, hash: crypto.SHA256},
	HS384:     {family: familyHMAC, kty: ktyOct, hash: crypto.SHA384},
	HS512:     {family: familyHMAC, kty: ktyOct, hash: crypto.SHA512},
	RS256:     {family: familyPKCS1, kty: ktyRSA, hash: crypto.SHA256},
	RS384:     {family: familyPKCS1, kty: ktyRSA, hash: crypto.SHA384},
	RS512:     {family: familyPKCS1, kty: ktyRSA, hash: crypto.SHA512},
	PS256:     {family: familyPSS, kty: ktyRSA, hash: crypto.SHA256},
	PS384:     {family: familyPSS, kty: ktyRSA, hash: crypto.SHA384},
	PS512:     {family: familyPSS, kty: ktyRSA, hash: crypto.SHA512},
	ES256:     {family: familyECDSA, kty: ktyEC, hash: crypto.SHA256, crv: "P-256"},
	ES384:     {family: familyECDSA, kty: ktyEC, hash: crypto.SHA384, crv: "P-384"},
	ES512:     {family: familyECDSA, kty: ktyEC, hash: crypto.SHA512, crv: "P-521"},
	Ed25519:   {family: familyEd25519, kty: ktyOKP, crv: crvEd25519},
	EdDSA:     {family: familyEd25519, kty: ktyOKP, crv: crvEd25519},
	MLDSA44:   {family: familyMLDSA, kty: ktyAKP, params: mldsa.MLDSA44()},
	MLDSA65:   {family: familyMLDSA, kty: ktyAKP, params: mldsa.MLDSA65()},
	MLDSA87:   {family: familyMLDSA, kty: ktyAKP, params: mldsa.MLDSA87()},
	A256GCMKW: {family: familyGCMKW, kty: ktyOct, wraps: true},
}

const crvEd25519 = "Ed25519"

// curves are those of RFC 7518, Section 6.2.1.1, with the algorithm that each
// one implies.
var curves = map[string]struct {
	curve elliptic.Curve
	alg   Algorithm
}{
	"P-256": {elliptic.P256(), ES256},
	"P-384": {elliptic.P384(), ES384},
	"P-521": {elliptic.P521(), ES512},
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
