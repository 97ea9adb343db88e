package wire_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// A claims has one member of each kind that matters to the rules.
type claims struct {
	Subject string         `json:"sub"`
	Expiry  int64          `json:"exp"`
	KeyID   string         `json:"kid"`
	Extra   map[string]any `json:"extra"`
	Raw     jsontext.Value `json:"raw"`
}

// refuseJSON checks that text is refused, whatever it is read into, with an error
// that shows nothing of it.
func refuseJSON(t *testing.T, text, reason string) {
	t.Helper()
	for _, v := range []any{new(claims), new(any), new(map[string]jsontext.Value), new(jsontext.Value)} {
		err := wire.Unmarshal([]byte(text), v)
		var e *wire.JSONError
		if !errors.As(err, &e) || !errors.Is(err, wire.ErrJSON) {
			t.Errorf("%.80q into %T: %v", text, v, err)
			continue
		}
		if reason != "" && !strings.Contains(e.Reason, reason) {
			t.Errorf("%.80q into %T: %v, want %q", text, v, err, reason)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats the text: %v", err)
		}
	}
}

func TestUnmarshalReadsOneValue(t *testing.T) {
	var c claims
	text := ` {"sub":"é \u00e9 \ud83d\ude00","exp":17,"unknown":[{}],"raw":{"a":1}} ` + "\n"
	if err := wire.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if c.Subject != "é é 😀" || c.Expiry != 17 || string(c.Raw) != `{"a":1}` {
		t.Errorf("%+v", c)
	}
}

func TestThreat12DuplicateMember(t *testing.T) {
	for _, text := range []string{
		`{"sub":"a","sub":"secret"}`,
		`{"sub":"a","s\u0075b":"secret"}`,
		`{"\u0065xp":1,"exp":2,"x":"secret"}`,
		`{"unknown":1,"unknown":2,"x":"secret"}`,
		`{"unknown":{"a":1,"a":2}}`,
		`{"unknown":[[{"a":1,"\u0061":2}]]}`,
		`{"extra":{"a":1,"a":2}}`,
		`{"raw":{"a":[{"b":1,"b":2}]}}`,
	} {
		refuseJSON(t, text, "duplicate")
	}
}

func TestThreat15InvalidText(t *testing.T) {
	for _, s := range []string{
		"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80", `\ud800`, `\udc00`, `\ud800\ud800`,
		`\udc00\ud800`, `\ud83d`, `\ud83dx`, "\x00", "\n", `\x41`, `\u12`,
	} {
		refuseJSON(t, `{"sub":"`+s+`"}`, "")
		refuseJSON(t, `{"secret`+s+`":1}`, "")
		refuseJSON(t, `{"unknown":["`+s+`"]}`, "")
	}
}

func TestThreat16OtherEncodings(t *testing.T) {
	text := `{"sub":"secret"}`
	refuseJSON(t, "\xef\xbb\xbf"+text, "")
	for _, big := range []bool{true, false} {
		for _, mark := range []string{"", "\ufeff"} {
			refuseJSON(t, toUTF16(mark+text, big), "")
			refuseJSON(t, toUTF32(mark+text, big), "")
		}
	}
}

func toUTF16(s string, big bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

func toUTF32(s string, big bool) string {
	var b []byte
	for _, r := range s {
		if big {
			b = append(b, 0, byte(r>>16), byte(r>>8), byte(r))
		} else {
			b = append(b, byte(r), byte(r>>8), byte(r>>16), 0)
		}
	}
	return string(b)
}

func TestThreat17TrailingData(t *testing.T) {
	for _, tail := range []string{"{}", "{", "}", "]", ",", "1", "null", "secret", "\x00", "//", "\u00a0"} {
		refuseJSON(t, `{"sub":"a"}`+tail, "")
	}
	for _, text := range []string{"", " ", "{", `{"sub"`, `{"sub":`, `{"sub":"secret`, `{"sub":"a",}`, `{,}`, `{"sub":'a'}`, `[1,]`, `{"raw":{"secret":[tru]}}`,
		`{"extra":{"secret":{"secret":01}}}`} {
		refuseJSON(t, text, "")
	}
}

func TestThreat18DeepNesting(t *testing.T) {
	arrays := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	var v jsontext.Value
	for _, text := range []string{arrays(wire.MaxDepth), objects(wire.MaxDepth)} {
		if err := wire.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%d levels: %v", wire.MaxDepth, err)
		}
	}
	for _, n := range []int{wire.MaxDepth + 1, 9_000, 20_000} {
		refuseJSON(t, arrays(n), "deep")
		refuseJSON(t, objects(n), "deep")
		refuseJSON(t, strings.Repeat("[", n), "deep")
		refuseJSON(t, `{"unknown":`+arrays(n)+`}`, "deep")
		refuseJSON(t, `{"a\"[{":"\\","b":`+arrays(n)+`}`, "deep")
	}
	// Many brackets that do not nest, or stand inside strings, are in order.
	for _, text := range []string{
		"[" + strings.Repeat("[],", 999) + "{}]",
		`"` + strings.Repeat(`[{\"`, 999) + `"`,
		`{"` + strings.Repeat(`[{\\`, 999) + `":1}`,
	} {
		if err := wire.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%.20q…: %v", text, err)
		}
	}
}

func TestThreat117NamesAreCaseSensitive(t *testing.T) {
	var c claims
	// U+212A is the Kelvin sign, U+017F the long s: both fold to ASCII letters.
	text := `{"SUB":"x","Sub":"x","ſub":"x","EXP":9,"Exp":9,"\u212Aid":"x","\u212aID":"x","KID":"x"}`
	if err := wire.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if c.Subject != "" || c.Expiry != 0 || c.KeyID != "" {
		t.Errorf("a variant of a name was taken for the name: %+v", c)
	}
	if err := wire.UnmarshalKnown([]byte(`{"Sub":"x"}`), &c); err == nil {
		t.Error("a variant of a name is known")
	}
}

func TestThreat117EscapedNamesAreTheName(t *testing.T) {
	var c claims
	if err := wire.Unmarshal([]byte(`{"\u0065xp":17}`), &c); err != nil || c.Expiry != 17 {
		t.Errorf("%+v, %v", c, err)
	}
	refuseJSON(t, `{"\u0065xp":17,"exp":18,"x":"secret"}`, "duplicate")
}

func TestUnmarshalRefusesAnotherKind(t *testing.T) {
	for _, text := range []string{
		`{"exp":"17"}`, `{"exp":1.5}`, `{"exp":1e3}`, `{"exp":1e400}`, `{"exp":9223372036854775808}`, `{"exp":true}`,
		`{"exp":[]}`, `{"sub":1}`, `{"sub":{}}`, `[]`, `"secret"`, `1`, `true`,
	} {
		var c claims
		if err := wire.Unmarshal([]byte(text), &c); !errors.Is(err, wire.ErrJSON) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestUnmarshalKnownNamesTheUnknown(t *testing.T) {
	var c claims
	err := wire.UnmarshalKnown([]byte(`{"sub":"secret","sbu":"secret"}`), &c)
	var e *wire.JSONError
	if !errors.As(err, &e) || e.Member != "sbu" || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	if want := `JSON: unknown member "sbu" at byte `; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%q, want %q", err, want)
	}
	if err := wire.UnmarshalKnown([]byte(`{"sub":"a","exp":1}`), &c); err != nil {
		t.Error(err)
	}
}

func TestMarshalIsDeterministicAndPlain(t *testing.T) {
	v := map[string]any{"b": "<&>\u2028", "a": 1, "c": []int(nil)}
	for range 20 {
		got, err := wire.Marshal(v)
		if err != nil || string(got) != `{"a":1,"b":"<&>`+"\u2028"+`","c":[]}` {
			t.Fatalf("%s, %v", got, err)
		}
	}
	for _, v := range []any{"\xff", math.NaN(), map[string]int{"\xff": 1}} {
		if got, err := wire.Marshal(v); err == nil {
			t.Errorf("%q made %s", v, got)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"sub":"a","exp":1}`, `{"sub":"a","s\u0075b":"b"}`, `{"a":{"b":[1,null,true,"\ud83d\ude00"]}}`,
		strings.Repeat("[", 40), `{"a":1}{}`, "\ufeff{}", `"\ud800"`, `{"raw":[1e999]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v jsontext.Value
		var c claims
		err := wire.Unmarshal(data, &v)
		if err != nil {
			if !errors.Is(err, wire.ErrJSON) {
				t.Fatalf("%v", err)
			}
			if wire.Unmarshal(data, &c) == nil {
				t.Fatalf("refused as a value and taken as claims: %q", data)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		if depth(data) > wire.MaxDepth {
			t.Fatalf("accepted at depth %d", depth(data))
		}
		if wire.UnmarshalKnown(data, &c) == nil && wire.Unmarshal(data, &c) != nil {
			t.Fatal("the stricter reading took what the other refused")
		}
	})
}

// depth asks another parser how deep valid JSON nests.
func depth(data []byte) (deepest int) {
	d := jsontext.NewDecoder(strings.NewReader(string(data)))
	for {
		if _, err := d.ReadToken(); err != nil {
			return deepest
		}
		deepest = max(deepest, d.StackDepth())
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	text := []byte(`{"iss":"https://id.example","sub":"4f1c2b","aud":"orders","exp":1767366245,"iat":1767365345,"scope":"read write"}`)
	for b.Loop() {
		var v struct {
			Issuer  string `json:"iss"`
			Subject string `json:"sub"`
			Expiry  int64  `json:"exp"`
		}
		if err := wire.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
	}
}
