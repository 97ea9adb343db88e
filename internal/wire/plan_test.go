package wire_test

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

type (
	name   string
	names  []name
	number int32
	plain  struct {
		A string
		B bool `json:"b"`
		C int  `json:"c,omitzero"`
		D uint `json:"d,omitempty"`
		E float64
		F []string `json:"f"`
	}
	sized struct {
		I8  int8    `json:"a"`
		I16 int16   `json:"b"`
		I32 int32   `json:"c"`
		I64 int64   `json:"d"`
		U8  uint8   `json:"e"`
		U16 uint16  `json:"f"`
		U32 uint32  `json:"g"`
		U64 uint64  `json:"h"`
		F32 float32 `json:"i"`
		F64 float64 `json:"j"`
		Up  uintptr `json:"k"`
		N   number  `json:"l"`
	}
	pointers struct {
		S  *string         `json:"a"`
		I  **int           `json:"b"`
		P  *plain          `json:"c"`
		L  *[]string       `json:"d"`
		R  *jsontext.Value `json:"e"`
		T  *time.Time      `json:"f"`
		An *any            `json:"g"`
	}
	nested struct {
		A plain            `json:"a"`
		B []plain          `json:"b"`
		C map[string]plain `json:"c"`
		D struct {
			A struct {
				A string `json:"a"`
			} `json:"a"`
		} `json:"d"`
		E [][]int                        `json:"e"`
		F map[string]map[string][]string `json:"f"`
	}
	maps struct {
		A map[string]string         `json:"a"`
		B map[string]any            `json:"b"`
		C map[name]*int             `json:"c"`
		D map[string]jsontext.Value `json:"d"`
		E map[int]string            `json:"e"`
	}
	untyped struct {
		A any            `json:"a"`
		B []any          `json:"b"`
		C jsontext.Value `json:"c"`
		D *any           `json:"d"`
	}
	tree struct {
		A    string          `json:"a"`
		Kids []tree          `json:"b"`
		By   map[string]tree `json:"c"`
		Up   *tree           `json:"d"`
	}
	kinds struct {
		A name   `json:"a"`
		B names  `json:"b"`
		C []name `json:"c"`
		D []byte `json:"d"`
	}
	Base struct {
		A string `json:"a"`
		B int    `json:"b"`
	}
	Deep struct {
		Base
		C string `json:"c"`
	}
	embedded struct{ Deep }
	Other    struct {
		A string `json:"a"`
	}
	embeddedPointer struct {
		*Base
		C string `json:"c"`
	}
	hiddenBase     struct{ A string }
	embeddedHidden struct{ hiddenBase }
	namedEmbedded  struct {
		Base `json:"base"`
	}
	empty      struct{}
	unexported struct{ a string } //lint:ignore U1000 what is unexported is passed over
	ignored    struct {
		A string `json:"-"`
		B string `json:"b"`
		c string
	}
	quotedTag struct {
		A int    `json:"a,string"`
		B string `json:"b"`
	}
	quotedName struct {
		A string `json:"'a,b'"`
	}
	folded struct {
		A string `json:"aA,case:ignore"`
		B string `json:"b"`
	}
	rest struct {
		A string         `json:"a"`
		B map[string]any `json:",embed"`
	}
	badTag struct {
		A string `json:"a,"` //lint:ignore SA5008 that is what is tested
	}
	strangeTag struct {
		A string `json:"a,whatever"` //lint:ignore SA5008 that is what is tested
	}
	arrays struct {
		A [2]string `json:"a"`
		B [4]byte   `json:"b"`
	}
	faces struct {
		A interface{ String() string } `json:"a"`
	}
	channels struct {
		A chan int `json:"a"`
	}
	durations struct {
		A time.Duration `json:"a"`
	}
	methods struct {
		A byJSON            `json:"a"`
		B byText            `json:"b"`
		C *byJSON           `json:"c"`
		D []byText          `json:"d"`
		E time.Time         `json:"e"`
		F map[string]byJSON `json:"f"`
	}
	around struct {
		A byDecoder   `json:"a"`
		B []byDecoder `json:"b"`
	}
	textKeys struct {
		A map[byText]string `json:"a"`
	}
	wideNames struct {
		A string `json:"é"`
		B string `json:"a longer name"`
		C string `json:"a longer nams"`
		D string `json:"b longer name"`
		E string `json:"12345678"`
		F string `json:"123456789"`
	}
)

type byJSON string

func (b *byJSON) UnmarshalJSON(data []byte) error {
	if strings.Contains(string(data), "refuse") {
		return errors.New("refused")
	}
	*b = byJSON("json:" + string(data))
	clear(data) // which it may not do, and which must not matter
	return nil
}

type byText string

func (b *byText) UnmarshalText(data []byte) error {
	if string(data) == "refuse" {
		return errors.New("refused")
	}
	*b = byText("text:" + string(data))
	return nil
}

// byDecoder looks at what is around it.
type byDecoder string

func (b *byDecoder) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	*b = byDecoder(string(dec.StackPointer()) + "=" + string(v) + "@" + strconv.FormatInt(dec.InputOffset(), 10))
	return err
}

// whole types have methods themselves.
type wholeJSON struct{ Text string }

func (w *wholeJSON) UnmarshalJSON(data []byte) error { w.Text = string(data); return nil }

type wholeFrom struct{ Text string }

func (w *wholeFrom) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	w.Text = string(v)
	return err
}

// Types that are mistakes: go vet would say so.
var (
	stringType = reflect.TypeFor[string]()
	shadowed   = reflect.StructOf([]reflect.StructField{
		{Name: "Base", Type: reflect.TypeFor[Base](), Anonymous: true}, {Name: "A", Type: stringType, Tag: `json:"a"`},
	})
	ambiguous = reflect.StructOf([]reflect.StructField{
		{Name: "Base", Type: reflect.TypeFor[Base](), Anonymous: true}, {Name: "Other", Type: reflect.TypeFor[Other](), Anonymous: true},
	})
	twice        = reflect.StructOf([]reflect.StructField{{Name: "A", Type: stringType, Tag: `json:"a"`}, {Name: "B", Type: stringType, Tag: `json:"a"`}})
	taggedHidden = reflect.StructOf([]reflect.StructField{{Name: "a", PkgPath: "x", Type: stringType, Tag: `json:"a"`}, {Name: "B", Type: stringType}})
)

// planned are the types that are read both ways.
var planned = []reflect.Type{
	reflect.TypeFor[plain](), reflect.TypeFor[sized](), reflect.TypeFor[pointers](), reflect.TypeFor[nested](), reflect.TypeFor[maps](),
	reflect.TypeFor[untyped](), reflect.TypeFor[tree](), reflect.TypeFor[kinds](), reflect.TypeFor[embedded](), shadowed,
	ambiguous, reflect.TypeFor[embeddedPointer](), reflect.TypeFor[embeddedHidden](), reflect.TypeFor[namedEmbedded](),
	reflect.TypeFor[empty](), reflect.TypeFor[unexported](), reflect.TypeFor[ignored](), taggedHidden, twice,
	reflect.TypeFor[quotedTag](), reflect.TypeFor[quotedName](), reflect.TypeFor[folded](), reflect.TypeFor[rest](), reflect.TypeFor[badTag](),
	reflect.TypeFor[strangeTag](), reflect.TypeFor[arrays](), reflect.TypeFor[faces](), reflect.TypeFor[channels](), reflect.TypeFor[durations](),
	reflect.TypeFor[methods](), reflect.TypeFor[around](), reflect.TypeFor[textKeys](), reflect.TypeFor[wideNames](), reflect.TypeFor[wholeJSON](),
	reflect.TypeFor[wholeFrom](), reflect.TypeFor[any](), reflect.TypeFor[map[string]any](), reflect.TypeFor[map[string]string](),
	reflect.TypeFor[map[string]jsontext.Value](), reflect.TypeFor[map[name]int](), reflect.TypeFor[jsontext.Value](), reflect.TypeFor[string](),
	reflect.TypeFor[[]string](), reflect.TypeFor[*plain](), reflect.TypeFor[**plain](), reflect.TypeFor[*any](), reflect.TypeFor[int](),
	reflect.TypeFor[claims](), reflect.TypeFor[names](), reflect.TypeFor[[2]int](), reflect.TypeFor[func()](),
}

// plannedValues stand under each of the names a to l and others.
var plannedValues = []string{
	`null`, `true`, `false`, `""`, `"x"`, `"refuse"`, `"\u0061\ud83d\ude00\n"`, `"é😀"`, `0`, `-0`, `1`, `-1`, `17`, `1.0`, `1.5`, `-1.5e-3`, `1e3`, `1e400`, `-1e400`, `1e39`,
	`127`, `128`, `-128`, `-129`, `255`, `256`, `32767`, `32768`, `-32769`, `65535`, `65536`, `2147483647`, `2147483648`, `-2147483648`, `-2147483649`, `4294967295`, `4294967296`,
	`9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `-9223372036854775809`, `18446744073709551615`, `18446744073709551616`, `99999999999999999999`, `100000000000000000000`,
	`[]`, `[ ]`, `{}`, `{ }`, `[null]`, `["a"]`, `["a","b"]`, `[ "a" , null , "\u0062" ]`, `["a",1]`, `[1,2,3]`, `[[1],[],null,[2,3]]`, `[{}]`, `[{"a":"x"},null,{"b":[{"a":"y"}]}]`,
	`{"a":"x"}`, `{"a":1}`, `{"a":null}`, `{ "a" : { "a" : "x" } , "b" : { "a" : "y" } }`, `{"a":{"b":["c",null]}}`, `{"a":["x"]}`, `{"A":"x","b":true,"c":-3,"d":4,"E":1e2,"f":["y"],"unknown":[{}]}`,
	`{"1":"x","01":"y","-0":"z","0":"z"}`, `{"\u0061":"x"}`, `"2026-01-02T03:04:05Z"`, `"2026-13-02T03:04:05Z"`, `"AQID"`, `"AQIDBA=="`, `"AQIDBA"`, `"AQ-_"`, `"3s"`, `{"a":1e400}`, `[1e400]`,
}

var plannedNames = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "A", "B", "C", "D", "E", "F", "AA", "aa", "base", "é", "Text", "sub", "exp", "raw", "extra", "a,b",
	"a longer name", "a longer nams", "b longer name", "c longer name", "12345678", "123456789", `\u0061`, `\u00e9`, ""}

// checkPlan reads text both ways into a value of type t.
func checkPlan(t *testing.T, typ reflect.Type, text string) {
	t.Helper()
	var o wire.Object
	if o.Parse(text) != nil {
		return
	}
	got, want := reflect.New(typ), reflect.New(typ)
	err, wantErr := o.Decode(got.Interface()), wire.Unmarshal([]byte(text), want.Interface())
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s into %v: %v, want %v", text, typ, err, wantErr)
	}
	if err != nil {
		if !errors.Is(err, wire.ErrJSON) {
			t.Fatalf("%s into %v: %v", text, typ, err)
		}
		return
	}
	if !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Fatalf("%s into %v: %#v, want %#v", text, typ, got.Elem(), want.Elem())
	}
}

func TestPlanReadsWhatUnmarshalReads(t *testing.T) {
	for _, typ := range planned {
		for _, text := range objectTexts {
			checkPlan(t, typ, text)
		}
		for _, value := range plannedValues {
			for _, member := range plannedNames {
				checkPlan(t, typ, ` {"`+member+`" : `+value+` } `)
				checkPlan(t, typ, `{"z":`+value+`,"`+member+`":`+value+`,"b":"x"}`)
			}
		}
	}
}

func TestDecodeWantsAPointer(t *testing.T) {
	var o wire.Object
	if err := o.Parse(`{"a":1}`); err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{nil, plain{}, (*plain)(nil), map[string]any{}} {
		if err := o.Decode(v); !errors.Is(err, wire.ErrJSON) {
			t.Errorf("%T: %v", v, err)
		}
	}
}

// A plan is not to lose what fields hold to the next text.
func TestPlanSharesNothingBetweenTexts(t *testing.T) {
	var first, second struct {
		A jsontext.Value    `json:"a"`
		B []string          `json:"b"`
		C map[string]string `json:"c"`
	}
	for text, v := range map[string]any{`{"a":[1],"b":["x"],"c":{"a":"x"}}`: &first, `{"a":[2],"b":["y"],"c":{"a":"y"}}`: &second} {
		var o wire.Object
		if o.Parse(text) != nil || o.Decode(v) != nil {
			t.Fatal(text)
		}
	}
	if string(first.A) != "[1]" || first.B[0] != "x" || first.C["a"] != "x" || string(second.A) != "[2]" || second.B[0] != "y" || second.C["a"] != "y" {
		t.Errorf("%v, %v", first, second)
	}
}

func TestDecodeAllocatesWhatItGives(t *testing.T) {
	const text = `{"A":"https://id.example","b":true,"c":1767366245,"d":3,"E":1.5,"unknown":{"a":[1,2,3]},"f":["a","b","c"]}`
	n := testing.AllocsPerRun(100, func() {
		var o wire.Object
		v := new(plain)
		if o.Parse(text) != nil || o.Decode(v) != nil {
			t.Fatal("refused")
		}
	})
	if n > 2 { // v and F
		t.Errorf("%v allocations", n)
	}
}

func FuzzPlan(f *testing.F) {
	for i, text := range objectTexts {
		f.Add(uint8(i), text)
	}
	for i, value := range plannedValues {
		f.Add(uint8(i), `{"a":`+value+`,"b":`+value+`}`)
	}
	f.Fuzz(func(t *testing.T, i uint8, text string) {
		checkPlan(t, planned[int(i)%len(planned)], text)
	})
}
