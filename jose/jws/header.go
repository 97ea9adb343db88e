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
	MaxHeader = 4 << 10 // bytes of header JSON without the value of "x5c"
	MaxChain  = 8 << 10 // bytes of header JSON that the value of "x5c" adds to them
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
// signed. It refuses the names that are fields, and those that change how the
// token is read: "enc", which is of RFC 7516, and "crit" and "b64", which
// [Header.WithCritical] and [Header.WithUnencoded] set.
func (h Header) With(name string, value any) (Header, error) {
	switch name {
	case "alg", "kid", "typ", "cty":
		return Header{}, errors.New("jws: header parameter " + name + " is a field of Header")
	case "crit", "b64", "enc":
		return Header{}, errors.New("jws: header parameter " + name + " is not set by With")
	}
	v, err := wire.Marshal(value)
	if err != nil || !utf8.ValidString(name) {
		return Header{}, errors.New("jws: header parameter cannot be written as JSON")
	}
	return h.with(name, v), nil
}

// with is With without its rules.
func (h Header) with(name string, value jsontext.Value) Header {
	members := maps.Clone(h.members)
	if members == nil {
		members = make(map[string]jsontext.Value)
	}
	members[name] = value
	h.members = members
	return h
}

// HasType reports whether "typ" names the media type typ. RFC 7515, Section
// 4.1.9: case does not matter, and the prefix "application/" may be left out of
// either when no other slash follows. An absent "typ" is no type at all.
func (h Header) HasType(typ string) bool {
	return h.Type != "" && (h.Type == typ || equalFold(trimApplication(h.Type), trimApplication(typ)))
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

// parseHeader reads the first segment of a token, without any option.
func parseHeader(segment string) (Header, error) {
	members, err := parseMembers(segment)
	if err != nil {
		return Header{}, err
	}
	// RFC 7515, Section 4.1.11: an extension in "crit" that is not understood
	// makes the token invalid, and an empty list is invalid too. RFC 7797,
	// Section 6: "b64" must be in "crit".
	if has(members, "crit") || has(members, "b64") {
		return Header{}, ErrCritical
	}
	h, err := newHeader(members)
	if err != nil {
		return Header{}, err
	}
	return h, checkAlgorithm(h.Algorithm)
}

// parseMembers reads a protected header as it stands in a token.
func parseMembers(segment string) (map[string]jsontext.Value, error) {
	if len(segment) > ((MaxHeader+MaxChain)*4+2)/3 {
		return nil, ErrTooLarge
	}
	data, err := wire.Decode(segment)
	if err != nil {
		return nil, errEncoding
	}
	var members map[string]jsontext.Value
	if err := wire.Unmarshal(data, &members); err != nil || members == nil {
		return nil, errHeader
	}
	return members, checkSize(len(data), members)
}

// checkSize bounds a header of n bytes.
func checkSize(n int, members map[string]jsontext.Value) error {
	chain := len(members["x5c"])
	if chain > MaxChain || n-chain > MaxHeader {
		return ErrTooLarge
	}
	return nil
}

// newHeader takes the members over. Whether there is an algorithm, and what is
// critical, is for the caller to check.
func newHeader(members map[string]jsontext.Value) (Header, error) {
	// RFC 7516, Section 9: "enc" is what tells a JWE from a JWS.
	if has(members, "enc") {
		return Header{}, errEnc
	}
	var alg, kid, typ, cty string
	if !take(members, "alg", &alg) || !take(members, "kid", &kid) ||
		!take(members, "typ", &typ) || !take(members, "cty", &cty) {
		return Header{}, errMemberType
	}
	if len(kid) > MaxKeyID {
		return Header{}, errKeyID
	}
	return Header{Algorithm: jwk.Algorithm(alg), KeyID: kid, Type: typ, ContentType: cty, members: members}, nil
}

// checkAlgorithm refuses what is no algorithm to sign with, whatever the key.
func checkAlgorithm(alg jwk.Algorithm) error {
	switch {
	case alg == "":
		return errNoAlgorithm
	case equalFold(string(alg), "none"):
		return ErrUnsecured
	}
	return nil
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
	var room [128]byte
	b := append(room[:0], '{')
	for _, m := range [...]struct{ name, value string }{
		{"alg", string(h.Algorithm)}, {"kid", h.KeyID}, {"typ", h.Type}, {"cty", h.ContentType},
	} {
		if m.value == "" {
			continue
		}
		var ok bool
		if b, ok = wire.AppendString(appendName(b, m.name), m.value); !ok {
			return "", errors.New("jws: " + m.name + " is not valid UTF-8")
		}
	}
	if len(h.members) > 0 {
		for _, name := range slices.Sorted(maps.Keys(h.members)) {
			b = append(appendName(b, name), h.members[name]...)
		}
	}
	b = append(b, '}')
	if err := checkSize(len(b), h.members); err != nil {
		return "", err
	}
	return wire.Encode(b), nil
}

// appendName appends a name, which is UTF-8, and a colon.
func appendName(b []byte, name string) []byte {
	if len(b) > 1 {
		b = append(b, ',')
	}
	b, _ = wire.AppendString(b, name)
	return append(b, ':')
}
