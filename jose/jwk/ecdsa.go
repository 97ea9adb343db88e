package jwk

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// maxDER is the size of the longest ASN.1 signature, that of P-521.
const maxDER = 3 + 2*(2+66)

// An ecKey is a key for ECDSA on one of the three NIST curves.
type ecKey struct {
	hash  crypto.Hash
	crv   string
	size  int    // bytes of a coordinate, of d, of r and of s
	order []byte // n, size bytes
	pub   *ecdsa.PublicKey
	priv  *ecdsa.PrivateKey // nil for a public key
}

// newEC checks the raw numbers of a key. d is nil for a public key.
func newEC(info algorithmInfo, x, y, d []byte) (material, error) {
	curve := curves[info.crv]
	// RFC 7518, Section 6.2.1.2: the length is that of the curve, no shorter.
	if len(x) != curve.size || len(y) != curve.size {
		return nil, malformed("x or y has the wrong length")
	}
	// This refuses coordinates that are not below p, points off the curve and
	// the point at infinity.
	point := append(append(append(make([]byte, 0, 1+2*curve.size), 4), x...), y...)
	pub, err := ecdsa.ParseUncompressedPublicKey(curve.curve, point)
	if err != nil {
		return nil, malformed("point is not on the curve")
	}
	k := &ecKey{hash: info.hash, crv: info.crv, size: curve.size, order: curve.order, pub: pub}
	if d == nil {
		return k, nil
	}
	return k.withPrivate(curve.curve, d)
}

// withPrivate adds d, which must lie in 1..n-1 and belong to the point.
func (k *ecKey) withPrivate(curve elliptic.Curve, d []byte) (material, error) {
	if !k.inRange(d) {
		return nil, malformed("d")
	}
	priv, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil {
		return nil, malformed("d")
	}
	if !priv.PublicKey.Equal(k.pub) {
		return nil, malformed("d does not belong to x and y")
	}
	k.priv = priv
	return k, nil
}

// inRange reports whether b is a number in 1..n-1, written in full.
func (k *ecKey) inRange(b []byte) bool {
	return len(b) == k.size && bytes.Compare(b, k.order) < 0 && len(trimZeros(b)) > 0
}

func trimZeros(b []byte) []byte { return bytes.TrimLeft(b, "\x00") }

// sign returns r and s, each in full length (RFC 7518, Section 3.4).
func (k *ecKey) sign(input []byte) ([]byte, error) {
	var sum [64]byte
	return k.signDigest(digest(k.hash, sum[:0], input))
}

func (k *ecKey) signDigest(sum []byte) ([]byte, error) {
	if k.priv == nil {
		return nil, ErrNotPrivate
	}
	der, err := ecdsa.SignASN1(rand.Reader, k.priv, sum)
	if err != nil {
		return nil, fmt.Errorf("jwk: %w", err)
	}
	return k.fromASN1(der)
}

// verify takes r and s in full length and in 1..n-1, and never ASN.1.
func (k *ecKey) verify(input, sig []byte) bool {
	if len(sig) != 2*k.size { // before the work of hashing
		return false
	}
	var sum [64]byte
	return k.verifyDigest(digest(k.hash, sum[:0], input), sig)
}

func (k *ecKey) verifyDigest(sum, sig []byte) bool {
	if len(sig) != 2*k.size {
		return false
	}
	r, s := sig[:k.size], sig[k.size:]
	if !k.inRange(r) || !k.inRange(s) {
		return false
	}
	var der [maxDER]byte
	return ecdsa.VerifyASN1(k.pub, sum, appendSignature(der[:0], r, s))
}

// appendSignature appends the ASN.1 form of a signature, which is all that
// crypto/ecdsa takes without math/big: SEQUENCE { INTEGER r, INTEGER s }.
func appendSignature(dst, r, s []byte) []byte {
	r, s = trimZeros(r), trimZeros(s)
	size := 2 + len(r) + int(r[0]>>7) + 2 + len(s) + int(s[0]>>7)
	dst = append(dst, 0x30)
	if size > 0x7f {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(size))
	return appendInteger(appendInteger(dst, r), s)
}

// appendInteger appends a positive number without leading zeros.
func appendInteger(dst, n []byte) []byte {
	sign := int(n[0] >> 7)
	dst = append(dst, 0x02, byte(len(n)+sign))
	if sign == 1 {
		dst = append(dst, 0)
	}
	return append(dst, n...)
}

// fromASN1 makes r and s in full length of SEQUENCE { INTEGER r, INTEGER s } in
// DER (RFC 3279, Section 2.2.3), and of nothing else: what it reads has to be what
// appendSignature writes.
func (k *ecKey) fromASN1(der []byte) ([]byte, error) {
	if len(der) < 3 || len(der) > maxDER {
		return nil, errASN1
	}
	body := der[2:]
	if der[1] == 0x81 {
		body = der[3:]
	}
	sig := make([]byte, 2*k.size)
	r, s := sig[:k.size], sig[k.size:]
	body, ok := cutInteger(r, body)
	if !ok {
		return nil, errASN1
	}
	if _, ok = cutInteger(s, body); !ok || !k.inRange(r) || !k.inRange(s) {
		return nil, errASN1
	}
	var canonical [maxDER]byte
	if !bytes.Equal(appendSignature(canonical[:0], r, s), der) {
		return nil, errASN1
	}
	return sig, nil
}

// cutInteger fills n with the number at the front of body, and returns what comes
// behind it.
func cutInteger(n, body []byte) (rest []byte, ok bool) {
	if len(body) < 2 || len(body)-2 < int(body[1]) {
		return nil, false
	}
	end := 2 + int(body[1])
	value := trimZeros(body[2:end])
	if len(value) > len(n) {
		return nil, false
	}
	copy(n[len(n)-len(value):], value)
	return body[end:], true
}

func (k *ecKey) isPrivate() bool { return k.priv != nil }

func (k *ecKey) public() material {
	pub := *k
	pub.priv = nil
	return &pub
}

// point returns the uncompressed form (SEC 1, Section 2.3.3): 4, x and y.
func (k *ecKey) point() []byte {
	point, _ := k.pub.Bytes() // newEC has checked that it is on the curve
	return point
}

func (k *ecKey) coordinates() (x, y []byte) {
	point := k.point()
	return point[1 : 1+k.size], point[1+k.size:]
}

func (k *ecKey) required() []member {
	x, y := k.coordinates()
	return []member{{"crv", k.crv}, {"x", wire.Encode(x)}, {"y", wire.Encode(y)}}
}

func (k *ecKey) members() members {
	m := members(k.required())
	if k.priv == nil {
		return m
	}
	d, err := k.priv.Bytes()
	if err != nil {
		return m // cannot be: the key was made by ParseRawPrivateKey
	}
	return append(m, member{"d", wire.Encode(d)})
}
