package jwk

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// MaxKey is the size of the largest JWK that is read, in bytes. The largest RSA
// key takes a quarter; the rest is room for certificates.
const MaxKey = 32 << 10

// privateMembers are the members, over all key types, that a public key must not
// have (RFC 7518, Section 6; RFC 8037, Section 2; RFC 9964, Section 3).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

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
		return nil, malformed("too large")
	}
	j, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	return j.key(p)
}

// An object is a JWK taken apart into its members, each still JSON.
type object map[string]jsontext.Value

func parseObject(data []byte) (object, error) {
	var j object
	if err := wire.Unmarshal(data, &j); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if j == nil { // a JSON null
		return nil, malformed("not an object")
	}
	return j, nil
}

// text returns a member that is a string that is not empty, or "" if it is
// absent. Null, numbers and the empty string are errors: each would be read as
// the absence of a restriction.
func (j object) text(name string) (string, error) {
	value, ok := j[name]
	if !ok {
		return "", nil
	}
	var s string
	if wire.Unmarshal(value, &s) != nil || s == "" { // "" is also what a null leaves
		return "", malformed(name)
	}
	return s, nil
}

// bytes returns a member that is base64url, or nil if it is absent.
func (j object) bytes(name string) ([]byte, error) {
	s, err := j.text(name)
	if err != nil || s == "" {
		return nil, err
	}
	b, err := wire.Decode(s)
	if err != nil {
		return nil, malformed(name)
	}
	return b, nil
}

// isPrivate reports whether any private member of any key type is there.
func (j object) isPrivate() bool {
	return slices.ContainsFunc(privateMembers, func(name string) bool { return j[name] != nil })
}

// key makes the Key of j and p.
func (j object) key(p Params) (*Key, error) {
	kty, err := j.text("kty")
	if err != nil {
		return nil, err
	}
	if err := j.settle(kty, &p); err != nil {
		return nil, err
	}
	info := algorithms[p.Algorithm]
	if info.kty != kty {
		return nil, fmt.Errorf("%w: kty against alg", ErrAlgorithm)
	}
	m, err := j.material(info)
	if err != nil {
		return nil, err
	}
	ops, err := j.operations(info, m.isPrivate())
	if err != nil {
		return nil, err
	}
	return newKey(m, ops, p)
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
	default:
		return fmt.Errorf("%w: the key says another", ErrAlgorithm)
	}
	if _, ok := algorithms[p.Algorithm]; !ok {
		return ErrUnsupported
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
	case use == "enc": // implies key agreement, which is not known here
		return ErrUnsupported
	case kty == ktyEC && curves[crv].curve != nil:
		p.Algorithm = curves[crv].alg
	case kty == ktyOKP && crv == crvEd25519:
		p.Algorithm, p.Also = Ed25519, EdDSA
	default:
		return ErrUnsupported
	}
	return nil
}

// settleLimits reads the member "counterfoil".
func (j object) settleLimits(p *Params) error {
	data, ok := j["counterfoil"]
	if !ok {
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
	if crv != info.crv {
		return nil, fmt.Errorf("%w: crv against alg", ErrAlgorithm)
	}
	var x, y, d []byte
	if err := j.read(map[string]*[]byte{"x": &x, "y": &y, "d": &d}); err != nil {
		return nil, err
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
	if j["oth"] != nil { // RFC 7518, Section 6.3.2.7: more than two primes
		return nil, malformed("oth")
	}
	var w rsaNumbers
	err := j.read(map[string]*[]byte{
		"n": &w.n, "e": &w.e, "d": &w.d, "p": &w.p, "q": &w.q, "dp": &w.dp, "dq": &w.dq, "qi": &w.qi,
	})
	if err != nil {
		return nil, err
	}
	return newRSA(info, w)
}

// read decodes several base64url members.
func (j object) read(into map[string]*[]byte) (err error) {
	for name, b := range into {
		if *b, err = j.bytes(name); err != nil {
			return err
		}
	}
	return nil
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
	value, ok := j["key_ops"]
	if !ok {
		return nil, nil
	}
	ops := operations{}
	if value.Kind() != '[' || wire.Unmarshal(value, &ops) != nil || ops == nil {
		return nil, malformed("key_ops")
	}
	return ops, ops.check(info, private)
}
