package store

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// The types below read a column into a field. NULL, which an outer join gives
// for a row that is not there, leaves the field as it is.
type (
	text   struct{ to *string }
	number struct{ to *uint64 }
	signed struct{ to *int64 }
	flag   struct{ to *bool }
	millis struct{ to *time.Time }
	bytes  struct{ to *[]byte }
	digest struct{ to *[32]byte }
	parsed struct{ to any } // JSON text
)

func (c text) Scan(v any) error {
	switch v := v.(type) {
	case nil:
	case string:
		*c.to = v
	case []byte:
		*c.to = string(v)
	default:
		return unexpected("text", v)
	}
	return nil
}

func (c number) Scan(v any) error {
	return integer(v, "number", func(n int64) { *c.to = uint64(n) })
}

func (c signed) Scan(v any) error { return integer(v, "number", func(n int64) { *c.to = n }) }

func (c flag) Scan(v any) error { return integer(v, "flag", func(n int64) { *c.to = n != 0 }) }

func (c millis) Scan(v any) error {
	return integer(v, "time", func(n int64) { *c.to = fromMillis(n) })
}

// integer gives set the value of an integer column that holds a want.
func integer(v any, want string, set func(int64)) error {
	switch v := v.(type) {
	case nil:
	case int64:
		set(v)
	default:
		return unexpected(want, v)
	}
	return nil
}

func (c bytes) Scan(v any) error {
	switch v := v.(type) {
	case nil:
	case []byte:
		*c.to = append([]byte(nil), v...)
	default:
		return unexpected("bytes", v)
	}
	return nil
}

func (c digest) Scan(v any) error {
	switch v := v.(type) {
	case nil:
	case []byte:
		if len(v) != len(c.to) {
			return fmt.Errorf("digest of %d bytes in the database", len(v))
		}
		*c.to = [32]byte(v)
	default:
		return unexpected("digest", v)
	}
	return nil
}

func (c parsed) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(v), c.to)
	case []byte:
		return json.Unmarshal(v, c.to)
	}
	return unexpected("JSON", v)
}

// unexpected names the type only: the value may be a secret.
func unexpected(want string, v any) error {
	return fmt.Errorf("%T in the database where %s belongs", v, want)
}

// jsonText writes v for a column that parsed reads.
func jsonText(v any) (string, error) {
	b, err := wire.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	return string(b), nil
}

// toMillis writes a time; the zero time is 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
