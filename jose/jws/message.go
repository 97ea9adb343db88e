package jws

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A form is what a [Message] knows when it was not a plain compact token.
type form struct {
	payload  []byte
	entry    *entry
	index    int
	streamed bool
}

// message makes the Message of signature i, which key has verified.
func (d *document) message(i int, key *jwk.Key) *Message {
	e := d.entries[i]
	return &Message{
		header: &e.header,
		key:    key,
		form:   &form{payload: d.payload, entry: e, index: i, streamed: d.streamed},
	}
}

// Index says which signature of a token in the JSON serialization was verified:
// its place in the array "signatures", and 0 for every other token. The order of
// the array is not signed.
func (m *Message) Index() int {
	if m.form == nil {
		return 0
	}
	return m.form.index
}

// UnprotectedMember returns a parameter of the unprotected header that stands
// beside the signature in the JSON serialization, or false. Nobody has signed it:
// it may come from anybody, also in a token that has been verified.
func (m *Message) UnprotectedMember(name string) (jsontext.Value, bool) {
	if m.form == nil {
		return nil, false
	}
	v, ok := m.form.entry.unprotected[name]
	return v.Clone(), ok
}

// signingInput puts together again what the signature covers.
func (f *form) signingInput() string {
	switch {
	case f.streamed:
		return ""
	case f.entry.unencoded:
		return f.entry.protected + "." + string(f.payload)
	}
	return f.entry.protected + "." + wire.Encode(f.payload)
}
