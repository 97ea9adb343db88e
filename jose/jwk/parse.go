package jwk

import (
	"fmt"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// MaxKey is the size of the largest JWK that is read, in bytes. The largest RSA
// key takes a quarter; the rest is room for certificates.
const MaxKey = 32 << 10

var errTooLarge = malformed("too large")

// Parse reads one JWK, public, private or symmetric. A key without "alg" gets
// the one algorithm that its curve implies, on Ed25519 under both names; RSA,
// symmetric and AKP keys imply none, and the error is [ErrNoAlgorithm]: see
// [ParseAs], which does not help the last (RFC 9964, Section 3).
//
// A key without "kid" takes its thumbprint, a symmetric one stays without.
// Members that are not known are passed over. Errors wrap [ErrMalformed],
// [ErrWeakKey], [ErrAlgorithm], [ErrNoAlgorithm] or [ErrUse].
func Parse(data []byte) (*Key, error) { return ParseAs(data, Params{}) }

// ParseAs is [Parse] for a JWK that leaves something open: where the JWK has no
// "alg", no "kid" or no limits, it takes those of p. Where both speak they must
// agree. A key of a kind that nothing here knows is [ErrUnsupported].
func ParseAs(data []byte, p Params) (*Key, error) {
	if len(data) > MaxKey {
		return nil, errTooLarge
	}
	j, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	if j.has("keys") && !j.has("kty") {
		return nil, malformed("this is a JWK Set, which ParseSet and ParsePrivateSet read")
	}
	return j.key(&p)
}

// ParsePublic is [Parse] for a key that is meant to be public and may come from
// anybody: one with a private member is refused with [ErrPrivate], and a symmetric
// one with [ErrSymmetric], before anything is computed with it. To check a private
// RSA key of 8192 bits takes a second.
func ParsePublic(data []byte) (*Key, error) { return ParsePublicAs(data, Params{}) }

// ParsePublicAs is [ParsePublic] with the parameters of [ParseAs].
func ParsePublicAs(data []byte, p Params) (*Key, error) {
	if len(data) > MaxKey {
		return nil, errTooLarge
	}
	j, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	if kty, err := j.text("kty"); err == nil && kty == ktyOct {
		return nil, ErrSymmetric
	}
	if j.isPrivate() {
		return nil, ErrPrivate
	}
	return j.key(&p)
}

// key makes the Key of j and p, which it changes.
func (j object) key(p *Params) (*Key, error) {
	kty, err := j.text("kty")
	if err != nil {
		return nil, err
	}
	if err := j.settle(kty, p); err != nil {
		return nil, err
	}
	info, err := p.algorithm()
	if err != nil {
		return nil, err
	}
	if info.kty != kty && !(info.family == familyECDH && (kty == ktyEC || kty == ktyOKP)) {
		return nil, fmt.Errorf("%w: kty against alg", ErrAlgorithm)
	}
	if info.kty == "" { // ECDH-ES
		info.kty = ktyEC
		if kty == ktyOKP {
			info.kty = ktyOKP
		}
	}
	m, err := j.material(info)
	if err != nil {
		return nil, err
	}
	ops, err := j.operations(info, m.isPrivate())
	if err != nil {
		return nil, err
	}
	certs, err := j.certificates(m)
	if err != nil {
		return nil, err
	}
	k, err := newKey(m, info, ops, p)
	if err != nil {
		return nil, err
	}
	k.certificates = certs
	return k, nil
}

// settle brings together what j and p say beside the material, into p.
func (j object) settle(kty string, p *Params) error {
	if err := j.settleAlgorithm(kty, p); err != nil {
		return err
	}
	kid, err := j.text("kid")
	if err != nil {
		return err
	}
	if kid != "" && p.KeyID != "" && kid != p.KeyID {
		return fmt.Errorf("%w: another kid", ErrUnknownKey)
	}
	if kid != "" {
		p.KeyID = kid
	}
	return j.settleLimits(p)
}

// settleAlgorithm applies the rule of one algorithm for a key.
func (j object) settleAlgorithm(kty string, p *Params) error {
	s, err := j.text("alg")
	if err != nil {
		return err
	}
	alg := Algorithm(s)
	switch {
	case alg == "" && p.Algorithm == "":
		return j.imply(kty, p)
	case alg == "":
	case p.Algorithm == "":
		p.Algorithm = alg
	case alg == p.Algorithm:
	case alg == p.Also && sameKey(alg, p.Algorithm):
	case p.Algorithm == Dir && p.Encryption != "" && s == string(p.Encryption):
	default:
		return fmt.Errorf("%w: the key says another", ErrAlgorithm)
	}
	return nil
}

// imply chooses the only algorithm that a key without "alg" can have.
func (j object) imply(kty string, p *Params) error {
	crv, err := j.text("crv")
	if err != nil {
		return err
	}
	use, err := j.text("use")
	if err != nil {
		return err
	}
	switch {
	case kty == ktyRSA || kty == ktyOct || kty == ktyAKP:
		return ErrNoAlgorithm
	case use == "enc": // implies key agreement, but not which
		return ErrUnsupported
	case kty == ktyEC && curves[crv].curve != nil:
		p.Algorithm = curves[crv].alg
	case kty == ktyOKP && crv == crvEd25519:
		p.Algorithm, p.Also = Ed25519, EdDSA
	default:
		p.Algorithm, err = p.implied(kty, crv)
	}
	return err
}

// settleLimits reads the member "counterfoil".
func (j object) settleLimits(p *Params) error {
	data := j.get("counterfoil")
	if data == nil {
		return nil
	}
	limits, also, err := parseLimits(data)
	if err != nil {
		return err
	}
	if !p.Limits.isZero() && !limits.isZero() {
		return fmt.Errorf("%w: limits from two sides", ErrMalformed)
	}
	if !limits.isZero() {
		p.Limits = limits
	}
	if also != "" {
		p.Also = also
	}
	return nil
}

// material reads the members that belong to the key type.
func (j object) material(info algorithmInfo) (material, error) {
	if info.family == familyExtension {
		return j.extension(info)
	}
	switch info.kty {
	case ktyOct:
		return j.secret(info)
	case ktyRSA:
		return j.rsa(info)
	case ktyAKP:
		return j.mldsa(info)
	}
	crv, err := j.text("crv")
	if err != nil {
		return nil, err
	}
	if info.crv != "" && crv != info.crv {
		return nil, fmt.Errorf("%w: crv against alg", ErrAlgorithm)
	}
	x, y, d, err := j.point()
	if err != nil {
		return nil, err
	}
	if info.agrees() {
		return newECDH(info, info.kty, crv, x, y, d)
	}
	if info.kty == ktyEC {
		return newEC(info, x, y, d)
	}
	return newEd25519(x, d)
}

func (j object) secret(info algorithmInfo) (material, error) {
	k, err := j.bytes("k")
	if err != nil {
		return nil, err
	}
	return newSecret(info, k)
}

func (j object) rsa(info algorithmInfo) (material, error) {
	if j.has("oth") { // RFC 7518, Section 6.3.2.7: more than two primes
		return nil, malformed("oth")
	}
	n, err := j.bytes("n")
	if err != nil {
		return nil, err
	}
	e, err := j.bytes("e")
	if err != nil {
		return nil, err
	}
	w := rsaNumbers{n: n, e: e}
	if j.isPrivate() {
		w, err = j.rsaPrivate(w)
	}
	if err != nil {
		return nil, err
	}
	return newRSA(info, w)
}

func (j object) rsaPrivate(w rsaNumbers) (rsaNumbers, error) {
	err := j.read(encoded{"d", &w.d}, encoded{"p", &w.p}, encoded{"q", &w.q},
		encoded{"dp", &w.dp}, encoded{"dq", &w.dq}, encoded{"qi", &w.qi})
	return w, err
}

// point reads the members of EC and OKP.
func (j object) point() (x, y, d []byte, err error) {
	if x, err = j.bytes("x"); err != nil {
		return nil, nil, nil, err
	}
	if y, err = j.bytes("y"); err != nil {
		return nil, nil, nil, err
	}
	d, err = j.bytes("d")
	return x, y, d, err
}

// operations reads and checks "use" and "key_ops".
func (j object) operations(info algorithmInfo, private bool) (operations, error) {
	use, err := j.text("use")
	if err != nil {
		return nil, err
	}
	if use != "" && use != useOf(info) { // RFC 7517, Section 4.2
		return nil, fmt.Errorf("%w: use against alg", ErrUse)
	}
	value := j.get("key_ops")
	if value == nil {
		return nil, nil
	}
	ops := operations{}
	if value.Kind() != '[' || wire.Unmarshal(value, &ops) != nil || ops == nil {
		return nil, malformed("key_ops")
	}
	return ops, ops.check(info, private)
}
