package jws

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// A Signer writes no unprotected header: all that it says, it signs.

// SignFlattened returns payload with one signature in the flattened JSON
// serialization (RFC 7515, Section 7.2.2), or [ErrTooLarge] when payload is above
// [MaxPayload]. Under a header with "b64" false the payload has to be UTF-8.
func (s *Signer) SignFlattened(payload []byte) ([]byte, error) {
	member, err := payloadMember(payload, s.unencoded)
	if err != nil {
		return nil, err
	}
	signature, err := s.signature(s.input(payload))
	if err != nil {
		return nil, err
	}
	return bounded(append(appendSignature(append(member, ','), s.header, wire.Encode(signature)), '}'))
}

// SignJSON returns payload with a signature of each signer, at most
// [MaxSignatures], in the general JSON serialization (RFC 7515, Section 7.2.1), or
// [ErrTooLarge] when payload is above [MaxPayload]. All signers have the same
// "b64"; where it is false the payload has to be UTF-8.
func SignJSON(payload []byte, signers ...*Signer) ([]byte, error) {
	if err := checkSigners(signers); err != nil {
		return nil, err
	}
	doc, err := payloadMember(payload, signers[0].unencoded)
	if err != nil {
		return nil, err
	}
	doc = append(doc, `,"signatures":`...)
	longest := 0
	for _, s := range signers {
		longest = max(longest, len(s.header))
	}
	in := newInput(longest, payload, signers[0].unencoded)
	for i, s := range signers {
		signature, err := s.signature(in.under(s.header))
		if err != nil {
			return nil, err
		}
		doc = append(appendSignature(append(doc, separator(i), '{'), s.header, wire.Encode(signature)), '}')
	}
	return bounded(append(doc, `]}`...))
}

func checkSigners(signers []*Signer) error {
	if len(signers) == 0 {
		return errors.New("jws: nobody to sign")
	}
	if len(signers) > MaxSignatures {
		return ErrTooLarge
	}
	for _, s := range signers {
		if s.unencoded != signers[0].unencoded {
			return errMixedEncoding
		}
	}
	return nil
}

// payloadMember begins a document with its payload.
func payloadMember(payload []byte, unencoded bool) ([]byte, error) {
	if len(payload) > MaxPayload {
		return nil, ErrTooLarge
	}
	doc := []byte(`{"payload":`)
	if unencoded {
		if err := checkTextPayload(payload); err != nil {
			return nil, err
		}
		return jsontext.AppendQuote(doc, payload)
	}
	doc = wire.AppendEncode(append(doc, '"'), payload)
	return append(doc, '"'), nil
}

// appendSignature appends the members of one signature, which need no quoting.
func appendSignature(doc []byte, protected, signature string) []byte {
	doc = append(append(append(doc, `"protected":"`...), protected...), `","signature":"`...)
	return append(append(doc, signature...), '"')
}

func bounded(doc []byte) ([]byte, error) {
	if len(doc) > MaxDocument {
		return nil, ErrTooLarge
	}
	return doc, nil
}

// FlattenDetached returns a detached compact token in the flattened JSON
// serialization, detached like it. It verifies nothing.
func FlattenDetached(token string) ([]byte, error) {
	d, err := splitDetached(token)
	if err != nil {
		return nil, err
	}
	return append(appendSignature([]byte{'{'}, d.header, d.signature), '}'), nil
}

// JoinDetached returns detached compact tokens of one payload as one detached token
// in the general JSON serialization, with their signatures in this order, at most
// [MaxSignatures]. So several can sign who never meet. It verifies nothing.
func JoinDetached(tokens ...string) ([]byte, error) {
	switch {
	case len(tokens) == 0:
		return nil, errNoSignatures
	case len(tokens) > MaxSignatures:
		return nil, ErrTooLarge
	}
	var first detached
	doc := []byte(`{"signatures":`)
	for i, token := range tokens {
		d, err := splitDetached(token)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = d
		}
		if d.unencoded != first.unencoded {
			return nil, errMixedEncoding
		}
		doc = append(appendSignature(append(doc, separator(i), '{'), d.header, d.signature), '}')
	}
	return append(doc, `]}`...), nil
}

// separator is what stands before element i of an array.
func separator(i int) byte {
	if i == 0 {
		return '['
	}
	return ','
}

// A detached is what a detached compact token consists of.
type detached struct {
	header, signature string // as they stand there
	unencoded         bool
}

// splitDetached takes a token apart and sees that its parts can stand in another
// form.
func splitDetached(token string) (d detached, err error) {
	if len(token) > MaxToken {
		return d, ErrTooLarge
	}
	header, payload, signature, err := split(token)
	if err != nil {
		return d, err
	}
	if payload != "" {
		return d, errNotDetached
	}
	members, err := parseMembers(header)
	if err != nil {
		return d, err
	}
	if _, err := wire.Decode(signature); err != nil {
		return d, errEncoding
	}
	return detached{header, signature, unencoded(members)}, nil
}
