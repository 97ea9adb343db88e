package jwk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// An Extension is a signature algorithm that this package does not have. It is
// in force only for the call that is given it in [Params.Extensions]: there is no
// registry, and nothing that is merely linked into a program changes what the
// program accepts.
//
//	key, err := jwk.ParseAs(data, jwk.Params{Extensions: []jwk.Extension{es256k.Extension()}})
//
// It can add a name and never take one over. Its keys are keys like all others:
// for one algorithm, with limits, use and key_ops, and with a thumbprint. Reading
// and writing them stays here, so that an Extension is only asked about numbers.
type Extension struct {
	Algorithm Algorithm // "alg"; none that this package has
	KeyType   string    // "kty", which says what a Raw holds: "EC", "OKP" or "AKP"
	Curve     string    // "crv" of EC and OKP; "" for AKP, which has none

	// NewKey checks the numbers of a key and makes ready what signs and
	// verifies. All that may be wrong with a key must be refused here: lengths,
	// ranges, points off the curve, keys so weak that a signature says nothing,
	// and a private part that does not belong to the public one. The error may
	// wrap [ErrWeakKey] or [ErrMalformed], and must not show the numbers. It may
	// keep what it is given.
	NewKey func(Raw) (ExtensionKey, error)

	// Generate makes the numbers of a fresh private key; nil if it cannot be done.
	Generate func() (Raw, error)
}

// A Raw is the material of an Extension's key: the members of its JWK, decoded.
// [New] takes one as material.
type Raw struct {
	X []byte // "x" of EC and OKP, "pub" of AKP
	Y []byte // "y" of EC
	D []byte // "d" of EC and OKP, "priv" of AKP; nil: a public key
}

// Format implements [fmt.Formatter]: no verb prints the numbers.
func (r Raw) Format(s fmt.State, _ rune) { io.WriteString(s, "jwk.Raw") }

// An ExtensionKey signs and verifies for an [Extension]. It is used by several
// goroutines at once.
type ExtensionKey interface {
	// Sign returns the signature as it stands in a JWS. Only private keys are asked.
	Sign(input []byte) ([]byte, error)
	// Verify accepts one length of signature and numbers in range only.
	Verify(input, sig []byte) bool
}

// rawMembers are the names that X, Y and D have in a JWK of each type; "" where
// there is none. object.isPrivate knows all private ones.
var rawMembers = map[string][3]string{
	ktyEC:  {"x", "y", "d"},
	ktyOKP: {"x", "", "d"},
	ktyAKP: {"pub", "", "priv"},
}

// algorithm returns the row of p.Algorithm, among the extensions too.
func (p *Params) algorithm() (algorithmInfo, error) {
	if err := checkExtensions(p.Extensions); err != nil {
		return algorithmInfo{}, err
	}
	if info, ok := algorithms[p.Algorithm]; ok {
		return p.encryption(info)
	}
	for _, e := range p.Extensions {
		if e.Algorithm == p.Algorithm {
			own := e
			return algorithmInfo{family: familyExtension, kty: e.KeyType, crv: e.Curve, extension: &own, alg: own.Algorithm}, nil
		}
	}
	return algorithmInfo{}, errNoSuch(p.Algorithm)
}

// implied returns the algorithm of the only extension with kty and crv.
func (p *Params) implied(kty, crv string) (Algorithm, error) {
	var found Algorithm
	for _, e := range p.Extensions {
		if kty == ktyAKP || e.KeyType != kty || e.Curve != crv {
			continue
		}
		if found != "" {
			return "", ErrNoAlgorithm
		}
		found = e.Algorithm
	}
	if found == "" {
		return "", ErrUnsupported
	}
	return found, nil
}

// checkExtensions refuses a list that contradicts itself or this package.
func checkExtensions(list []Extension) error {
	for i, e := range list {
		if err := e.check(); err != nil {
			return err
		}
		same := func(other Extension) bool { return other.Algorithm == e.Algorithm }
		if slices.ContainsFunc(list[:i], same) {
			return fmt.Errorf("jwk: two extensions for %s", e.Algorithm)
		}
	}
	return nil
}

func (e Extension) check() error {
	_, builtIn := algorithms[e.Algorithm]
	names, known := rawMembers[e.KeyType]
	switch {
	case e.Algorithm == "" || strings.EqualFold(string(e.Algorithm), "none") || !plain(string(e.Algorithm)):
		return errors.New("jwk: extension without a usable Algorithm")
	case builtIn:
		return fmt.Errorf("jwk: extension for %s, which is built in", e.Algorithm)
	case !known:
		return fmt.Errorf("jwk: extension for %s: KeyType is none of EC, OKP and AKP", e.Algorithm)
	case (e.Curve == "") != (names[0] == "pub") || !plain(e.Curve):
		return fmt.Errorf("jwk: extension for %s: Curve does not go with KeyType", e.Algorithm)
	case e.NewKey == nil:
		return fmt.Errorf("jwk: extension for %s without NewKey", e.Algorithm)
	}
	return nil
}

// plain reports whether JSON would escape nothing in s: a thumbprint is made of it.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// generateExtension returns a Raw.
func generateExtension(e *Extension) (any, error) {
	if e.Generate == nil {
		return nil, fmt.Errorf("%w: no way to generate a key", ErrUnsupported)
	}
	return e.Generate()
}

// An extensionKey is a key of an [Extension].
type extensionKey struct {
	info   algorithmInfo
	raw    Raw
	key    ExtensionKey
	shared ExtensionKey // the public half; key itself if that is public
}

// newExtension has the numbers checked by the extension and copies them.
func newExtension(info algorithmInfo, raw Raw) (material, error) {
	names := rawMembers[info.kty]
	switch {
	case len(raw.X) == 0:
		return nil, malformed(names[0])
	case (len(raw.Y) == 0) != (names[1] == ""):
		return nil, malformed("y")
	case raw.D != nil && len(raw.D) == 0:
		return nil, malformed(names[2])
	}
	k := &extensionKey{info: info, raw: raw.clone()}
	var err error
	if k.shared, err = info.extension.newKey(raw.public()); err != nil {
		return nil, err
	}
	k.key = k.shared
	if raw.D != nil {
		return k.withPrivate()
	}
	return k, nil
}

// withPrivate makes the half that signs and has it sign once: halves that do not
// belong together are refused even if the extension forgot to look.
func (k *extensionKey) withPrivate() (material, error) {
	var err error
	if k.key, err = k.info.extension.newKey(k.raw); err != nil {
		return nil, err
	}
	probe := []byte("do the halves belong together")
	sig, err := k.key.Sign(probe)
	if err != nil || !k.shared.Verify(probe, sig) {
		return nil, malformed(rawMembers[k.info.kty][2] + " does not belong to the public key")
	}
	return k, nil
}

// newKey asks for a key and holds the answer to the errors of this package.
func (e *Extension) newKey(raw Raw) (ExtensionKey, error) {
	key, err := e.NewKey(raw.clone())
	switch {
	case errors.Is(err, ErrWeakKey) || errors.Is(err, ErrMalformed):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case key == nil:
		return nil, malformed("no key")
	}
	return key, nil
}

func (r Raw) clone() Raw { return Raw{bytes.Clone(r.X), bytes.Clone(r.Y), bytes.Clone(r.D)} }

func (r Raw) public() Raw { return Raw{X: r.X, Y: r.Y} }

// extension reads the members of a key whose algorithm is an extension.
func (j object) extension(info algorithmInfo) (material, error) {
	if info.kty == ktyAKP && !j.has("alg") { // RFC 9964, Section 3
		return nil, ErrNoAlgorithm
	}
	crv, err := j.text("crv")
	if err != nil {
		return nil, err
	}
	if crv != info.crv {
		return nil, fmt.Errorf("%w: crv against alg", ErrAlgorithm)
	}
	var raw Raw
	names := rawMembers[info.kty]
	into := []encoded{{names[0], &raw.X}, {names[2], &raw.D}}
	if names[1] != "" {
		into = append(into, encoded{names[1], &raw.Y})
	}
	if err := j.read(into...); err != nil {
		return nil, err
	}
	return newExtension(info, raw)
}

func (k *extensionKey) sign(input []byte) ([]byte, error) {
	if k.raw.D == nil {
		return nil, ErrNotPrivate
	}
	return k.key.Sign(input)
}

func (k *extensionKey) verify(input, sig []byte) bool { return k.shared.Verify(input, sig) }

func (k *extensionKey) isPrivate() bool { return k.raw.D != nil }

func (k *extensionKey) public() material {
	return &extensionKey{info: k.info, raw: k.raw.public(), key: k.shared, shared: k.shared}
}

func (k *extensionKey) required() []member {
	m := k.publicMembers()
	if k.info.kty == ktyAKP { // RFC 9964, Section 6
		return append(m, member{"alg", string(k.info.extension.Algorithm)})
	}
	return m
}

func (k *extensionKey) publicMembers() (m []member) {
	names := rawMembers[k.info.kty]
	if k.info.crv != "" {
		m = append(m, member{"crv", k.info.crv})
	}
	m = append(m, member{names[0], wire.Encode(k.raw.X)})
	if names[1] != "" {
		m = append(m, member{names[1], wire.Encode(k.raw.Y)})
	}
	return m
}

func (k *extensionKey) members() members {
	m := members(k.publicMembers())
	if k.raw.D != nil {
		m = append(m, member{rawMembers[k.info.kty][2], wire.Encode(k.raw.D)})
	}
	return m
}
