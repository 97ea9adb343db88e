package jwk

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// An object is a JWK taken apart into its members, which share the memory of its
// text: what is kept has to be copied.
type object struct{ members *wire.Object }

// parseObject reads a JWK and nothing after it.
func parseObject(data []byte) (object, error) {
	j := object{new(wire.Object)}
	if err := j.members.Parse(string(data)); err != nil {
		return object{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return j, nil
}

// get returns a member that is still JSON, or nil if it is absent. A null is there.
func (j object) get(name string) jsontext.Value {
	if v := j.members.Find(name); v.Kind() != 0 {
		return jsontext.Value(v.Text())
	}
	return nil
}

// has reports whether a member is there, be it null.
func (j object) has(name string) bool { return j.members.Has(name) }

// text returns a member that is a string that is not empty, or "" if it is
// absent. Null, numbers and the empty string are errors: each would be read as
// the absence of a restriction. It is in the memory of the whole JWK.
func (j object) text(name string) (string, error) {
	value := j.members.Find(name)
	if value.Kind() == 0 {
		return "", nil
	}
	s, ok := value.Unquote()
	if !ok || s == "" {
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

// An encoded is a member of base64url and where to put it.
type encoded struct {
	name string
	to   *[]byte
}

// read decodes several members.
func (j object) read(into ...encoded) (err error) {
	for _, b := range into {
		if *b.to, err = j.bytes(b.name); err != nil {
			return err
		}
	}
	return nil
}

// isPrivate reports whether there is any of the members, over all key types, that
// a public key must not have (RFC 7518, Section 6; RFC 8037, Section 2; RFC 9964,
// Section 3), be it null.
func (j object) isPrivate() bool {
	for i := range j.members.Len() {
		switch name, _ := j.members.At(i); name {
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv":
			return true
		}
	}
	return false
}
