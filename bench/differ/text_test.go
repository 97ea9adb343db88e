package differ_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A member of a JSON object, its name as it reads after unescaping.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf reads an object with encoding/json, token by token, so that nothing
// is folded or dropped. It is nil for what is no object.
func membersOf(text []byte) []member {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	list := []member{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return list
		}
		m := member{name: name.(string)}
		if err := d.Decode(&m.value); err != nil {
			return list
		}
		list = append(list, m)
	}
	return list
}

// get is the first member of exactly this name.
func get(list []member, name string) (json.RawMessage, bool) {
	for _, m := range list {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

func isString(value []byte) bool { return len(value) > 0 && value[0] == '"' }

func isNumber(value []byte) bool {
	return len(value) > 0 && (value[0] == '-' || '0' <= value[0] && value[0] <= '9')
}

// number is the value of a JSON number.
func number(value []byte) (float64, bool) {
	f, err := strconv.ParseFloat(string(value), 64)
	return f, isNumber(value) && err == nil
}

func text(value []byte) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

// isObjects reports whether value is an array of objects.
func isObjects(value []byte) bool {
	for _, element := range elementsOf(value) {
		if !isObject(element) {
			return false
		}
	}
	return len(value) > 0 && value[0] == '['
}

// hasAny reports whether a list has a member of exactly one of the names.
func hasAny(list []member, names ...string) bool {
	for _, name := range names {
		if _, ok := get(list, name); ok {
			return true
		}
	}
	return false
}

// isStrict reports whether text is what RFC 7493 allows, with few enough levels
// and nothing behind it.
func isStrict(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	var value json.RawMessage
	if d.Decode(&value) != nil || len(bytes.Trim(text[d.InputOffset():], " \t\r\n")) > 0 {
		return false
	}
	return isText(text) && !hasDuplicate(text) && depth(text) <= 32
}

// hasHugeNumber reports whether a number is beyond what float64 holds.
func hasHugeNumber(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if n, ok := token.(json.Number); ok {
			if _, err := n.Float64(); err != nil {
				return true
			}
		}
	}
}

// elementsOf is an array's, nil for what is none.
func elementsOf(text []byte) (list []json.RawMessage) {
	if len(text) == 0 || text[0] != '[' || json.Unmarshal(text, &list) != nil {
		return nil
	}
	return list
}

// hasDuplicate reports whether two members of one object have one name, at any level.
func hasDuplicate(text []byte) bool {
	var open []map[string]bool // nil for an array
	wantName := false
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch {
		case token == json.Delim('{'):
			open, wantName = append(open, map[string]bool{}), true
			continue
		case token == json.Delim('['):
			open = append(open, nil)
		case token == json.Delim('}') || token == json.Delim(']'):
			open = open[:len(open)-1]
		case wantName:
			name := token.(string)
			if open[len(open)-1][name] {
				return true
			}
			open[len(open)-1][name], wantName = true, false
			continue
		}
		wantName = len(open) > 0 && open[len(open)-1] != nil
	}
}

// depth is how many arrays and objects stand inside one another.
func depth(text []byte) int {
	deepest, now := 0, 0
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

// isText reports whether text is UTF-8 and every escaped surrogate has its half.
func isText(text []byte) bool { return utf8.Valid(text) && !hasLoneSurrogate(text) }

func hasLoneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		switch unit := unitAt(text, i); {
		case unit < 0:
			i++
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		case unit >= 0xd800 && unit < 0xdc00:
			if low := unitAt(text, i+6); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		default:
			i += 5
		}
	}
	return false
}

// unitAt is the UTF-16 unit of the escape \uXXXX at i, or -1.
func unitAt(text []byte, i int) int {
	if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(unit)
}

// loosely decodes base64url as encoding/json's callers usually do, with whatever
// it forgives.
func loosely(segment string) []byte {
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(segment, "="))
	if err != nil {
		data, _ = base64.RawStdEncoding.DecodeString(strings.TrimRight(segment, "="))
	}
	return data
}

// isCanonical reports whether segment is the one spelling of its bytes.
func isCanonical(segment string) bool {
	data, err := base64.RawURLEncoding.DecodeString(segment)
	return err == nil && base64.RawURLEncoding.EncodeToString(data) == segment
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
