package jwt

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// isRegistered reports whether only [Claims] may set name: one of claimNames, or
// what is one for a reader that does not tell upper from lower case. There are such
// libraries.
func isRegistered(name string) bool {
	return slices.ContainsFunc(claimNames[:], func(r string) bool { return strings.EqualFold(name, r) })
}

// A Signer signs tokens of one type with one key. Its header is encoded once. It
// is safe for concurrent use.
type Signer struct{ signer *jws.Signer }

// NewSigner returns a Signer for tokens of type typ, for example "at+jwt". Errors
// are those of [jws.NewSigner].
func NewSigner(key *jwk.Key, typ string) (*Signer, error) {
	return NewHeaderSigner(key, jws.Header{Type: typ})
}

// NewHeaderSigner returns a Signer for tokens with this header, whose Type is
// required: for one that carries parameters of its own, such as "x5c" or "jku". It
// refuses an unencoded payload (RFC 7797, Section 7).
func NewHeaderSigner(key *jwk.Key, h jws.Header) (*Signer, error) {
	if h.Type == "" {
		return nil, errors.New("jwt: sign: typ is required")
	}
	if h.Unencoded() {
		return nil, errors.New("jwt: sign: b64 has no place in a JWT")
	}
	s, err := jws.NewSigner(key, h)
	if err != nil {
		return nil, err
	}
	return &Signer{s}, nil
}

// Sign returns a token with the registered claims c and the members of extra,
// which is marshalled by the rules of encoding/json/v2 into one object; nil adds
// nothing. An extra claim with a registered name, in upper or lower case, is
// refused. Times are written in whole seconds, rounded down.
//
// The registered claims come first, "jti" before all others. Sign does not ask
// whether any [Policy] would accept the token: it will not if "exp" is missing.
func (s *Signer) Sign(c Claims, extra any) (string, error) {
	b := payloads.Get().(*[]byte)
	defer payloads.Put(b)
	payload, err := c.appendTo((*b)[:0], extra)
	if err != nil {
		return "", fmt.Errorf("jwt: sign: %w", err)
	}
	if *b = payload; len(payload) > jws.MaxToken {
		*b = nil // no token, and too much to keep
	}
	return s.signer.Sign(payload)
}

// SignContext is [Signer.Sign] with a key that a service may hold: see
// [jwk.ContextSigner].
func (s *Signer) SignContext(ctx context.Context, c Claims, extra any) (string, error) {
	return (&Signer{s.signer.WithContext(ctx)}).Sign(c, extra)
}

// Sign returns a token of type typ as [NewSigner] and [Signer.Sign] do.
func Sign(key *jwk.Key, typ string, c Claims, extra any) (string, error) {
	s, err := NewSigner(key, typ)
	if err != nil {
		return "", err
	}
	return s.Sign(c, extra)
}

// SignContext is [Sign] with a key that a service may hold: see
// [jwk.ContextSigner].
func SignContext(ctx context.Context, key *jwk.Key, typ string, c Claims, extra any) (string, error) {
	s, err := NewSigner(key, typ)
	if err != nil {
		return "", err
	}
	return s.SignContext(ctx, c, extra)
}

// payloads is memory that is used again, of *[]byte.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// appendTo appends c and extra as one JSON object to dst.
func (c Claims) appendTo(dst []byte, extra any) ([]byte, error) {
	dst, err := c.appendMembers(append(dst, '{'))
	if err != nil {
		return nil, err
	}
	if extra == nil {
		return append(dst, '}'), nil
	}
	dst, ok := extraClaims.AppendMembers(dst, extra)
	if ok {
		return append(dst, '}'), nil
	}
	other, err := encodeExtra(extra)
	if err != nil {
		return nil, err
	}
	return join(append(dst, '}'), other), nil
}

// extraClaims writes claims of common types, and leaves to encodeExtra what is not
// common and what is to be refused.
var extraClaims = wire.NewWriter(isRegistered)

// appendMembers appends the registered claims in the order of claimNames.
func (c Claims) appendMembers(dst []byte) ([]byte, error) {
	for _, m := range [...]struct{ label, value string }{
		{`"jti":`, c.ID}, {`"iss":`, c.Issuer}, {`"sub":`, c.Subject},
	} {
		if m.value == "" {
			continue
		}
		var ok bool
		if dst, ok = wire.AppendString(append(comma(dst), m.label...), m.value); !ok {
			return nil, errNotText
		}
	}
	dst, err := appendAudience(dst, c.Audience)
	if err != nil {
		return nil, err
	}
	for _, m := range [...]struct {
		claim string
		at    time.Time
	}{
		{"iat", c.IssuedAt}, {"nbf", c.NotBefore}, {"exp", c.Expiry},
	} {
		if m.at.IsZero() {
			continue
		}
		seconds := m.at.Unix()
		if seconds < 0 || seconds >= maxDate {
			return nil, &ClaimError{m.claim, "is out of range"}
		}
		dst = append(append(append(comma(dst), '"'), m.claim...), `":`...)
		dst = strconv.AppendInt(dst, seconds, 10)
	}
	return dst, nil
}

// appendAudience appends an audience of one as a string (RFC 7519, Section 4.1.3).
func appendAudience(dst []byte, aud []string) ([]byte, error) {
	if len(aud) == 0 {
		return dst, nil
	}
	dst = append(comma(dst), `"aud":`...)
	if len(aud) > 1 {
		dst = append(dst, '[')
	}
	for i, a := range aud {
		if i > 0 {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, ok = wire.AppendString(dst, a); !ok {
			return nil, errNotText
		}
	}
	if len(aud) > 1 {
		dst = append(dst, ']')
	}
	return dst, nil
}

var errNotText = errors.New("a registered claim is not valid UTF-8")

// comma appends one behind a member.
func comma(dst []byte) []byte {
	if dst[len(dst)-1] == '{' {
		return dst
	}
	return append(dst, ',')
}

// encodeExtra returns extra as a JSON object, or nil for one without members.
func encodeExtra(extra any) (jsontext.Value, error) {
	b, err := wire.Marshal(extra)
	if err != nil {
		return nil, fmt.Errorf("extra claims cannot be written as JSON: %T%s", extra, noteClaims(reflect.TypeOf(extra)))
	}
	v := jsontext.Value(b)
	var members map[string]jsontext.Value
	if v.Kind() != '{' || wire.Unmarshal(v, &members) != nil {
		return nil, fmt.Errorf("extra claims are not a JSON object: %T", extra)
	}
	for name := range members {
		if isRegistered(name) {
			return nil, &ClaimError{name, "is registered and belongs into Claims"}
		}
	}
	if len(members) == 0 {
		return nil, nil
	}
	if err := v.Compact(); err != nil {
		return nil, errors.New("extra claims are not valid JSON")
	}
	return v, nil
}

// join makes one object of two compact ones, of which b may be nil.
func join(a, b []byte) []byte {
	switch {
	case b == nil:
		return a
	case len(a) == len("{}"):
		return append(a[:0], b...)
	}
	return append(append(a[:len(a)-1], ','), b[1:]...)
}
