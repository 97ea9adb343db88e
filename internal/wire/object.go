package wire

import (
	"github.com/go-json-experiment/json/jsontext"
)

// An Object is a JSON object held to the rules of [Unmarshal], and its members
// in the order of the text, whose memory they share. The zero Object is ready
// for [Object.Parse]. It needs no memory of its own up to [fewMembers] members.
type Object struct {
	text    string // all of it
	span    string // from bracket to bracket
	n       int
	few     [fewMembers]Member
	more    []Member
	seen    uint64         // a bit of the hash of each name
	numbers map[string]int // of the members, once they are many
}

// fewMembers is more than an ordinary token has claims.
const fewMembers = 24

// manyMembers is where comparing a name with all others costs more than a map,
// which is also seeded: no text can make it slow.
const manyMembers = 64

// A Member is a name, unescaped, and its value.
type Member struct {
	Name  string
	Value Value
	hash  uint32
}

// A Value is a value of a JSON text that has been checked whole.
type Value struct {
	text  string
	plain bool // a string without escapes
}

// Reset makes o ready for another text. Nothing of the last one stays reachable.
func (o *Object) Reset() {
	clear(o.few[:min(o.n, fewMembers)])
	*o = Object{few: o.few}
}

// Parse reads text, which has to be one JSON object, by the rules of
// [Unmarshal], once for each Object. The error is a [*JSONError].
func (o *Object) Parse(text string) error {
	s := scanner{text: text}
	i := s.space(0)
	if s.at(i) != '{' {
		s.fail(i, reasonKind)
		return s.err()
	}
	end := o.parse(&s, i, 0)
	if end < 0 {
		return s.err()
	}
	if end = s.space(end); end != len(text) {
		s.fail(end, reasonMalformed)
		return s.err()
	}
	return nil
}

// parse reads the object whose bracket is at opening, inside depth others.
func (o *Object) parse(s *scanner, opening, depth int) (end int) {
	if depth == MaxDepth {
		return s.fail(opening, reasonDeep)
	}
	i := opening
	for more := s.first(&i); more; more = s.next(&i) {
		start := i
		name, begin := s.name(i)
		if begin < 0 {
			return begin
		}
		end, plain := s.value(begin, depth+1)
		if end < 0 {
			return end
		}
		if !o.add(Member{name, Value{s.text[begin:end], plain}, hashName(name)}) {
			return s.fail(start, reasonDuplicate)
		}
		i = end
	}
	if i >= 0 {
		o.text, o.span = s.text, s.text[opening:i]
	}
	return i
}

// add reports whether the member has a new name.
func (o *Object) add(m Member) bool {
	if o.find(m.Name, m.hash) != nil {
		return false
	}
	o.seen |= 1 << (m.hash >> 26)
	if o.n < fewMembers {
		o.few[o.n] = m
	} else {
		o.more = append(o.more, m)
	}
	o.n++
	if o.n > manyMembers {
		o.number()
	}
	return true
}

// number notes the place of each member that is not noted yet.
func (o *Object) number() {
	if o.numbers == nil {
		o.numbers = make(map[string]int)
	}
	for i := len(o.numbers); i < o.n; i++ {
		o.numbers[o.at(i).Name] = i
	}
}

func (o *Object) at(i int) *Member {
	if i < fewMembers {
		return &o.few[i]
	}
	return &o.more[i-fewMembers]
}

func (o *Object) find(name string, hash uint32) *Member {
	if o.seen&(1<<(hash>>26)) == 0 {
		return nil
	}
	if o.numbers != nil {
		if i, ok := o.numbers[name]; ok {
			return o.at(i)
		}
		return nil
	}
	for i := range o.n {
		if m := o.at(i); m.hash == hash && m.Name == name {
			return m
		}
	}
	return nil
}

// Len returns how many members there are.
func (o *Object) Len() int { return o.n }

// At returns a member by its place in the text.
func (o *Object) At(i int) (name string, value Value) {
	m := o.at(i)
	return m.Name, m.Value
}

// Has reports whether there is a member of that name.
func (o *Object) Has(name string) bool { return o.find(name, hashName(name)) != nil }

// Find returns the value of a member, or the zero Value.
func (o *Object) Find(name string) Value {
	if m := o.find(name, hashName(name)); m != nil {
		return m.Value
	}
	return Value{}
}

// hashName is cheap and no secret: whoever relies on it bounds what a collision
// costs.
func hashName(name string) uint32 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	var x uint64
	switch n := len(name); {
	case n >= 8:
		x = word(name) ^ word(name[n-8:])*golden
	case n > 0:
		for i := range len(name) {
			x = x<<8 | uint64(name[i])
		}
	}
	x = (x ^ uint64(len(name))) * golden
	return uint32(x >> 32)
}

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
	b, _ := jsontext.AppendUnquote(nil, text)
	return string(b)
}

// Strings returns the elements of an array, all of which have to be strings.
func (v Value) Strings() (list []string, ok bool) {
	if v.Kind() != '[' {
		return nil, false
	}
	list = make([]string, v.count())
	elements := v.elements()
	for i := range list {
		e, _ := elements.next()
		if list[i], ok = e.Unquote(); !ok {
			return nil, false
		}
	}
	return list, true
}

// elements are the elements of an array that has been checked, one by one.
type elements struct {
	scanner
	i int // behind the last one, or behind the bracket that opens
}

func (v Value) elements() elements { return elements{scanner{text: v.text}, 1} }

func (e *elements) next() (v Value, ok bool) {
	i := e.space(e.i)
	if e.at(i) == ',' {
		i = e.space(i + 1)
	}
	if e.at(i) == ']' {
		return Value{}, false
	}
	end, plain := e.value(i, 0)
	e.i = end
	return Value{e.text[i:end], plain}, true
}

// count returns how many elements an array has.
func (v Value) count() (n int) {
	elements := v.elements()
	for {
		if _, more := elements.next(); !more {
			return n
		}
		n++
	}
}

// members are the members of an object that has been checked, one by one.
type members struct {
	scanner
	i int // behind the last one, or behind the bracket that opens
}

func (v Value) members() members { return members{scanner{text: v.text}, 1} }

func (m *members) next() (name string, v Value, ok bool) {
	i := m.space(m.i)
	if m.at(i) == ',' {
		i = m.space(i + 1)
	}
	if m.at(i) == '}' {
		return "", Value{}, false
	}
	name, i = m.name(i)
	end, plain := m.value(i, 0)
	m.i = end
	return name, Value{m.text[i:end], plain}, true
}
