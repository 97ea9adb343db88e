package wire

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendString appends s as JSON with as few escapes as can be. Not ok is for a
// string that is not valid UTF-8.
func AppendString(dst []byte, s string) (out []byte, ok bool) {
	i := 0
	for i+8 <= len(s) && special(word(s[i:])) == 0 {
		i += 8
	}
	for i < len(s) && s[i] >= ' ' && s[i] < 0x80 && s[i] != '"' && s[i] != '\\' {
		i++
	}
	if i < len(s) {
		out, err := jsontext.AppendQuote(dst, s)
		return out, err == nil
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"'), true
}

// planDepth is how deep a Writer goes before it leaves a value to [Marshal]: far
// enough below MaxDepth to leave that check to the reader.
const planDepth = MaxDepth / 2

// A Writer writes the members of objects by plans made once for each type, as
// [Marshal] writes them. It may be used by several goroutines at once.
type Writer struct {
	reserved func(name string) bool
	plans    plans
}

// NewWriter returns a Writer that leaves objects alone that have a name for which
// reserved reports true.
func NewWriter(reserved func(name string) bool) *Writer {
	w := &Writer{reserved: reserved}
	w.plans.make = w.plan
	return w
}

func (w *Writer) plan(t reflect.Type) *plan {
	p, ok := planner{write: true, known: make(map[reflect.Type]*plan)}.plan(t)
	switch {
	case !ok, p.kind != planStruct && p.kind != planMap:
		return nil
	case p.kind == planStruct && slices.ContainsFunc(p.names.list, w.reserved):
		return nil
	}
	return p
}

// AppendMembers appends the members of v, a struct or a map, to dst, which is an
// object without its closing bracket. Not ok is for what only [Marshal] can write
// or refuse; dst is then unchanged but for its capacity.
func (w *Writer) AppendMembers(dst []byte, v any) (out []byte, ok bool) {
	from := reflect.ValueOf(v)
	if from.Kind() == reflect.Pointer && !from.IsNil() {
		from = from.Elem()
	}
	if from.Kind() != reflect.Struct && from.Kind() != reflect.Map {
		return dst, false
	}
	p := w.plans.of(from.Type())
	switch {
	case p == nil:
		return dst, false
	case p.kind == planMap:
		out, ok = p.writeMap(dst, from, 0, w.reserved)
	default:
		out, ok = p.writeFields(dst, from, 0)
	}
	if !ok {
		return dst, false
	}
	return out, true
}

// write appends a value inside depth others. Not ok is for what encoding/json/v2
// has to judge.
func (p *plan) write(dst []byte, from reflect.Value, depth int) (out []byte, ok bool) {
	if depth >= planDepth {
		return dst, false
	}
	switch p.kind {
	case planString:
		return AppendString(dst, from.String())
	case planBool:
		return strconv.AppendBool(dst, from.Bool()), true
	case planInt:
		return strconv.AppendInt(dst, from.Int(), 10), true
	case planUint:
		return strconv.AppendUint(dst, from.Uint(), 10), true
	case planFloat:
		return appendFloat(dst, from.Float(), from.Type().Bits())
	case planPointer:
		if from.IsNil() {
			return append(dst, "null"...), true
		}
		return p.elem.write(dst, from.Elem(), depth+1) // a pointer can lead to itself
	case planStrings, planSlice:
		return p.writeSlice(dst, from, depth+1)
	case planAny:
		return appendAny(dst, from.Interface(), depth)
	case planMap:
		if dst, ok = p.writeMap(append(dst, '{'), from, depth+1, nil); !ok {
			return dst, false
		}
		return append(dst, '}'), true
	case planStruct:
		if dst, ok = p.writeFields(append(dst, '{'), from, depth+1); !ok {
			return dst, false
		}
		return append(dst, '}'), true
	}
	return dst, false
}

func appendFloat(dst []byte, f float64, bits int) (out []byte, ok bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, false
	}
	return jsontext.AppendFloat(dst, f, bits), true
}

// separate appends a comma, but for the first after a bracket.
func separate(dst []byte) []byte {
	if c := dst[len(dst)-1]; c == '{' || c == '[' {
		return dst
	}
	return append(dst, ',')
}

func (p *plan) writeFields(dst []byte, from reflect.Value, depth int) (out []byte, ok bool) {
	for i := range p.fields {
		f := &p.fields[i]
		value := from.Field(f.index)
		for _, i := range f.deeper {
			value = value.Field(i)
		}
		if f.omitZero && value.IsZero() {
			continue
		}
		before := len(dst)
		dst = append(separate(dst), f.label...)
		start := len(dst)
		if dst, ok = f.plan.write(dst, value, depth); !ok {
			return dst, false
		}
		if f.omitEmpty && isEmpty(dst[start:]) {
			dst = dst[:before]
		}
	}
	return dst, true
}

// isEmpty reports whether a value is what the option omitempty leaves out.
func isEmpty(value []byte) bool {
	switch string(value) {
	case "null", `""`, "{}", "[]":
		return true
	}
	return false
}

func (p *plan) writeSlice(dst []byte, from reflect.Value, depth int) (out []byte, ok bool) {
	dst = append(dst, '[')
	for i := range from.Len() {
		dst = separate(dst)
		if p.kind == planStrings {
			dst, ok = AppendString(dst, from.Index(i).String())
		} else {
			dst, ok = p.elem.write(dst, from.Index(i), depth)
		}
		if !ok {
			return dst, false
		}
	}
	return append(dst, ']'), true
}

// writeMap appends the members of a map in the order of their names, of which
// none is to be reserved.
func (p *plan) writeMap(dst []byte, from reflect.Value, depth int, reserved func(string) bool) (out []byte, ok bool) {
	if p.elem.kind == planAny && from.CanInterface() {
		if m, ok := from.Interface().(map[string]any); ok {
			return appendAnyMembers(dst, m, depth, reserved)
		}
	}
	keys := from.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if dst, ok = appendName(dst, key.String(), reserved); !ok {
			return dst, false
		}
		if dst, ok = p.elem.write(dst, from.MapIndex(key), depth); !ok {
			return dst, false
		}
	}
	return dst, true
}

// appendName appends a name and a colon.
func appendName(dst []byte, name string, reserved func(string) bool) (out []byte, ok bool) {
	if reserved != nil && reserved(name) {
		return dst, false
	}
	if dst, ok = AppendString(separate(dst), name); !ok {
		return dst, false
	}
	return append(dst, ':'), true
}

// appendAny appends a value of one of the types that values without a type mostly
// have.
func appendAny(dst []byte, v any, depth int) (out []byte, ok bool) {
	if depth >= planDepth {
		return dst, false
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), true
	case string:
		return AppendString(dst, v)
	case bool:
		return strconv.AppendBool(dst, v), true
	case float64:
		return appendFloat(dst, v, 64)
	case int:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int64:
		return strconv.AppendInt(dst, v, 10), true
	case []string:
		return appendAnys(dst, v, depth+1)
	case []any:
		return appendAnys(dst, v, depth+1)
	case map[string]any:
		if dst, ok = appendAnyMembers(append(dst, '{'), v, depth+1, nil); !ok {
			return dst, false
		}
		return append(dst, '}'), true
	}
	return dst, false
}

func appendAnys[E any](dst []byte, list []E, depth int) (out []byte, ok bool) {
	dst = append(dst, '[')
	for _, v := range list {
		if dst, ok = appendAny(separate(dst), v, depth); !ok {
			return dst, false
		}
	}
	return append(dst, ']'), true
}

func appendAnyMembers(dst []byte, m map[string]any, depth int, reserved func(string) bool) (out []byte, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if dst, ok = appendName(dst, name, reserved); !ok {
			return dst, false
		}
		if dst, ok = appendAny(dst, m[name], depth); !ok {
			return dst, false
		}
	}
	return dst, true
}
