package jws_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A tenants chooses a key by a header parameter of its own.
type tenants map[string]*jwk.Key

func (s tenants) Find(kid, alg string) (*jwk.Key, error) { panic("asked without the header") }

func (s tenants) FindHeader(h jws.Header) (*jwk.Key, error) {
	var tenant string
	if v, ok := h.Member("tenant"); ok && json.Unmarshal(v, &tenant) == nil {
		return s[tenant], nil
	}
	return nil, jwk.ErrUnknownKey
}

func TestHeaderSource(t *testing.T) {
	one, two := newKey(t, jwk.HS256), newKey(t, jwk.ES256)
	keys := tenants{"one": one, "two": two}
	if m := accept(t, keys, craft(t, two, `{"alg":"ES256","tenant":"two"}`, "")); m.Key() != two {
		t.Error("another key")
	}
	for header, want := range map[string]error{
		`{"alg":"HS256","tenant":"two"}`:   jwk.ErrAlgorithm, // the source does not look at alg, and need not
		`{"alg":"HS256","tenant":"three"}`: jwk.ErrUnknownKey,
		`{"alg":"HS256"}`:                  jwk.ErrUnknownKey,
		`{"alg":"ES256","tenant":"two"}`:   jwk.ErrSignature,
	} {
		if err := refuse(t, keys, craft(t, one, header, "")); !errors.Is(err, want) {
			t.Errorf("%s: %v", header, err)
		}
	}
}
