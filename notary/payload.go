package notary

import (
	"errors"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// ErrPayload reports a payload that does not begin as a tagged one must.
var ErrPayload = errors.New("payload does not begin with a tagged jti")

const opening = `{"jti":"`

// SplitPayload takes the payload of a token apart. It must begin with exactly
// {"jti":" then 27 canonical base64url characters and a quote; rest is all that
// follows the quote, a comma or the closing brace first. rest shares payload's
// memory. It does not check that the payload is JSON.
func SplitPayload(payload []byte) (jti string, rest []byte, err error) {
	const end = len(opening) + IDSize
	if len(payload) < end+2 || string(payload[:len(opening)]) != opening || payload[end] != '"' {
		return "", nil, ErrPayload
	}
	jti, rest = string(payload[len(opening):end]), payload[end+1:]
	if _, err := decodeID(jti); err != nil {
		return "", nil, err
	}
	if rest[0] != ',' && rest[0] != '}' {
		return "", nil, ErrPayload
	}
	return jti, rest, nil
}

// Join is the opposite of SplitPayload: it puts jti before rest, which begins
// with a comma or is the closing brace alone.
func Join(jti string, rest []byte) []byte {
	b := make([]byte, 0, len(opening)+len(jti)+1+len(rest))
	b = append(append(b, opening...), jti...)
	return append(append(b, '"'), rest...)
}

// decodeID returns nonce and tag of a jti in its one canonical spelling.
func decodeID(jti string) ([]byte, error) {
	if len(jti) != IDSize {
		return nil, ErrPayload
	}
	b, err := wire.Decode(jti)
	if err != nil || len(b) != nonceSize+tagSize {
		return nil, ErrPayload
	}
	return b, nil
}
