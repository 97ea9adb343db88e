package jwe

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A Header is a protected header (RFC 7516, Section 4.1). It is a value: copies
// are independent, and nothing that is reached through one may be changed.
type Header struct {
	Algorithm   jwk.Algorithm // "alg"
	Encryption  Encryption    // "enc"
	KeyID       string        // "kid"; at most [jwk.MaxKeyID] bytes
	Type        string        // "typ"
	ContentType string        // "cty"; "JWT" when the plaintext is a token

	APU, APV   []byte // "apu", "apv": names of the parties to ECDH-ES; see [jwk.WrapParams]
	Iterations int    // "p2c", of PBES2

	members map[string]jsontext.Value // those with no meaning here; never written to
}

// reserved are the parameters that this package gives a meaning, and those that
// would change how a message is read: nobody else may set one, and none of them
// can be an extension.
var reserved = append(paramNames[:], "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "b64")

// Member returns the header parameter of that name, or false. It knows those that
// have no meaning for this package.
func (h Header) Member(name string) (jsontext.Value, bool) {
	v, ok := h.members[name]
	return v.Clone(), ok
}

// With returns the header with one more parameter, for a message about to be
// encrypted. It refuses those of RFC 7516 and RFC 7518.
func (h Header) With(name string, value any) (Header, error) {
	if slices.Contains(reserved, name) {
		return Header{}, errors.New("jwe: header parameter " + name + " cannot be set")
	}
	v, err := wire.Marshal(value)
	if err != nil || !utf8.ValidString(name) {
		return Header{}, errors.New("jwe: header parameter cannot be written as JSON")
	}
	members := maps.Clone(h.members)
	if members == nil {
		members = make(map[string]jsontext.Value)
	}
	members[name] = v
	h.members = members
	return h, nil
}

// appendOwn appends the parameters that are a matter between us and one
// recipient, without braces.
func (h *Header) appendOwn(b []byte) ([]byte, error) {
	b, err := appendText(b, "alg", string(h.Algorithm))
	if err != nil || h.KeyID == "" {
		return b, err
	}
	return appendText(b, "kid", h.KeyID)
}

// appendShared appends those that are the same for all recipients.
func (h *Header) appendShared(b []byte) (_ []byte, err error) {
	for _, m := range [...]struct{ name, value string }{
		{"enc", string(h.Encryption)}, {"typ", h.Type}, {"cty", h.ContentType},
	} {
		if m.value == "" {
			continue
		}
		if b, err = appendText(b, m.name, m.value); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.members)) {
		b = append(appendName(b, name), h.members[name]...)
	}
	return b, nil
}

// appendWrapped appends the parameters that belong to a wrapped key.
func appendWrapped(b []byte, w jwk.Wrapped) []byte {
	if w.EPK != nil {
		b = append(appendKnown(b, "epk"), w.EPK...)
	}
	for _, m := range [...]struct {
		name  string
		value []byte
	}{{"apu", w.APU}, {"apv", w.APV}, {"iv", w.IV}, {"tag", w.Tag}, {"p2s", w.P2S}, {"ek", w.EK}} {
		if len(m.value) > 0 {
			b = append(appendKnown(b, m.name), '"')
			b = append(wire.AppendEncode(b, m.value), '"')
		}
	}
	if w.P2C != 0 {
		b = strconv.AppendInt(appendKnown(b, "p2c"), int64(w.P2C), 10)
	}
	return b
}

func appendText(b []byte, name, value string) ([]byte, error) {
	b, err := jsontext.AppendQuote(appendName(b, name), value)
	if err != nil {
		return nil, errors.New("jwe: " + name + " is not valid UTF-8")
	}
	return b, nil
}

// appendKnown is appendName for a name without anything to escape, in a list that
// has begun.
func appendKnown(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), name...), '"', ':')
}

// appendName appends the name of a member, after a comma unless it is the first
// of its object or of a list without braces.
func appendName(b []byte, name string) []byte {
	if len(b) > 0 && b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b, _ = jsontext.AppendQuote(b, name) // With has checked that it is UTF-8
	return append(b, ':')
}
