package oauth

// GrantRefreshToken is the grant type of RFC 6749, Section 6.
const GrantRefreshToken = "refresh_token"

// Bearer is the token type of RFC 6750.
const Bearer = "Bearer"

// AccessTokenType is the "typ" of an access token that is a JWT (RFC 9068,
// Section 2.1).
const AccessTokenType = "at+jwt"

// AccessCookie is the cookie in which an issuer hands out an access token and a
// verifier takes it. The prefix makes browsers refuse one that was not set by
// this very host over HTTPS, or that a script could read or set.
const AccessCookie = "__Host-Http-access_token"

// TokenResponse is a successful answer of the token endpoint (RFC 6749, Section
// 5.1). SessionID is an extension: the "sid" of the session, which names it to
// an administrator and to the revocation endpoint.
type TokenResponse struct {
	AccessToken  string `json:"access_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	Scope        string `json:"scope"`      // always there: what was granted, possibly nothing
	SessionID    string `json:"session_id,omitempty"`
}

// An ErrorResponse is the body of every refusal (RFC 6749, Section 5.2).
type ErrorResponse struct {
	Code        ErrorCode `json:"error"`
	Description string    `json:"error_description,omitempty"`
}

// An ErrorCode is the "error" member of a refusal.
type ErrorCode = string

// The codes of RFC 6749, Section 5.2.
const (
	InvalidRequest       ErrorCode = "invalid_request"
	InvalidClient        ErrorCode = "invalid_client"
	InvalidGrant         ErrorCode = "invalid_grant"
	UnauthorizedClient   ErrorCode = "unauthorized_client"
	UnsupportedGrantType ErrorCode = "unsupported_grant_type"
	InvalidScope         ErrorCode = "invalid_scope"
)

// The codes of RFC 6749, Section 4.1.2.1, that an endpoint without redirection uses too.
const (
	AccessDenied           ErrorCode = "access_denied"
	ServerError            ErrorCode = "server_error"
	TemporarilyUnavailable ErrorCode = "temporarily_unavailable"
)

// InvalidTarget is the code of RFC 8707, Section 2.
const InvalidTarget ErrorCode = "invalid_target"

// The codes of RFC 6750, Section 3.1.
const (
	InvalidToken      ErrorCode = "invalid_token"
	InsufficientScope ErrorCode = "insufficient_scope"
)

// UnsupportedTokenType is the code of RFC 7009, Section 2.2.1.
const UnsupportedTokenType ErrorCode = "unsupported_token_type"

// Codes of our own, for what no RFC names.
const (
	NotFound ErrorCode = "not_found" // no such thing
	Conflict ErrorCode = "conflict"  // it exists already, or changed under the request
	Gone     ErrorCode = "gone"      // a feed position that can no longer be resumed
)
