package oauth

import (
	"errors"
	"slices"
	"strings"
)

// MaxScope is the longest scope value, in bytes, and MaxScopes the most tokens in it.
const (
	MaxScope  = 1 << 10
	MaxScopes = 64
)

// ScopeAdmin is the scope of administration over HTTPS.
const ScopeAdmin = "admin"

// ErrScope reports a scope that RFC 6749, Section 3.3, does not allow, or one
// above [MaxScope] or [MaxScopes].
var ErrScope = errors.New("scope is malformed")

// Scopes is a set of scope tokens in the order given, without duplicates.
type Scopes []string

// ParseScopes reads a "scope" value: tokens of printable ASCII without space,
// '"' and '\', one space apart (RFC 6749, Section 3.3). Empty is the empty set.
func ParseScopes(s string) (Scopes, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > MaxScope || strings.Count(s, " ") >= MaxScopes {
		return nil, ErrScope
	}
	var set Scopes
	for token := range strings.SplitSeq(s, " ") {
		if !validScope(token) {
			return nil, ErrScope
		}
		if !slices.Contains(set, token) {
			set = append(set, token)
		}
	}
	return set, nil
}

func validScope(token string) bool {
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return token != ""
}

// String returns the set as a "scope" value.
func (s Scopes) String() string { return strings.Join(s, " ") }

// Contains reports whether every scope of want is in s.
func (s Scopes) Contains(want ...string) bool {
	for _, w := range want {
		if !slices.Contains(s, w) {
			return false
		}
	}
	return true
}
