package jws_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// signersOf are Signers for new keys, each of whose headers has its place in "typ".
func signersOf(t *testing.T, algs ...jwk.Algorithm) (signers []*jws.Signer, keys []*jwk.Key) {
	t.Helper()
	for i, alg := range algs {
		key := newKey(t, alg)
		s, err := jws.NewSigner(key, jws.Header{Type: string(rune('a' + i))})
		if err != nil {
			t.Fatal(err)
		}
		signers, keys = append(signers, s), append(keys, key)
	}
	return signers, keys
}

func TestSeveralSignatures(t *testing.T) {
	signers, keys := signersOf(t, jwk.RS256, jwk.ES512, jwk.HS256)
	data, err := jws.SignJSON([]byte("payload"), signers...)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		m := acceptJSON(t, jws.Options{}, key, string(data))
		if m.Index() != i || m.Key() != key || m.Header().Algorithm != key.Algorithm() || m.Header().Type != string(rune('a'+i)) {
			t.Errorf("signature %d: index %d, %v, %+v", i, m.Index(), m.Key(), m.Header())
		}
		if want := signers[i].Header() + "." + wire.Encode([]byte("payload")); m.SigningInput() != want {
			t.Errorf("signature %d: %s", i, m.SigningInput())
		}
	}
	err = refuseJSON(t, newKey(t, jwk.HS512), string(data))
	var refused *jws.SignaturesError
	if !errors.As(err, &refused) || len(refused.Errs) != 3 || !errors.Is(err, jwk.ErrUnknownKey) {
		t.Errorf("%v", err)
	}
}

func TestVerifyAll(t *testing.T) {
	signers, keys := signersOf(t, jwk.RS256, jwk.ES256, jwk.Ed25519)
	set, err := jwk.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	data, err := jws.SignJSON([]byte("payload"), signers...)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := jws.VerifyAll(set, data)
	if err != nil || len(messages) != 3 {
		t.Fatal(err)
	}
	for i, m := range messages {
		if m.Index() != i || m.Key() != keys[i] || string(m.Payload()) != "payload" || m.Header().Type != string(rune('a'+i)) {
			t.Errorf("%d: %d, %v", i, m.Index(), m.Key())
		}
	}
	two, err := jwk.NewSet(keys[0], keys[2])
	if err != nil {
		t.Fatal(err)
	}
	messages, err = jws.VerifyAll(two, data)
	var refused *jws.SignaturesError
	if messages != nil || !errors.As(err, &refused) || !errors.Is(err, jwk.ErrUnknownKey) {
		t.Fatal(err)
	}
	if e := refused.Errs; e[0] != nil || !errors.Is(e[1], jwk.ErrUnknownKey) || e[2] != nil {
		t.Errorf("%v", e)
	}
	if want := "signature 1: jwk: no such key"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestVerifyAllDetached(t *testing.T) {
	signers, keys := signersOf(t, jwk.PS256, jwk.ES384)
	set, err := jwk.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for _, s := range signers {
		token, err := s.SignReader(strings.NewReader("payload"))
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	data, err := jws.JoinDetached(tokens...)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := jws.VerifyAllDetached(set, data, []byte("payload")); err != nil || len(m) != 2 || m[1].Key() != keys[1] {
		t.Error(err)
	}
	if m, err := jws.VerifyAllDetached(set, data, []byte("other")); !errors.Is(err, jwk.ErrSignature) || m != nil {
		t.Error(err)
	}
	if m, err := jws.VerifyAllDetached(keys[0], data, []byte("payload")); !errors.Is(err, jwk.ErrUnknownKey) || m != nil {
		t.Error(err)
	}
	if m, err := jws.VerifyAll(set, data); !errors.Is(err, jws.ErrDetached) || m != nil {
		t.Error(err)
	}
	attached, err := jws.SignJSON([]byte("payload"), signers...)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := jws.VerifyAllDetached(set, attached, []byte("payload")); !errors.Is(err, jws.ErrMalformed) || m != nil {
		t.Error(err)
	}
	for i, key := range keys {
		m, err := jws.VerifyReaderJSON(key, data, strings.NewReader("payload"))
		if err != nil || m.Index() != i || m.Key() != key {
			t.Error(err)
		}
	}
}

func TestSignersThatDoNotGoTogether(t *testing.T) {
	key := newKey(t, jwk.HS256)
	plain, unencoded := newSigner(t, key, false), newSigner(t, key, true)
	if _, err := jws.SignJSON(nil, plain, unencoded); !errors.Is(err, jws.ErrMalformed) {
		t.Error(err)
	}
	if _, err := jws.SignJSON(nil); err == nil {
		t.Error("signed by nobody")
	}
	one, _ := plain.SignDetached(nil)
	two, _ := unencoded.SignDetached(nil)
	whole, _ := plain.Sign([]byte("x"))
	for _, tokens := range [][]string{{}, {""}, {one, two}, {two, one}, {one, whole}, {one, one[:len(one)-2]}, {one, "x" + one}, {"e30..AA", one + "."}, {`{}`}} {
		if data, err := jws.JoinDetached(tokens...); !errors.Is(err, jws.ErrMalformed) || data != nil {
			t.Errorf("%d tokens: %v", len(tokens), err)
		}
	}
	for _, token := range []string{"", whole, one + ".", `{"signature":"AA"}`, strings.Repeat(".", jws.MaxToken+1)} {
		if data, err := jws.FlattenDetached(token); !errors.Is(err, jws.ErrMalformed) || data != nil {
			t.Error(err)
		}
	}
}

// The unprotected header is there for who asks for it by that name.
func TestUnprotectedMember(t *testing.T) {
	key := newKey(t, jwk.HS256)
	m := acceptJSON(t, jws.Options{}, key, flattened(member(t, key, hello, `{"note":"<b>","typ":"at+jwt"}`, "p"), "p"))
	v, ok := m.UnprotectedMember("note")
	if !ok || string(v) != `"<b>"` {
		t.Errorf("%s", v)
	}
	v[1] = 'x'
	if v, _ := m.UnprotectedMember("note"); string(v) != `"<b>"` {
		t.Error("the header can be changed from outside")
	}
	if _, ok := m.Header().Member("note"); ok || m.Header().Type != "" {
		t.Error("unprotected, and in the header")
	}
	for _, name := range []string{"alg", "kid", "other"} {
		if _, ok := m.UnprotectedMember(name); ok {
			t.Errorf("protected %s is unprotected", name)
		}
	}
	if _, ok := accept(t, key, craft(t, key, hello, "")).UnprotectedMember("note"); ok {
		t.Error("a compact token has an unprotected header")
	}
}

// The kid is a hint where to look, wherever it stands: RFC 7515, Appendix A.6.
func TestUnprotectedKeyID(t *testing.T) {
	set, key := keySet(t)
	accepted := acceptJSON(t, jws.Options{}, set, flattened(member(t, key, `{"alg":"HS256"}`, `{"kid":"HS256"}`, "p"), "p"))
	if accepted.Header().KeyID != "" || accepted.Key() != key {
		t.Errorf("%+v, %v", accepted.Header(), accepted.Key())
	}
	for kid, want := range map[string]error{"other": jwk.ErrSignature, "third": jwk.ErrUnknownKey, strings.Repeat("k", 257): jws.ErrMalformed} {
		if err := refuseJSON(t, set, flattened(member(t, key, `{"alg":"HS256"}`, `{"kid":"`+kid+`"}`, "p"), "p")); !errors.Is(err, want) {
			t.Errorf("%.10s: %v", kid, err)
		}
	}
}
