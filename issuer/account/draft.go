package account

import (
	"context"
	"crypto/rand"
	_ "embed"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// Bounds on what an account may hold. A role or a claim travels in each token.
const (
	MaxName     = 128  // bytes of a user name
	MinPassword = 8    // bytes
	MaxPassword = 1024 // bytes
	MaxRoles    = 32
	MaxRole     = 64 // bytes of one role
	MaxClaims   = 32
	MaxClaim    = 64   // bytes of a claim's name
	MaxValue    = 1024 // bytes of a claim's value
	MaxTenant   = 128  // bytes
	idSize      = 12   // random bytes of a user's id: 16 characters of each token
)

// An InputError reports input that cannot become part of an account. Its text
// is for the person who typed it and repeats no password.
type InputError struct {
	Field  string // "name", "password", "role", "claim", "tenant"
	Reason string
}

func (e *InputError) Error() string { return e.Field + " " + e.Reason }

// NormalizeName returns the one spelling under which an account is stored and
// looked up: ASCII letters in lower case, everything else as it is. Control
// characters, spaces at the ends, invalid UTF-8 and more than [MaxName] bytes
// are refused.
func NormalizeName(name string) (string, error) {
	switch {
	case name == "" || len(name) > MaxName:
		return "", &InputError{"name", "must have 1 to 128 bytes"}
	case !printable(name):
		return "", &InputError{"name", "must be UTF-8 without control characters"}
	case strings.TrimSpace(name) != name:
		return "", &InputError{"name", "must not begin or end with a space"}
	}
	return strings.Map(asciiLower, name), nil
}

func asciiLower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + ('a' - 'A')
	}
	return r
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.Is(unicode.C, r) || r == '\u2028' || r == '\u2029'
	})
}

// CheckPassword accepts any UTF-8 text of [MinPassword] to [MaxPassword] bytes.
// It is for passwords being set; one being checked is simply right or wrong.
func CheckPassword(password string) error {
	if len(password) < MinPassword || len(password) > MaxPassword {
		return &InputError{"password", "must have 8 to 1024 bytes"}
	}
	if !utf8.ValidString(password) {
		return &InputError{"password", "must be UTF-8"}
	}
	return nil
}

// CheckRole accepts 1 to [MaxRole] printable characters without spaces.
func CheckRole(role string) error {
	if role == "" || len(role) > MaxRole || !printable(role) || strings.ContainsFunc(role, unicode.IsSpace) {
		return &InputError{"role", "must have 1 to 64 bytes without spaces or control characters"}
	}
	return nil
}

// registeredClaims lists the names of the IANA "JSON Web Token Claims" registry
// (RFC 7519, Section 10.1), one a line, and those that our tokens add.
//
//go:embed registered_claims.txt
var registeredClaims string

// registered is registeredClaims, sorted for binary search.
var registered = sortedLines(registeredClaims)

func sortedLines(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if name := strings.TrimSpace(line); name != "" && !strings.HasPrefix(name, "#") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// CheckClaim accepts the name of an application's own claim. Names of the IANA
// registry are refused: they have a meaning that only the issuer can vouch for.
func CheckClaim(name string) error {
	if name == "" || len(name) > MaxClaim || !printable(name) {
		return &InputError{"claim", "name must have 1 to 64 bytes without control characters"}
	}
	if _, found := slices.BinarySearch(registered, name); found {
		return &InputError{"claim", "name " + name + " is registered with IANA and not yours to set"}
	}
	return nil
}

// A Draft is an account about to be made. Name and Password are required.
type Draft struct {
	Name     string
	Password string
	Tenant   string
	Roles    []string
	Claims   map[string]jsontext.Value // an application's own, in each access token
}

func (d *Draft) check() error {
	if err := CheckPassword(d.Password); err != nil {
		return err
	}
	if len(d.Tenant) > MaxTenant || !printable(d.Tenant) {
		return &InputError{"tenant", "must have at most 128 bytes without control characters"}
	}
	if err := checkRoles(d.Roles); err != nil {
		return err
	}
	return checkClaims(d.Claims)
}

func checkRoles(roles []string) error {
	if len(roles) > MaxRoles {
		return &InputError{"role", "list is longer than 32"}
	}
	for _, role := range roles {
		if err := CheckRole(role); err != nil {
			return err
		}
	}
	return nil
}

func checkClaims(claims map[string]jsontext.Value) error {
	if len(claims) > MaxClaims {
		return &InputError{"claim", "list is longer than 32"}
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if err := CheckClaim(name); err != nil {
			return err
		}
		var v any
		if len(claims[name]) > MaxValue || wire.Unmarshal(claims[name], &v) != nil {
			return &InputError{"claim", "value of " + name + " must be JSON of at most 1024 bytes"}
		}
	}
	return nil
}

// NewUser checks d, hashes its password and returns the row to create, with a
// fresh id; Created is the caller's to set, from the store's clock. Errors are
// *[InputError], [ErrBusy] and the error of ctx.
func (h *Hasher) NewUser(ctx context.Context, d Draft) (store.User, error) {
	name, err := NormalizeName(d.Name)
	if err != nil {
		return store.User{}, err
	}
	if err := d.check(); err != nil {
		return store.User{}, err
	}
	hash, err := h.Hash(ctx, d.Password)
	if err != nil {
		return store.User{}, err
	}
	return store.User{
		ID:           NewID(),
		Name:         name,
		PasswordHash: hash,
		Tenant:       d.Tenant,
		Roles:        slices.Clone(d.Roles),
		Claims:       maps.Clone(d.Claims),
	}, nil
}

// NewID returns a fresh user id: 96 random bits in 16 characters.
func NewID() string {
	b := make([]byte, idSize)
	rand.Read(b)
	return wire.Encode(b)
}
