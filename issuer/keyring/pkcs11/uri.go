package pkcs11

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Scheme begins every URI of this package.
const Scheme = "pkcs11:"

// Bounds of a URI. Those of the token's names are the sizes of CK_TOKEN_INFO and
// CK_SLOT_INFO; a module pads its names to them with blanks.
const (
	maxURI          = 2048 // bytes
	maxLabel        = 32   // bytes of token and manufacturer
	maxSerial       = 16   // bytes of serial and model
	maxObject       = 128  // bytes of object and id
	maxPath         = 1024 // bytes of module-path and pin-source
	maxSlotIDDigits = 10
)

var (
	// ErrURI is what is wrong with a URI that [ParseURI] refuses.
	ErrURI = errors.New("not a pkcs11: URI that we take")
	// ErrPINInURI refuses a PIN in the URI itself: it would stand in command
	// lines, logs and configuration.
	ErrPINInURI = fmt.Errorf("%w: a PIN has no place in it: pin-source=file:PATH or pin-source=env:NAME", ErrURI)
)

// A URI names a token, an object in it, and the module that reaches it (RFC 7512).
// A name that is empty was not said. It holds no PIN.
type URI struct {
	Token        string // CKA label of the token
	Manufacturer string
	Serial       string
	Model        string
	SlotID       string // decimal; a slot's number may change whenever the module is loaded

	Object string // CKA_LABEL
	ID     string // CKA_ID, raw bytes
	Type   string // "private" or ""

	ModulePath string // absolute path of the module; required
	PINSource  string // file:PATH, with an absolute path, or env:NAME; "" when another place has it
}

// An attribute of RFC 7512, Section 2.3, that we understand.
type attribute struct {
	name  string
	most  int // bytes after decoding
	field func(*URI) *string
	check func(string) bool // nil: any bytes
}

var pathAttributes = []attribute{
	{name: "token", most: maxLabel, field: func(u *URI) *string { return &u.Token }, check: printable},
	{name: "manufacturer", most: maxLabel, field: func(u *URI) *string { return &u.Manufacturer }, check: printable},
	{name: "serial", most: maxSerial, field: func(u *URI) *string { return &u.Serial }, check: printable},
	{name: "model", most: maxSerial, field: func(u *URI) *string { return &u.Model }, check: printable},
	{name: "slot-id", most: maxSlotIDDigits, field: func(u *URI) *string { return &u.SlotID }, check: decimal},
	{name: "object", most: maxObject, field: func(u *URI) *string { return &u.Object }, check: printable},
	{name: "id", most: maxObject, field: func(u *URI) *string { return &u.ID }},
	{name: "type", most: maxObject, field: func(u *URI) *string { return &u.Type }, check: func(s string) bool { return s == "private" }},
}

var queryAttributes = []attribute{
	{name: "module-path", most: maxPath, field: func(u *URI) *string { return &u.ModulePath }, check: absolute},
	{name: "pin-source", most: maxPath, field: func(u *URI) *string { return &u.PINSource }, check: pinSource},
}

// ParseURI reads a URI of RFC 7512, and strictly: each attribute at most once,
// none empty, none that we do not understand, and always a module-path. Its error
// matches [ErrURI] and repeats no value.
func ParseURI(s string) (*URI, error) {
	rest, ok := strings.CutPrefix(s, Scheme)
	if !ok || len(s) > maxURI {
		return nil, fmt.Errorf("%w: it begins with %s and has at most %d bytes", ErrURI, Scheme, maxURI)
	}
	path, query, asked := strings.Cut(rest, "?")
	u := new(URI)
	if err := u.parse(path, ";", "&", pathAttributes); err != nil {
		return nil, err
	}
	if asked {
		if err := u.parse(query, "&", "/?|", queryAttributes); err != nil {
			return nil, err
		}
	}
	if u.ModulePath == "" {
		return nil, fmt.Errorf("%w: it has no module-path", ErrURI)
	}
	return u, nil
}

// parse reads the attributes of one component. extra are the characters that may
// stand in it beside those of both components.
func (u *URI) parse(component, separator, extra string, known []attribute) error {
	if component == "" {
		return nil
	}
	for part := range strings.SplitSeq(component, separator) {
		name, encoded, ok := strings.Cut(part, "=")
		if name == "pin-value" {
			return ErrPINInURI
		}
		i := slices.IndexFunc(known, func(a attribute) bool { return a.name == name })
		if !ok || i < 0 {
			return fmt.Errorf("%w: attributes are %s", ErrURI, names(known))
		}
		a, field := known[i], known[i].field(u)
		value, ok := decode(encoded, extra)
		switch {
		case *field != "":
			return fmt.Errorf("%w: %s is there twice", ErrURI, name)
		case !ok || value == "" || len(value) > a.most || a.check != nil && !a.check(value):
			return fmt.Errorf("%w: the value of %s", ErrURI, name)
		}
		*field = value
	}
	return nil
}

func names(known []attribute) string {
	var all []string
	for _, a := range known {
		all = append(all, a.name)
	}
	return strings.Join(all, ", ")
}

// String writes the URI anew: what ParseURI reads as u. It never holds a PIN.
func (u *URI) String() string {
	path, query := u.write(";", "&", pathAttributes), u.write("&", "/?|", queryAttributes)
	if query != "" {
		query = "?" + query
	}
	return Scheme + path + query
}

func (u *URI) write(separator, extra string, known []attribute) string {
	var parts []string
	for _, a := range known {
		if value := *a.field(u); value != "" {
			parts = append(parts, a.name+"="+encode(value, extra))
		}
	}
	return strings.Join(parts, separator)
}

// literal reports whether c may stand for itself in a value (RFC 7512, Section
// 2.3): pk11-pchar or, by extra, pk11-qchar.
func literal(c byte, extra string) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~:[]@!$'()*+,=", c) >= 0 || strings.IndexByte(extra, c) >= 0
}

// decode undoes percent-encoding and refuses characters that need it.
func decode(s, extra string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%' && i+2 < len(s):
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b.WriteByte(byte(n))
			i += 2
		case literal(c, extra):
			b.WriteByte(c)
		default:
			return "", false
		}
	}
	return b.String(), true
}

func encode(s, extra string) string {
	var b strings.Builder
	for i := range len(s) {
		if literal(s[i], extra) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

// printable refuses what would let a name write lines of its own into a log.
func printable(s string) bool {
	return utf8.ValidString(s) && s == strings.TrimSpace(s) &&
		strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0
}

func decimal(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil && (s == "0" || s[0] != '0')
}

// absolute refuses a module that the folder we were started in could choose.
func absolute(s string) bool { return strings.HasPrefix(s, "/") && printable(s) }

// pinSource takes no program: RFC 7512 would let "|" name one.
func pinSource(s string) bool {
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		return absolute(path)
	}
	name, ok := strings.CutPrefix(s, "env:")
	return ok && name != "" && printable(name)
}
