package wire

import (
	"cmp"
	"encoding"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A plan says how values of one Go type are read from a text that has been
// checked, or how they are written. It is made once for each type and gives what
// encoding/json/v2 gives.
type plan struct {
	kind   planKind
	elem   *plan       // of what a pointer, slice or map holds
	fields []planField // of a struct
	names  *Names      // of fields
}

type planField struct {
	index  int
	deeper []int // in structs embedded in one another
	plan   *plan

	// For writing.
	label     string // name and colon
	omitZero  bool
	omitEmpty bool
}

// planKind is what a plan does.
type planKind uint8

const (
	planString planKind = iota + 1
	planBool
	planInt
	planUint
	planFloat
	planAny     // interface{} itself
	planRaw     // jsontext.Value
	planPointer // to elem
	planSlice   // of elem
	planStrings // []string itself
	planMap     // by strings, of elem
	planStruct
	planJSON // what needs encoding/json/v2, and no more of the text than the value
)

var (
	anyType     = reflect.TypeFor[any]()
	rawType     = reflect.TypeFor[jsontext.Value]()
	stringsType = reflect.TypeFor[[]string]()
	byteType    = reflect.TypeFor[byte]()
	timeType    = reflect.TypeFor[time.Time]()
	spanType    = reflect.TypeFor[time.Duration]()

	// readingAround are methods that read from the text in which the value stands,
	// and may look around there. Those of reading see the value alone.
	readingAround = []reflect.Type{reflect.TypeFor[json.UnmarshalerFrom]()}
	reading       = []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}
	// writing are the methods that write, or say what is not to be written.
	writing = []reflect.Type{
		reflect.TypeFor[json.MarshalerTo](), reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextAppender](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[interface{ IsZero() bool }](),
	}
)

// plans are the plans made so far.
type plans struct {
	make func(reflect.Type) *plan // nil where the whole type needs encoding/json/v2
	all  sync.Map                 // of *plan by reflect.Type

	// first are the first few, which a program that has few types of claims finds
	// without a map. The slice is replaced whole.
	first atomic.Pointer[[]plannedType]
}

type plannedType struct {
	of   reflect.Type
	plan *plan
}

const maxFirstPlans = 16

// of returns the plan of t, or nil.
func (ps *plans) of(t reflect.Type) *plan {
	if first := ps.first.Load(); first != nil {
		for i := range *first {
			if p := &(*first)[i]; p.of == t {
				return p.plan
			}
		}
	}
	if p, ok := ps.all.Load(t); ok {
		return p.(*plan)
	}
	return ps.add(t)
}

func (ps *plans) add(t reflect.Type) *plan {
	known, loaded := ps.all.LoadOrStore(t, ps.make(t))
	p := known.(*plan)
	var all []plannedType
	first := ps.first.Load()
	if first != nil {
		all = *first
	}
	if !loaded && len(all) < maxFirstPlans {
		all = append(slices.Clip(all), plannedType{t, p})
		ps.first.CompareAndSwap(first, &all) // else it is in ps.all only
	}
	return p
}

// A planner makes plans.
type planner struct {
	write bool
	known map[reflect.Type]*plan // under way, since types can hold themselves
}

var readingPlans = plans{make: func(t reflect.Type) *plan {
	p, _ := planner{known: make(map[reflect.Type]*plan)}.plan(t)
	return p
}}

// plan makes the plan of t. Not ok is for what has to be read or written as a part
// of the whole: what is not listed here.
func (by planner) plan(t reflect.Type) (p *plan, ok bool) {
	if p, ok := by.known[t]; ok {
		return p, true
	}
	p = new(plan)
	by.known[t] = p
	switch {
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface: // whose methods do not count
		ok = by.fill(p, t)
	case by.write:
		ok = t != timeType && t != spanType && !implements(t, writing) && by.fill(p, t)
	case t == spanType || implements(t, readingAround):
	case t == rawType:
		p.kind, ok = planRaw, true
	case t == timeType || implements(t, reading):
		p.kind, ok = planJSON, true
	default:
		ok = by.fill(p, t)
	}
	if !ok {
		return nil, false
	}
	return p, true
}

// fill makes the plan of a type without methods.
func (by planner) fill(p *plan, t reflect.Type) (ok bool) {
	switch t.Kind() {
	case reflect.String:
		p.kind = planString
	case reflect.Bool:
		p.kind = planBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.kind = planInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		p.kind = planUint
	case reflect.Float32, reflect.Float64:
		p.kind = planFloat
	case reflect.Interface:
		p.kind = planAny
		return t == anyType
	case reflect.Pointer:
		p.kind = planPointer
		p.elem, ok = by.plan(t.Elem())
		return ok
	case reflect.Slice:
		return by.fillSlice(p, t)
	case reflect.Map:
		p.kind = planMap
		p.elem, ok = by.plan(t.Elem())
		return ok && t.Key().Kind() == reflect.String && !by.hasMethods(t.Key())
	case reflect.Struct:
		p.kind = planStruct
		return by.fillStruct(p, t)
	default:
		return false
	}
	return true
}

func (by planner) fillSlice(p *plan, t reflect.Type) (ok bool) {
	switch {
	case t == stringsType:
		p.kind = planStrings
		return true
	case t.Elem() == byteType && !by.write: // base64
		p.kind = planJSON
		return true
	case t.Elem().Kind() == reflect.Uint8:
		return false
	}
	p.kind = planSlice
	p.elem, ok = by.plan(t.Elem())
	return ok
}

// fillStruct leaves two fields of one name to encoding/json/v2.
func (by planner) fillStruct(p *plan, t reflect.Type) (ok bool) {
	var names []string
	if !by.addFields(p, &names, t, nil) {
		return false
	}
	p.names, ok = newNames(names)
	return ok
}

// hasMethods reports whether t is read or written by methods.
func (by planner) hasMethods(t reflect.Type) bool {
	if by.write {
		return implements(t, writing)
	}
	return implements(t, reading) || implements(t, readingAround)
}

// implements reports whether a value or a pointer to one has the methods of any of ifaces.
func implements(t reflect.Type, ifaces []reflect.Type) bool {
	return slices.ContainsFunc(ifaces, func(iface reflect.Type) bool {
		return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
	})
}

// addFields adds the fields of a struct, and those of structs embedded in it.
func (by planner) addFields(p *plan, names *[]string, t reflect.Type, index []int) (ok bool) {
	tagged, any := t.NumField() == 0, false
	for i := range t.NumField() {
		f := t.Field(i)
		if _, ok := f.Tag.Lookup("json"); ok {
			tagged = true
		}
		tag, ok := readTag(f)
		if !ok {
			return false
		}
		if tag.ignored {
			continue
		}
		any = true
		path := append(slices.Clip(index), i)
		if f.Anonymous {
			if !by.embed(p, names, f, path) {
				return false
			}
			continue
		}
		if !by.addField(p, f, tag, path) {
			return false
		}
		*names = append(*names, tag.name)
	}
	// A struct without anything to fill is taken for a mistake.
	return tagged || any
}

func (by planner) addField(p *plan, f reflect.StructField, tag fieldTag, path []int) (ok bool) {
	label, ok := AppendString(nil, tag.name)
	if !ok {
		return false
	}
	field := planField{
		index: path[0], deeper: path[1:], label: string(label) + ":",
		omitZero: tag.omitZero, omitEmpty: tag.omitEmpty,
	}
	field.plan, ok = by.plan(f.Type)
	p.fields = append(p.fields, field)
	return ok
}

// embed adds the fields of an embedded struct. Which of two fields of one name
// counts is left to encoding/json/v2, as are methods.
func (by planner) embed(p *plan, names *[]string, f reflect.StructField, path []int) bool {
	if f.Type.Kind() != reflect.Struct || !f.IsExported() || f.Type.NumMethod()+reflect.PointerTo(f.Type).NumMethod() > 0 {
		return false
	}
	return by.addFields(p, names, f.Type, path)
}

// A fieldTag is what a field says about itself.
type fieldTag struct {
	name                string
	ignored             bool
	omitZero, omitEmpty bool
}

// readTag reads the tag of a field. Not ok is for options that plans do not know.
func readTag(f reflect.StructField) (tag fieldTag, ok bool) {
	text, tagged := f.Tag.Lookup("json")
	switch {
	case text == "-":
		return fieldTag{ignored: true}, true
	case f.Anonymous:
		return fieldTag{}, !tagged
	case !f.IsExported():
		return fieldTag{ignored: true}, !tagged
	case text == "":
		return fieldTag{name: f.Name}, true
	}
	options := strings.Split(text, ",")
	tag.name, options = cmp.Or(options[0], f.Name), options[1:]
	for _, option := range options {
		switch {
		case option == "omitzero" && !tag.omitZero:
			tag.omitZero = true
		case option == "omitempty" && !tag.omitEmpty:
			tag.omitEmpty = true
		default:
			return fieldTag{}, false
		}
	}
	return tag, !strings.ContainsAny(tag.name, "\\'\"`") && utf8.ValidString(tag.name)
}
