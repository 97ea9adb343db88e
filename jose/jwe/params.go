package jwe

import (
	"slices"
	"strconv"
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

// members is a header taken apart, each value still JSON.
type members map[string]jsontext.Value

// parseMembers reads a header, of at most [MaxHeader] bytes.
func parseMembers(data []byte) (m members, err error) {
	if len(data) > MaxHeader {
		return nil, malformed("header too large")
	}
	if wire.Unmarshal(data, &m) != nil || m == nil { // nil: a JSON null
		return nil, malformed("header")
	}
	return m, nil
}

// decodeHeader returns the JSON of a protected header.
func decodeHeader(segment string) ([]byte, error) {
	if len(segment) > (MaxHeader*4+2)/3 {
		return nil, malformed("header too large")
	}
	data, err := wire.Decode(segment)
	if err != nil {
		return nil, malformed("header")
	}
	return data, nil
}

// parseProtected reads the header of a compact JWE, all of it protected.
func parseProtected(segment string) (*params, error) {
	data, err := decodeHeader(segment)
	if err != nil {
		return nil, err
	}
	if p, ok := scanHeader(data); ok {
		return p, nil
	}
	m, err := parseMembers(data)
	if err != nil {
		return nil, err
	}
	p := new(params)
	if err := p.read(m); err != nil {
		return nil, err
	}
	return p, p.protect(m)
}

// read takes what is in m, and refuses what no message may say.
func (p *params) read(m members) error {
	if err := p.fields(m); err != nil {
		return err
	}
	if err := p.checkPassword(); err != nil {
		return err
	}
	return p.readHPKE(m)
}

// readHPKE takes and checks what belongs to HPKE (draft-ietf-jose-hpke-encrypt):
// the encapsulated secret is in "ek" where a key is encrypted, and else it is the
// encrypted key, and there is no "enc". With "psk_id" it would be another mode.
func (p *params) readHPKE(m members) (err error) {
	switch {
	case !strings.HasPrefix(string(p.Algorithm), "HPKE-"):
		return nil
	case m["psk_id"] != nil:
		return malformed("psk_id: only the base mode of HPKE is known")
	case !p.Algorithm.Integrated():
		p.wrapped.EK, err = m.bytes("ek")
		return err
	case m["enc"] != nil || m["ek"] != nil:
		return malformed("enc or ek beside integrated encryption")
	}
	return nil
}

// fields takes what is in m.
func (p *params) fields(m members) (err error) {
	var alg, enc string
	for _, f := range [...]struct {
		name string
		to   *string
	}{{"alg", &alg}, {"enc", &enc}, {"kid", &p.KeyID}, {"typ", &p.Type}, {"cty", &p.ContentType}} {
		if *f.to, err = m.text(f.name); err != nil {
			return err
		}
	}
	p.Algorithm, p.Encryption = jwk.Algorithm(alg), Encryption(enc)
	if len(p.KeyID) > jwk.MaxKeyID {
		return malformed("kid")
	}
	w := &p.wrapped
	for _, f := range [...]struct {
		name string
		to   *[]byte
	}{{"iv", &w.IV}, {"tag", &w.Tag}, {"apu", &w.APU}, {"apv", &w.APV}, {"p2s", &w.P2S}} {
		if *f.to, err = m.bytes(f.name); err != nil {
			return err
		}
	}
	w.EPK = m["epk"]
	if w.P2C, err = m.count("p2c"); err != nil {
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

// protect takes what has a meaning only where it is protected, from the members
// of the protected header.
func (p *params) protect(m members) error {
	if zip, ok := m["zip"]; ok {
		if string(zip) != `"DEF"` {
			return malformed("zip")
		}
		p.zip = true
	}
	for name, value := range m {
		if !isReserved(name) {
			if p.members == nil {
				p.members = make(members, len(m))
			}
			p.members[name] = value
		}
	}
	if crit, ok := m["crit"]; ok {
		return p.readCritical(crit)
	}
	return nil
}

// isReserved is what a look into reserved would say.
func isReserved(name string) bool {
	switch name {
	case "alg", "enc", "kid", "typ", "cty", "zip", "crit", "iv", "tag", "epk", "apu", "apv", "p2s", "p2c", "ek", "psk_id":
		return true
	}
	return false
}

// readCritical reads "crit" (RFC 7515, Section 4.1.11; RFC 7516, Section 4.1.13):
// a list that is not empty, of names that are there, none of them twice, and none
// with a meaning of its own. We want the extensions themselves protected too.
func (p *params) readCritical(value jsontext.Value) error {
	if value.Kind() != '[' || wire.Unmarshal(value, &p.critical) != nil || len(p.critical) == 0 {
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

// text returns a member that is a string, or "" if it is absent.
func (m members) text(name string) (string, error) {
	value, ok := m[name]
	if !ok {
		return "", nil
	}
	if value.Kind() != '"' {
		return "", malformed(name)
	}
	s, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "", malformed(name)
	}
	return string(s), nil
}

// bytes returns a member that is base64url, or nil if it is absent.
func (m members) bytes(name string) ([]byte, error) {
	s, err := m.text(name)
	if err != nil || s == "" {
		return nil, err
	}
	b, err := wire.Decode(s)
	if err != nil {
		return nil, malformed(name)
	}
	return b, nil
}

// count returns a member that is a whole number written without fraction and
// exponent, or 0 if it is absent.
func (m members) count(name string) (int, error) {
	value, ok := m[name]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil {
		return 0, malformed(name)
	}
	return int(n), nil
}
