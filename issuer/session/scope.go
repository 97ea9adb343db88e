package session

import (
	"slices"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/oauth"
)

func (s *Server) hasAudience(name string) bool {
	return name == s.cfg.DefaultAudience ||
		slices.ContainsFunc(s.cfg.Audiences, func(a Audience) bool { return a.Name == name })
}

// roleFor returns the role that a scope takes, "" for none, and whether there is
// such a scope. Nobody configures administration open by accident.
func (s *Server) roleFor(scope string) (role string, ok bool) {
	role, ok = s.cfg.Scopes[scope]
	if scope == oauth.ScopeAdmin && role == "" {
		return oauth.ScopeAdmin, true
	}
	return role, ok
}

func (s *Server) hasScopes(scopes oauth.Scopes) bool {
	return !slices.ContainsFunc(scopes, func(scope string) bool {
		_, ok := s.roleFor(scope)
		return !ok
	})
}

// granted returns those of scopes that the user's roles allow now. It is asked
// at each mint, so that a role taken away takes its scope along.
func (s *Server) granted(scopes oauth.Scopes, user *store.User) oauth.Scopes {
	var granted oauth.Scopes
	for _, scope := range scopes {
		role, ok := s.roleFor(scope)
		if ok && (role == "" || slices.Contains(user.Roles, role)) {
			granted = append(granted, scope)
		}
	}
	return granted
}
