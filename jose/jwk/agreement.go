package jwk

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

const crvX25519 = "X25519"

// An agreementCurve is a curve for ECDH-ES (RFC 7518, Section 4.6; RFC 8037,
// Section 3.2).
type agreementCurve struct {
	kty  string
	crv  string
	ecdh ecdh.Curve
	size int // bytes of a coordinate and of d
}

var agreementCurves = map[string]*agreementCurve{
	"P-256":   {ktyEC, "P-256", ecdh.P256(), 32},
	"P-384":   {ktyEC, "P-384", ecdh.P384(), 48},
	"P-521":   {ktyEC, "P-521", ecdh.P521(), 66},
	crvX25519: {ktyOKP, crvX25519, ecdh.X25519(), 32},
}

// An ecdhKey is a key for ECDH-ES, with or without key wrapping, or the numbers
// of one for HPKE.
type ecdhKey struct {
	encryptOnly
	*agreementCurve
	alg  Algorithm
	kek  int // bytes of the key-encryption key; 0 for ECDH-ES itself
	pub  *ecdh.PublicKey
	priv *ecdh.PrivateKey  // nil for a public key
	far  ecdh.KeyExchanger // instead of priv where that is held outside this process
}

// newECDH checks the raw numbers of a key. y is nil on X25519, d for a public key.
func newECDH(info algorithmInfo, kty, crv string, x, y, d []byte) (material, error) {
	curve := agreementCurves[crv]
	if curve == nil {
		return nil, ErrUnsupported
	}
	if curve.kty != kty {
		return nil, malformed("crv does not belong to kty")
	}
	if err := approvedCurve(crv); err != nil {
		return nil, err
	}
	pub, err := curve.point(x, y)
	if err != nil {
		return nil, err
	}
	k := &ecdhKey{agreementCurve: curve, alg: info.alg, kek: info.size, pub: pub}
	if kty == ktyOKP && k.isLowOrder() {
		return nil, ErrWeakKey
	}
	if d == nil {
		return k.forAlgorithm(info)
	}
	// Refuses lengths other than that of the curve and, but for X25519, numbers
	// outside 1..n-1.
	if k.priv, err = curve.ecdh.NewPrivateKey(d); err != nil {
		return nil, malformed("d")
	}
	if !k.priv.PublicKey().Equal(pub) {
		return nil, malformed("d does not belong to the public key")
	}
	return k.forAlgorithm(info)
}

// forAlgorithm returns the material that uses k as the algorithm says.
func (k *ecdhKey) forAlgorithm(info algorithmInfo) (material, error) {
	if info.family == familyHPKE {
		return newHPKE(info, k)
	}
	return k, nil
}

// point checks coordinates: their exact length (RFC 7518, Section 6.2.1.2), that
// each is reduced, and that the point is on the curve and not at infinity.
func (c *agreementCurve) point(x, y []byte) (*ecdh.PublicKey, error) {
	if c.kty == ktyOKP {
		// RFC 7748, Section 5, would have a number that is not reduced taken for
		// its remainder: one key would have several thumbprints.
		if len(x) != c.size || y != nil || x[31]>>7 == 1 || !canonicalPoint(x) {
			return nil, malformed("x")
		}
		return c.newPublic(x)
	}
	if len(x) != c.size || len(y) != c.size {
		return nil, malformed("x or y has the wrong length")
	}
	return c.newPublic(append(append([]byte{4}, x...), y...))
}

func (c *agreementCurve) newPublic(encoded []byte) (*ecdh.PublicKey, error) {
	pub, err := c.ecdh.NewPublicKey(encoded)
	if err != nil {
		return nil, malformed("point is not on the curve")
	}
	return pub, nil
}

// isLowOrder reports whether every agreement with the key gives zero (RFC 7748,
// Section 6.1), by trying one.
func (k *ecdhKey) isLowOrder() bool {
	any, err := k.ecdh.NewPrivateKey(bytes.Repeat([]byte{0x55}, k.size))
	if err != nil {
		return false // X25519 is not allowed in FIPS 140-3 mode; nothing will be agreed
	}
	_, err = any.ECDH(k.pub)
	return err != nil
}

// generateECDH makes a fresh key on the curve named, or on P-256.
func generateECDH(crv string) (any, error) {
	c := agreementCurves[cmp.Or(crv, "P-256")]
	if c == nil {
		return nil, ErrUnsupported
	}
	return c.ecdh.GenerateKey(rand.Reader)
}

// agreeingPublic takes a key that was made with crypto/ecdsa, as those of PEM
// files are.
func agreeingPublic(info algorithmInfo, key *ecdsa.PublicKey) (material, error) {
	if lacksNumbers(key, nil) {
		return nil, errNoNumbers
	}
	pub, err := key.ECDH()
	if err != nil {
		return nil, malformed("point is not on the curve")
	}
	return newECDHFrom(info, pub, nil)
}

func agreeingPrivate(info algorithmInfo, key *ecdsa.PrivateKey) (material, error) {
	if lacksNumbers(&key.PublicKey, key) {
		return nil, errNoNumbers
	}
	priv, err := key.ECDH()
	if err != nil {
		return nil, malformed("d")
	}
	// crypto/ecdh computes the public half anew.
	if pub, err := key.PublicKey.ECDH(); err != nil || !pub.Equal(priv.PublicKey()) {
		return nil, malformed("d does not belong to the public key")
	}
	return newECDHFrom(info, nil, priv)
}

// newECDHFrom takes a key of crypto/ecdh apart, so that it passes the same checks
// as one that was read.
func newECDHFrom(info algorithmInfo, pub *ecdh.PublicKey, priv *ecdh.PrivateKey) (material, error) {
	var d []byte
	if priv != nil {
		pub, d = priv.PublicKey(), priv.Bytes()
	}
	if pub == nil { // of the zero ecdh.PrivateKey
		return nil, ErrUnsupported
	}
	for _, c := range agreementCurves {
		if c.ecdh != pub.Curve() {
			continue
		}
		x, y := c.split(pub.Bytes())
		return newECDH(info, c.kty, c.crv, x, y, d)
	}
	return nil, ErrUnsupported
}

// split returns the coordinates of an encoded point.
func (c *agreementCurve) split(encoded []byte) (x, y []byte) {
	if c.kty == ktyOKP {
		return encoded, nil
	}
	return encoded[1 : 1+c.size], encoded[1+c.size:]
}

// agree makes a key of size bytes for the algorithm id.
func (k *ecdhKey) agree(id string, size int, p WrapParams) (key []byte, w Wrapped, err error) {
	ephemeral, err := k.ecdh.GenerateKey(rand.Reader)
	if err != nil {
		return nil, w, fmt.Errorf("jwk: %w", err)
	}
	z, err := ephemeral.ECDH(k.pub)
	if err != nil {
		return nil, w, fmt.Errorf("jwk: %w", err)
	}
	w = Wrapped{EPK: k.appendEPK(nil, ephemeral.PublicKey()), APU: p.APU, APV: p.APV}
	return concatKDF(z, id, p.APU, p.APV, size), w, nil
}

// agreed returns the key that agree has made.
func (k *ecdhKey) agreed(id string, size int, w Wrapped) ([]byte, error) {
	peer, err := k.parseEPK(w.EPK)
	if err != nil {
		return nil, ErrUnwrap
	}
	// On X25519 this refuses a peer of low order, as RFC 8037, Section 3.2, demands.
	z, err := k.exchanger().ECDH(peer)
	if err != nil {
		return nil, unwrapError(err)
	}
	return concatKDF(z, id, w.APU, w.APV, size), nil
}

func (k *ecdhKey) wrap(cek []byte, p WrapParams) (Wrapped, error) {
	kek, w, err := k.agree(string(k.alg), k.kek, p)
	if err != nil {
		return Wrapped{}, err
	}
	w.Key, err = wrapWith(kek, cek)
	return w, err
}

func (k *ecdhKey) unwrap(w Wrapped) ([]byte, error) {
	kek, err := k.agreed(string(k.alg), k.kek, w)
	if err != nil {
		return nil, err
	}
	defer clear(kek)
	return unwrapWith(kek, w.Key)
}

// appendEPK appends an ephemeral key as a JWK (RFC 7518, Section 4.6.1.1).
func (k *ecdhKey) appendEPK(b jsontext.Value, pub *ecdh.PublicKey) jsontext.Value {
	x, y := k.split(pub.Bytes())
	b = append(b, `{"kty":"`+k.kty+`","crv":"`+k.crv+`","x":"`...)
	b = wire.AppendEncode(b, x)
	if y != nil {
		b = wire.AppendEncode(append(b, `","y":"`...), y)
	}
	return append(b, `"}`...)
}

// parseEPK reads an ephemeral key, which must be on the curve of k and have no
// private part.
func (k *ecdhKey) parseEPK(epk jsontext.Value) (*ecdh.PublicKey, error) {
	var members wire.Object
	if members.Parse(string(epk)) != nil {
		return nil, ErrUnwrap
	}
	j := object{&members}
	kty, err := j.text("kty")
	if err != nil || kty != k.kty || j.isPrivate() {
		return nil, ErrUnwrap
	}
	if crv, err := j.text("crv"); err != nil || crv != k.crv {
		return nil, ErrUnwrap
	}
	x, err := j.bytes("x")
	if err != nil {
		return nil, err
	}
	y, err := j.bytes("y")
	if err != nil {
		return nil, err
	}
	return k.point(x, y)
}

// concatKDF derives a key of size bytes from the agreed secret z, leading zeros
// included, with SHA-256 (RFC 7518, Section 4.6.2; NIST SP 800-56A).
func concatKDF(z []byte, algorithm string, apu, apv []byte, size int) []byte {
	input := append(make([]byte, 4, 256), z...)                             // the counter comes first
	for _, part := range [...]string{algorithm, string(apu), string(apv)} { // AlgorithmID, PartyUInfo, PartyVInfo
		input = append(binary.BigEndian.AppendUint32(input, uint32(len(part))), part...)
	}
	input = binary.BigEndian.AppendUint32(input, uint32(size)*8) // SuppPubInfo
	defer clear(input)
	key := make([]byte, 0, size+sha256.Size)
	for round := uint32(1); len(key) < size; round++ {
		binary.BigEndian.PutUint32(input, round)
		sum := sha256.Sum256(input)
		key = append(key, sum[:]...)
	}
	return key[:size]
}

func (k *ecdhKey) cryptoPublic() crypto.PublicKey { return k.pub }

func (k *ecdhKey) cryptoPrivate() crypto.PrivateKey {
	if k.priv == nil {
		return nil
	}
	return k.priv
}

func (k *ecdhKey) isPrivate() bool { return k.priv != nil || k.far != nil }

func (k *ecdhKey) public() material {
	pub := *k
	pub.priv, pub.far = nil, nil
	return &pub
}

func (k *ecdhKey) required() []member {
	x, y := k.split(k.pub.Bytes())
	m := []member{{"crv", k.crv}, {"x", wire.Encode(x)}}
	if y != nil {
		m = append(m, member{"y", wire.Encode(y)})
	}
	return m
}

func (k *ecdhKey) members() members {
	m := members(k.required())
	if k.priv != nil {
		m = append(m, member{"d", wire.Encode(k.priv.Bytes())})
	}
	return m
}
