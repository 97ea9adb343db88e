package jws

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A Message is a payload whose signature has been verified. Only Verify and the
// functions named after it make one.
type Message struct {
	header *Header // perhaps shared with the cache: never written to
	key    *jwk.Key
	input  string // of a plain compact token
	text   string // payload of a plain compact token
	form   *form  // nil for a plain compact token
}

// Verify parses a token and checks its signature with the key that its "kid"
// names in keys, under the algorithm of that key. Order: structure, header, key,
// signature.
//
// Errors: [ErrMalformed] for a token that cannot be read; what keys.Find
// returns, such as [jwk.ErrUnknownKey]; [jwk.ErrAlgorithm] when the key is for
// another algorithm than "alg"; [jwk.ErrSignature].
func Verify(keys jwk.Source, token string) (*Message, error) {
	return Options{}.Verify(keys, token)
}

// verifyPlain verifies a compact token that has no extension. It is Parse and
// [Unverified.Verify] without the memory for what lies between.
func (o *Options) verifyPlain(keys jwk.Source, token string) (m Message, err error) {
	if !o.fits(token) {
		return m, ErrTooLarge
	}
	header, payload, signature, err := split(token)
	if err != nil {
		return m, err
	}
	h, known, err := lookupHeader(header)
	if err != nil {
		return m, err
	}
	b := buffers.Get().(*buffer)
	defer b.release()
	if !b.decode(payload, signature) {
		return m, errEncoding
	}
	if !o.allows(h.Algorithm) {
		return m, jwk.ErrAlgorithm
	}
	key, err := findKey(keys, h)
	if err != nil {
		return m, err
	}
	input := token[:len(header)+1+len(payload)]
	b.input = append(b.input[:0], input...)
	if err := key.Verify(b.input, b.signature); err != nil {
		return m, err
	}
	if !known {
		rememberHeader(header, h)
	}
	return Message{header: h, key: key, input: input, text: string(b.payload)}, nil
}

// Verify checks the signature as the function [Verify] does.
func (u *Unverified) Verify(keys jwk.Source) (*Message, error) {
	key, err := findKey(keys, u.header)
	if err != nil {
		return nil, err
	}
	if err := key.Verify([]byte(u.input), u.signature); err != nil {
		return nil, err
	}
	segment, _, _ := strings.Cut(u.input, ".")
	rememberHeader(segment, u.header)
	return &Message{header: u.header, key: key, input: u.input, text: string(u.payload)}, nil
}

// Format implements [fmt.Formatter] as [Unverified.Format] does.
func (m Message) Format(s fmt.State, _ rune) { io.WriteString(s, "jws.Message") }

// Header returns the protected header.
func (m *Message) Header() Header { return *m.header }

// Payload returns the payload, which must not be changed; nil if it was only read
// through.
func (m *Message) Payload() []byte {
	if m.form == nil {
		return []byte(m.text)
	}
	return m.form.payload
}

// PayloadString returns the payload as a string. For a compact token it costs
// nothing, and Payload a copy.
func (m *Message) PayloadString() string {
	if m.form == nil {
		return m.text
	}
	return string(m.form.payload)
}

// Key returns the key that verified the signature.
func (m *Message) Key() *jwk.Key { return m.key }

// SigningInput returns what the signature covers, as it stood in the token; ""
// if the payload was only read through.
func (m *Message) SigningInput() string {
	if m.form != nil {
		return m.form.signingInput()
	}
	return m.input
}

// A buffer holds the decoded parts of a token while its signature is checked.
type buffer struct{ input, payload, signature []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// maxBuffer is the longest part whose memory is kept for other tokens, in bytes.
const maxBuffer = MaxToken

// decode reports whether both segments are base64url.
func (b *buffer) decode(payload, signature string) bool {
	return decodeInto(&b.payload, payload) && decodeInto(&b.signature, signature)
}

func decodeInto(b *[]byte, segment string) bool {
	decoded, err := wire.AppendDecode((*b)[:0], segment)
	if err == nil {
		*b = decoded
	}
	return err == nil
}

// release gives the memory back. Nothing of it is in a Message.
func (b *buffer) release() {
	if max(cap(b.input), cap(b.payload), cap(b.signature)) <= maxBuffer {
		buffers.Put(b)
	}
}
