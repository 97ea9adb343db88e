package jws_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// Tokens are decoded in memory that the next one uses again. Nothing of a Message
// is in it.
func TestPayloadIsTheCallersOwn(t *testing.T) {
	key := newKey(t, jwk.HS256)
	const payload = "the payload of the first token"
	first := craft(t, key, hello, payload)
	next := craft(t, key, hello, strings.Repeat("x", len(payload)))
	m := accept(t, key, first)
	u, err := jws.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 { // the pool does not always give back the memory it had last
		accept(t, key, next)
		if m.PayloadString() != payload || string(m.Payload()) != payload {
			t.Fatalf("the payload became %q", m.PayloadString())
		}
	}
	if !strings.HasPrefix(first, m.SigningInput()+".") || string(u.UnverifiedPayload()) != payload {
		t.Error("the token changed")
	}
}

// A header is recognised by its bytes, by all of them.
func TestRememberedHeadersAreKnownByEveryByte(t *testing.T) {
	key := newKey(t, jwk.HS256)
	const known = `{"alg":"HS256","kid":"HS256","typ":"known","x":"12345678"}`
	accept(t, key, craft(t, key, known, "payload"))
	for i := range known {
		for _, c := range []byte{known[i] ^ 1, known[i] ^ 0x20} {
			other := known[:i] + string(rune(c)) + known[i+1:]
			m, err := jws.Verify(key, craft(t, key, other, "payload"))
			if err != nil {
				continue
			}
			var want map[string]jsontext.Value
			if err := wire.Unmarshal([]byte(other), &want); err != nil {
				t.Fatalf("accepted: %s", other)
			}
			x, _ := m.Header().Member("x")
			if typ := m.Header().Type; !bytes.Equal(x, want["x"]) || typ != strings.Trim(string(want["typ"]), `"`) {
				t.Errorf("%s was read as another: %s, %s", other, typ, x)
			}
		}
	}
}
