package jws

import (
	"fmt"
	"io"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// MaxToken is the longest token that Parse reads and Sign writes, in bytes.
const MaxToken = 16 << 10

// An Unverified is a token that has been read and not checked: whatever it says
// may come from anybody. Its signature is checked by [Unverified.Verify].
type Unverified struct {
	header    *Header // perhaps shared with the cache: never written to
	input     string  // header and payload segment with the dot between them
	payload   []byte
	signature []byte
}

// Parse reads a token in the compact serialization (RFC 7515, Section 7.1) of
// at most MaxToken bytes. What it accepts has no second spelling: encoding the
// parts again gives the same token. Its errors match [ErrMalformed].
//
// A token that is refused for its size or its dots costs no allocation.
func Parse(token string) (*Unverified, error) {
	if len(token) > MaxToken {
		return nil, ErrTooLarge
	}
	header, payload, signature, err := split(token)
	if err != nil {
		return nil, err
	}
	u := &Unverified{input: token[:len(header)+1+len(payload)]}
	if u.header, _, err = lookupHeader(header); err != nil {
		return nil, err
	}
	if u.payload, err = wire.Decode(payload); err != nil {
		return nil, errEncoding
	}
	if u.signature, err = wire.Decode(signature); err != nil {
		return nil, errEncoding
	}
	return u, nil
}

// split finds the three segments of a token.
func split(token string) (header, payload, signature string, err error) {
	header, rest, ok := strings.Cut(token, ".")
	if !ok {
		if strings.HasPrefix(strings.TrimLeft(token, " \t\r\n"), "{") {
			return "", "", "", errSerialization
		}
		return "", "", "", errSegments
	}
	payload, signature, ok = strings.Cut(rest, ".")
	switch {
	case !ok:
		return "", "", "", errSegments
	case strings.IndexByte(signature, '.') >= 0:
		if strings.Count(signature, ".") == 2 {
			return "", "", "", ErrEncrypted // RFC 7516, Section 9
		}
		return "", "", "", errSegments
	case signature == "":
		return "", "", "", errNoSignature
	}
	return header, payload, signature, nil
}

// Format implements [fmt.Formatter]: no verb prints the token, which may well be
// good, so that one in a log or in an error gives nothing away.
func (u Unverified) Format(s fmt.State, _ rune) { io.WriteString(s, "jws.Unverified") }

// UnverifiedHeader returns the header. It may come from anybody.
func (u *Unverified) UnverifiedHeader() Header { return *u.header }

// UnverifiedPayload returns the payload, which must not be changed. It may come
// from anybody.
func (u *Unverified) UnverifiedPayload() []byte { return u.payload }

// Signature returns the decoded signature, which must not be changed. It is at
// least one byte long.
func (u *Unverified) Signature() []byte { return u.signature }

// SigningInput returns the header and payload segments with the dot between
// them: what the signature is made over (RFC 7515, Section 5.1).
func (u *Unverified) SigningInput() string { return u.input }
