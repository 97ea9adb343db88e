package jws_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// FuzzParse holds every token that Parse accepts to having one spelling, and
// checks its header against the ordinary, looser JSON decoder.
func FuzzParse(f *testing.F) {
	secret := sha256.Sum256([]byte("FuzzParse")) // the same in every run, for the corpus
	key, err := jwk.New(secret[:], jwk.Params{Algorithm: jwk.HS256, KeyID: "HS256"})
	if err != nil {
		f.Fatal(err)
	}
	for _, header := range []string{
		hello, `{"alg":"none"}`, `{"alg":"HS256","x":[1,{"y":null}],"kid":"\u0048S256"}`, `{"alg":"HS256","crit":["b64"],"b64":false}`, `[]`,
	} {
		f.Add(craft(f, key, header, "payload"))
	}
	f.Add("....")
	f.Add(`{"payload":"","protected":"","signature":""}`)
	f.Fuzz(func(t *testing.T, token string) {
		u, err := jws.Parse(token)
		if err != nil {
			if !errors.Is(err, jws.ErrMalformed) || u != nil {
				t.Fatalf("%v, %v", u, err)
			}
			return
		}
		header, _, _ := strings.Cut(u.SigningInput(), ".")
		again := header + "." + wire.Encode(u.UnverifiedPayload()) + "." + wire.Encode(u.Signature())
		if again != token || len(token) > jws.MaxToken || len(u.Signature()) == 0 {
			t.Fatalf("%q is read as %q", token, again)
		}
		checkHeader(t, header, u.UnverifiedHeader())
		if _, err := u.Verify(key); err == nil {
			checkMAC(t, key, u)
		}
	})
}

func checkHeader(t *testing.T, segment string, h jws.Header) {
	data, err := wire.Decode(segment)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatalf("the ordinary decoder refuses %q: %v", data, err)
	}
	if members["alg"] != string(h.Algorithm) || h.Algorithm == "" || strings.EqualFold(string(h.Algorithm), "none") {
		t.Fatalf("alg %q of %q", h.Algorithm, data)
	}
	for _, name := range []string{"crit", "b64", "enc"} {
		if _, ok := members[name]; ok {
			t.Fatalf("%s in %q", name, data)
		}
	}
	if kid, ok := members["kid"]; ok && kid != h.KeyID || len(h.KeyID) > jws.MaxKeyID {
		t.Fatalf("kid %q of %q", h.KeyID, data)
	}
}

func checkMAC(t *testing.T, key *jwk.Key, u *jws.Unverified) {
	mac, err := key.Sign([]byte(u.SigningInput()))
	if err != nil || !bytes.Equal(mac, u.Signature()) {
		t.Fatalf("verified with another MAC: %v", err)
	}
}

// FuzzHeader signs whatever header it is given: what a verifier makes of it is what
// the ordinary decoder reads, at first and when it is remembered.
func FuzzHeader(f *testing.F) {
	key := fuzzKey(f)
	for _, header := range []string{
		hello, `{"alg":"HS256"}`, `{"alg":"HS256","typ":"JWT","x":[{"y":null}]}`, `{"\u0061lg":"HS256","kid":"\u0048S256"}`,
		`{"alg":"none","alg":"HS256"}`, `{"ALG":"none","alg":"HS256"}`, `{"alg":"HS256","crit":["x"],"x":1}`, `{"alg":"HS256","enc":"A256GCM"}`,
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token := craft(t, key, header, "payload")
		m, err := jws.Verify(key, token)
		if err != nil {
			return
		}
		again := accept(t, key, token)
		for _, m := range []*jws.Message{m, again} {
			checkHeader(t, wire.Encode([]byte(header)), m.Header())
			if m.Header().Algorithm != jwk.HS256 || m.PayloadString() != "payload" {
				t.Fatalf("%s: %q", header, m.PayloadString())
			}
		}
	})
}
