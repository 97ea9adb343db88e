package jwt

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// maxSubject is the longest "sub" of an ID token, in bytes (OpenID Connect Core
// 1.0, Section 2).
const maxSubject = 255

// IDToken is the profile of OpenID Connect Core 1.0, Sections 2 and 3.1.3.7. The
// policy's Audience is the client id. "sub" and "iat" are required, and "nonce"
// unless it is skipped.
//
// ID tokens came before there were names for kinds of token: their "typ" is
// absent or "JWT". So this profile also refuses what marks the other kinds, in
// the forms that they had or have without a "typ": a scope (an access token), an
// event (a logout or security event token), a list of statuses, the method of a
// request (a DPoP proof), and a subject that is the issuer (a client assertion).
type IDToken struct {
	Nonce             string // what "nonce" must be: that of the authentication request; required
	InsecureSkipNonce bool   // accept every "nonce" and none; Nonce must be empty

	// AuthorizedParty is what "azp" must be. By default it must be the policy's
	// Audience if it is there, and be there if "aud" names more than one.
	AuthorizedParty string
	AccessToken     string        // the one that came along: "at_hash" must be there and fit it; default not looked at
	Code            string        // the one that came along: "c_hash" must be there and fit it; default not looked at
	MaxAge          time.Duration // of "auth_time", which must then be there; default not looked at
	ACR             []string      // "acr" must be one of them; default not looked at
}

var idTokens = kind{
	typ: TypeJWT, untyped: true,
	required:  []claim{{"iss", '"'}, subject, issuedAt},
	forbidden: []string{"events", "scope", "scp", "status_list", "htm", "htu"},
}

func (IDToken) row() *kind { return &idTokens }

func (id IDToken) settle(p Policy) error {
	switch {
	case p.InsecureSkipAudience && id.AuthorizedParty == "":
		return &PolicyError{"InsecureSkipAudience", "is not for an ID token without Profile.AuthorizedParty"}
	case id.Nonce == "" && !id.InsecureSkipNonce:
		return &PolicyError{"Profile.Nonce", "is required"}
	case id.Nonce != "" && id.InsecureSkipNonce:
		return &PolicyError{"Profile.Nonce", "is given and skipped"}
	case id.MaxAge < 0:
		return &PolicyError{"Profile.MaxAge", "is negative"}
	case id.ACR != nil && len(id.ACR) == 0:
		return &PolicyError{"Profile.ACR", "allows none; nil allows all"}
	}
	return nil
}

func (id IDToken) check(p Policy, h jws.Header, c *claimSet, now time.Time) error {
	switch {
	case c.Subject == c.Issuer:
		return &ClaimError{"sub", "is the issuer, as in a client assertion"}
	case len(c.Subject) > maxSubject:
		return &ClaimError{"sub", "is longer than 255 bytes"}
	}
	return cmp.Or(
		id.checkParty(p, c),
		equal(c, "nonce", id.Nonce),
		checkHash(c, "at_hash", h.Algorithm, id.AccessToken),
		checkHash(c, "c_hash", h.Algorithm, id.Code),
		id.checkContext(c),
		id.checkAge(p, c, now),
	)
}

// checkParty is steps 4 and 5 of Section 3.1.3.7. Some issuers name the client in
// "client_id" as well.
func (id IDToken) checkParty(p Policy, c *claimSet) error {
	party := cmp.Or(id.AuthorizedParty, p.Audience)
	for _, name := range []string{"azp", "client_id"} {
		if c.has(name) || name == "azp" && (len(c.Audience) > 1 || id.AuthorizedParty != "") {
			if err := equal(c, name, party); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkContext is step 12.
func (id IDToken) checkContext(c *claimSet) error {
	if id.ACR == nil {
		return nil
	}
	var acr string
	switch v := c.claim("acr"); {
	case v.Kind() == 0:
		return &ClaimError{"acr", missing}
	case !readString(v, &acr) || !slices.Contains(id.ACR, acr):
		return &ClaimError{"acr", "is not one of those wanted"}
	}
	return nil
}

// checkAge is step 13.
func (id IDToken) checkAge(p Policy, c *claimSet, now time.Time) error {
	if id.MaxAge == 0 {
		return nil
	}
	var at time.Time
	switch v := c.claim("auth_time"); {
	case v.Kind() == 0:
		return &ClaimError{"auth_time", missing}
	case !readDate(v, &at):
		return &ClaimError{"auth_time", notDate}
	case at.After(now.Add(p.Leeway)):
		return &NotYetError{"auth_time", at}
	case now.Sub(at) > id.MaxAge+p.Leeway:
		return &ClaimError{"auth_time", "is longer ago than the longest time allowed"}
	}
	return nil
}

// equal asks for a claim that is the string want. An empty want asks for nothing.
func equal(c *claimSet, name, want string) error {
	if want == "" {
		return nil
	}
	var s string
	switch v := c.claim(name); {
	case v.Kind() == 0:
		return &ClaimError{name, missing}
	case !readString(v, &s):
		return &ClaimError{name, notString}
	case s != want:
		return &ClaimError{name, "is not the one wanted"}
	}
	return nil
}

// checkHash asks for a claim that is the hash of text. An empty text asks for
// nothing.
func checkHash(c *claimSet, name string, alg jwk.Algorithm, text string) error {
	if text == "" {
		return nil
	}
	want := halfHash(alg, text)
	if want == "" {
		return &ClaimError{name, "has no hash function under this algorithm"}
	}
	return equal(c, name, want)
}

// halfHash is the left half of the hash that alg is made with, in base64url
// (OpenID Connect Core 1.0, Section 3.1.3.6). For Ed25519 that is SHA-512, as
// RFC 8032, Section 5.1 has it. Others have none that anybody agreed upon.
func halfHash(alg jwk.Algorithm, text string) string {
	switch alg {
	case jwk.HS256, jwk.RS256, jwk.PS256, jwk.ES256:
		sum := sha256.Sum256([]byte(text))
		return wire.Encode(sum[:len(sum)/2])
	case jwk.HS384, jwk.RS384, jwk.PS384, jwk.ES384:
		sum := sha512.Sum384([]byte(text))
		return wire.Encode(sum[:len(sum)/2])
	case jwk.HS512, jwk.RS512, jwk.PS512, jwk.ES512, jwk.Ed25519, jwk.EdDSA:
		sum := sha512.Sum512([]byte(text))
		return wire.Encode(sum[:len(sum)/2])
	}
	return ""
}
