package jwk

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"math/bits"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// Bounds of an RSA key. RFC 7518, Section 3.3, wants 2048 bits at least; above
// the upper bound a verification takes milliseconds. RFC 8017 would allow an
// exponent up to n; crypto/rsa takes none above 2^31-1.
const (
	minModulus  = 2048 // bits
	maxModulus  = 8192 // bits
	minExponent = 3
	maxExponent = 1<<31 - 1

	defaultModulus = 2048 // bits, of generated keys
)

// An rsaKey is a key for RSASSA-PKCS1-v1_5 or RSASSA-PSS.
type rsaKey struct {
	hash crypto.Hash
	pss  bool
	pub  *rsa.PublicKey
	priv *rsa.PrivateKey // nil for a public key
}

// rsaNumbers are the members of an RSA key (RFC 7518, Section 6.3), big-endian.
// A member that is not there is nil.
type rsaNumbers struct{ n, e, d, p, q, dp, dq, qi []byte }

// newRSA checks the raw numbers of a key.
func newRSA(info algorithmInfo, w rsaNumbers) (material, error) {
	pub, err := rsaPublic(w.n, w.e)
	if err != nil {
		return nil, err
	}
	k := &rsaKey{hash: info.hash, pss: info.family == familyPSS, pub: pub}
	switch {
	case w.d != nil:
		k.priv, err = rsaPrivate(pub, w)
	case w.crt() != 0:
		err = malformed("p, q, dp, dq or qi without d")
	}
	if err != nil {
		return nil, err
	}
	if info.family == familyOAEP {
		return newOAEP(info, k), approvedAlgorithm(info.alg)
	}
	return k, nil
}

// crt returns how many of the five members of the second form are there.
func (w rsaNumbers) crt() (n int) {
	for _, b := range [][]byte{w.p, w.q, w.dp, w.dq, w.qi} {
		if b != nil {
			n++
		}
	}
	return n
}

// rsaPublic checks modulus and exponent. It does no arithmetic on a modulus that
// is too long.
func rsaPublic(n, e []byte) (*rsa.PublicKey, error) {
	if !minimal(n) || !minimal(e) {
		return nil, malformed("n or e")
	}
	switch size := bitLen(n); {
	case size < minModulus:
		return nil, fmt.Errorf("%w: RSA modulus of %d bits", ErrWeakKey, size)
	case size > maxModulus:
		return nil, malformed("RSA modulus too long")
	case n[len(n)-1]&1 == 0:
		return nil, malformed("RSA modulus is even")
	case bitLen(e) > bits.Len(maxExponent):
		return nil, malformed("RSA exponent too large")
	}
	exponent := 0
	for _, b := range e {
		exponent = exponent<<8 | int(b)
	}
	if exponent < minExponent || exponent&1 == 0 {
		return nil, fmt.Errorf("%w: RSA exponent", ErrWeakKey)
	}
	if hasROCA(n) {
		return nil, fmt.Errorf("%w: RSA modulus made by a broken generator (CVE-2017-15361)", ErrWeakKey)
	}
	modulus := new(big.Int).SetBytes(n)
	return &rsa.PublicKey{N: modulus, E: exponent}, approvedRSA(modulus, int64(exponent))
}

// bitLen returns the length in bits of a number without leading zeros.
func bitLen(n []byte) int { return 8*len(n) - bits.LeadingZeros8(n[0]) }

// minimal reports whether b is a Base64urlUInt without leading zeros (RFC 7518,
// Section 2): else one key would have several thumbprints.
func minimal(b []byte) bool { return len(b) > 0 && b[0] != 0 }

// rsaPrivate checks d alone, or d with all five other members.
func rsaPrivate(pub *rsa.PublicKey, w rsaNumbers) (*rsa.PrivateKey, error) {
	priv := &rsa.PrivateKey{PublicKey: *pub, D: new(big.Int).SetBytes(w.d)}
	switch w.crt() {
	case 0:
	case 5: // RFC 7518, Section 6.3.2: all or none
		priv.Primes = []*big.Int{new(big.Int).SetBytes(w.p), new(big.Int).SetBytes(w.q)}
		// Before anything else: the work of crypto/rsa grows with the cube of
		// what is said to be a prime, and only the modulus has a bound.
		if new(big.Int).Mul(priv.Primes[0], priv.Primes[1]).Cmp(priv.N) != 0 {
			return nil, malformed("p and q are not the factors of n")
		}
	default:
		return nil, malformed("some of p, q, dp, dq, qi without the others")
	}
	if priv.D.Sign() == 0 || priv.D.Cmp(priv.N) >= 0 {
		return nil, malformed("d")
	}
	if err := approvedPrimes(len(priv.Primes)); err != nil {
		return nil, err
	}
	priv.Precompute()
	if priv.Primes == nil {
		return priv, tryRSA(priv)
	}
	if priv.Validate() != nil || !sameCRT(priv, w) {
		return nil, malformed("RSA numbers do not belong together")
	}
	return priv, nil
}

// sameCRT compares the members with what follows from d, p and q.
func sameCRT(priv *rsa.PrivateKey, w rsaNumbers) bool {
	pre := priv.Precomputed
	return pre.Dp != nil && pre.Dq != nil && pre.Qinv != nil &&
		pre.Dp.Cmp(new(big.Int).SetBytes(w.dp)) == 0 &&
		pre.Dq.Cmp(new(big.Int).SetBytes(w.dq)) == 0 &&
		pre.Qinv.Cmp(new(big.Int).SetBytes(w.qi)) == 0
}

// tryRSA proves by a signature that d belongs to n and e where no primes can.
func tryRSA(priv *rsa.PrivateKey) error {
	var sum [32]byte
	sig, err := rsa.SignPKCS1v15(nil, priv, crypto.SHA256, sum[:])
	if err != nil || rsa.VerifyPKCS1v15(&priv.PublicKey, crypto.SHA256, sum[:], sig) != nil {
		return malformed("d does not belong to n and e")
	}
	return nil
}

// pssOptions fix the salt to the length of the hash, for signing and for
// verifying (RFC 7518, Section 3.5).
var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func (k *rsaKey) sign(input []byte) ([]byte, error) {
	var buf [64]byte
	return k.signDigest(digest(k.hash, buf[:0], input))
}

func (k *rsaKey) signDigest(sum []byte) ([]byte, error) {
	if k.priv == nil {
		return nil, ErrNotPrivate
	}
	if k.pss {
		return rsa.SignPSS(rand.Reader, k.priv, k.hash, sum, pssOptions)
	}
	return rsa.SignPKCS1v15(rand.Reader, k.priv, k.hash, sum)
}

func (k *rsaKey) verify(input, sig []byte) bool {
	var buf [64]byte
	return k.verifyDigest(digest(k.hash, buf[:0], input), sig)
}

func (k *rsaKey) verifyDigest(sum, sig []byte) bool {
	if len(sig) != k.pub.Size() {
		return false
	}
	if k.pss {
		return rsa.VerifyPSS(k.pub, k.hash, sum, sig, pssOptions) == nil
	}
	return rsa.VerifyPKCS1v15(k.pub, k.hash, sum, sig) == nil
}

func (k *rsaKey) isPrivate() bool { return k.priv != nil }

func (k *rsaKey) public() material {
	return &rsaKey{hash: k.hash, pss: k.pss, pub: k.pub}
}

func (k *rsaKey) required() []member {
	e := big.NewInt(int64(k.pub.E))
	return []member{{"e", wire.Encode(e.Bytes())}, {"n", wire.Encode(k.pub.N.Bytes())}}
}

func (k *rsaKey) members() members {
	m := members(k.required())
	if k.priv == nil {
		return m
	}
	// RFC 7518, Section 6.3.2.1, leaves the length of d open; the others are
	// Base64urlUInt, minimal.
	m = append(m, member{"d", wire.Encode(k.priv.D.Bytes())})
	if len(k.priv.Primes) == 0 {
		return m
	}
	pre := k.priv.Precomputed
	for _, x := range []struct {
		name string
		n    *big.Int
	}{{"p", k.priv.Primes[0]}, {"q", k.priv.Primes[1]}, {"dp", pre.Dp}, {"dq", pre.Dq}, {"qi", pre.Qinv}} {
		m = append(m, member{x.name, wire.Encode(x.n.Bytes())})
	}
	return m
}

// numbersOf takes a key of crypto/rsa apart, so that it passes the same checks
// as one that was read.
func numbersOf(pub *rsa.PublicKey, priv *rsa.PrivateKey) (w rsaNumbers, err error) {
	if pub.N == nil || pub.N.Sign() <= 0 || pub.E <= 0 {
		return w, malformed("n or e")
	}
	w = rsaNumbers{n: pub.N.Bytes(), e: big.NewInt(int64(pub.E)).Bytes()}
	if priv == nil {
		return w, nil
	}
	if len(priv.Primes) > 2 { // the member "oth", RFC 7518, Section 6.3.2.7
		return w, malformed("more than two primes")
	}
	if priv.D == nil || priv.D.Sign() <= 0 {
		return w, malformed("d")
	}
	w.d = priv.D.Bytes()
	if len(priv.Primes) == 0 {
		return w, nil
	}
	own := rsa.PrivateKey{PublicKey: *pub, D: priv.D, Primes: priv.Primes}
	own.Precompute()
	if own.Validate() != nil {
		return w, malformed("RSA numbers do not belong together")
	}
	pre := own.Precomputed
	w.p, w.q = own.Primes[0].Bytes(), own.Primes[1].Bytes()
	w.dp, w.dq, w.qi = pre.Dp.Bytes(), pre.Dq.Bytes(), pre.Qinv.Bytes()
	return w, nil
}
