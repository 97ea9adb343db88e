package jwk

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// Limits bound what a key's signatures are worth: a valid signature outside
// them counts for nothing. The zero value sets no bounds. Package jwt enforces
// them; a Key only carries them.
//
// In a JWK they are the member "counterfoil", an object. Since overlooking a limit
// would widen it, a key with a member there that is not known is refused.
type Limits struct {
	From      time.Time     // earliest iat, to the second
	Until     time.Time     // latest iat, to the second
	MaxLife   time.Duration // most that exp may be after iat, to the second
	Issuer    string        // the only iss
	Audiences []string      // every aud must be one of these
	Types     []string      // typ must be one of these
	Tenant    string        // the only tenant
	Tagged    bool          // every token carries a notary's tag in its jti
}

// limitsJSON is the wire form of [Limits] and, beside them, of [Params.Also].
type limitsJSON struct {
	Also    Algorithm `json:"also,omitzero"`
	From    int64     `json:"from,omitzero"`     // NumericDate
	Until   int64     `json:"until,omitzero"`    // NumericDate
	MaxLife int64     `json:"max_life,omitzero"` // seconds
	Issuer  string    `json:"iss,omitzero"`
	Aud     []string  `json:"aud,omitzero"`
	Typ     []string  `json:"typ,omitzero"`
	Tenant  string    `json:"tenant,omitzero"`
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
	if err := refuseNulls(data); err != nil {
		return l, "", err
	}
	if err := wire.UnmarshalKnown(data, &w); err != nil {
		return l, "", fmt.Errorf("%w: counterfoil: %w", ErrMalformed, err)
	}
	if w.From < 0 || w.From > maxDate || w.Until < 0 || w.Until > maxDate || w.MaxLife < 0 || w.MaxLife > maxLife {
		return l, "", malformed("counterfoil")
	}
	l = Limits{
		From:      fromUnix(w.From),
		Until:     fromUnix(w.Until),
		MaxLife:   time.Duration(w.MaxLife) * time.Second,
		Issuer:    w.Issuer,
		Audiences: w.Aud,
		Types:     w.Typ,
		Tenant:    w.Tenant,
		Tagged:    w.Tagged,
	}
	return l, w.Also, nil
}

// refuseNulls refuses a null among the members of an object: it would read as
// the absence of a limit.
func refuseNulls(object jsontext.Value) error {
	var values map[string]jsontext.Value
	if err := wire.Unmarshal(object, &values); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for _, v := range values {
		if v.Kind() == 'n' {
			return malformed("counterfoil")
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
		Aud:     l.Audiences,
		Typ:     l.Types,
		Tenant:  l.Tenant,
		Tagged:  l.Tagged,
	}
	if l.isZero() && also == "" {
		return nil
	}
	return w
}

// isZero reports whether l bounds nothing.
func (l Limits) isZero() bool {
	return l.From.IsZero() && l.Until.IsZero() && l.MaxLife == 0 && l.Issuer == "" &&
		len(l.Audiences) == 0 && len(l.Types) == 0 && l.Tenant == "" && !l.Tagged
}

// clone returns a copy that shares nothing with l, in the precision of the wire.
func (l Limits) clone() Limits {
	l.From = fromUnix(toUnix(l.From))
	l.Until = fromUnix(toUnix(l.Until))
	l.MaxLife = l.MaxLife.Truncate(time.Second)
	l.Audiences = slices.Clone(l.Audiences)
	l.Types = slices.Clone(l.Types)
	return l
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
	return t.Unix()
}
