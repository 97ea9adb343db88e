package verifier

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
)

// What a caller may branch on beside the errors of packages jwt and jwk.
var (
	// ErrNotReady reports that keys or table are not there yet. [Verifier.Ready]
	// says which and why.
	ErrNotReady = errors.New("the verifier is not ready")
	// ErrStale reports a sensitive route and a table too old for it.
	ErrStale = errors.New("the revocation table is stale")
	// ErrBlind reports that the feed has been silent for longer than a token lives.
	ErrBlind = errors.New("the revocation feed has been silent for too long")
	// ErrAhead reports an rsq that the issuer's log had not reached when it was
	// seen: no honest issuer makes such a token.
	ErrAhead = errors.New("token claims a revocation number that does not exist")
	// ErrUnproved reports a token of a key under quarantine that the auditor did not
	// prove genuine within [ProveWait].
	ErrUnproved = errors.New("token is under quarantine and was not proved in time")
	// ErrForged reports a token of a key under quarantine that the notary did not
	// make: the signing key is in other hands.
	ErrForged = errors.New("token is forged")
	// ErrCanary reports a token signed by a key that the issuer planted for thieves.
	ErrCanary = errors.New("token is signed by a canary key")
	// ErrBound reports a token that is bound to a key and came as a bearer token.
	ErrBound = errors.New("token is bound to a key and came without its proof")
	// ErrNoToken reports a request without a token.
	ErrNoToken = errors.New("no access token")
	// ErrRole reports that the subject has none of the route's roles.
	ErrRole = errors.New("none of the roles that the route asks for")
	// ErrCrossOrigin reports a cookie that came from another origin's page.
	ErrCrossOrigin = errors.New("cross-origin request with a cookie")
)

// A RevokedError reports a token that is genuine and revoked.
type RevokedError struct {
	// Kind is what was revoked. It is 0 for a token minted before everything
	// that this verifier still remembers, which may have been.
	Kind revocation.Kind
}

// Error implements error.
func (e *RevokedError) Error() string {
	if e.Kind == 0 {
		return "token is older than the revocations remembered"
	}
	return "revoked by " + e.Kind.String()
}

// A ScopeError reports that a token lacks scope.
type ScopeError struct{ Scope []string } // what the route asks for

// Error implements error.
func (e *ScopeError) Error() string { return "insufficient scope" }

// A RequestError reports a request that carries a token in a wrong way.
type RequestError struct{ Reason string }

// Error implements error.
func (e *RequestError) Error() string { return e.Reason }

// retryAfter is what a 503 asks of clients.
const retryAfter = time.Second

// StatusOf is the one table that turns errors into answers: a status, the
// WWW-Authenticate challenge of RFC 6750, Section 3 (empty if none belongs to
// it) and how long to wait before another attempt (0 if it is no use). The
// answer tells a client what it can act on and nothing else.
func StatusOf(err error) (status int, challenge string, retry time.Duration) {
	var (
		request *RequestError
		scope   *ScopeError
	)
	explained := jwt.Explain(err)
	switch {
	case err == nil:
		return http.StatusOK, "", 0
	case errors.Is(err, ErrNoToken):
		return http.StatusUnauthorized, "Bearer", 0 // RFC 6750, Section 3.1: without an error code
	case errors.As(err, &request):
		return http.StatusBadRequest, bearer("invalid_request", request.Reason), 0
	case errors.Is(err, ErrCrossOrigin):
		return http.StatusForbidden, "", 0
	case errors.As(err, &scope):
		return http.StatusForbidden, bearer("insufficient_scope", "") + `, scope="` + scopeList(scope.Scope) + `"`, 0
	case errors.Is(err, ErrRole):
		return http.StatusForbidden, bearer("insufficient_scope", ""), 0
	case errors.Is(err, ErrNotReady), errors.Is(err, ErrStale), errors.Is(err, ErrBlind), explained.Reason == jwt.ReasonUnavailable:
		return http.StatusServiceUnavailable, "", retryAfter
	case explained.Stage == jwt.StagePolicy:
		return http.StatusInternalServerError, "", 0
	}
	return http.StatusUnauthorized, bearer("invalid_token", describe(err)), 0
}

func bearer(code, description string) string {
	if description == "" {
		return `Bearer error="` + code + `"`
	}
	return `Bearer error="` + code + `", error_description="` + description + `"`
}

func describe(err error) string {
	var revoked *RevokedError
	switch {
	case errors.As(err, &revoked):
		return "the token was revoked"
	case errors.Is(err, ErrBound):
		return "the token needs a proof of possession"
	}
	_, description := jwt.Explain(err).Client()
	return description
}

// scopeList writes scopes for a quoted string. RFC 6749, Section 3.3 leaves no
// character in a scope that would need escaping; others are dropped.
func scopeList(scope []string) string {
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r < ' ' || r > '~' {
			return -1
		}
		return r
	}, strings.Join(scope, " "))
}
