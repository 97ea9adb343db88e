package wire

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how many arrays and objects may stand inside one another. Nothing
// that JOSE or OAuth defines comes near it.
const MaxDepth = 32

// ErrJSON is what every error of [Unmarshal] and [UnmarshalKnown] unwraps to.
var ErrJSON = errors.New("not acceptable as JSON")

// A JSONError says where and why a text was refused. It repeats nothing of the
// text, which may hold a secret, except the name of a member in Member.
type JSONError struct {
	Offset int64  // byte at which reading stopped
	Reason string // constant text
	Member string // only from UnmarshalKnown: the name that is not known
}

// Error implements error.
func (e *JSONError) Error() string {
	msg := "JSON: " + e.Reason
	if e.Member != "" {
		msg += " " + strconv.Quote(e.Member)
	}
	return msg + " at byte " + strconv.FormatInt(e.Offset, 10)
}

// Unwrap returns [ErrJSON].
func (e *JSONError) Unwrap() error { return ErrJSON }

// Unmarshal reads exactly one JSON value into v, with the strictness of I-JSON
// (RFC 7493): UTF-8 without a byte order mark, no lone surrogates, no duplicate
// member names at any level (compared after unescaping), names case-sensitive,
// nothing but white space after the value, at most [MaxDepth] levels. Members
// that v does not know are passed over, yet held to the same rules.
//
// A JSON null sets its target to the zero value; where null must differ from
// absent, decode into [jsontext.Value] and look.
//
// The error is a [*JSONError].
func Unmarshal(data []byte, v any) error {
	return unmarshal(data, v, readOptions)
}

// UnmarshalKnown is [Unmarshal], and refuses members that v does not know. It
// is for what a person wrote: configuration and request bodies.
func UnmarshalKnown(data []byte, v any) error {
	return unmarshal(data, v, readKnownOptions)
}

// Marshal writes v as JSON: map keys sorted, no escaping for HTML, so that equal
// values give equal bytes. Beware that a []byte comes out as padded standard
// base64, which is not what JOSE uses: see [Encode].
func Marshal(v any) ([]byte, error) {
	return json.Marshal(v, json.Deterministic(true))
}

// The defaults of json v2 are the ones we want. They are spelled out because
// our security rests on them.
var (
	readOptions = json.JoinOptions(
		jsontext.AllowDuplicateNames(false),
		jsontext.AllowInvalidUTF8(false),
		json.MatchCaseInsensitiveNames(false),
	)
	readKnownOptions = json.JoinOptions(readOptions, json.RejectUnknownMembers(true))
)

func unmarshal(data []byte, v any, opts json.Options) error {
	if offset := tooDeep(data); offset >= 0 {
		return &JSONError{Offset: offset, Reason: "nested too deep"}
	}
	if err := json.Unmarshal(data, v, opts); err != nil {
		return describe(err)
	}
	return nil
}

// tooDeep returns the place at which data goes deeper than [MaxDepth], or -1.
// The parser below allows 10,000 levels. Ordinary input has no more than
// MaxDepth brackets altogether, and is let through after two fast counts.
func tooDeep(data []byte) int64 {
	if bytes.Count(data, []byte{'{'})+bytes.Count(data, []byte{'['}) <= MaxDepth {
		return -1
	}
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++ // whatever is escaped, it does not end the string
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return int64(i)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return -1
}

// describe keeps the place and the kind of a parser's error and drops its text,
// which quotes the input.
func describe(err error) *JSONError {
	e := &JSONError{Reason: "malformed"}
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntactic):
		e.Offset = syntactic.ByteOffset
	case errors.As(err, &semantic):
		e.Offset = semantic.ByteOffset
		e.Reason = "value of the wrong kind"
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		e.Reason = "duplicate member"
	case errors.Is(err, json.ErrUnknownName):
		e.Reason = "unknown member"
		e.Member = semantic.JSONPointer.LastToken()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Reason = "ends too early"
	}
	return e
}
