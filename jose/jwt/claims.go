package jwt

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// Claims are the registered claims (RFC 7519, Section 4.1). A zero field is a
// claim that is absent.
type Claims struct {
	Issuer    string    // "iss"
	Subject   string    // "sub"
	Audience  []string  // "aud"
	Expiry    time.Time // "exp"
	NotBefore time.Time // "nbf"
	IssuedAt  time.Time // "iat"
	ID        string    // "jti"
}

// maxDate bounds a NumericDate from above, exclusively: from here on, float64
// no longer tells one second from the next.
const maxDate = 1 << 53

const (
	missing   = "is missing"
	notString = "is not a string"
	notDate   = "is not a number of seconds since 1970"

	notAudience = "is neither a string nor a list of strings"
)

// A claimSet is what Verify looks at.
type claimSet struct {
	Claims
	hasIssuer bool
	tenant    string
	members   map[string]jsontext.Value // all claims
}

// has reports whether there is a claim of that name, be its value null.
func (c *claimSet) has(name string) bool {
	_, ok := c.members[name]
	return ok
}

// value returns the claim of that name as it was written, nil if it is absent.
func (c *claimSet) value(name string) jsontext.Value { return c.members[name] }

// rawClaims tells absent from null. All other claims are held to the rules of
// wire and passed over.
type rawClaims struct {
	Issuer    jsontext.Value `json:"iss"`
	Subject   jsontext.Value `json:"sub"`
	Audience  jsontext.Value `json:"aud"`
	Expiry    jsontext.Value `json:"exp"`
	NotBefore jsontext.Value `json:"nbf"`
	IssuedAt  jsontext.Value `json:"iat"`
	ID        jsontext.Value `json:"jti"`
	Tenant    jsontext.Value `json:"tenant"`
}

// parseRaw reads a payload as one JSON object.
func parseRaw(payload []byte) (*rawClaims, error) {
	if jsontext.Value(payload).Kind() != '{' {
		return nil, errNotObject
	}
	raw := new(rawClaims)
	if err := wire.Unmarshal(payload, raw); err != nil {
		return nil, errNotObject
	}
	return raw, nil
}

// parseClaims reads the claims that Verify looks at.
func parseClaims(payload []byte) (*claimSet, error) {
	raw, err := parseRaw(payload)
	if err != nil {
		return nil, err
	}
	c := &claimSet{hasIssuer: raw.Issuer != nil}
	if err := wire.Unmarshal(payload, &c.members); err != nil {
		return nil, errNotObject
	}
	for _, s := range []struct {
		claim string
		raw   jsontext.Value
		to    *string
	}{
		{"iss", raw.Issuer, &c.Issuer},
		{"sub", raw.Subject, &c.Subject},
		{"jti", raw.ID, &c.ID},
	} {
		if !readString(s.raw, s.to) {
			return nil, &ClaimError{s.claim, notString}
		}
	}
	// "tenant" is a name of ours and registered nowhere. What is no string is
	// another issuer's business, and not the tenant of any key.
	if !readString(raw.Tenant, &c.tenant) {
		c.tenant = ""
	}
	for _, d := range []struct {
		claim string
		raw   jsontext.Value
		to    *time.Time
	}{
		{"exp", raw.Expiry, &c.Expiry},
		{"nbf", raw.NotBefore, &c.NotBefore},
		{"iat", raw.IssuedAt, &c.IssuedAt},
	} {
		if !readDate(d.raw, d.to) {
			return nil, &ClaimError{d.claim, notDate}
		}
	}
	if !readAudience(raw.Audience, &c.Audience) {
		return nil, &ClaimError{"aud", notAudience}
	}
	return c, nil
}

func readString(raw jsontext.Value, to *string) bool {
	if raw == nil {
		return true
	}
	if raw.Kind() != '"' {
		return false
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	*to = string(b)
	return err == nil
}

// readDate reads a NumericDate: a JSON number, possibly with a fraction, from 0
// to below maxDate.
func readDate(raw jsontext.Value, to *time.Time) bool {
	if raw == nil {
		return true
	}
	if raw.Kind() != '0' {
		return false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < 0 || f >= maxDate {
		return false
	}
	seconds, fraction := math.Modf(f)
	*to = time.Unix(int64(seconds), int64(fraction*1e9)).UTC()
	return true
}

// readAudience takes an empty list for what it is: a token for nobody.
func readAudience(raw jsontext.Value, to *[]string) bool {
	switch raw.Kind() {
	case '"':
		var aud string
		ok := readString(raw, &aud)
		*to = []string{aud}
		return ok
	case '[':
		var list []jsontext.Value
		if err := wire.Unmarshal(raw, &list); err != nil || len(list) == 0 {
			return false
		}
		aud := make([]string, len(list))
		for i, v := range list {
			if !readString(v, &aud[i]) {
				return false
			}
		}
		*to = aud
		return true
	}
	return raw == nil
}
