package jws_test

import (
	"encoding/json"
	"errors"
	"strings"
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

// A Source that was never set finds no key, in every form.
func TestNoSource(t *testing.T) {
	s := newSigner(t, newKey(t, jwk.ES256), false)
	compact, err := s.Sign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	detached, err := s.SignDetached([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	flattened, err := s.SignFlattened([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jws.Parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	var none *jwk.Set
	for _, keys := range []jwk.Source{nil, none, new(jwk.Key)} {
		for form, verify := range map[string]func() (*jws.Message, error){
			"compact":  func() (*jws.Message, error) { return jws.Verify(keys, compact) },
			"parsed":   func() (*jws.Message, error) { return parsed.Verify(keys) },
			"detached": func() (*jws.Message, error) { return jws.VerifyDetached(keys, detached, []byte("x")) },
			"reader":   func() (*jws.Message, error) { return jws.VerifyReader(keys, detached, strings.NewReader("x")) },
			"json":     func() (*jws.Message, error) { return jws.VerifyJSON(keys, flattened) },
		} {
			if m, err := verify(); m != nil || !errors.Is(err, jwk.ErrUnknownKey) {
				t.Errorf("%s, %T: %v", form, keys, err)
			}
		}
	}
}
