package wire

import (
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

// A plan says how a value that has been checked is put into a Go type. It is
// made once for each type and gives what encoding/json/v2 gives.
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

// A plannedType is a type with its plan.
type plannedType struct {
	of   reflect.Type
	plan *plan
}

// firstPlans are the first few plans made, which a program that has few types of
// claims finds without a map. The slice is replaced whole.
var firstPlans atomic.Pointer[[]plannedType]

const maxFirstPlans = 16

// planFor returns the plan of t, or nil.
func planFor(t reflect.Type) *plan {
	if first := firstPlans.Load(); first != nil {
		for i := range *first {
			if p := &(*first)[i]; p.of == t {
				return p.plan
			}
		}
	}
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	return makePlan(t)
}

func makePlan(t reflect.Type) *plan {
	p, _ := planner{}.plan(t)
	known, loaded := plans.LoadOrStore(t, p)
	p = known.(*plan)
	var all []plannedType
	first := firstPlans.Load()
	if first != nil {
		all = *first
	}
	if !loaded && len(all) < maxFirstPlans {
		all = append(slices.Clip(all), plannedType{t, p})
		firstPlans.CompareAndSwap(first, &all) // else it stays in plans only
	}
	return p
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
		return known.fillStruct(p, t)
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

// fillStruct leaves two fields of one name to encoding/json/v2.
func (known planner) fillStruct(p *plan, t reflect.Type) (ok bool) {
	var names []string
	if !known.addFields(p, &names, t, nil) {
		return false
	}
	p.names, ok = newNames(names)
	return ok
}

// implements reports whether a value or a pointer to one has the methods of any of ifaces.
func implements(t reflect.Type, ifaces []reflect.Type) bool {
	return slices.ContainsFunc(ifaces, func(iface reflect.Type) bool {
		return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
	})
}

// addFields adds the fields of a struct, and those of structs embedded in it.
func (known planner) addFields(p *plan, names *[]string, t reflect.Type, index []int) (ok bool) {
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
			if !known.embed(p, names, f, path) {
				return false
			}
			continue
		}
		field := planField{index: path[0], deeper: path[1:]}
		if field.plan, ok = known.plan(f.Type); !ok {
			return false
		}
		p.fields = append(p.fields, field)
		*names = append(*names, name)
	}
	// A struct without anything to fill is taken for a mistake.
	return tagged || any
}

// embed adds the fields of an embedded struct. Which of two fields of one name
// counts is left to encoding/json/v2, as are methods.
func (known planner) embed(p *plan, names *[]string, f reflect.StructField, path []int) bool {
	if f.Type.Kind() != reflect.Struct || !f.IsExported() || f.Type.NumMethod()+reflect.PointerTo(f.Type).NumMethod() > 0 {
		return false
	}
	return known.addFields(p, names, f.Type, path)
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
