package jwe

import (
	"fmt"
	"io"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A Message is a message that has been decrypted. That says nothing about who
// wrote it.
type Message struct {
	header Header
	hidden *hidden
	key    *jwk.Key
	index  int
}

// A hidden stands between a Message and its content. When a struct that holds a
// Message in an unexported field is printed, package fmt asks no method, and with a
// wrong verb it follows one pointer; it does not follow the second.
type hidden struct{ *opened }

// An opened is what was encrypted.
type opened struct{ plaintext, aad []byte }

// Header returns the protected header, which is as it was encrypted. What stood
// in the unprotected headers of a JSON message anybody may have changed, and it is
// not here.
func (m *Message) Header() Header { return m.header }

// Plaintext returns the content. The caller may do with it what he likes.
func (m *Message) Plaintext() []byte { return m.hidden.plaintext }

// AAD returns the additional data of a JSON message that are not secret ("aad",
// RFC 7516, Section 7.2.1), as they were encrypted, or nil.
func (m *Message) AAD() []byte { return m.hidden.aad }

// Key returns the key that opened the message.
func (m *Message) Key() *jwk.Key { return m.key }

// Recipient returns the index of the recipient as which the message was opened; 0
// where there is one.
func (m *Message) Recipient() int { return m.index }

// Format implements [fmt.Formatter]: no verb prints the content.
func (m Message) Format(s fmt.State, _ rune) { io.WriteString(s, "jwe.Message") }
