package jws

import (
	"encoding/base64"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// A signingInput is what signatures of one payload are made over: room for a
// protected header, a dot, and the payload in the form in which it is signed (RFC
// 7515, Section 5.1; RFC 7797, Section 3).
type signingInput struct {
	buf []byte
	dot int // where it stands in buf
}

// newInput returns the input for payload under headers of at most longest bytes.
func newInput(longest int, payload []byte, unencoded bool) signingInput {
	if unencoded {
		return givenInput(longest, payload)
	}
	in := roomFor(longest, base64.RawURLEncoding.EncodedLen(len(payload)))
	in.buf = wire.AppendEncode(in.buf, payload)
	return in
}

// givenInput is newInput for a payload that is already in its form.
func givenInput[S ~string | ~[]byte](longest int, payload S) signingInput {
	in := roomFor(longest, len(payload))
	in.buf = append(in.buf, payload...)
	return in
}

func roomFor(longest, payload int) signingInput {
	buf := make([]byte, longest+1, longest+1+payload)
	buf[longest] = '.'
	return signingInput{buf: buf, dot: longest}
}

// under returns the input with that protected header in it. The next call
// overwrites what it returns.
func (in signingInput) under(protected string) []byte {
	start := in.dot - len(protected)
	copy(in.buf[start:], protected)
	return in.buf[start:]
}
