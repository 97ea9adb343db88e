package jws_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A published example, in a file that is named after its source.
type example struct {
	Keys    []json.RawMessage // public or shared; with the kid that the token uses
	Token   json.RawMessage   // an object, or a string if it is detached
	Payload string
}

func readExample(t *testing.T, name string) (*jwk.Set, example) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var e example
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	var keys []*jwk.Key
	for _, data := range e.Keys {
		key, err := jwk.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	set, err := jwk.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set, e
}

// verifyExample verifies what is in the file in the form in which it is there.
func verifyExample(o jws.Options, keys jwk.Source, e example) (*jws.Message, error) {
	var detached string
	if json.Unmarshal(e.Token, &detached) == nil {
		return o.VerifyDetached(keys, detached, []byte(e.Payload))
	}
	return o.VerifyJSON(keys, e.Token)
}

func TestPublishedExamples(t *testing.T) {
	for name, options := range map[string]jws.Options{
		"rfc7515-a6.json":           {},
		"rfc7515-a7.json":           {},
		"rfc7520-4.7.json":          {UnprotectedAlgorithm: true},
		"rfc7797-4.2.json":          {Unencoded: true},
		"rfc7797-4.2-detached.json": {Unencoded: true},
	} {
		keys, e := readExample(t, name)
		m, err := verifyExample(options, keys, e)
		if err != nil || string(m.Payload()) != e.Payload {
			t.Errorf("%s: %v", name, err)
		}
		_, err = verifyExample(jws.Options{}, keys, e)
		if needs := options.Unencoded || options.UnprotectedAlgorithm; needs != errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%s without options: %v", name, err)
		}
	}
	keys, e := readExample(t, "rfc7515-a6.json")
	if m, err := jws.VerifyAll(keys, e.Token); err != nil || len(m) != 2 {
		t.Error(err)
	}
}
