package jwt

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// Values of "typ", by which kinds of token are kept apart (RFC 8725, Section
// 3.11).
const (
	TypeJWT                = "JWT"                       // RFC 7519, Section 5.1: no kind in particular
	TypeAccessToken        = "at+jwt"                    // RFC 9068, Section 2.1
	TypeLogoutToken        = "logout+jwt"                // OpenID Connect Back-Channel Logout 1.0, Section 2.4
	TypeSecurityEventToken = "secevent+jwt"              // RFC 8417, Section 2.3
	TypeDPoPProof          = "dpop+jwt"                  // RFC 9449, Section 4.2
	TypeClientAssertion    = "client-authentication+jwt" // draft-ietf-oauth-rfc7523bis
	TypeStatusListToken    = "statuslist+jwt"            // draft-ietf-oauth-status-list, Section 5.1
)

// A Profile is a kind of token as a specification defines it: its "typ", the
// claims that it must and must not have, and whether "exp" may be absent. A
// token of one kind passes for no other. Profiles are [AccessToken], [IDToken],
// [LogoutToken], [SecurityEventToken], [ClientAssertion], [StatusListToken] and
// [DPoPProof]; their fields say what else a policy wants to see.
//
// A profile never replaces a check of the [Policy], but that [StatusListToken]
// and [DPoPProof], which name no audience, let its Issuer and Audience be empty.
type Profile interface {
	row() *kind
	// settle refuses a policy that leaves open what the profile must know.
	settle(Policy) error
	// check is for what no row can say. The claims that the row requires are
	// there.
	check(p Policy, h jws.Header, c *claimSet, now time.Time) error
}

// A kind is what all tokens of one profile have in common.
type kind struct {
	typ       string
	untyped   bool    // "typ" may be absent, or "JWT"
	lasting   bool    // "exp" may be absent; then "iat" is required
	anybody   bool    // "iss" and "aud" are no part of it: a policy need not name them
	largest   int     // bytes of a token; default jws.MaxToken
	required  []claim // strings are not empty
	forbidden []string
}

// A claim is one that a token must have, and what it is.
type claim struct {
	name string
	kind jsontext.Kind // '"', '0' or '{'
}

// A required claim that is not what it is said to be.
const (
	wrongKind = "is of the wrong type"
	isEmpty   = "is empty"
	foreign   = "does not belong into a token of this kind"
)

// anyKind is that of a policy without a profile.
var anyKind kind

var (
	subject  = claim{"sub", '"'}
	issuedAt = claim{"iat", '0'}
	tokenID  = claim{"jti", '"'}
	events   = claim{"events", '{'}
)

var (
	accessTokens = kind{
		typ:      TypeAccessToken,
		required: []claim{{"iss", '"'}, subject, issuedAt, tokenID, {"client_id", '"'}},
	}
	logoutTokens = kind{
		typ:       TypeLogoutToken,
		required:  []claim{issuedAt, tokenID, events},
		forbidden: []string{"nonce"},
	}
	securityEventTokens = kind{
		typ: TypeSecurityEventToken, lasting: true,
		required:  []claim{{"iss", '"'}, issuedAt, tokenID, events},
		forbidden: []string{"exp", "sub"},
	}
	clientAssertions = kind{
		typ:      TypeClientAssertion,
		required: []claim{{"iss", '"'}, subject, tokenID},
	}
	statusListTokens = kind{
		typ: TypeStatusListToken, lasting: true, anybody: true, largest: jws.MaxLarge,
		required: []claim{subject, issuedAt, {"status_list", '{'}},
	}
	dpopProofs = kind{
		typ: TypeDPoPProof, lasting: true, anybody: true,
		required: []claim{issuedAt, tokenID, {"htm", '"'}, {"htu", '"'}},
	}

	untypedLogoutTokens     = withoutType(logoutTokens)
	untypedClientAssertions = withoutType(clientAssertions)
)

func withoutType(k kind) kind {
	k.untyped = true
	return k
}

// check asks for the required claims and refuses the forbidden ones.
func (k *kind) check(c *claimSet) error {
	for _, r := range k.required {
		switch v := c.claim(r.name); {
		case v.Kind() == 0:
			return &ClaimError{r.name, missing}
		case v.Kind() != r.kind:
			return &ClaimError{r.name, wrongKind}
		case v.Text() == `""`:
			return &ClaimError{r.name, isEmpty}
		}
	}
	for _, name := range k.forbidden {
		if c.has(name) {
			return &ClaimError{name, foreign}
		}
	}
	return nil
}

// AccessToken is the profile of RFC 9068, Section 2.2: "typ" is at+jwt, and
// "iss", "exp", "aud", "sub", "client_id", "iat" and "jti" are there.
type AccessToken struct{}

func (AccessToken) row() *kind                                           { return &accessTokens }
func (AccessToken) settle(Policy) error                                  { return nil }
func (AccessToken) check(Policy, jws.Header, *claimSet, time.Time) error { return nil }

// BackChannelLogout is the event of a logout token.
const BackChannelLogout = "http://schemas.openid.net/event/backchannel-logout"

// LogoutToken is the profile of OpenID Connect Back-Channel Logout 1.0, Sections
// 2.4 and 2.6: "iat", "jti", "exp", the event [BackChannelLogout], "sub" or
// "sid" or both, and no "nonce", which would make it an ID token. Whether "jti"
// has been seen before is for the caller to remember.
type LogoutToken struct {
	Untyped bool // accept also no "typ" and "JWT", as issuers older than logout+jwt write
}

func (l LogoutToken) row() *kind {
	if l.Untyped {
		return &untypedLogoutTokens
	}
	return &logoutTokens
}

func (LogoutToken) settle(Policy) error { return nil }

func (LogoutToken) check(_ Policy, _ jws.Header, c *claimSet, _ time.Time) error {
	if eventsOf(c)[BackChannelLogout].Kind() != '{' {
		return &ClaimError{"events", "does not say that it is a logout"}
	}
	switch sid := c.claim("sid"); {
	case sid.Kind() == 0 && c.Subject == "":
		return &ClaimError{"sub", "is missing, and so is sid"}
	case sid.Kind() != 0 && (sid.Kind() != '"' || sid.Text() == `""`):
		return &ClaimError{"sid", wrongKind}
	}
	return nil
}

// SecurityEventToken is the profile of RFC 8417: "iss", "iat", "jti" and at
// least one event. As the OpenID Shared Signals Framework wants it, "exp" and
// "sub" are refused, by which such a token could pass for another kind (RFC
// 8417, Sections 4.1 and 4.6); it says whom it is about in "sub_id" or in the
// event. It is good for the MaxLife of the policy from "iat" on. Whether "jti" has
// been seen before is for the caller to remember, for that long.
type SecurityEventToken struct{}

func (SecurityEventToken) row() *kind          { return &securityEventTokens }
func (SecurityEventToken) settle(Policy) error { return nil }

func (SecurityEventToken) check(_ Policy, _ jws.Header, c *claimSet, _ time.Time) error {
	events := eventsOf(c)
	if len(events) == 0 {
		return &ClaimError{"events", "names no event"}
	}
	for _, payload := range events {
		if payload.Kind() != '{' {
			return &ClaimError{"events", wrongKind}
		}
	}
	if id := c.claim("sub_id"); id.Kind() != 0 && id.Kind() != '{' {
		return &ClaimError{"sub_id", wrongKind} // RFC 9493, Section 4.1
	}
	return nil
}

// eventsOf reads "events", which is an object, by the names of the events.
func eventsOf(c *claimSet) (events map[string]jsontext.Value) {
	if wire.Unmarshal([]byte(c.claim("events").Text()), &events) != nil {
		return nil
	}
	return events
}

// ClientAssertion is the profile by which a client authenticates (RFC 7523,
// Sections 2.2 and 3, with draft-ietf-oauth-rfc7523bis). The policy's Issuer is
// the client id, which "iss" and "sub" must be, and its Audience is the issuer
// identifier of the authorization server, the one value of "aud": never its
// token endpoint. "jti" is required; whether it has been seen before is for the
// caller to remember.
type ClientAssertion struct {
	Untyped bool // accept also no "typ" and "JWT", as clients older than the draft write
}

func (a ClientAssertion) row() *kind {
	if a.Untyped {
		return &untypedClientAssertions
	}
	return &clientAssertions
}

func (ClientAssertion) settle(p Policy) error {
	switch {
	case p.InsecureSkipIssuer:
		return &PolicyError{"InsecureSkipIssuer", "is not for a client assertion"}
	case p.InsecureSkipAudience:
		return &PolicyError{"InsecureSkipAudience", "is not for a client assertion"}
	}
	return nil
}

func (ClientAssertion) check(_ Policy, _ jws.Header, c *claimSet, _ time.Time) error {
	switch {
	case c.Subject != c.Issuer:
		return &ClaimError{"sub", "is not the client"}
	case len(c.Audience) != 1:
		return &ClaimError{"aud", "names more than this server"}
	}
	return nil
}

// maxTTL is the largest "ttl", in seconds: beyond it is no caching but neglect.
const maxTTL = 366 * 24 * 60 * 60

// StatusListToken is the profile of draft-ietf-oauth-status-list, Section 5.1:
// "sub" is the URI under which the list was asked for, "iat" and "status_list"
// are there, and "ttl", if it is there, is above 0 and at most 366 days. It is
// good up to "exp" if it is there, and for the MaxLife of the policy from "iat" on
// at most. Package oauth/statuslist reads the list.
type StatusListToken struct {
	URI string // what "sub" must be: that of the token whose status is asked for; required
}

func (StatusListToken) row() *kind { return &statusListTokens }

func (s StatusListToken) settle(Policy) error {
	if s.URI == "" {
		return &PolicyError{"Profile.URI", "is required"}
	}
	return nil
}

func (s StatusListToken) check(_ Policy, _ jws.Header, c *claimSet, _ time.Time) error {
	if c.Subject != s.URI {
		return &ClaimError{"sub", "is not the URI wanted"}
	}
	ttl := c.claim("ttl")
	if ttl.Kind() == 0 {
		return nil
	}
	seconds, err := strconv.ParseFloat(ttl.Text(), 64)
	if ttl.Kind() != '0' || err != nil || seconds <= 0 || seconds > maxTTL {
		return &ClaimError{"ttl", "is not a positive number of seconds of at most 366 days"}
	}
	return nil
}

// DPoPProof is the profile of RFC 9449, Section 4.2, but for what a proof must be
// compared with: that is package oauth/dpop, which verifies it with the key that
// it brings. It is good for the MaxLife of the policy from "iat" on.
type DPoPProof struct{}

func (DPoPProof) row() *kind                                           { return &dpopProofs }
func (DPoPProof) settle(Policy) error                                  { return nil }
func (DPoPProof) check(Policy, jws.Header, *claimSet, time.Time) error { return nil }
