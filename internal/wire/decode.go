package wire

import (
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Decode puts the object into what v points to, which must be a zero value, as
// [Unmarshal] does with its text. Strings may share the text's memory. The error
// is a [*JSONError].
func (o *Object) Decode(v any) error {
	to := reflect.ValueOf(v)
	if to.Kind() != reflect.Pointer || to.IsNil() {
		return Unmarshal([]byte(o.text), v)
	}
	to = to.Elem()
	p := readingPlans.of(to.Type())
	switch {
	case p == nil:
		return Unmarshal([]byte(o.text), v)
	case p.kind == planStruct && p.readObject(to, o), p.kind != planStruct && p.read(to, Value{text: o.text[o.opening:o.closing]}):
		return nil
	}
	return &JSONError{Reason: reasonKind}
}

// readObject reads the members of o that the struct knows.
func (p *plan) readObject(to reflect.Value, o *Object) (ok bool) {
	if len(p.fields) == 0 {
		return true
	}
	next := 0
	for i, key := range p.names.keys {
		k := o.seek(p.names.list[i], key, next)
		if k < 0 {
			continue
		}
		if !p.fields[i].read(to, o.valueOf(o.at(k))) {
			return false
		}
		next = k + 1
	}
	return true
}

func (f *planField) read(to reflect.Value, v Value) (ok bool) {
	to = to.Field(f.index)
	for _, i := range f.deeper {
		to = to.Field(i)
	}
	if f.plan.kind == planString && v.plain { // as most are
		to.SetString(v.text[1 : len(v.text)-1])
		return true
	}
	return f.plan.read(to, v)
}

// read puts v into to, which is zero, and reports whether it fits. Null fits
// everywhere and stands for zero.
func (p *plan) read(to reflect.Value, v Value) (ok bool) {
	switch p.kind {
	case planRaw:
		*to.Addr().Interface().(*jsontext.Value) = jsontext.Value(v.text)
		return true
	case planJSON:
		return json.Unmarshal([]byte(v.text), to.Addr().Interface(), readOptions) == nil
	}
	kind := v.Kind()
	if kind == 'n' {
		return true
	}
	switch p.kind {
	case planString:
		if ok = kind == '"'; ok {
			to.SetString(unquote(v.text, v.plain))
		}
	case planBool:
		if ok = kind == 't' || kind == 'f'; ok {
			to.SetBool(kind == 't')
		}
	case planInt:
		ok = kind == '0' && readInt(to, v.text)
	case planUint:
		ok = kind == '0' && readUint(to, v.text)
	case planFloat:
		ok = kind == '0' && readFloat(to, v.text)
	case planAny:
		var value any
		if value, ok = readAny(v); ok {
			to.Set(reflect.ValueOf(value))
		}
	case planPointer:
		to.Set(reflect.New(to.Type().Elem()))
		ok = p.elem.read(to.Elem(), v)
	case planStrings:
		ok = kind == '[' && readStrings(to.Addr().Interface().(*[]string), v)
	case planSlice:
		ok = kind == '[' && p.readSlice(to, v)
	case planMap:
		ok = kind == '{' && p.readMap(to, v)
	case planStruct:
		ok = kind == '{' && p.readStruct(to, v)
	}
	return ok
}

// readInt takes a number without fraction and exponent.
func readInt(to reflect.Value, text string) (ok bool) {
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	n, ok := parseUint(text)
	switch {
	case !ok, n > 1<<63, n == 1<<63 && !negative:
		return false
	case negative:
		n = -n
	}
	if to.OverflowInt(int64(n)) {
		return false
	}
	to.SetInt(int64(n))
	return true
}

func readUint(to reflect.Value, text string) (ok bool) {
	n, ok := parseUint(text)
	if !ok || to.OverflowUint(n) {
		return false
	}
	to.SetUint(n)
	return true
}

// parseUint reads a number that is all digits.
func parseUint(text string) (n uint64, ok bool) {
	const most, last = math.MaxUint64 / 10, math.MaxUint64 % 10
	i := 0
	if len(text) >= 8 && digitsOnly(word(text)) {
		n, i = eightDigits(word(text)), 8
	}
	for ; i < len(text); i++ {
		digit := uint64(text[i] - '0')
		if digit > 9 || n > most || n == most && digit > last {
			return 0, false
		}
		n = 10*n + digit
	}
	return n, true
}

func readFloat(to reflect.Value, text string) (ok bool) {
	f, err := strconv.ParseFloat(text, to.Type().Bits())
	to.SetFloat(f)
	return err == nil
}

// readStrings is readSlice for the one slice that is common.
func readStrings(to *[]string, v Value) (ok bool) {
	// Commas tell how many there are, or more.
	*to, ok = v.appendStrings(make([]string, 0, min(strings.Count(v.text, ",")+1, fewStrings)), true)
	return ok
}

// fewStrings is how many there is room for at once. More have to come first.
const fewStrings = 8

func (p *plan) readSlice(to reflect.Value, v Value) (ok bool) {
	n := v.count()
	if n == 0 {
		to.Set(reflect.MakeSlice(to.Type(), 0, 0))
		return true
	}
	to.Grow(n)
	to.SetLen(n)
	e := v.elements()
	for i := range n {
		if !p.elem.read(to.Index(i), e.value) {
			return false
		}
		e.step()
	}
	return true
}

func (p *plan) readMap(to reflect.Value, v Value) (ok bool) {
	t := to.Type()
	to.Set(reflect.MakeMap(t))
	key := reflect.New(t.Key()).Elem()
	for m := v.members(); m.more; m.step() {
		key.SetString(m.name)
		elem := reflect.New(t.Elem()).Elem()
		if !p.elem.read(elem, m.value) {
			return false
		}
		to.SetMapIndex(key, elem)
	}
	return true
}

func (p *plan) readStruct(to reflect.Value, v Value) (ok bool) {
	for m := v.members(); m.more; m.step() {
		if i := p.names.place(m.name, keyOf(m.name)); i >= 0 && !p.fields[i].read(to, m.value) {
			return false
		}
	}
	return true
}

// readAny gives what a value is without a type: a string, float64, bool, nil,
// []any or map[string]any.
func readAny(v Value) (value any, ok bool) {
	switch v.Kind() {
	case '"':
		return unquote(v.text, v.plain), true
	case '0':
		f, err := strconv.ParseFloat(v.text, 64)
		return f, err == nil
	case '[':
		return readAnys(v)
	case '{':
		return readAnyMap(v)
	case 'n':
		return nil, true
	}
	return v.Kind() == 't', true
}

func readAnys(v Value) (value any, ok bool) {
	list := []any{}
	for e := v.elements(); e.more; e.step() {
		one, ok := readAny(e.value)
		if !ok {
			return nil, false
		}
		list = append(list, one)
	}
	return list, true
}

func readAnyMap(v Value) (value any, ok bool) {
	all := make(map[string]any)
	for m := v.members(); m.more; m.step() {
		if all[m.name], ok = readAny(m.value); !ok {
			return nil, false
		}
	}
	return all, true
}
