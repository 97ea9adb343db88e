package jws

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Limits of a header, enforced by Parse and NewSigner.
const (
	MaxHeader = 4 << 10 // bytes of header JSON, "x5c" included
	MaxKeyID  = 256     // bytes of "kid"
)

// A Header is a protected header (RFC 7515, Section 4). It is a value: copies
// are independent, and nothing that is reached through one can be changed.
type Header struct {
	Algorithm   jwk.Algorithm // "alg"
	KeyID       string        // "kid"; at most MaxKeyID bytes
	Type        string        // "typ"; see HasType
	ContentType string        // "cty"

	members map[string]jsontext.Value // all others; never written to once it is here
}

// Member returns the header parameter of that name, or false. It knows all but
// the four that are fields.
func (h Header) Member(name string) (jsontext.Value, bool) {
	v, ok := h.members[name]
	return v.Clone(), ok
}

// With returns the header with one more parameter, for a token about to be
// signed. It refuses the names that are fields, and those that would change how
// the token is read and that Parse refuses: "crit", "b64" and "enc".
func (h Header) With(name string, value any) (Header, error) {
	switch name {
	case "alg", "kid", "typ", "cty":
		return Header{}, errors.New("jws: header parameter " + name + " is a field of Header")
	case "crit", "b64", "enc":
		return Header{}, errors.New("jws: header parameter " + name + " is not supported")
	}
	v, err := wire.Marshal(value)
	if err != nil || !utf8.ValidString(name) {
		return Header{}, errors.New("jws: header parameter cannot be written as JSON")
	}
	members := maps.Clone(h.members)
	if members == nil {
		members = make(map[string]jsontext.Value)
	}
	members[name] = v
	h.members = members
	return h, nil
}

// HasType reports whether "typ" names the media type typ. RFC 7515, Section
// 4.1.9: case does not matter, and the prefix "application/" may be left out of
// either when no other slash follows. An absent "typ" is no type at all.
func (h Header) HasType(typ string) bool {
	return h.Type != "" && equalFold(trimApplication(h.Type), trimApplication(typ))
}

func trimApplication(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && equalFold(typ[:len(prefix)], prefix) && !strings.Contains(typ[len(prefix):], "/") {
		return typ[len(prefix):]
	}
	return typ
}

// equalFold folds ASCII letters only: under Unicode folding U+017F is an s.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// parseHeader reads the first segment of a token.
func parseHeader(segment string) (Header, error) {
	if len(segment) > (MaxHeader*4+2)/3 {
		return Header{}, ErrTooLarge
	}
	data, err := wire.Decode(segment)
	if err != nil {
		return Header{}, errEncoding
	}
	var members map[string]jsontext.Value
	if err := wire.Unmarshal(data, &members); err != nil || members == nil {
		return Header{}, errHeader
	}
	return newHeader(members)
}

// newHeader takes the members over.
func newHeader(members map[string]jsontext.Value) (Header, error) {
	// RFC 7515, Section 4.1.11: an extension in "crit" that is not understood
	// makes the token invalid, and an empty list is invalid too. RFC 7797,
	// Section 6: "b64" must be in "crit".
	if has(members, "crit") || has(members, "b64") {
		return Header{}, ErrCritical
	}
	// RFC 7516, Section 9: "enc" is what tells a JWE from a JWS.
	if has(members, "enc") {
		return Header{}, errEnc
	}
	var alg, kid, typ, cty string
	if !take(members, "alg", &alg) || !take(members, "kid", &kid) ||
		!take(members, "typ", &typ) || !take(members, "cty", &cty) {
		return Header{}, errMemberType
	}
	switch {
	case alg == "":
		return Header{}, errNoAlgorithm
	case equalFold(alg, "none"):
		return Header{}, ErrUnsecured
	case len(kid) > MaxKeyID:
		return Header{}, errKeyID
	}
	return Header{Algorithm: jwk.Algorithm(alg), KeyID: kid, Type: typ, ContentType: cty, members: members}, nil
}

func has(members map[string]jsontext.Value, name string) bool {
	_, ok := members[name]
	return ok
}

// take moves a string out of members. An absent member is the empty string.
func take(members map[string]jsontext.Value, name string, to *string) bool {
	v, ok := members[name]
	if !ok {
		return true
	}
	if v.Kind() != '"' {
		return false
	}
	s, err := jsontext.AppendUnquote(nil, v)
	*to = string(s)
	delete(members, name)
	return err == nil
}

// encode returns the header as the first segment of a token: alg, kid, typ and
// cty, then the others in the order of their names.
func (h Header) encode() (string, error) {
	var b []byte
	for _, m := range []struct{ name, value string }{
		{"alg", string(h.Algorithm)}, {"kid", h.KeyID}, {"typ", h.Type}, {"cty", h.ContentType},
	} {
		if m.value == "" {
			continue
		}
		v, err := wire.Marshal(m.value)
		if err != nil {
			return "", errors.New("jws: " + m.name + " is not valid UTF-8")
		}
		b = appendMember(b, m.name, v)
	}
	for _, name := range slices.Sorted(maps.Keys(h.members)) {
		b = appendMember(b, name, h.members[name])
	}
	b = append(b, '}')
	if len(b) > MaxHeader {
		return "", ErrTooLarge
	}
	return wire.Encode(b), nil
}

func appendMember(b []byte, name string, value jsontext.Value) []byte {
	if b == nil {
		b = append(b, '{')
	} else {
		b = append(b, ',')
	}
	b, _ = jsontext.AppendQuote(b, name) // With has checked that it is UTF-8
	b = append(b, ':')
	return append(b, value...)
}
