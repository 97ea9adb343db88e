package jwe

import (
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A params is the JOSE header of one recipient: all parameters, wherever they
// stood. Only what is in [Header] is known to have been protected.
type params struct {
	Header
	zip      bool
	critical []string    // names in "crit"
	wrapped  jwk.Wrapped // but for the encrypted key

	cached bool // in the header cache

	// safe is the protected header where that is not all of it: in JSON.
	safe *Header
}

// protected returns the header without what stood unprotected.
func (p *params) protected() Header {
	if p.safe != nil {
		return *p.safe
	}
	return p.Header
}

// paramNames are the parameters that this package reads itself, and the constants
// their places.
var (
	paramNames = [...]string{
		"alg", "enc", "kid", "typ", "cty", "zip", "crit", "iv", "tag", "epk", "apu", "apv", "p2s", "p2c", "ek", "psk_id",
	}
	namesOfParams = wire.NewNames(paramNames[:]...)
)

const (
	alg = iota
	enc
	kid
	typ
	cty
	zip
	crit
	iv
	tag
	epk
	apu
	apv
	p2s
	p2c
	ek
	pskID
)

// A joseHeader is that of one recipient (RFC 7516, Section 4), as far as this package
// reads it itself: of one object in the compact serialization, and in JSON of up to
// three, of which no two have the same parameter. The values share the memory of
// the texts.
type joseHeader [len(paramNames)]wire.Value

func (h *joseHeader) add(o *wire.Object) { o.Pick(namesOfParams, h[:]) }

// parseHeader reads a header, of at most [MaxHeader] bytes, into o.
func parseHeader(o *wire.Object, text string) error {
	if len(text) > MaxHeader {
		return malformed("header too large")
	}
	if o.Parse(text) != nil {
		return malformed("header")
	}
	return nil
}

// decodeHeader returns the JSON of a protected header.
func decodeHeader(segment string) (string, error) {
	if len(segment) > wire.EncodedLen(MaxHeader) {
		return "", malformed("header too large")
	}
	data, err := wire.Decode(segment)
	if err != nil {
		return "", malformed("header")
	}
	return string(data), nil
}

// parseProtected reads the header of a compact JWE, all of it protected.
func parseProtected(segment string) (*params, error) {
	text, err := decodeHeader(segment)
	if err != nil {
		return nil, err
	}
	o := wire.NewObject()
	defer o.Release()
	if err := parseHeader(o, text); err != nil {
		return nil, err
	}
	var h joseHeader
	h.add(o)
	p := new(params)
	if err := p.read(&h); err != nil {
		return nil, err
	}
	return p, p.protect(o, &h)
}

// read takes what is in h, and refuses what no message may say.
func (p *params) read(h *joseHeader) error {
	if err := p.fields(h); err != nil {
		return err
	}
	if err := p.checkPassword(); err != nil {
		return err
	}
	return p.readHPKE(h)
}

// readHPKE takes and checks what belongs to HPKE (draft-ietf-jose-hpke-encrypt):
// the encapsulated secret is in "ek" where a key is encrypted, and else it is the
// encrypted key, and there is no "enc". With "psk_id" it would be another mode.
func (p *params) readHPKE(h *joseHeader) (err error) {
	switch {
	case !strings.HasPrefix(string(p.Algorithm), "HPKE-"):
		return nil
	case h.has(pskID):
		return malformed("psk_id: only the base mode of HPKE is known")
	case !p.Algorithm.Integrated():
		p.wrapped.EK, err = h.bytes(ek)
		return err
	case h.has(enc) || h.has(ek):
		return malformed("enc or ek beside integrated encryption")
	}
	return nil
}

// fields takes what is in h.
func (p *params) fields(h *joseHeader) (err error) {
	for _, f := range [...]struct {
		name int
		to   *string
	}{{alg, (*string)(&p.Algorithm)}, {enc, (*string)(&p.Encryption)}, {kid, &p.KeyID}, {typ, &p.Type}, {cty, &p.ContentType}} {
		if *f.to, err = h.text(f.name); err != nil {
			return err
		}
	}
	if len(p.KeyID) > jwk.MaxKeyID {
		return malformed("kid")
	}
	w := &p.wrapped
	for _, f := range [...]struct {
		name int
		to   *[]byte
	}{{iv, &w.IV}, {tag, &w.Tag}, {apu, &w.APU}, {apv, &w.APV}, {p2s, &w.P2S}} {
		if *f.to, err = h.bytes(f.name); err != nil {
			return err
		}
	}
	if h.has(epk) {
		w.EPK = jsontext.Value(h[epk].Text())
	}
	if w.P2C, err = h.count(p2c); err != nil {
		return err
	}
	p.APU, p.APV, p.Iterations = w.APU, w.APV, w.P2C
	return nil
}

// checkPassword refuses what RFC 7518, Section 4.8.1, does not allow.
func (p *params) checkPassword() error {
	switch p.Algorithm {
	case jwk.PBES2HS256A128KW, jwk.PBES2HS384A192KW, jwk.PBES2HS512A256KW:
		const minSalt = 8 // bytes
		if p.wrapped.P2C < jwk.MinIterations || len(p.wrapped.P2S) < minSalt {
			return malformed("p2c or p2s")
		}
	}
	return nil
}

// protect takes what has a meaning only where it is protected, from the protected
// header o, of which h has what is read.
func (p *params) protect(o *wire.Object, h *joseHeader) error {
	if p.zip = h.has(zip); p.zip && h[zip].Text() != `"DEF"` {
		return malformed("zip")
	}
	for i := range o.Len() {
		name, value := o.At(i)
		if namesOfParams.Has(name) {
			continue
		}
		if p.members == nil {
			p.members = make(map[string]jsontext.Value, o.Len())
		}
		p.members[name] = jsontext.Value(value.Text())
	}
	if h.has(crit) {
		return p.readCritical(h[crit])
	}
	return nil
}

// readCritical reads "crit" (RFC 7515, Section 4.1.11; RFC 7516, Section 4.1.13):
// a list that is not empty, of names that are there, none of them twice, and none
// with a meaning of its own. We want the extensions themselves protected too.
func (p *params) readCritical(value wire.Value) error {
	var ok bool
	if p.critical, ok = value.AppendStrings(nil); !ok || len(p.critical) == 0 {
		return malformed("crit")
	}
	for i, name := range p.critical {
		_, ok := p.members[name]
		if !ok || slices.Contains(reserved, name) || slices.Contains(p.critical[:i], name) {
			return malformed("crit")
		}
	}
	return nil
}

func (h *joseHeader) has(name int) bool { return h[name].Kind() != 0 }

// text returns a parameter that is a string, or "" if it is absent.
func (h *joseHeader) text(name int) (string, error) {
	s, ok := h[name].Unquote()
	if !ok && h.has(name) {
		return "", malformed(paramNames[name])
	}
	return s, nil
}

// bytes returns a parameter that is base64url, or nil if it is absent.
func (h *joseHeader) bytes(name int) ([]byte, error) {
	s, err := h.text(name)
	if err != nil || s == "" {
		return nil, err
	}
	b, err := wire.Decode(s)
	if err != nil {
		return nil, malformed(paramNames[name])
	}
	return b, nil
}

// count returns a parameter that is a whole number written without fraction and
// exponent, or 0 if it is absent.
func (h *joseHeader) count(name int) (int, error) {
	n, ok := h[name].Uint()
	if !ok && h.has(name) || n > math.MaxInt32 {
		return 0, malformed(paramNames[name])
	}
	return int(n), nil
}
