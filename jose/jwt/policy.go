package jwt

import (
	"cmp"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// Bounds and defaults of a Policy.
const (
	DefaultLeeway  = 60 * time.Second
	MaxLeeway      = 10 * time.Minute
	NoLeeway       = time.Duration(-1)
	DefaultMaxLife = 24 * time.Hour
)

// A Policy says which tokens Verify accepts. Issuer, Audience, Now and one of
// Type and Profile are required: an empty one is an error, not the absence of a
// check.
type Policy struct {
	Issuer   string           // must equal "iss", byte for byte
	Audience string           // must be among "aud", byte for byte
	Type     string           // must name the media type of "typ", for example "at+jwt"; see jws.Header.HasType
	Profile  Profile          // in place of Type: a kind of token, for example AccessToken{}
	Now      func() time.Time // usually time.Now

	Algorithms []jwk.Algorithm // names that "alg" may have; default: whatever the key is for
	Leeway     time.Duration   // difference of clocks forgiven, once each way; default 60 s, at most MaxLeeway, NoLeeway is zero
	MaxLife    time.Duration   // longest time from "iat" to "exp", or from "iat" to now where Profile needs no "exp"; default 24 h
	MaxToken   int             // longest token, in bytes; default jws.MaxToken, and never more but for a status list: jws.MaxLarge

	InsecureSkipIssuer   bool // accept every "iss" and none; Issuer must be empty
	InsecureSkipAudience bool // accept every "aud" and none; Audience must be empty
	InsecureSkipType     bool // accept every "typ" and none; Type and Profile must be empty

	kind *kind // that of Profile; set by check
}

// check refuses a policy that cannot be applied, and fills in the defaults of any
// other, once.
func (p *Policy) check(keys jwk.Source) error {
	p.kind = &anyKind
	if p.Profile != nil {
		if p.Type != "" {
			return &PolicyError{"Type", "is given beside Profile"}
		}
		p.kind = p.Profile.row()
		p.Type = p.kind.typ
		if err := p.Profile.settle(*p); err != nil {
			return err
		}
	}
	if err := p.checkNames(); err != nil {
		return err
	}
	switch {
	case p.Now == nil:
		return &PolicyError{"Now", "is required"}
	case keys == nil:
		return &PolicyError{"keys", "are required"}
	case p.Algorithms != nil && len(p.Algorithms) == 0:
		return &PolicyError{"Algorithms", "allows none; nil allows the key's"}
	case p.Leeway < 0 && p.Leeway != NoLeeway:
		return &PolicyError{"Leeway", "is negative"}
	case p.Leeway > MaxLeeway:
		return &PolicyError{"Leeway", "is above 10 minutes"}
	case p.MaxLife < 0:
		return &PolicyError{"MaxLife", "is negative"}
	case p.MaxToken < 0 || p.MaxToken > cmp.Or(p.kind.largest, jws.MaxToken):
		return &PolicyError{"MaxToken", "is negative or above jws.MaxToken"}
	}
	p.fill()
	return nil
}

// checkNames wants each of issuer, audience and type to be either given or waived.
func (p *Policy) checkNames() error {
	switch {
	case p.Issuer == "" && !p.InsecureSkipIssuer && !p.kind.anybody:
		return &PolicyError{"Issuer", isRequired}
	case p.Issuer != "" && p.InsecureSkipIssuer:
		return &PolicyError{"Issuer", isSkipped}
	case p.Audience == "" && !p.InsecureSkipAudience && !p.kind.anybody:
		return &PolicyError{"Audience", isRequired}
	case p.Audience != "" && p.InsecureSkipAudience:
		return &PolicyError{"Audience", isSkipped}
	case p.Type == "" && !p.InsecureSkipType:
		return &PolicyError{"Type", isRequired}
	case p.Type != "" && p.InsecureSkipType:
		return &PolicyError{"Type", isSkipped}
	}
	return nil
}

const (
	isRequired = "is required"
	isSkipped  = "is given and skipped"
)

// fill puts in the defaults.
func (p *Policy) fill() {
	switch p.Leeway {
	case 0:
		p.Leeway = DefaultLeeway
	case NoLeeway:
		p.Leeway = 0
	}
	if p.MaxLife == 0 {
		p.MaxLife = DefaultMaxLife
	}
	if p.MaxToken == 0 {
		p.MaxToken = cmp.Or(p.kind.largest, jws.MaxToken)
	}
}

// checkScope is everything in a signed token that does not change with time, but
// for what its profile wants.
func (p *Policy) checkScope(h *jws.Header, c *claimSet) error {
	switch {
	case p.Type != "" && h.Type == "" && !p.kind.untyped:
		return &ClaimError{"typ", missing}
	case p.Type != "" && h.Type != "" && h.Type != p.Type && !h.HasType(p.Type) && !(p.kind.untyped && h.HasType(TypeJWT)):
		return &ClaimError{"typ", "is not the type wanted"}
	case p.Issuer != "" && c.Issuer != p.Issuer:
		return c.mismatch("iss", "is not the issuer wanted")
	case p.Audience != "" && c.Audience == nil:
		return &ClaimError{"aud", missing}
	case p.Audience != "" && !slices.Contains(c.Audience, p.Audience):
		return &ClaimError{"aud", "does not name the audience wanted"}
	case c.Expiry.IsZero() && !p.kind.lasting:
		return &ClaimError{"exp", missing}
	}
	return nil
}

// mismatch reports a claim that is not what is wanted, or not there.
func (c *claimSet) mismatch(name, reason string) error {
	if !c.has(name) {
		reason = missing
	}
	return &ClaimError{name, reason}
}

// checkProfile asks for what marks a token of the profile.
func (p *Policy) checkProfile(h *jws.Header, c *claimSet, now time.Time) error {
	if p.Profile == nil {
		return nil
	}
	if err := p.kind.check(c); err != nil {
		return err
	}
	return p.Profile.check(*p, *h, c, now)
}

// checkBegun refuses tokens from the future and tokens that live too long.
func (p *Policy) checkBegun(c *claimSet, now time.Time) error {
	latest := now.Add(p.Leeway)
	if c.NotBefore.After(latest) {
		return &NotYetError{"nbf", c.NotBefore}
	}
	if c.IssuedAt.After(latest) {
		return &NotYetError{"iat", c.IssuedAt}
	}
	if p.kind.lasting {
		return nil // however far off its end is said to be: see end
	}
	// "iat" is optional in RFC 7519. Without it a token is taken to be as young
	// as it can be.
	born := c.IssuedAt
	if born.IsZero() {
		born = latest
	}
	if c.Expiry.Sub(born) > p.MaxLife {
		return &ClaimError{"exp", tooLong}
	}
	return nil
}

// end is the moment up to which a token is good. Where a profile can do without
// "exp" it counts if it is there, but a token is never older than the longest
// life allowed.
func (p *Policy) end(c *claimSet) time.Time {
	if !p.kind.lasting {
		return c.Expiry
	}
	oldest := c.IssuedAt.Add(p.MaxLife)
	if c.Expiry.IsZero() || oldest.Before(c.Expiry) {
		return oldest
	}
	return c.Expiry
}

// checkExpiry comes last of all, so that an ExpiredError means what it says. RFC
// 7519, Section 4.1.4: at "exp" itself a token is no longer good. A leeway is
// forgiven to its last moment.
func (p *Policy) checkExpiry(c *claimSet, now time.Time) error {
	end := p.end(c)
	if late := now.Sub(end); late > p.Leeway || late == 0 && p.Leeway == 0 {
		return &ExpiredError{end}
	}
	return nil
}
