package jwt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// registered are the names that only [Claims] may set.
var registered = []string{"jti", "iss", "sub", "aud", "iat", "nbf", "exp"}

// isRegistered reports whether name is one of them, or would be for a reader that
// does not tell upper from lower case: there are such libraries.
func isRegistered(name string) bool {
	return slices.ContainsFunc(registered, func(r string) bool { return strings.EqualFold(name, r) })
}

// Sign returns a token of type typ, for example "at+jwt", with the registered
// claims c and the members of extra, which is marshalled by the rules of
// encoding/json/v2 into one object; nil adds nothing. An extra claim with a
// registered name, in upper or lower case, is refused. Times are written in whole
// seconds, rounded down.
//
// The registered claims come first, "jti" before all others. Sign does not ask
// whether any [Policy] would accept the token: it will not if "exp" is missing.
func Sign(key *jwk.Key, typ string, c Claims, extra any) (string, error) {
	if typ == "" {
		return "", errors.New("jwt: sign: typ is required")
	}
	payload, err := c.encode(extra)
	if err != nil {
		return "", fmt.Errorf("jwt: sign: %w", err)
	}
	return jws.Sign(key, jws.Header{Type: typ}, payload)
}

// claimsJSON is the wire form of Claims, in the order of registered.
type claimsJSON struct {
	ID        string   `json:"jti,omitzero"`
	Issuer    string   `json:"iss,omitzero"`
	Subject   string   `json:"sub,omitzero"`
	Audience  audience `json:"aud,omitzero"`
	IssuedAt  *int64   `json:"iat,omitzero"`
	NotBefore *int64   `json:"nbf,omitzero"`
	Expiry    *int64   `json:"exp,omitzero"`
}

// An audience of one is written as a string (RFC 7519, Section 4.1.3).
type audience []string

func (a audience) IsZero() bool { return len(a) == 0 }

func (a audience) MarshalJSONTo(enc *jsontext.Encoder) error {
	if len(a) == 1 {
		return enc.WriteToken(jsontext.String(a[0]))
	}
	v, err := wire.Marshal([]string(a))
	if err != nil {
		return err
	}
	return enc.WriteValue(v)
}

// encode returns c and extra as one JSON object.
func (c Claims) encode(extra any) ([]byte, error) {
	w := claimsJSON{ID: c.ID, Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience}
	for _, d := range []struct {
		claim string
		time  time.Time
		to    **int64
	}{
		{"iat", c.IssuedAt, &w.IssuedAt}, {"nbf", c.NotBefore, &w.NotBefore}, {"exp", c.Expiry, &w.Expiry},
	} {
		if d.time.IsZero() {
			continue
		}
		seconds := d.time.Unix()
		if seconds < 0 || seconds >= maxDate {
			return nil, &ClaimError{d.claim, "is out of range"}
		}
		*d.to = &seconds
	}
	own, err := wire.Marshal(w)
	if err != nil {
		return nil, errors.New("a registered claim is not valid UTF-8")
	}
	other, err := encodeExtra(extra)
	if err != nil {
		return nil, err
	}
	return join(own, other), nil
}

// encodeExtra returns extra as a JSON object, or nil.
func encodeExtra(extra any) (jsontext.Value, error) {
	if extra == nil {
		return nil, nil
	}
	b, err := wire.Marshal(extra)
	if err != nil {
		return nil, fmt.Errorf("extra claims cannot be written as JSON: %T", extra)
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
func join(a, b jsontext.Value) []byte {
	switch {
	case b == nil:
		return a
	case len(a) == len("{}"):
		return b
	}
	return append(append(a[:len(a)-1:len(a)-1], ','), b[1:]...)
}
