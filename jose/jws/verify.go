package jws

import (
	"fmt"
	"io"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A Message is a payload whose signature has been verified. Only Verify and the
// functions named after it make one.
type Message struct {
	token *Unverified
	key   *jwk.Key
	form  *form // nil for a plain compact token
}

// Verify parses a token and checks its signature with the key that its "kid"
// names in keys, under the algorithm of that key. Order: structure, header, key,
// signature.
//
// Errors: [ErrMalformed] for a token that cannot be read; what keys.Find
// returns, such as [jwk.ErrUnknownKey]; [jwk.ErrAlgorithm] when the key is for
// another algorithm than "alg"; [jwk.ErrSignature].
func Verify(keys jwk.Source, token string) (*Message, error) {
	u, err := Parse(token)
	if err != nil {
		return nil, err
	}
	return u.Verify(keys)
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
	rememberHeader(u)
	return &Message{token: u, key: key}, nil
}

// Format implements [fmt.Formatter] as [Unverified.Format] does.
func (m Message) Format(s fmt.State, _ rune) { io.WriteString(s, "jws.Message") }

// Header returns the protected header.
func (m *Message) Header() Header { return m.token.header }

// Payload returns the payload, which must not be changed; nil if it was only read
// through.
func (m *Message) Payload() []byte { return m.token.payload }

// Key returns the key that verified the signature.
func (m *Message) Key() *jwk.Key { return m.key }

// SigningInput returns what the signature covers, as it stood in the token; ""
// if the payload was only read through.
func (m *Message) SigningInput() string {
	if m.form != nil {
		return m.form.signingInput(m.Payload())
	}
	return m.token.input
}
