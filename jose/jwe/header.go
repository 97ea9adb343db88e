package jwe

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A header is the JOSE header of a compact JWE, all of it protected.
type header struct {
	Algorithm   string `json:"alg"`
	Encryption  string `json:"enc"`
	KeyID       string `json:"kid,omitzero"`
	Type        string `json:"typ,omitzero"`
	ContentType string `json:"cty,omitzero"`
	IV          string `json:"iv"`  // of the wrapped key, RFC 7518, Section 4.7.1
	Tag         string `json:"tag"` // of the wrapped key
}

// encode returns the header's segment.
func (h header) encode() (string, error) {
	data, err := wire.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("jwe: header: %w", err)
	}
	if len(data) > MaxHeader {
		return "", errTooLarge
	}
	return wire.Encode(data), nil
}

// parseHeader reads the header's segment. Members that are not known are passed
// over, except those that change how the rest is to be read.
func parseHeader(segment string) (h header, err error) {
	if len(segment) > (MaxHeader*4+2)/3 {
		return h, malformed("header too large")
	}
	data, err := wire.Decode(segment)
	if err != nil {
		return h, malformed("header")
	}
	var members map[string]jsontext.Value
	if wire.Unmarshal(data, &members) != nil || members == nil { // nil: a JSON null
		return h, malformed("header")
	}
	// RFC 7516, Section 4.1.13: an extension that we do not understand, and we
	// understand none. Section 4.1.3: compression, which tells an observer about
	// the plaintext (RFC 8725, Section 3.6).
	if members["crit"] != nil || members["zip"] != nil {
		return h, malformed("crit or zip")
	}
	for name, field := range map[string]*string{
		"alg": &h.Algorithm, "enc": &h.Encryption, "kid": &h.KeyID,
		"typ": &h.Type, "cty": &h.ContentType, "iv": &h.IV, "tag": &h.Tag,
	} {
		if *field, err = text(members, name); err != nil {
			return h, err
		}
	}
	return h, nil
}

// text returns a member that is a string, or "" if it is absent.
func text(members map[string]jsontext.Value, name string) (s string, err error) {
	value, ok := members[name]
	if !ok {
		return "", nil
	}
	if value.Kind() != '"' || wire.Unmarshal(value, &s) != nil {
		return "", malformed(name)
	}
	return s, nil
}

// wrapped returns the wrapped content encryption key.
func (h header) wrapped(encryptedKey string) (w jwk.Wrapped, err error) {
	if w.Key, err = wire.Decode(encryptedKey); err != nil {
		return w, malformed("encrypted key")
	}
	if w.IV, err = wire.Decode(h.IV); err != nil {
		return w, malformed("iv")
	}
	if w.Tag, err = wire.Decode(h.Tag); err != nil {
		return w, malformed("tag")
	}
	return w, nil
}
