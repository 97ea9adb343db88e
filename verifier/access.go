package verifier

import (
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/jose/jwt"
)

// Access holds the claims of an access token (RFC 9068, Section 2.2) that a
// Verifier looks at beside the registered ones. A service with claims of its own
// reads them with [From] or [jwt.As].
type Access struct {
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope"`
	SessionID string   `json:"sid"`
	Tenant    string   `json:"tenant"`
	Roles     []string `json:"roles"`
	// RSQ is the head of the revocation log at the moment of minting. It is nil
	// in tokens of issuers that have no feed.
	RSQ *uint64 `json:"rsq"`
	// Confirmation is the key that the token is bound to.
	Confirmation Confirmation `json:"cnf"`
	// Actor is who acts for the subject (RFC 8693, Section 4.1).
	Actor Actor `json:"act"`
}

// Confirmation is the claim "cnf" (RFC 7800): the key that whoever shows the token
// has to hold.
type Confirmation struct {
	Thumbprint  string `json:"jkt"`      // of a DPoP key (RFC 9449, Section 6.1)
	Certificate string `json:"x5t#S256"` // of a client certificate (RFC 8705, Section 3.1)
}

// Actor is the claim "act".
type Actor struct {
	Subject string `json:"sub"`
}

// Scopes returns the scope as a list (RFC 6749, Section 3.3).
func (a Access) Scopes() []string { return strings.Fields(a.Scope) }

// A Route is what one route asks beyond a good token. The zero Route asks nothing.
type Route struct {
	// Sensitive routes answer 503 rather than trust a table that is older than
	// [LateFor], and wait up to [CatchUp] where a token shows that we lag.
	Sensitive bool
	Scope     []string // all of them
	Roles     []string // at least one of them
}

// permits holds a token against the route.
func (r Route) permits(tok *jwt.Token[Access]) error {
	access := tok.Claims()
	if len(r.Scope) > 0 {
		have := access.Scopes()
		for _, s := range r.Scope {
			if !slices.Contains(have, s) {
				return &ScopeError{Scope: r.Scope}
			}
		}
	}
	has := func(role string) bool { return slices.Contains(access.Roles, role) }
	if len(r.Roles) > 0 && !slices.ContainsFunc(r.Roles, has) {
		return ErrRole
	}
	return nil
}
