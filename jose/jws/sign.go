package jws

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A Signer signs payloads with one key under one header, which is encoded once.
// It is safe for concurrent use.
type Signer struct {
	key       *jwk.Key
	fields    Header
	header    string          // fields, encoded
	unencoded bool            // "b64" is false
	ctx       context.Context // of WithContext; nil: none
}

// NewSigner returns a Signer. The algorithm and key id of h may be left empty
// and are then those of the key; when they are given they must be the key's.
// Errors: [jwk.ErrNotPrivate], [jwk.ErrAlgorithm], [ErrTooLarge].
func NewSigner(key *jwk.Key, h Header) (*Signer, error) {
	if key == nil || !key.IsPrivate() {
		return nil, jwk.ErrNotPrivate
	}
	if h.Algorithm == "" {
		h.Algorithm = key.Algorithm()
	}
	if !key.Accepts(string(h.Algorithm)) {
		return nil, jwk.ErrAlgorithm
	}
	if h.KeyID == "" {
		h.KeyID = key.KeyID()
	}
	if h.KeyID != key.KeyID() {
		return nil, errors.New("jws: kid is not the key's")
	}
	if len(h.KeyID) > MaxKeyID {
		return nil, ErrTooLarge
	}
	header, err := h.encode()
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, fields: h, header: header, unencoded: h.Unencoded()}, nil
}

// With returns a Signer of the same key whose header has one parameter more, by the
// rules of [Header.With]: for a token that says something of its own there.
func (s *Signer) With(name string, value any) (*Signer, error) {
	h, err := s.fields.With(name, value)
	if err != nil {
		return nil, err
	}
	other := *s
	other.fields = h
	other.header, err = h.encode()
	if err != nil {
		return nil, err
	}
	return &other, nil
}

// Header returns the encoded protected header: the first segment of every token
// that this Signer makes.
func (s *Signer) Header() string { return s.header }

// Key returns the key that signs.
func (s *Signer) Key() *jwk.Key { return s.key }

// Sign returns payload in the compact serialization, or [ErrTooLarge] when that
// would be longer than MaxToken. Under a header with "b64" false the payload has
// to be printable ASCII without a dot: see [Signer.SignDetached] for any other.
func (s *Signer) Sign(payload []byte) (string, error) {
	if s.unencoded {
		return s.signUnencoded(payload)
	}
	if len(s.header)+1+wire.EncodedLen(len(payload)) > MaxToken {
		return "", ErrTooLarge
	}
	b := buffers.Get().(*buffer)
	defer b.release()
	b.input = append(append(b.input[:0], s.header...), '.')
	b.input = wire.AppendEncode(b.input, payload)
	signature, err := s.signature(b.input)
	if err != nil {
		return "", err
	}
	b.input = wire.AppendEncode(append(b.input, '.'), signature)
	if len(b.input) > MaxToken {
		return "", ErrTooLarge
	}
	return string(b.input), nil
}

// Sign returns payload signed by key under header h, as [NewSigner] and
// [Signer.Sign] do.
func Sign(key *jwk.Key, h Header, payload []byte) (string, error) {
	s, err := NewSigner(key, h)
	if err != nil {
		return "", err
	}
	return s.Sign(payload)
}
