package wire

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A plan says how a value that has been checked is put into a Go type. It is
// made once for each type and gives what encoding/json/v2 gives.
type plan struct {
	kind   planKind
	elem   *plan       // of what a pointer, slice or map holds
	fields []planField // of a struct
	slots  []uint8     // places in fields, counted from 1, by the hash of the name
	shift  uint8       // from a hash to its slot
}

type planField struct {
	name  string
	index []int
	plan  *plan
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

// maxPlanFields bounds the fields of a struct that has a plan.
const maxPlanFields = 200

var (
	plans sync.Map // of *plan by reflect.Type; nil where the whole type needs encoding/json/v2

	anyType     = reflect.TypeFor[any]()
	rawType     = reflect.TypeFor[jsontext.Value]()
	stringsType = reflect.TypeFor[[]string]()
	byteType    = reflect.TypeFor[byte]()
	timeType    = reflect.TypeFor[time.Time]()
	spanType    = reflect.TypeFor[time.Duration]()

	// methodsFrom read from the text in which the value stands, and may look
	// around there. methodsOf see the value alone.
	methodsFrom = []reflect.Type{reflect.TypeFor[json.UnmarshalerFrom]()}
	methodsOf   = []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}
)

// planFor returns the plan of t, or nil.
func planFor(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := planner{}.plan(t)
	known, _ := plans.LoadOrStore(t, p)
	return known.(*plan)
}

// A planner has the plans under way, since types can hold themselves.
type planner map[reflect.Type]*plan

// plan makes the plan of t. Not ok is for what has to be read as a part of the
// whole: what is not listed here.
func (known planner) plan(t reflect.Type) (p *plan, ok bool) {
	if p, ok := known[t]; ok {
		return p, true
	}
	p = new(plan)
	known[t] = p
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		switch {
		case t == spanType || implements(t, methodsFrom):
			return nil, false
		case t == rawType:
			p.kind = planRaw
			return p, true
		case t == timeType || implements(t, methodsOf):
			p.kind = planJSON
			return p, true
		}
	}
	if !known.fill(p, t) {
		return nil, false
	}
	return p, true
}

// fill makes the plan of a type without methods.
func (known planner) fill(p *plan, t reflect.Type) (ok bool) {
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
		p.elem, ok = known.plan(t.Elem())
		return ok
	case reflect.Slice:
		return known.fillSlice(p, t)
	case reflect.Map:
		p.kind = planMap
		p.elem, ok = known.plan(t.Elem())
		return ok && t.Key().Kind() == reflect.String && !implements(t.Key(), methodsFrom) && !implements(t.Key(), methodsOf)
	case reflect.Struct:
		p.kind = planStruct
		return known.addFields(p, t, nil) && p.index()
	default:
		return false
	}
	return true
}

func (known planner) fillSlice(p *plan, t reflect.Type) (ok bool) {
	switch {
	case t == stringsType:
		p.kind = planStrings
		return true
	case t.Elem() == byteType: // base64
		p.kind = planJSON
		return true
	case t.Elem().Kind() == reflect.Uint8:
		return false
	}
	p.kind = planSlice
	p.elem, ok = known.plan(t.Elem())
	return ok
}

// implements reports whether a value or a pointer to one has the methods of any of ifaces.
func implements(t reflect.Type, ifaces []reflect.Type) bool {
	return slices.ContainsFunc(ifaces, func(iface reflect.Type) bool {
		return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
	})
}

// addFields adds the fields of a struct, and those of structs embedded in it.
func (known planner) addFields(p *plan, t reflect.Type, index []int) (ok bool) {
	tagged, any := t.NumField() == 0, false
	for i := range t.NumField() {
		f := t.Field(i)
		if _, ok := f.Tag.Lookup("json"); ok {
			tagged = true
		}
		name, use, ok := fieldName(f)
		if !ok {
			return false
		}
		if !use {
			continue
		}
		any = true
		path := append(slices.Clip(index), i)
		if f.Anonymous {
			if !known.embed(p, f, path) {
				return false
			}
			continue
		}
		field := planField{name: name, index: path}
		if field.plan, ok = known.plan(f.Type); !ok {
			return false
		}
		p.fields = append(p.fields, field)
	}
	// A struct without anything to fill is taken for a mistake.
	return tagged || any
}

// embed adds the fields of an embedded struct. Which of two fields of one name
// counts is left to encoding/json/v2, as are methods.
func (known planner) embed(p *plan, f reflect.StructField, path []int) bool {
	if f.Type.Kind() != reflect.Struct || !f.IsExported() || f.Type.NumMethod()+reflect.PointerTo(f.Type).NumMethod() > 0 {
		return false
	}
	return known.addFields(p, f.Type, path)
}

// fieldName reads the tag of a field. Not ok is for what this plan does not do:
// among options it knows those that are about writing only.
func fieldName(f reflect.StructField) (name string, use, ok bool) {
	tag, tagged := f.Tag.Lookup("json")
	switch {
	case tag == "-":
		return "", false, true
	case f.Anonymous:
		return "", true, !tagged
	case !f.IsExported():
		return "", false, !tagged
	case tag == "":
		return f.Name, true, true
	}
	options := strings.Split(tag, ",")
	name, options = options[0], options[1:]
	if strings.ContainsAny(name, "\\'\"`") || !utf8.ValidString(name) {
		return "", false, false
	}
	for i, option := range options {
		if option != "omitzero" && option != "omitempty" || slices.Contains(options[:i], option) {
			return "", false, false
		}
	}
	if name == "" {
		name = f.Name
	}
	return name, true, true
}

// index fills slots, at most half of them. Not ok is for two fields of one name.
func (p *plan) index() (ok bool) {
	if len(p.fields) > maxPlanFields {
		return false
	}
	size := uint8(2) // bits of a slot's number
	for 1<<size < 2*len(p.fields) {
		size++
	}
	p.slots, p.shift = make([]uint8, 1<<size), 32-size
	for i, f := range p.fields {
		if p.field(f.name, hashName(f.name)) != nil {
			return false
		}
		at := hashName(f.name) >> p.shift
		for p.slots[at] != 0 {
			at = (at + 1) % uint32(len(p.slots))
		}
		p.slots[at] = uint8(i + 1)
	}
	return true
}

// field returns the field of that name, or nil. Names are case-sensitive.
func (p *plan) field(name string, hash uint32) *planField {
	for at := hash >> p.shift; p.slots[at] != 0; at = (at + 1) % uint32(len(p.slots)) {
		if f := &p.fields[p.slots[at]-1]; f.name == name {
			return f
		}
	}
	return nil
}
