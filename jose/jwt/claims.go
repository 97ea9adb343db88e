package jwt

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// Claims are the registered claims (RFC 7519, Section 4.1). A zero field is a
// claim that is absent.
//
// It has no JSON form, also where it is embedded: [Verify] and [Sign] refuse a
// type of claims with Claims in it. The registered claims of a [Token] are read by
// its methods.
type Claims struct {
	Issuer    string    // "iss"
	Subject   string    // "sub"
	Audience  []string  // "aud"
	Expiry    time.Time // "exp"
	NotBefore time.Time // "nbf"
	IssuedAt  time.Time // "iat"
	ID        string    // "jti"
}

var errNoJSON = errors.New("jwt: Claims has no JSON form")

// UnmarshalJSON always fails. Otherwise Subject would be read from a claim called
// "Subject", which no policy looks at.
func (*Claims) UnmarshalJSON([]byte) error { return errNoJSON }

// MarshalJSON always fails. Otherwise a claim called "Subject" would be written.
func (Claims) MarshalJSON() ([]byte, error) { return nil, errNoJSON }

// maxDate bounds a NumericDate from above, exclusively: from here on, float64
// no longer tells one second from the next.
const maxDate = 1 << 53

const (
	missing   = "is missing"
	notString = "is not a string"
	notDate   = "is not a number of seconds since 1970"
	tooLong   = "is further from iat than the longest life allowed"

	notAudience = "is neither a string nor a list of strings"
)

// A claimSet is what Verify looks at.
type claimSet struct {
	Claims
	few    [2]string    // memory for a small audience
	object *wire.Object // all claims; nil once they have been checked
}

// has reports whether there is a claim of that name, be its value null.
func (c *claimSet) has(name string) bool { return c.object.Has(name) }

// claim returns the claim of that name, or the zero Value.
func (c *claimSet) claim(name string) wire.Value { return c.object.Find(name) }

// claimNames are the claims that Verify looks at, and the constants their places.
var (
	claimNames    = [...]string{"jti", "iss", "sub", "aud", "iat", "nbf", "exp"} // as Sign writes them
	namesOfClaims = wire.NewNames(claimNames[:]...)
)

const (
	jti = iota
	iss
	sub
	aud
	iat
	nbf
	exp
)

// read reads the claims that Verify looks at. c keeps o until they have
// all been checked.
func (c *claimSet) read(o *wire.Object) error {
	var claims [len(claimNames)]wire.Value
	o.Pick(namesOfClaims, claims[:])
	c.object = o
	switch {
	case !readString(claims[iss], &c.Issuer):
		return &ClaimError{"iss", notString}
	case !readString(claims[sub], &c.Subject):
		return &ClaimError{"sub", notString}
	case !readString(claims[jti], &c.ID):
		return &ClaimError{"jti", notString}
	case !readDate(claims[exp], &c.Expiry):
		return &ClaimError{"exp", notDate}
	case !readDate(claims[nbf], &c.NotBefore):
		return &ClaimError{"nbf", notDate}
	case !readDate(claims[iat], &c.IssuedAt):
		return &ClaimError{"iat", notDate}
	case !c.readAudience(claims[aud]):
		return &ClaimError{"aud", notAudience}
	}
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
		c.few[0], ok = v.Unquote()
		c.Audience = c.few[:1]
		return ok
	}
	c.Audience, ok = v.AppendStrings(c.few[:0])
	return ok && len(c.Audience) > 0
}
