package jwk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// An object is a JWK taken apart into its members.
type object []rawMember

// A rawMember is one member as it was read.
type rawMember struct {
	name  []byte // unescaped
	value jsontext.Value
}

// get returns a member that is still JSON, or nil if it is absent. A null is there.
func (j object) get(name string) jsontext.Value {
	for i := range j {
		if string(j[i].name) == name {
			return j[i].value
		}
	}
	return nil
}

// has reports whether a member is there, be it null.
func (j object) has(name string) bool { return j.get(name) != nil }

// text returns a member that is a string that is not empty, or "" if it is
// absent. Null, numbers and the empty string are errors: each would be read as
// the absence of a restriction.
func (j object) text(name string) (string, error) {
	s, err := j.rawText(name)
	return string(s), err
}

// rawText is text without a copy.
func (j object) rawText(name string) ([]byte, error) {
	value := j.get(name)
	if value == nil {
		return nil, nil
	}
	s, err := unquote(value)
	if err != nil || len(s) == 0 {
		return nil, malformed(name)
	}
	return s, nil
}

// bytes returns a member that is base64url, or nil if it is absent.
func (j object) bytes(name string) ([]byte, error) {
	s, err := j.rawText(name)
	if err != nil || s == nil {
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

// isPrivate reports whether any private member of any key type is there.
func (j object) isPrivate() bool {
	return slices.ContainsFunc(privateMembers, j.has)
}

var errNotString = errors.New("not a string")

// unquote returns the text of a JSON string, where possible without a copy.
func unquote(value []byte) ([]byte, error) {
	if len(value) < 2 || value[0] != '"' {
		return nil, errNotString
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], nil
	}
	return jsontext.AppendUnquote(nil, value)
}

// A reader takes JSON apart in one pass, with the strictness of [wire.Unmarshal]
// and without copies: what it returns are parts of data.
type reader struct {
	data []byte
	dec  *jsontext.Decoder
}

func newReader(data []byte) *reader {
	return &reader{data, jsontext.NewDecoder(bytes.NewBuffer(data),
		jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))}
}

// parseObject reads a JWK and nothing after it.
func parseObject(data []byte) (object, error) {
	r := newReader(data)
	if r.dec.PeekKind() != '{' {
		return nil, r.refuse(errNotObject)
	}
	j, err := r.object(nil)
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return nil, r.refuse(err)
	}
	return j, nil
}

var (
	errNotObject = malformed("not an object")
	errTooDeep   = malformed("JSON is nested too deep")
)

// refuse makes the error for a text that cannot be read: where that is the JSON,
// it says where, and quotes nothing.
func (r *reader) refuse(err error) error {
	if _, syntactic := errors.AsType[*jsontext.SyntacticError](err); !syntactic {
		return err
	}
	var value jsontext.Value
	if err := wire.Unmarshal(r.data, &value); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return malformed("JSON") // cannot be: the two readers agree
}

// object appends the members of the object that comes next to j.
func (r *reader) object(j object) (object, error) {
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, err
	}
	for r.dec.PeekKind() == '"' {
		name, err := r.name()
		if err != nil {
			return nil, err
		}
		value, err := r.value()
		if err != nil {
			return nil, err
		}
		j = append(j, rawMember{name, value})
	}
	_, err := r.dec.ReadToken()
	return j, err
}

// name reads the name that comes next.
func (r *reader) name() ([]byte, error) {
	name, err := r.value()
	if err != nil {
		return nil, err
	}
	return unquote(name)
}

// value reads the value that comes next.
func (r *reader) value() (jsontext.Value, error) {
	if k := r.dec.PeekKind(); k == '{' || k == '[' {
		return r.nested()
	}
	v, err := r.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(r.dec.InputOffset())
	return r.data[end-len(v) : end : end], nil
}

// nested reads an object or an array token by token, to see how deep it goes.
func (r *reader) nested() (jsontext.Value, error) {
	outer, start := r.dec.StackDepth(), -1
	for {
		if _, err := r.dec.ReadToken(); err != nil {
			return nil, err
		}
		if start < 0 {
			start = int(r.dec.InputOffset()) - 1
		}
		switch depth := r.dec.StackDepth(); {
		case depth > wire.MaxDepth:
			return nil, errTooDeep
		case depth == outer:
			end := int(r.dec.InputOffset())
			return r.data[start:end:end], nil
		}
	}
}

// end refuses anything but white space after the value.
func (r *reader) end() error {
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return malformed("more than one JSON value")
	}
	return nil
}
