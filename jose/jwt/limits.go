package jwt

import (
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// Form of the payload under a tagged key: it begins with "jti", whose value is
// an 8-byte nonce and a 12-byte tag in base64url.
const (
	taggedPrefix = `{"jti":"`
	taggedLength = 27       // characters of jti
	taggedType   = "at+jwt" // all that a tagged key signs
)

// checkLimits refuses what the key may not sign, however valid the signature.
func checkLimits(m *jws.Message, c *claimSet) error {
	if !m.Key().Limited() {
		return nil
	}
	l, h := m.Key().Limits(), m.Header()
	for _, check := range []*ClaimError{
		checkWindow(l, c),
		checkKeyScope(l, h, c),
		checkNames(l, c),
		checkTagged(l, h, m.PayloadString()),
	} {
		if check != nil {
			return &LimitError{*check}
		}
	}
	return nil
}

// checkWindow holds "iat" against the time in which the key was in use. No
// leeway applies: issuer and key are of one clock.
func checkWindow(l jwk.Limits, c *claimSet) *ClaimError {
	if l.From.IsZero() && l.Until.IsZero() && l.MaxLife == 0 {
		return nil
	}
	switch {
	case c.IssuedAt.IsZero():
		return &ClaimError{"iat", missing}
	case !l.From.IsZero() && c.IssuedAt.Before(l.From), !l.Until.IsZero() && c.IssuedAt.After(l.Until):
		return &ClaimError{"iat", "is outside the key's time"}
	case l.MaxLife != 0 && c.Expiry.IsZero():
		return &ClaimError{"exp", missing}
	case l.MaxLife != 0 && c.Expiry.Sub(c.IssuedAt) > l.MaxLife:
		return &ClaimError{"exp", "is further from iat than the key allows"}
	}
	return nil
}

// checkKeyScope wants every audience to be one of the key's: otherwise a key for
// one audience could name a second beside it, and be good there.
func checkKeyScope(l jwk.Limits, h jws.Header, c *claimSet) *ClaimError {
	foreign := func(aud string) bool { return !slices.Contains(l.Audiences, aud) }
	switch {
	case l.Issuer != "" && c.Issuer != l.Issuer:
		return &ClaimError{"iss", "is not the key's issuer"}
	case l.Subject != "" && c.Subject != l.Subject:
		return &ClaimError{"sub", "is not the key's subject"}
	case len(l.Audiences) > 0 && (c.Audience == nil || slices.ContainsFunc(c.Audience, foreign)):
		return &ClaimError{"aud", "is not an audience of the key"}
	case len(l.Types) > 0 && !slices.ContainsFunc(l.Types, h.HasType):
		return &ClaimError{"typ", "is not a type of the key"}
	case l.Tenant != "" && c.tenant() != l.Tenant:
		return &ClaimError{"tenant", "is not the key's tenant"}
	}
	return nil
}

// checkNames wants no claim beyond those that the key may make. Its error names none
// of them: the name of a claim is the signer's text.
func checkNames(l jwk.Limits, c *claimSet) *ClaimError {
	if len(l.Claims) == 0 {
		return nil
	}
	for i := range c.object.Len() {
		if name, _ := c.object.At(i); !slices.Contains(l.Claims, name) {
			return &ClaimError{"claims", "are more than the key may make"}
		}
	}
	return nil
}

// checkTagged holds a tagged key to the one form in which the notary's tag can
// be found without parsing.
func checkTagged(l jwk.Limits, h jws.Header, payload string) *ClaimError {
	if !l.Tagged {
		return nil
	}
	if !h.HasType(taggedType) {
		return &ClaimError{"typ", "is not at+jwt under a tagged key"}
	}
	rest, ok := strings.CutPrefix(payload, taggedPrefix)
	if !ok || len(rest) <= taggedLength || rest[taggedLength] != '"' {
		return &ClaimError{"jti", "does not carry a tag"}
	}
	if _, err := wire.Decode(rest[:taggedLength]); err != nil {
		return &ClaimError{"jti", "does not carry a tag"}
	}
	return nil
}

// tenant is the claim "tenant", a name of ours and registered nowhere. What is no
// string is another issuer's business, and not the tenant of any key.
func (c *claimSet) tenant() string {
	tenant, _ := c.claim("tenant").Unquote()
	return tenant
}
