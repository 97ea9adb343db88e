package jws

import (
	"cmp"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Options say what a verifier accepts beyond the compact serialization of RFC
// 7515. Without any, its methods are the functions of the same names. Options may
// be used by several goroutines at once, if the functions in Critical may.
type Options struct {
	// Algorithms are the values that "alg" may have; default: all. Whatever stands
	// here, the key decides which of them is used.
	Algorithms []jwk.Algorithm

	// Critical has a function for each extension that the application understands:
	// a header parameter that "crit" may list (RFC 7515, Section 4.1.11). It is
	// called with the protected header and the parameter's value after the
	// signature has been verified, and only if "crit" lists the parameter. An error
	// refuses the signature and is returned as it is. A function for a name of RFC
	// 7515, 7516, 7518 or 7797 is never called, since "crit" may not list those.
	Critical map[string]func(Header, jsontext.Value) error

	// Unencoded accepts "b64" (RFC 7797), listed in "crit": a payload signed as it
	// is. Never set it for tokens that are JWTs.
	Unencoded bool

	// MaxToken is the longest compact token, in bytes; default is the constant
	// MaxToken. More is for a kind of token that is known to be large, such as a
	// status list: at most MaxLarge.
	MaxToken int

	// UnprotectedAlgorithm accepts a signature in the JSON serialization whose
	// "alg" is in the unprotected header (RFC 7520, Sections 4.7 and 4.8). Anybody
	// could have changed it there, to no avail: it must still be the algorithm of
	// the key. [Message.Header] has no Algorithm then, and [Message.Key] has one.
	UnprotectedAlgorithm bool
}

// Verify is the function [Verify] with options. The compact serialization has no
// unprotected header; a payload with "b64" false in it is printable ASCII without
// a dot.
func (o Options) Verify(keys jwk.Source, token string) (m *Message, err error) {
	// Short enough to be inlined: a caller who only copies the Message, as package
	// jwt does, needs no memory for it, and nobody does for a refusal.
	verified, err := o.verify(keys, token)
	if err == nil {
		m = new(Message)
		*m = verified
	}
	return
}

func (o *Options) verify(keys jwk.Source, token string) (Message, error) {
	m, err := o.verifyPlain(keys, token)
	if err != ErrCritical || len(o.Critical) == 0 && !o.Unencoded {
		return m, err
	}
	e, payload, err := o.parseCompact(token)
	if err != nil {
		return Message{}, err
	}
	d := document{entries: []*entry{e}}
	if err := d.decode(payload, checkCompactPayload); err != nil {
		return Message{}, err
	}
	verified, err := d.verifyAny(*o, keys)
	if err != nil {
		return Message{}, err
	}
	return *verified, nil
}

// MaxLarge is the longest token, in bytes, to which Options.MaxToken can raise the
// bound.
const MaxLarge = 8 << 20

// fits reports whether a compact token may be as long as this one is.
func (o *Options) fits(token string) bool {
	return len(token) <= min(cmp.Or(o.MaxToken, MaxToken), MaxLarge)
}

func (o *Options) allows(alg jwk.Algorithm) bool {
	return o.Algorithms == nil || slices.Contains(o.Algorithms, alg)
}

// parseCompact reads a compact token, with its payload as it stands there.
func (o Options) parseCompact(token string) (e *entry, payload string, err error) {
	if !o.fits(token) {
		return nil, "", ErrTooLarge
	}
	header, payload, signature, err := split(token)
	if err != nil {
		return nil, "", err
	}
	e, err = o.newEntry(jsonMember{Protected: text{header, true}, Signature: text{signature, true}})
	return e, payload, err
}

// An entry is one signature with its headers.
type entry struct {
	protected   string // as it stood in the token
	known       bool   // to the header cache
	header      Header // what protected says
	unprotected map[string]jsontext.Value
	unencoded   bool
	critical    []string // what the application will be asked about
	sought      Header   // header, with the alg and kid that choose the key
	signature   []byte
	err         error // why this signature is worth nothing, if the others may be
}

// newEntry reads the headers and the signature of m. What is malformed makes the
// whole token so; what this verifier does not accept is kept in the entry.
func (o Options) newEntry(m jsonMember) (*entry, error) {
	if m.Signature.value == "" {
		return nil, errNoSignature
	}
	signature, err := wire.Decode(m.Signature.value)
	if err != nil {
		return nil, errEncoding
	}
	e := &entry{protected: m.Protected.value, unprotected: m.Header.members, signature: signature}
	if h := headers.Find(e.protected); h != nil && e.unprotected == nil {
		e.known, e.header = true, *h
		e.err = o.seek(e)
		return e, nil
	}
	protected, err := m.protected()
	if err != nil {
		return nil, err
	}
	if err := disjoint(protected, e.unprotected); err != nil {
		return nil, err
	}
	e.unencoded = unencoded(protected)
	e.err = o.interpret(e, protected)
	return e, nil
}

// interpret takes protected over and finds out what it means.
func (o Options) interpret(e *entry, protected map[string]jsontext.Value) (err error) {
	if e.critical, err = o.readCritical(protected); err != nil {
		return err
	}
	if err := checkUnencoded(protected, e.critical); err != nil {
		return err
	}
	if e.header, err = newHeader(protected); err != nil {
		return err
	}
	return o.seek(e)
}

// seek decides by which alg and kid the key is sought. An unprotected kid is a
// hint like any other: whichever key it leads to has to verify the signature.
func (o Options) seek(e *entry) error {
	outside, err := newHeader(maps.Clone(e.unprotected))
	if err != nil {
		return err
	}
	e.sought = e.header
	if e.sought.KeyID == "" {
		e.sought.KeyID = outside.KeyID
	}
	if e.sought.Algorithm == "" && o.UnprotectedAlgorithm {
		e.sought.Algorithm = outside.Algorithm
	}
	if err := checkAlgorithm(e.sought.Algorithm); err != nil {
		return err
	}
	if !o.allows(e.sought.Algorithm) {
		return jwk.ErrAlgorithm
	}
	return nil
}

// remember keeps the header of a signature that has been verified, if it is one
// that a plain compact token could have.
func (e *entry) remember() {
	if !e.known && e.unprotected == nil && e.critical == nil {
		h := e.header // without the rest of e
		rememberHeader(e.protected, &h)
	}
}

// findKey finds the key for the signature.
func (e *entry) findKey(keys jwk.Source) (*jwk.Key, error) {
	if e.err != nil {
		return nil, e.err
	}
	return findKey(keys, &e.sought)
}
