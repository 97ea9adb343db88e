package wire_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// elements collects what EachElement hands over.
func elements(text string) (list []string, found bool, err error) {
	var members wire.Object
	found, err = wire.EachElement(text, "keys", &members, func(v wire.Value) error {
		if n := members.Len(); v.Kind() != '{' && n != 0 {
			return errors.New("members of something that is no object")
		}
		list = append(list, v.Text())
		return nil
	})
	return list, found, err
}

func TestEachElement(t *testing.T) {
	for text, want := range map[string][]string{
		`{"keys":[{"a":1},{"a":2}]}`:                      {`{"a":1}`, `{"a":2}`},
		` { "x" : [ 1 ] , "keys" : [ {"a" : 1 } , 2 ] } `: {`{"a" : 1 }`, `2`},
		`{"k\u0065ys":["]",[[]]]}`:                        {`"]"`, `[[]]`},
		`{"keys":[]}`:                                     nil,
	} {
		if got, found, err := elements(text); !found || err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, %v", text, got, found, err)
		}
	}
	for _, text := range []string{`{}`, `{"keys":{}}`, `{"keys":null}`, `{"key":[1]}`} {
		if got, found, err := elements(text); found || err != nil || got != nil {
			t.Errorf("%s: %q, %v, %v", text, got, found, err)
		}
	}
	stop := errors.New("stop")
	_, err := wire.EachElement(`{"keys":[1,2,!`, "keys", new(wire.Object), func(v wire.Value) error {
		if v.Text() == "2" {
			return stop
		}
		return nil
	})
	if err != stop {
		t.Errorf("got %v, want what the function returned", err)
	}
}

func TestEachElementDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for n, ok := range map[int]bool{wire.MaxDepth - 2: true, wire.MaxDepth - 1: false} {
		if _, _, err := elements(`{"keys":[` + nested(n) + `]}`); (err == nil) != ok {
			t.Errorf("%d levels in an element: %v", n, err)
		}
	}
}

func FuzzEachElement(f *testing.F) {
	for _, seed := range []string{`{"keys":[{"a":1},2,"x",[null]],"z":{}}`, `{"keys":[],"keys":[]}`, `{"keys":[1,]}`, `[]`, `{"keys":[{"a":1,"a":2}]}`, `{"\u006beys":[true]} x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, found, err := elements(text)
		var set struct {
			Keys jsontext.Value `json:"keys"`
		}
		var whole jsontext.Value
		if want := wire.Unmarshal([]byte(text), &whole); whole.Kind() == '{' || want != nil {
			if (err == nil) != (want == nil) {
				t.Fatalf("%v, and Unmarshal says %v", err, want)
			}
		}
		if err != nil {
			return
		}
		if err := wire.Unmarshal([]byte(text), &set); err != nil {
			t.Fatal(err)
		}
		var list []jsontext.Value
		if found != (set.Keys.Kind() == '[') {
			t.Fatalf("found: %v", found)
		}
		if !found {
			return
		}
		if err := wire.Unmarshal(set.Keys, &list); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, list, func(a string, b jsontext.Value) bool { return a == string(b) }) {
			t.Fatalf("%q, and Unmarshal reads %q", got, list)
		}
	})
}
