package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// objectTexts are texts of every rule, kept and broken.
var objectTexts = []string{
	`{}`, ` { } `, `{"a":1}`, "\t{\n\"a\" :\r[ 1 , 2 ] , \"b\":{ } }\n", `{"a":[],"b":[[]],"c":{"a":{"a":{}}}}`,
	`{"":""}`, `{"a":"\u0041\"\\\/\b\f\n\r\t"}`, `{"\ud83d\ude00":"\uD83D\uDE00"}`, `{"a":"é😀𐍈","é":1}`,
	`{"a":true,"b":false,"c":null}`, `{"a":-0,"b":0.0,"c":-1.5e-10,"d":1E+2,"e":10,"f":0e0,"g":1e999}`,
	``, ` `, `{`, `}`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{"a",1}`, `{a:1}`, `{1:1}`,
	`[]`, `"a"`, `1`, `null`, `{}{}`, `{} x`, `{}]`, `{"a":1]`, `{"a":[1}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`,
	`{"a":01}`, `{"a":-}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1e}`, `{"a":1e+}`, `{"a":0x1}`, `{"a":--1}`, `{"a":1.2.3}`, `{"a":NaN}`,
	`{"a":tru}`, `{"a":truee}`, `{"a":nul`, `{"a":True}`, `{"a":nulll}`, `{"a":'b'}`,
	`{"a":"\x41"}`, `{"a":"\u12"}`, `{"a":"\u123`, `{"a":"\ud83d"}`, `{"a":"\ud83d\u0041"}`, `{"a":"\ud83d\ud83d"}`, `{"a":"\ude00"}`, `{"a":"\ud83dxxxxxx"}`,
	`{"a":"\ud83d\`, `{"a":"\`, `{"a":"\u00e"}`, `{"a":"\U0041"}`, "{\"a\":\"\x00\"}", "{\"a\":\"\x1f\"}", "{\"a\":\"\x7f\"}", "{\"a\":\"0123456\n\"}",
	"{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xe2\x82\"}", "{\"\x80\":1}",
	"\ufeff{}", "{}\x00", "{}\u00a0", "\v{}", "{\"a\":1\f}", `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"\u0061":1,"a":2}`, `{"x":{"b":1,"b":1}}`, `{"x":[{"b":1,"\u0062":1}]}`,
	`{"a":1,"b":2,"A":3}`, `{"ab":1,"ba":2,"aab":3,"aba":4}`,
	// Long names that are alike at both ends.
	`{"https://a.example/claim":1,"https://b.example/claim":2,"https://c.example/claim":3}`, `{"https://a.example/claim":1,"https://b.example/claim":2,"https://a.example/claim":3}`,
	`{"x":{"https://a.example/claim":1,"https://b.example/claim":2}}`, `{"x":{"https://a.example/claim":1,"https:\/\/a.example/claim":2}}`,
}

func init() {
	nested := func(open, shut string, n int) string { return strings.Repeat(open, n) + "1" + strings.Repeat(shut, n) }
	for n := wire.MaxDepth - 2; n < wire.MaxDepth+2; n++ {
		objectTexts = append(objectTexts, nested(`{"a":`, `}`, n), `{"a":`+nested(`[`, `]`, n)+`}`, `{"a":"`+strings.Repeat("[", 99)+`"}`)
	}
	// Names enough for each way of finding a duplicate.
	for _, n := range []int{7, 8, 9, 23, 24, 25, 63, 64, 65, 66, 200} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"name%d":%d,`, i, i)
		}
		whole := strings.TrimSuffix(b.String(), ",")
		objectTexts = append(objectTexts, `{`+whole+`,"https://a.example/claim":1,"https://b.example/claim":2}`)
		objectTexts = append(objectTexts, `{`+whole+`}`, `{`+whole+`,"name0":1}`, `{"x":{`+whole+`}}`, `{"x":{`+whole+`,"name3":1}}`,
			fmt.Sprintf(`{%s,"\u006eame%d":1}`, whole, n-1), fmt.Sprintf(`{"x":{%s,"\u006eame%d":1}}`, whole, n-1))
	}
}

// checkObject holds Parse to what the ordinary reading makes of a text.
func checkObject(t *testing.T, text string) {
	t.Helper()
	var want map[string]jsontext.Value
	wantErr := wire.Unmarshal([]byte(text), &want)
	var o wire.Object
	err := o.Parse(text)
	if (err == nil) != (wantErr == nil && want != nil) {
		t.Fatalf("%.200q: %v, want %v", text, err, wantErr)
	}
	if err != nil {
		var e *wire.JSONError
		if !errors.As(err, &e) || e.Reason == "" || e.Offset < 0 || e.Offset > int64(len(text)) {
			t.Fatalf("%.200q: %#v", text, err)
		}
		return
	}
	if o.Len() != len(want) || o.Has("no such name") || o.Find("no such name").Kind() != 0 {
		t.Fatalf("%.200q: %d members, want %d", text, o.Len(), len(want))
	}
	for i := range o.Len() {
		name, value := o.At(i)
		raw, ok := want[name]
		if !ok || !o.Has(name) || o.Find(name) != value || value.Text() != string(raw) || value.Kind() != raw.Kind() {
			t.Fatalf("%.200q: member %q is %q, want %q", text, name, value.Text(), raw)
		}
		var unquoted string
		isString := wire.Unmarshal(raw, &unquoted) == nil && raw.Kind() == '"'
		if s, ok := value.Unquote(); s != unquoted || ok != isString {
			t.Fatalf("%.200q: %q is %q", text, raw, s)
		}
	}
}

func TestObjectIsWhatUnmarshalReads(t *testing.T) {
	for _, text := range objectTexts {
		checkObject(t, text)
		for i := range min(len(text), 300) { // as a word is read, everything stands at every place once
			checkObject(t, text[:i])
			checkObject(t, strings.Repeat(" ", i%8)+text)
		}
	}
}

func TestObjectSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1`: "ends too early", `{"a":1,"a":2}`: "duplicate member", `{"a":x}`: "malformed", `[]`: "value of the wrong kind",
		strings.Repeat(`{"a":`, 33): "nested too deep",
	} {
		var o wire.Object
		var e *wire.JSONError
		if err := o.Parse(text); !errors.As(err, &e) || e.Reason != want || !errors.Is(err, wire.ErrJSON) {
			t.Errorf("%.20s: %v, want %s", text, err, want)
		}
	}
}

func TestObjectNeedsNoMemory(t *testing.T) {
	const text = `{"iss":"https://id.example","sub":"4f1c2b","exp":1767366245,"cnf":{"jkt":"x","a":[1,2,{"b":null}]},"scope":"read write"}`
	n := testing.AllocsPerRun(100, func() {
		var o wire.Object
		if o.Parse(text) != nil || !o.Has("cnf") {
			t.Fatal("refused")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzObject(f *testing.F) {
	for _, text := range objectTexts {
		f.Add(text)
	}
	f.Fuzz(checkObject)
}

func BenchmarkObject(b *testing.B) {
	const text = `{"jti":"AAAAAAAAAAAAAAAAAAAAAAAAAAA","iss":"https://id.example","sub":"user-4f1c2b9a","aud":"https://orders.example","iat":1767365345,"exp":1767366245,` +
		`"client_id":"web-frontend","scope":"orders:read orders:write profile email","sid":"6f1c2a9be0d84c57","tenant":"acme","roles":["clerk","auditor"],"rsq":117600000000042}`
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var o wire.Object
		if err := o.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
