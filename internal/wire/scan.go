package wire

import (
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// A scanner holds a text to the rules of [Unmarshal] in one pass. Its methods
// take the place where something begins and return the place behind it, or -1
// when a rule is broken: which one is then in reason.
type scanner struct {
	text   string
	offset int
	reason string
}

const (
	reasonMalformed = "malformed"
	reasonEarly     = "ends too early"
	reasonDuplicate = "duplicate member"
	reasonDeep      = "nested too deep"
	reasonKind      = "value of the wrong kind"
)

func (s *scanner) fail(i int, reason string) int {
	if i >= len(s.text) {
		reason = reasonEarly
	}
	s.offset, s.reason = i, reason
	return -1
}

func (s *scanner) err() *JSONError {
	return &JSONError{Offset: int64(s.offset), Reason: s.reason}
}

// at returns the byte at i, or 0 behind the end, which stands nowhere in JSON
// outside a string.
func (s *scanner) at(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

// space passes over white space (RFC 8259, Section 2), of which there is seldom
// any.
func (s *scanner) space(i int) int {
	if i < len(s.text) && s.text[i] > ' ' {
		return i
	}
	return s.spaces(i)
}

func (s *scanner) spaces(i int) int {
	for i < len(s.text) {
		switch s.text[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// value reads any value. One inside depth arrays and objects is at depth.
func (s *scanner) value(i, depth int) (end int, plain bool) {
	switch s.at(i) {
	case '"':
		return s.quoted(i)
	case '{':
		return s.object(i, depth), false
	case '[':
		return s.array(i, depth), false
	case 't':
		return s.literal(i, "true"), false
	case 'f':
		return s.literal(i, "false"), false
	case 'n':
		return s.literal(i, "null"), false
	}
	return s.number(i), false
}

func (s *scanner) literal(i int, want string) int {
	if len(s.text)-i < len(want) || s.text[i:i+len(want)] != want {
		return s.fail(i, reasonMalformed)
	}
	return i + len(want)
}

func (s *scanner) array(i, depth int) int {
	if depth == MaxDepth {
		return s.fail(i, reasonDeep)
	}
	i, more := s.first(i, ']')
	for more {
		if s.at(i) == '"' {
			i, _ = s.quoted(i)
		} else {
			i, _ = s.value(i, depth+1)
		}
		if i < 0 {
			return i
		}
		i, more = s.next(i, ']')
	}
	return i
}

func (s *scanner) object(i, depth int) int {
	if depth == MaxDepth {
		return s.fail(i, reasonDeep)
	}
	var names nameSet
	i, more := s.first(i, '}')
	for more {
		name := i
		end, plain := s.name(i)
		if end < 0 {
			return end
		}
		if !names.add(unquote(s.text[name:end], plain)) {
			return s.fail(name, reasonDuplicate)
		}
		if i = s.colon(end); i < 0 {
			return i
		}
		if i, _ = s.value(i, depth+1); i < 0 {
			return i
		}
		i, more = s.next(i, '}')
	}
	return i
}

// first goes from the bracket that opens an object or an array to what it has
// first, or behind shut if it has nothing.
func (s *scanner) first(i int, shut byte) (next int, more bool) {
	if i = s.space(i + 1); s.at(i) == shut {
		return i + 1, false
	}
	return i, true
}

// next goes from the end of a member or an element to the next one, or behind
// shut if there is none, or to -1 when a rule is broken.
func (s *scanner) next(i int, shut byte) (next int, more bool) {
	if i+1 < len(s.text) && s.text[i] == ',' && s.text[i+1] > ' ' {
		return i + 1, true
	}
	return s.nextSpaced(i, shut)
}

func (s *scanner) nextSpaced(i int, shut byte) (next int, more bool) {
	i = s.space(i)
	switch s.at(i) {
	case ',':
		return s.space(i + 1), true
	case shut:
		return i + 1, false
	}
	return s.fail(i, reasonMalformed), false
}

// name reads the name of a member with its quotation marks.
func (s *scanner) name(i int) (end int, plain bool) {
	if s.at(i) != '"' {
		return s.fail(i, reasonMalformed), false
	}
	return s.quoted(i)
}

// colon goes from the end of a name to the value.
func (s *scanner) colon(i int) int {
	if i+1 < len(s.text) && s.text[i] == ':' && s.text[i+1] > ' ' {
		return i + 1
	}
	return s.colonSpaced(i)
}

func (s *scanner) colonSpaced(i int) int {
	if i = s.space(i); s.at(i) != ':' {
		return s.fail(i, reasonMalformed)
	}
	return s.space(i + 1)
}

// number reads a number (RFC 8259, Section 6).
func (s *scanner) number(i int) int {
	if s.at(i) == '-' {
		i++
	}
	start := i
	i = s.digits(i)
	if i == start || s.text[start] == '0' && i != start+1 {
		return s.fail(start, reasonMalformed)
	}
	if s.at(i) == '.' {
		start = i + 1
		if i = s.digits(start); i == start {
			return s.fail(i, reasonMalformed)
		}
	}
	if s.at(i)|0x20 == 'e' {
		i++
		if c := s.at(i); c == '+' || c == '-' {
			i++
		}
		start = i
		if i = s.digits(start); i == start {
			return s.fail(i, reasonMalformed)
		}
	}
	return i
}

func (s *scanner) digits(i int) int {
	if i+8 <= len(s.text) && digitsOnly(word(s.text[i:])) {
		i += 8
	}
	for i < len(s.text) && s.text[i]-'0' <= 9 {
		i++
	}
	return i
}

// digitsOnly reports whether each byte of w is a digit.
func digitsOnly(w uint64) bool {
	const high = 0xf0 * each
	return w&high|(w+6*each)&high>>4 == 0x33*each
}

// eightDigits returns the number that eight digits are: pairs, then fours, then
// all of them at once.
func eightDigits(w uint64) uint64 {
	w = (w & (0x0f * each)) * (1 + 10<<8) >> 8 & (0x00ff00ff00ff00ff)
	w = w * (1 + 100<<16) >> 16 & 0x0000ffff0000ffff
	return w * (1 + 10000<<32) >> 32
}

// quoted reads the string whose quotation mark is at i: UTF-8, no control
// characters, no lone surrogates. It is plain if it has no escapes.
func (s *scanner) quoted(i int) (end int, plain bool) {
	for i++; i+8 <= len(s.text); i += 8 {
		if found := special(word(s.text[i:])); found != 0 {
			i += bits.TrailingZeros64(found) / 8
			if s.text[i] == '"' {
				return i + 1, true
			}
			break
		}
	}
	return s.quotedSlowly(i)
}

// quotedSlowly goes on inside a string, character by character.
func (s *scanner) quotedSlowly(i int) (end int, plain bool) {
	plain = true
	for {
		switch c := s.at(i); {
		case c == '"':
			return i + 1, plain
		case c == '\\':
			if i = s.escape(i); i < 0 {
				return i, false
			}
			plain = false
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s.text[i:])
			if r == utf8.RuneError && size == 1 {
				return s.fail(i, reasonMalformed), false
			}
			i += size
		case c < ' ':
			return s.fail(i, reasonMalformed), false
		default:
			i++
		}
	}
}

// Each byte of a word.
const (
	each  = 0x0101010101010101
	tops  = 0x80 * each
	quote = '"' * each
	slash = '\\' * each
	blank = ' ' * each
)

// special finds the first byte of w that does not mean itself in a string or is
// not ASCII: a quotation mark, a backslash, a control character, a byte of
// something longer. Its top bit is the lowest bit of what is returned.
func special(w uint64) uint64 {
	// Of a byte below 0x80, less n has the top bit if it is below n. A borrow
	// spoils only bytes above one that is found, and so does a byte of 0x80 or
	// more, which is found for what it is.
	return (w | (w - blank) | ((w ^ quote) - each) | ((w ^ slash) - each)) & tops
}

// word returns the first eight bytes of t.
func word(t string) uint64 {
	_ = t[7]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
		uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

// half returns the first four bytes of t.
func half(t string) uint32 {
	_ = t[3]
	return uint32(t[0]) | uint32(t[1])<<8 | uint32(t[2])<<16 | uint32(t[3])<<24
}

// escape reads what a backslash at i begins. A surrogate must be the first of a
// pair, and its second half follows (RFC 7493, Section 2.1).
func (s *scanner) escape(i int) int {
	switch s.at(i + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return s.fail(i+1, reasonMalformed)
	}
	first, ok := s.hex(i + 2)
	if !ok {
		return s.fail(i+2, reasonMalformed)
	}
	if !utf16.IsSurrogate(first) {
		return i + 6
	}
	second, ok := s.hex(i + 8)
	if !ok || s.text[i+6] != '\\' || s.text[i+7] != 'u' || utf16.DecodeRune(first, second) == utf8.RuneError {
		return s.fail(i, reasonMalformed)
	}
	return i + 12
}

// hex reads the four digits at i.
func (s *scanner) hex(i int) (r rune, ok bool) {
	if len(s.text)-i < 4 {
		return 0, false
	}
	for _, c := range []byte(s.text[i : i+4]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// A nameSet finds the duplicates among the names of one object.
type nameSet struct {
	n   int
	few [8]string
	all map[string]struct{} // once they are more than few; seeded, so nobody can choose names that collide
}

// add reports whether name is new.
func (set *nameSet) add(name string) bool {
	if set.all == nil {
		for _, other := range set.few[:set.n] {
			if name == other {
				return false
			}
		}
		if set.n < len(set.few) {
			set.few[set.n] = name
			set.n++
			return true
		}
		set.all = make(map[string]struct{})
		for _, other := range set.few {
			set.all[other] = struct{}{}
		}
	}
	before := len(set.all)
	set.all[name] = struct{}{}
	return len(set.all) > before
}
