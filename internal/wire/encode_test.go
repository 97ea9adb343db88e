package wire_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

type omitting struct {
	A string            `json:"a,omitempty"`
	B []string          `json:"b,omitempty"`
	C map[string]any    `json:"c,omitempty"`
	D *string           `json:"d,omitempty"`
	E int               `json:"e,omitempty"`
	F bool              `json:"f,omitempty"`
	G struct{ A *int }  `json:"g,omitempty"`
	H struct{}          `json:"h,omitempty"`
	I any               `json:"i,omitempty"`
	J string            `json:"j,omitzero"`
	K []string          `json:"k,omitzero"`
	L int               `json:"l,omitzero"`
	M *string           `json:"m,omitzero,omitempty"`
	N map[string]string `json:"n,omitzero"`
	O omitted           `json:"o,omitempty"`
}

type omitted struct {
	A string `json:"a,omitempty"`
}

// zeroer says itself when it is zero.
type zeroer int

func (z zeroer) IsZero() bool { return z == 7 }

type marshaler string

func (m marshaler) MarshalJSON() ([]byte, error) { return []byte(` { "m" : ` + string(m) + ` } `), nil }

type texter string

func (t *texter) MarshalText() ([]byte, error) { return []byte("text:" + string(*t)), nil }

type loop struct {
	Next *loop `json:"next"`
}

func ptr[T any](v T) *T { return &v }

// written are values that are written both ways; those that come first need no
// encoding/json/v2.
var planWritten = []any{
	plain{}, plain{"a", true, -1, 2, 1.5, []string{"x", "\"y\\", "é\u2028<&>", "\x01\n"}}, &plain{A: "p"}, struct{}{},
	sized{-128, 32767, math.MinInt32, math.MaxInt64, 255, 65535, math.MaxUint32, math.MaxUint64, 1.1, 1e-7, 7, -3}, sized{F32: 1e21, F64: 123456789.123},
	nested{}, nested{A: plain{A: "x"}, B: []plain{{}, {A: "y"}}, C: map[string]plain{"b": {}, "a": {A: "z"}}, E: [][]int{{1}, nil}, F: map[string]map[string][]string{"x": {"y": {"z"}, "w": nil}}},
	tree{A: "x", Kids: []tree{{A: "y"}, {}}, By: map[string]tree{"k": {}}, Up: &tree{}}, embedded{Deep{Base{"a", 1}, "c"}},
	omitting{}, omitting{"x", []string{"y"}, map[string]any{"z": nil}, ptr("d"), 1, true, struct{ A *int }{ptr(1)}, struct{}{}, 1.5, "j", []string{}, 1, ptr(""), map[string]string{}, omitted{"a"}},
	omitting{D: ptr(""), I: "", B: []string{}, C: map[string]any{}, M: ptr("m")}, omitting{I: []any{}}, omitting{I: map[string]any{}},
	map[string]any{}, map[string]any(nil), map[string]any{"b": 1, "a": "x", "c": []any{nil, true, "s", 1.5, int64(2), []string{"t"}, map[string]any{"u": []any(nil)}}},
	map[string]string{"b": "x", "a": "\"", "é": ""}, map[name]int{"b": 1, "a": 2}, map[string][]string{"a": nil, "b": {"c"}},
	wideNames{}, ignored{A: "a", B: "b", c: "c"}, kindsWritten{"a", names{"b"}, []name{"c"}},
}

var leftAlone = []any{
	nil, 1, "x", []string{"a"}, (*plain)(nil), ptr(ptr(plain{})), plain{A: "\xff"}, map[string]any{"\xff": 1}, map[string]any{"a": "\xff"}, map[string]any{"a": uint(1)},
	sized{F64: math.NaN()}, sized{F32: float32(math.Inf(1))}, map[string]any{"a": math.Inf(-1)}, kinds{D: []byte{1, 2}}, maps{}, untyped{C: jsontext.Value(`[1, 2]`)},
	struct{ A time.Time }{}, struct{ A time.Duration }{1}, struct {
		A zeroer `json:"a,omitzero"`
	}{7}, struct{ A marshaler }{"1"}, struct{ A texter }{"x"}, map[texter]int{"a": 1}, map[int]string{1: "a"}, jsontext.Value(`{"a": 1}`), json.RawMessage(`{ "b":1}`),
	rest{B: map[string]any{"x": 1}}, quotedTag{}, folded{}, arrays{}, faces{}, channels{}, unexported{}, ambiguousValue(), embeddedPointer{Base: &Base{}},
	tree{Up: deepTree(40)}, looped(), map[string]any{"a": struct{}{}}, struct {
		A *any `json:"a"`
	}{ptr(any(uint8(1)))},
}

type kindsWritten struct {
	A name   `json:"a"`
	B names  `json:"b"`
	C []name `json:"c"`
}

func ambiguousValue() any { return reflect.New(ambiguous).Elem().Interface() }

func deepTree(n int) *tree {
	if n == 0 {
		return nil
	}
	return &tree{Up: deepTree(n - 1)}
}

func looped() *loop {
	l := new(loop)
	l.Next = l
	return l
}

// checkWriter compares what w writes with what Marshal writes, if w writes it.
func checkWriter(t *testing.T, w *wire.Writer, v any) (ok bool) {
	t.Helper()
	dst := append(make([]byte, 0, 8), '{')
	out, ok := w.AppendMembers(dst, v)
	if !ok {
		if string(out) != "{" {
			t.Errorf("%T: left %q", v, out)
		}
		return false
	}
	want, err := wire.Marshal(v)
	if err != nil || string(out)+"}" != string(want) {
		t.Errorf("%T: %s}, want %s, %v", v, out, want, err)
	}
	after, ok := w.AppendMembers([]byte(`{"z":"{"`), v)
	if want := strings.TrimSuffix(`{"z":"{",`+string(want[1:]), "}"); !ok || string(after) != strings.TrimSuffix(want, ",") {
		t.Errorf("%T: %s, want %s", v, after, want)
	}
	return true
}

func TestWriterWritesWhatMarshalWrites(t *testing.T) {
	w := wire.NewWriter(func(string) bool { return false })
	for _, v := range planWritten {
		if !checkWriter(t, w, v) {
			t.Errorf("%T is left to Marshal", v)
		}
	}
	for _, v := range leftAlone {
		if checkWriter(t, w, v) {
			t.Errorf("%T is not left to Marshal", v)
		}
	}
}

func TestWriterLeavesReservedNamesAlone(t *testing.T) {
	w := wire.NewWriter(func(name string) bool { return name == "a" })
	for _, v := range []any{omitting{}, map[string]any{"b": 1, "a": 2}, map[string]string{"a": ""}, struct {
		Base
		C string `json:"c"`
	}{}} {
		if _, ok := w.AppendMembers([]byte("{"), v); ok {
			t.Errorf("%T was written", v)
		}
	}
	for _, v := range []any{map[string]any{"b": map[string]any{"a": 1}}, struct{ B Base }{}} { // which is another name
		if _, ok := w.AppendMembers([]byte("{"), v); !ok {
			t.Errorf("%T was not written", v)
		}
	}
}

func TestWriterNeedsNoMemory(t *testing.T) {
	w := wire.NewWriter(func(string) bool { return false })
	var v any = plain{"https://id.example", true, 17, 3, 1.5, []string{"a", "b"}}
	dst := append(make([]byte, 0, 256), '{')
	if n := testing.AllocsPerRun(100, func() { w.AppendMembers(dst, v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "12345678", "1234567\"", "é", "\x7f\x1f", "\xff", "a\u2028b", "\\", strings.Repeat("x", 20) + "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := wire.AppendString([]byte("x"), s)
		want, err := wire.Marshal(s)
		if ok != (err == nil) || ok && string(got) != "x"+string(want) {
			t.Fatalf("%q: %s, %v, want %s, %v", s, got, ok, want, err)
		}
	})
}

// FuzzWriter writes what it read: whatever a type can hold.
func FuzzWriter(f *testing.F) {
	for i, value := range plannedValues {
		f.Add(uint8(i), `{"a":`+value+`,"b":`+value+`}`)
	}
	w := wire.NewWriter(func(string) bool { return false })
	f.Fuzz(func(t *testing.T, i uint8, text string) {
		v := reflect.New(planned[int(i)%len(planned)])
		if wire.Unmarshal([]byte(text), v.Interface()) == nil {
			checkWriter(t, w, v.Elem().Interface())
		}
	})
}
