package jwk

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// Limits bound what a key's signatures are worth: a valid signature outside
// them counts for nothing. The zero value sets no bounds. Package jwt enforces
// them; a Key only carries them. Times and durations have a precision of a second.
//
// In a JWK they are the member "counterfoil", an object. Since overlooking a limit
// would widen it, a key with a member there that is not known is refused.
type Limits struct {
	From      time.Time     // earliest iat
	Until     time.Time     // latest iat
	MaxLife   time.Duration // most that exp may be after iat
	Issuer    string        // the only iss
	Subject   string        // the only sub
	Audiences []string      // every aud must be one of these
	Types     []string      // typ must be one of these
	Tenant    string        // the only tenant
	Claims    []string      // there are no claims but of these names
	Tagged    bool          // every token carries a notary's tag in its jti
}

// limitsJSON is the wire form of [Limits] and, beside them, of [Params.Also].
type limitsJSON struct {
	Also    Algorithm `json:"also,omitzero"`
	From    int64     `json:"from,omitzero"`     // NumericDate
	Until   int64     `json:"until,omitzero"`    // NumericDate
	MaxLife int64     `json:"max_life,omitzero"` // seconds
	Issuer  string    `json:"iss,omitzero"`
	Subject string    `json:"sub,omitzero"`
	Aud     []string  `json:"aud,omitzero"`
	Typ     []string  `json:"typ,omitzero"`
	Tenant  string    `json:"tenant,omitzero"`
	Claims  []string  `json:"claims,omitzero"`
	Tagged  bool      `json:"tagged,omitzero"`
}

const (
	maxDate = 253402300799      // 9999-12-31T23:59:59Z: the last second that RFC 3339 can name
	maxLife = 100 * 365 * 86400 // seconds; far beyond use, within time.Duration
)

// parseLimits reads the member "counterfoil".
func parseLimits(data jsontext.Value) (l Limits, also Algorithm, err error) {
	var w limitsJSON
	if data.Kind() != '{' {
		return l, "", malformed("counterfoil")
	}
	if err := wire.UnmarshalKnown(data, &w); err != nil {
		return l, "", fmt.Errorf("%w: counterfoil: %w", ErrMalformed, err)
	}
	if err := w.check(data); err != nil {
		return l, "", err
	}
	l = Limits{
		From:      fromUnix(w.From),
		Until:     fromUnix(w.Until),
		MaxLife:   time.Duration(w.MaxLife) * time.Second,
		Issuer:    w.Issuer,
		Subject:   w.Subject,
		Audiences: w.Aud,
		Types:     w.Typ,
		Tenant:    w.Tenant,
		Claims:    w.Claims,
		Tagged:    w.Tagged,
	}
	return l, w.Also, nil
}

// check refuses numbers out of range, and members of data that are there and yet
// say nothing, such as null, 0 or []: they would read as the absence of a limit.
func (w limitsJSON) check(data jsontext.Value) error {
	var given map[string]jsontext.Value
	if err := wire.Unmarshal(data, &given); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	empty := map[string]bool{
		"from": w.From < 1 || w.From > maxDate, "until": w.Until < 1 || w.Until > maxDate,
		"max_life": w.MaxLife < 1 || w.MaxLife > maxLife,
		"iss":      w.Issuer == "", "aud": len(w.Aud) == 0, "typ": len(w.Typ) == 0,
		"tenant": w.Tenant == "", "also": w.Also == "", "sub": w.Subject == "", "claims": len(w.Claims) == 0,
	}
	for name, value := range given {
		if empty[name] || value.Kind() == 'n' {
			return malformed("counterfoil: " + name)
		}
	}
	return nil
}

// wire returns the member "counterfoil", or nil if there is nothing to say.
func (l Limits) wire(also Algorithm) *limitsJSON {
	w := &limitsJSON{
		Also:    also,
		From:    toUnix(l.From),
		Until:   toUnix(l.Until),
		MaxLife: int64(l.MaxLife / time.Second),
		Issuer:  l.Issuer,
		Subject: l.Subject,
		Aud:     l.Audiences,
		Typ:     l.Types,
		Tenant:  l.Tenant,
		Claims:  l.Claims,
		Tagged:  l.Tagged,
	}
	if l.isZero() && also == "" {
		return nil
	}
	return w
}

// isZero reports whether l bounds nothing.
func (l *Limits) isZero() bool {
	return l.From.IsZero() && l.Until.IsZero() && l.MaxLife == 0 && l.Issuer == "" &&
		l.Subject == "" && len(l.Audiences) == 0 && len(l.Types) == 0 && l.Tenant == "" && len(l.Claims) == 0 && !l.Tagged
}

// copy returns a copy that shares nothing with l.
func (l Limits) copy() Limits {
	l.Audiences = slices.Clone(l.Audiences)
	l.Types = slices.Clone(l.Types)
	l.Claims = slices.Clone(l.Claims)
	return l
}

// normal returns a copy in the precision and within the range of the wire, or nil
// if l bounds nothing. No bound is lost to rounding: what is not zero stays so.
func (l Limits) normal() *Limits {
	if l.isZero() {
		return nil
	}
	n := l.copy()
	n.From = fromUnix(toUnix(n.From))
	n.Until = fromUnix(toUnix(n.Until))
	if n.MaxLife != 0 {
		n.MaxLife = min(max(n.MaxLife.Truncate(time.Second), time.Second), maxLife*time.Second)
	}
	return &n
}

// and returns the bounds of both l and other. Where they leave nothing allowed, such
// as two issuers, the error wraps [ErrUse].
func (l Limits) and(other Limits) (Limits, error) {
	both := l.copy()
	both.From = later(l.From, other.From)
	if both.Until.IsZero() || !other.Until.IsZero() && other.Until.Before(both.Until) {
		both.Until = other.Until
	}
	if both.MaxLife == 0 || other.MaxLife != 0 && other.MaxLife < both.MaxLife {
		both.MaxLife = other.MaxLife
	}
	both.Issuer, both.Tenant = cmp.Or(l.Issuer, other.Issuer), cmp.Or(l.Tenant, other.Tenant)
	both.Subject, both.Claims = cmp.Or(l.Subject, other.Subject), common(l.Claims, other.Claims)
	both.Audiences, both.Types = common(l.Audiences, other.Audiences), common(l.Types, other.Types)
	both.Tagged = l.Tagged || other.Tagged
	apart := func(a, b string) bool { return a != "" && b != "" && a != b }
	none := func(list []string) bool { return list != nil && len(list) == 0 }
	if apart(l.Issuer, other.Issuer) || apart(l.Subject, other.Subject) || apart(l.Tenant, other.Tenant) ||
		none(both.Audiences) || none(both.Types) || none(both.Claims) {
		return Limits{}, fmt.Errorf("%w: its limits leave nothing", ErrUse)
	}
	return both, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// common returns what is in both lists, of which an empty one means anything. The
// result is empty and not nil if they have nothing in common.
func common(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return append(slices.Clone(a), b...)
	}
	both := []string{}
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}

func fromUnix(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return min(max(t.Unix(), 1), maxDate)
}
