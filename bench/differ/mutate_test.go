package differ_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// A script drives the mutations: each choice takes a byte of it, and when none
// is left nothing more is changed. A fuzzer finds its way through scripts byte by
// byte.
type script struct{ bytes []byte }

// randomScript is the same for the same numbers.
func randomScript(stream, run uint64) *script {
	r := rand.New(rand.NewPCG(stream, run))
	s := &script{make([]byte, r.IntN(40))}
	for i := range s.bytes {
		s.bytes[i] = byte(r.Uint32())
	}
	return s
}

func (s *script) ended() bool { return len(s.bytes) == 0 }

// choose returns a number below n, 0 at the end of the script.
func (s *script) choose(n int) int {
	if len(s.bytes) == 0 || n < 2 {
		return 0
	}
	b := int(s.bytes[0])
	s.bytes = s.bytes[1:]
	if n > 256 && len(s.bytes) > 0 {
		b = b<<8 | int(s.bytes[0])
		s.bytes = s.bytes[1:]
	}
	return b % n
}

func pick[T any](s *script, from []T) T { return from[s.choose(len(from))] }

// A rawMember is a member of an object as it is written.
type rawMember struct{ name, value string }

// rawMembers splits an object that nothing is wrong with.
func rawMembers(object string) []rawMember {
	var list []rawMember
	for _, m := range membersOf([]byte(object)) {
		list = append(list, rawMember{strconv.Quote(m.name), string(m.value)})
	}
	return list
}

func object(list []rawMember) string {
	parts := make([]string, len(list))
	for i, m := range list {
		parts[i] = m.name + ":" + m.value
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// A vocabulary is what the members of one kind of object are bent with.
type vocabulary struct{ names, values []string }

// values are wrong, or nearly, wherever they stand; noValues are not even JSON.
var (
	values = []string{
		`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `1.5`, `1e3`, `1E+2`, `1e400`, `-1e400`, `1e308`, `1e-400`, `9007199254740991`, `9007199254740992`,
		`9223372036854775807`, `9223372036854775808`, `18446744073709551615`, `18446744073709551616`,
		`""`, `"x"`, `"\u0000"`, `"\ud83d\ude00"`, `"\ud800"`, `"\udc00\ud800"`, `"\ud800\u0041"`, "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\u2028\"", `"\/"`,
		`[]`, `[null]`, `[""]`, `["x"]`, `[["x"]]`, `[1]`, `["x",1]`, `{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":1}}`, `[{"a":1,"\u0061":2}]`,
	}
	noValues = []string{
		`01`, `+1`, `.5`, `1.`, `0x1`, `NaN`, `Infinity`, `'x'`, `tru`, `nul`, `"`, ``, ` `, `undefined`, "\"\t\"", `"\x"`, `"\u00"`, `-`, `1e`, `[1,]`, `{"a"}`, `{"a":}`,
	}
)

// nested is an array in arrays.
func nested(levels int) string {
	return strings.Repeat("[", levels) + strings.Repeat("]", levels)
}

// bend changes an object, mostly once.
func (s *script) bend(obj string, v vocabulary) string {
	for range 3 {
		if s.ended() {
			break
		}
		obj = s.bendOnce(obj, v)
		if s.choose(3) > 0 {
			break
		}
	}
	return obj
}

func (s *script) bendOnce(obj string, v vocabulary) string {
	list := rawMembers(obj)
	if len(list) == 0 {
		list = []rawMember{{`"x"`, `1`}}
	}
	m := &list[s.choose(len(list))]
	switch s.choose(14) {
	case 0, 1, 2:
		m.value = s.value(v)
	case 3:
		list = append(list, rawMember{m.name, s.value(v)}) // a second one wins with some
	case 4:
		list = append([]rawMember{{m.name, s.value(v)}}, list...) // and a first one with others
	case 5:
		list = append(list, *m)
	case 6:
		list = append(list, rawMember{s.otherCase(m.name), s.value(v)})
	case 7:
		m.name = s.otherCase(m.name)
	case 8:
		m.name = s.escaped(m.name)
	case 9:
		list = append(list, rawMember{s.escaped(m.name), s.value(v)})
	case 10:
		*m = list[len(list)-1]
		list = list[:len(list)-1]
	case 11, 12:
		list = append(list, rawMember{strconv.Quote(pick(s, v.names)), s.value(v)})
	default:
		return s.bendText(object(list))
	}
	return object(list)
}

func (s *script) value(v vocabulary) string {
	switch s.choose(16) {
	case 0:
		return pick(s, noValues)
	case 1:
		return nested([]int{2, 30, 31, 32, 33, 200}[s.choose(6)])
	case 2:
		return `"` + strings.Repeat("a", []int{16, 255, 256, 257, 3000, 4000, 12000, 17000}[s.choose(8)]) + `"`
	case 3, 4, 5, 6, 7, 8, 9, 10:
		return pick(s, v.values)
	}
	return pick(s, values)
}

// otherCase writes a name that some readers take for the same: encoding/json
// folds by Unicode, where U+017F is an s and U+212A a k.
func (s *script) otherCase(name string) string {
	switch s.choose(4) {
	case 0:
		return strings.ToUpper(name)
	case 1:
		return `"` + strings.ToUpper(name[1:2]) + name[2:]
	case 2:
		return strings.NewReplacer("s", "ſ", "k", "\u212a").Replace(name)
	}
	return name[:len(name)-1] + ` "`
}

// escaped writes a name so that it is the same only after unescaping.
func (s *script) escaped(name string) string {
	if len(name) < 3 || name[1] == '\\' {
		return name
	}
	i := 1 + s.choose(len(name)-2)
	return name[:i] + `\u00` + strconv.FormatInt(int64(name[i]), 16) + name[i+1:]
}

// bendText changes the text around the members.
func (s *script) bendText(text string) string {
	switch s.choose(16) {
	case 0:
		return "\ufeff" + text
	case 1:
		return text + "{}"
	case 2:
		return text + "\n"
	case 3:
		return " \t\r\n" + text + " "
	case 4:
		return text + "\x00"
	case 5:
		return text[:len(text)-1]
	case 6:
		return text[:len(text)-1] + ",}"
	case 7:
		return "[" + text + "]"
	case 8:
		return strings.Replace(text, ":", " : ", -1)
	case 9:
		return strings.Replace(text, ",", ",\n", -1)
	case 10:
		return strings.Replace(text, ",", ",/**/", 1)
	case 11:
		return text + text
	case 12:
		return "\xff\xfe" + text
	case 13:
		return strings.Replace(text, ":", "\v:", 1)
	case 14:
		return text[1:]
	}
	at := s.choose(len(text))
	return text[:at] + string([]byte{byte(s.choose(256))}) + text[at:]
}

// speller is respell in one case of four.
func (s *script) speller() func(string) string {
	if s.choose(4) == 1 {
		return s.respell
	}
	return func(segment string) string { return segment }
}

// respell writes a segment another way, before it is signed.
func (s *script) respell(segment string) string {
	if s.ended() || s.choose(2) == 0 {
		return segment
	}
	at := s.choose(len(segment) + 1)
	switch s.choose(9) {
	case 0:
		return segment[:at] + "\n" + segment[at:]
	case 1:
		return segment[:at] + "\r\n" + segment[at:]
	case 2:
		return segment + strings.Repeat("=", 1+s.choose(2))
	case 3:
		return strings.NewReplacer("-", "+", "_", "/").Replace(segment)
	case 4:
		return trailingBits(segment)
	case 5:
		return segment[:at] + " " + segment[at:]
	case 6:
		return segment[:at] + "?" + segment[at:]
	case 7:
		return ""
	}
	return segment + "A"
}

// trailingBits sets the last bit of a segment that has bits to spare.
func trailingBits(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(segment)%4 < 2 {
		return segment
	}
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	if last < 0 {
		return segment
	}
	return segment[:len(segment)-1] + alphabet[last^1:last^1+1]
}

// damage changes the bytes of something signed.
func (s *script) damage(token string) string {
	for range 1 + s.choose(2) {
		if s.ended() || token == "" {
			break
		}
		at := s.choose(len(token))
		switch s.choose(9) {
		case 0:
			token = token[:at] + string([]byte{token[at] ^ 1<<s.choose(8)}) + token[at+1:]
		case 1:
			token = token[:at] + token[at+1:]
		case 2:
			token = token[:at] + pick(s, []string{"\n", "\r", "=", ".", " ", "\x00", "A", "+", "{", "\xff", "\u2003"}) + token[at:]
		case 3:
			token = token[:at]
		case 4:
			token += pick(s, []string{".", "..", "=", "\n", ".e30", "A", " "})
		case 5:
			token = pick(s, []string{" ", "\n", "Bearer ", "\ufeff", "."}) + token
		case 6:
			token = trailingBits(token)
		case 7:
			token = s.segments(token)
		default:
			other := s.choose(len(token))
			low, high := min(at, other), max(at, other)
			token = token[:low] + token[high:]
		}
	}
	return token
}

// segments takes, repeats or leaves out whole segments.
func (s *script) segments(token string) string {
	parts := strings.Split(token, ".")
	i := s.choose(len(parts))
	switch s.choose(4) {
	case 0:
		parts[i] = ""
	case 1:
		parts = append(parts, parts[i])
	case 2:
		parts = append(parts[:i], parts[i+1:]...)
	default:
		parts[0], parts[i] = parts[i], parts[0]
	}
	return strings.Join(parts, ".")
}
