package wire

import (
	"math"
	"math/bits"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// An Object is a JSON object held to the rules of [Unmarshal], and its members
// in the order of the text, whose memory they share. The zero Object is ready
// for [Object.Parse], and needs no memory of its own for up to fewMembers.
type Object struct {
	text    string
	opening int // place of its bracket
	closing int // place behind its other one
	n       int
	few     [fewMembers]member
	more    []member
	escaped []string       // names that are not written as they are
	seen    [4]uint64      // a bit of 256 for the key of each name
	places  map[string]int // by name, once there are many
}

const (
	// fewMembers is more than an ordinary token has claims.
	fewMembers = 24
	// manyMembers is where comparing a name with all others costs more than a
	// map, which nobody can make slow by choosing names: its hash is seeded.
	manyMembers = 64
)

// A member is where a name and its value are in the text. It has no pointers, so
// that an Object is soon filled and soon empty again.
type member struct {
	key             nameKey
	name, nameEnd   uint32 // between the quotation marks; nameEnd 0: name is a place in escaped
	value, valueEnd uint32
	plain           bool // the value is a string without escapes
}

// A Value is a value of a JSON text that has been checked whole.
type Value struct {
	text  string
	plain bool // a string without escapes
}

var objects = sync.Pool{New: func() any { return new(Object) }}

// NewObject returns an Object that is ready for [Object.Parse], perhaps one that
// was released.
func NewObject() *Object { return objects.Get().(*Object) }

// Release gives o up. Values that came out of it stay as they are.
func (o *Object) Release() {
	o.Reset()
	objects.Put(o)
}

// Reset makes o ready for another text.
func (o *Object) Reset() {
	o.text, o.n, o.more, o.escaped, o.seen, o.places = "", 0, nil, nil, [4]uint64{}, nil
}

// Parse reads text, which has to be one JSON object of less than 4 GiB, by the
// rules of [Unmarshal], once for each Object. The error is a [*JSONError].
func (o *Object) Parse(text string) error {
	s := scanner{text: text}
	i := s.space(0)
	if s.at(i) != '{' || uint64(len(text)) > math.MaxUint32 {
		s.fail(i, reasonKind)
		return s.err()
	}
	if i = o.parse(&s, i, 0); i < 0 {
		return s.err()
	}
	if i = s.space(i); i != len(text) {
		s.fail(i, reasonMalformed)
		return s.err()
	}
	return nil
}

// parse reads the object whose bracket is at opening, inside depth others.
func (o *Object) parse(s *scanner, opening, depth int) (end int) {
	if depth == MaxDepth {
		return s.fail(opening, reasonDeep)
	}
	o.text, o.opening = s.text, opening
	i, more := s.first(opening, '}')
	for more {
		m, name := o.slot(), i
		if i = o.readName(s, m, i); i < 0 {
			return i
		}
		m.value = uint32(i)
		if s.at(i) == '"' {
			i, m.plain = s.quoted(i)
		} else {
			i, m.plain = s.value(i, depth+1)
		}
		if i < 0 {
			return i
		}
		m.valueEnd = uint32(i)
		if !o.add(m) {
			return s.fail(name, reasonDuplicate)
		}
		i, more = s.next(i, '}')
	}
	o.closing = i
	return i
}

// slot returns the memory of the next member.
func (o *Object) slot() *member {
	if o.n < fewMembers {
		return &o.few[o.n]
	}
	o.more = append(o.more[:o.n-fewMembers], member{})
	return &o.more[o.n-fewMembers]
}

// readName reads the name at i into m and returns the place of the value. Most
// names are short enough for one word, which gives their end and their key.
func (o *Object) readName(s *scanner, m *member, i int) (value int) {
	if i+9 <= len(s.text) && s.text[i] == '"' {
		w := word(s.text[i+1:])
		size := bits.TrailingZeros64(special(w)) / 8
		if end := i + 1 + size; size < 8 && s.text[end] == '"' {
			m.name, m.nameEnd, m.key = uint32(i+1), uint32(end), shortKey(w&^(^uint64(0)<<(8*size)), size)
			return s.colon(end + 1)
		}
	}
	end, plain := s.name(i)
	if end < 0 {
		return end
	}
	name := unquote(s.text[i:end], plain)
	m.name, m.nameEnd, m.key = uint32(i+1), uint32(end-1), keyOf(name)
	if !plain {
		m.name, m.nameEnd = uint32(len(o.escaped)), 0
		o.escaped = append(o.escaped, name)
	}
	return s.colon(end)
}

// add counts the member in its slot and reports whether it has a new name.
func (o *Object) add(m *member) bool {
	set, bit := o.bit(m.key)
	if *set&bit != 0 && o.seek(o.nameOf(m), m.key, o.n) >= 0 {
		return false
	}
	*set |= bit
	if o.n++; o.n > manyMembers {
		o.place()
	}
	return true
}

// bit returns where seen has the bit of a key.
func (o *Object) bit(key nameKey) (set *uint64, bit uint64) {
	hash := key.hash()
	return &o.seen[hash>>30], 1 << (hash >> 24 & 63)
}

// place notes the place of each member that is not noted yet.
func (o *Object) place() {
	if o.places == nil {
		o.places = make(map[string]int)
	}
	for i := len(o.places); i < o.n; i++ {
		o.places[o.nameOf(o.at(i))] = i
	}
}

func (o *Object) at(i int) *member {
	if i < fewMembers {
		return &o.few[i]
	}
	return &o.more[i-fewMembers]
}

func (o *Object) nameOf(m *member) string {
	if m.nameEnd == 0 {
		return o.escaped[m.name]
	}
	return o.text[m.name:m.nameEnd]
}

func (o *Object) valueOf(m *member) Value { return Value{o.text[m.value:m.valueEnd], m.plain} }

func (o *Object) find(name string, key nameKey) *member {
	if i := o.seek(name, key, 0); i >= 0 {
		return o.at(i)
	}
	return nil
}

// seek returns the place of the member of that name, or -1. Where one name is
// found the next one is mostly near: it looks from start on.
func (o *Object) seek(name string, key nameKey, start int) int {
	if o.n > fewMembers {
		return o.seekMany(name, key)
	}
	few := o.few[:o.n]
	if start < len(few) && few[start].key == key && key.short() {
		return start
	}
	if set, bit := o.bit(key); *set&bit == 0 {
		return -1
	}
	for i := range few {
		if few[i].key == key && (key.short() || o.nameOf(&few[i]) == name) {
			return i
		}
	}
	return -1
}

func (o *Object) seekMany(name string, key nameKey) int {
	if o.places != nil {
		if i, ok := o.places[name]; ok {
			return i
		}
		return -1
	}
	for i := range o.n {
		if m := o.at(i); m.key == key && o.nameOf(m) == name {
			return i
		}
	}
	return -1
}

// Len returns how many members there are.
func (o *Object) Len() int { return o.n }

// At returns a member by its place in the text.
func (o *Object) At(i int) (name string, value Value) {
	m := o.at(i)
	return o.nameOf(m), o.valueOf(m)
}

// Has reports whether there is a member of that name.
func (o *Object) Has(name string) bool { return o.find(name, keyOf(name)) != nil }

// Find returns the value of a member, or the zero Value.
func (o *Object) Find(name string) Value {
	if m := o.find(name, keyOf(name)); m != nil {
		return o.valueOf(m)
	}
	return Value{}
}

// A nameKey is a name itself if that has less than eight bytes: these, and above
// them how many. Of any other it is a hash, which is no secret: whoever relies on
// it bounds what a collision costs.
type nameKey uint64

const longName nameKey = 0xff << 56

func shortKey(bytes uint64, size int) nameKey { return nameKey(bytes | uint64(size)<<56) }

func keyOf(name string) nameKey {
	n := len(name)
	switch {
	case n >= 8:
		return longName | nameKey((word(name)^bits.RotateLeft64(word(name[n-8:]), 31)^uint64(n))*golden>>8)
	case n >= 4:
		return shortKey(uint64(half(name))|uint64(half(name[n-4:]))<<(8*(n-4)), n)
	}
	var x uint64
	for i := range n {
		x |= uint64(name[i]) << (8 * i)
	}
	return shortKey(x, n)
}

// short reports whether no two names have the key.
func (k nameKey) short() bool { return k < longName }

// hash spreads keys over 32 bits, the upper ones best.
func (k nameKey) hash() uint32 { return uint32(uint64(k) * golden >> 32) }

const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio

// Kind returns the kind of a value, or 0 for the zero Value.
func (v Value) Kind() jsontext.Kind {
	if v.text == "" {
		return 0
	}
	if c := v.text[0]; c == '-' || c-'0' <= 9 {
		return '0'
	}
	return jsontext.Kind(v.text[0])
}

// Text returns the value as it was written. It shares memory with all of the
// text.
func (v Value) Text() string { return v.text }

// Unquote returns the value of a string. Without escapes it shares memory with
// all of the text.
func (v Value) Unquote() (s string, ok bool) {
	if v.Kind() != '"' {
		return "", false
	}
	return unquote(v.text, v.plain), true
}

// Uint returns a number that is all digits, from 0 to 2^64-1.
func (v Value) Uint() (n uint64, ok bool) {
	if v.Kind() != '0' {
		return 0, false
	}
	return parseUint(v.text)
}

// unquote returns what a string that has been checked stands for.
func unquote(text string, plain bool) string {
	if plain {
		return text[1 : len(text)-1]
	}
	return unescape(text)
}

func unescape(text string) string {
	b, _ := jsontext.AppendUnquote(nil, text)
	return string(b)
}

// AppendStrings appends the elements of an array, all of which have to be strings.
func (v Value) AppendStrings(list []string) (all []string, ok bool) {
	if v.Kind() != '[' {
		return nil, false
	}
	return v.appendStrings(list, false)
}

// appendStrings takes an array of strings and, if they may be there, nulls.
func (v Value) appendStrings(list []string, nulls bool) (all []string, ok bool) {
	s := scanner{text: v.text}
	for i, more := s.first(0, ']'); more; i, more = s.next(i, ']') {
		begin := i
		switch {
		case s.text[i] == '"':
			var plain bool
			i, plain = s.quoted(i)
			list = append(list, unquote(s.text[begin:i], plain))
		case s.text[i] == 'n' && nulls:
			i += len("null")
			list = append(list, "")
		default:
			return nil, false
		}
	}
	return list, true
}

// elements are the elements of an array that has been checked, one by one: value
// is the next one if there are more.
type elements struct {
	scanner
	value Value
	more  bool
	i     int // behind value
}

func (v Value) elements() (e elements) {
	e.text = v.text
	e.i, e.more = e.first(0, ']')
	e.read()
	return e
}

func (e *elements) step() {
	e.i, e.more = e.next(e.i, ']')
	e.read()
}

func (e *elements) read() {
	if e.more {
		i := e.i
		e.i, e.value.plain = e.scanner.value(i, 0)
		e.value.text = e.text[i:e.i]
	}
}

// count returns how many elements an array has.
func (v Value) count() (n int) {
	for e := v.elements(); e.more; e.step() {
		n++
	}
	return n
}

// members are the members of an object that has been checked, one by one.
type members struct {
	scanner
	name  string
	value Value
	more  bool
	i     int // behind value
}

func (v Value) members() (m members) {
	m.text = v.text
	m.i, m.more = m.first(0, '}')
	m.read()
	return m
}

func (m *members) step() {
	m.i, m.more = m.next(m.i, '}')
	m.read()
}

func (m *members) read() {
	if m.more {
		i := m.i
		end, plain := m.scanner.name(i)
		m.name = unquote(m.text[i:end], plain)
		i = m.colon(end)
		m.i, m.value.plain = m.scanner.value(i, 0)
		m.value.text = m.text[i:m.i]
	}
}
