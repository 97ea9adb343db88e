package jws

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// defined are the header parameters of RFC 7515, 7516 and 7518, which every
// implementation knows, so that they have no place in "crit" (RFC 7515, Section
// 4.1.11).
var defined = []string{
	"alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit",
	"enc", "zip", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c",
}

// WithCritical returns the header with one more parameter that is listed in
// "crit": whoever does not understand it must refuse the token (RFC 7515, Section
// 4.1.11). It refuses names that an RFC of JOSE defines; "b64" is set by
// [Header.WithUnencoded].
func (h Header) WithCritical(name string, value any) (Header, error) {
	if name == "" || name == "b64" || slices.Contains(defined, name) {
		return Header{}, errors.New("jws: header parameter " + name + " cannot be an extension in crit")
	}
	h, err := h.With(name, value)
	if err != nil {
		return Header{}, err
	}
	return h.criticalize(name), nil
}

// criticalize adds name to "crit".
func (h Header) criticalize(name string) Header {
	var names []string
	if crit, ok := h.members["crit"]; ok {
		wire.Unmarshal(crit, &names) // it was checked, or written here
	}
	if slices.Contains(names, name) {
		return h
	}
	list, _ := wire.Marshal(append(names, name)) // With has checked that they are UTF-8
	return h.with("crit", list)
}

// readCritical returns the names in "crit", all of which the options understand.
func (o Options) readCritical(protected map[string]jsontext.Value) ([]string, error) {
	crit, ok := protected["crit"]
	if !ok {
		return nil, nil
	}
	var names []string
	if err := wire.Unmarshal(crit, &names); err != nil || len(names) == 0 {
		return nil, ErrCritical
	}
	for i, name := range names {
		if !o.understands(name) || !has(protected, name) || slices.Contains(names[:i], name) {
			return nil, ErrCritical
		}
	}
	return names, nil
}

func (o Options) understands(name string) bool {
	if name == "b64" {
		return o.Unencoded
	}
	return o.Critical[name] != nil && name != "" && !slices.Contains(defined, name)
}

// askCritical lets the application judge the extensions of a header that has been
// verified.
func (o Options) askCritical(h Header, names []string) error {
	for _, name := range names {
		if name == "b64" {
			continue
		}
		value, _ := h.Member(name)
		if err := o.Critical[name](h, value); err != nil {
			return err
		}
	}
	return nil
}
