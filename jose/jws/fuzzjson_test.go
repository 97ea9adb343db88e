package jws_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// fuzzOptions accept as much as any options can.
var fuzzOptions = jws.Options{
	Unencoded: true, UnprotectedAlgorithm: true,
	Critical: map[string]func(jws.Header, jsontext.Value) error{"x": func(jws.Header, jsontext.Value) error { return nil }},
}

// fuzzKey is the same in every run, for the corpus.
func fuzzKey(f *testing.F) *jwk.Key {
	secret := sha256.Sum256([]byte(f.Name()))
	key, err := jwk.New(secret[:], jwk.Params{Algorithm: jwk.HS256, KeyID: "HS256"})
	if err != nil {
		f.Fatal(err)
	}
	return key
}

// FuzzVerifyJSON signs what it is given, as the member it is in, and holds every
// document that is accepted to what the ordinary decoder reads in it.
func FuzzVerifyJSON(f *testing.F) {
	key := fuzzKey(f)
	f.Add(`{"payload":"cA","protected":"PROTECTED","signature":"SIGNATURE"}`, hello, "cA")
	f.Add(`{"payload":"p","signatures":[{"protected":"PROTECTED","signature":"SIGNATURE"}]}`, `{"alg":"HS256","b64":false,"crit":["b64"]}`, "p")
	f.Add(`{"payload":"cA","signatures":[{"signature":"AA"},{"header":{"kid":"HS256","y":1},"protected":"PROTECTED","signature":"SIGNATURE"}]}`, `{"alg":"HS256","x":1,"crit":["x"]}`, "cA")
	f.Add(`{"payload":"","header":{"alg":"HS256"},"signature":"SIGNATURE","signatures":[]}`, "", "")
	f.Add(`{"payload":"cA","protected":"PROTECTED","signature":"SIGNATURE","\u0070ayload":"cQ","ciphertext":1}`, hello, "cA")
	f.Fuzz(func(t *testing.T, data, protected, payload string) {
		p := wire.Encode([]byte(protected))
		sig, err := key.Sign([]byte(p + "." + payload))
		if err != nil {
			t.Fatal(err)
		}
		data = strings.NewReplacer("PROTECTED", p, "SIGNATURE", wire.Encode(sig)).Replace(data)
		m, err := fuzzOptions.VerifyJSON(key, []byte(data))
		if err != nil {
			if m != nil || !errors.Is(err, jws.ErrMalformed) && !errors.Is(err, jwk.ErrSignature) && !errors.Is(err, jwk.ErrUnknownKey) && !errors.Is(err, jwk.ErrAlgorithm) {
				t.Fatalf("%v, %v", m, err)
			}
			return
		}
		checkDocument(t, key, []byte(data), m)
	})
}

// A document is the JSON serialization as a loose reader sees it.
type document struct {
	Payload    *string
	Protected  string
	Header     map[string]any
	Signature  string
	Signatures []struct {
		Protected string
		Header    map[string]any
		Signature string
	}
}

func checkDocument(t *testing.T, key *jwk.Key, data []byte, m *jws.Message) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		if _, mismatch := errors.AsType[*json.UnmarshalTypeError](err); !mismatch { // of a name in other case
			t.Fatalf("the ordinary decoder refuses %q: %v", data, err)
		}
		return
	}
	if len(data) > jws.MaxDocument || len(m.Payload()) > jws.MaxPayload || len(d.Signatures) > jws.MaxSignatures || m.Key() != key {
		t.Fatalf("out of bounds: %.200q", data)
	}
	protected, sig, _ := strings.Cut(m.SigningInput(), ".")
	mac, err := key.Sign([]byte(m.SigningInput()))
	if err != nil || !bytes.Contains(data, []byte(wire.Encode(mac))) {
		t.Fatalf("verified with another MAC: %q", data)
	}
	if m.Header().Unencoded() && sig != string(m.Payload()) || !m.Header().Unencoded() && sig != wire.Encode(m.Payload()) {
		t.Fatalf("%q is not the payload of %q", m.Payload(), data)
	}
	if h, err := wire.Decode(protected); err != nil || len(h) > jws.MaxHeader+jws.MaxChain {
		t.Fatalf("%q", protected)
	}
	if _, ok := m.UnprotectedMember("crit"); ok {
		t.Fatalf("unprotected crit: %q", data)
	}
}

// FuzzVerifyDetached gives a compact token and a payload that is not in it, and
// compares reading at once with reading in pieces.
func FuzzVerifyDetached(f *testing.F) {
	key := fuzzKey(f)
	for _, header := range []string{hello, `{"alg":"HS256","b64":false,"crit":["b64"]}`, `{"alg":"HS256","b64":true,"crit":["b64","x"],"x":1}`, `{"alg":"HS256","crit":[]}`, ""} {
		f.Add(header, "..SIGNATURE", []byte("payload"))
		f.Add(header, ".p.SIGNATURE", []byte("a.b\xff"))
	}
	f.Fuzz(func(t *testing.T, header, rest string, payload []byte) {
		for _, signed := range []string{wire.Encode(payload), string(payload)} {
			h := wire.Encode([]byte(header))
			sig, err := key.Sign([]byte(h + "." + signed))
			if err != nil {
				t.Fatal(err)
			}
			token := h + strings.Replace(rest, "SIGNATURE", wire.Encode(sig), 1)
			m, err := fuzzOptions.VerifyDetached(key, token, payload)
			if (m == nil) == (err == nil) || err == nil && (!bytes.Equal(m.Payload(), payload) || m.SigningInput() != h+"."+signed) {
				t.Fatalf("%v, %v", m, err)
			}
			_, streamed := fuzzOptions.VerifyReader(key, token, bytes.NewReader(payload))
			if (err == nil) != (streamed == nil) || err != nil && err.Error() != streamed.Error() {
				t.Fatalf("at once %v, in pieces %v", err, streamed)
			}
			if err == nil && !strings.HasPrefix(token, h+"..") {
				t.Fatalf("%q has a payload", token)
			}
		}
	})
}
