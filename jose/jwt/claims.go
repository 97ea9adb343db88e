package jwt

import (
	"math"
	"strconv"
	"sync"
	"time"

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
	alone     [1]string    // memory for an audience of one
	object    *wire.Object // all claims; nil once they have been checked
}

// has reports whether there is a claim of that name, be its value null.
func (c *claimSet) has(name string) bool { return c.object.Has(name) }

// claim returns the claim of that name, or the zero Value.
func (c *claimSet) claim(name string) wire.Value { return c.object.Find(name) }

// A rawClaims has what Verify looks at as it was written.
type rawClaims struct{ iss, sub, aud, exp, nbf, iat, jti, tenant wire.Value }

func newRawClaims(o *wire.Object) (raw rawClaims) {
	for i := range o.Len() {
		name, value := o.At(i)
		switch name {
		case "iss":
			raw.iss = value
		case "sub":
			raw.sub = value
		case "aud":
			raw.aud = value
		case "exp":
			raw.exp = value
		case "nbf":
			raw.nbf = value
		case "iat":
			raw.iat = value
		case "jti":
			raw.jti = value
		case "tenant":
			raw.tenant = value
		}
	}
	return raw
}

// read reads the claims that Verify looks at. c keeps o until they have
// all been checked.
func (c *claimSet) read(o *wire.Object) error {
	raw := newRawClaims(o)
	c.object = o
	c.hasIssuer = raw.iss.Kind() != 0
	switch {
	case !readString(raw.iss, &c.Issuer):
		return &ClaimError{"iss", notString}
	case !readString(raw.sub, &c.Subject):
		return &ClaimError{"sub", notString}
	case !readString(raw.jti, &c.ID):
		return &ClaimError{"jti", notString}
	case !readDate(raw.exp, &c.Expiry):
		return &ClaimError{"exp", notDate}
	case !readDate(raw.nbf, &c.NotBefore):
		return &ClaimError{"nbf", notDate}
	case !readDate(raw.iat, &c.IssuedAt):
		return &ClaimError{"iat", notDate}
	case !c.readAudience(raw.aud):
		return &ClaimError{"aud", notAudience}
	}
	// "tenant" is a name of ours and registered nowhere. What is no string is
	// another issuer's business, and not the tenant of any key.
	c.tenant, _ = raw.tenant.Unquote()
	return nil
}

func readString(v wire.Value, to *string) (ok bool) {
	*to, ok = v.Unquote()
	return ok || v.Kind() == 0
}

// exactDigits is how many digits a number can have and be exact in a float64.
const exactDigits = 15

// readDate reads a NumericDate: a JSON number, possibly with a fraction, from 0
// to below maxDate.
func readDate(v wire.Value, to *time.Time) (ok bool) {
	switch v.Kind() {
	case 0:
		return true
	case '0':
	default:
		return false
	}
	if n, ok := v.Uint(); ok && len(v.Text()) <= exactDigits {
		*to = time.Unix(int64(n), 0).UTC()
		return true
	}
	f, err := strconv.ParseFloat(v.Text(), 64)
	if err != nil || f < 0 || f >= maxDate {
		return false
	}
	seconds, fraction := math.Modf(f)
	*to = time.Unix(int64(seconds), int64(fraction*1e9)).UTC()
	return true
}

// readAudience takes an empty list for what it is: a token for nobody.
func (c *claimSet) readAudience(v wire.Value) (ok bool) {
	switch v.Kind() {
	case 0:
		return true
	case '"':
		c.alone[0], ok = v.Unquote()
		c.Audience = c.alone[:]
		return ok
	}
	c.Audience, ok = v.Strings()
	return ok && len(c.Audience) > 0
}

// objects are of [wire.Object], for the claims of one token after the other.
var objects = sync.Pool{New: func() any { return new(wire.Object) }}

func release(o *wire.Object) {
	o.Reset()
	objects.Put(o)
}
