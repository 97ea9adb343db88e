package jws_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// all accepts whatever any option can accept, but for extensions.
var all = jws.Options{Unencoded: true, UnprotectedAlgorithm: true}

// A form is a way to write and read a token beside the compact one.
type form struct {
	name   string
	sign   func(s *jws.Signer, payload []byte) ([]byte, error)
	verify func(o jws.Options, keys jwk.Source, token, payload []byte) (*jws.Message, error)
	// mayHold reports whether the form can carry that payload unencoded.
	mayHold func(payload string) bool
}

var forms = []form{
	{"compact", text((*jws.Signer).Sign), attached(jws.Options.Verify), func(p string) bool {
		return !strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r > '~' || r == '.' })
	}},
	{"flattened", (*jws.Signer).SignFlattened, verifyJSON, isText},
	{"general", func(s *jws.Signer, payload []byte) ([]byte, error) { return jws.SignJSON(payload, s) }, verifyJSON, isText},
	{"detached", text((*jws.Signer).SignDetached), func(o jws.Options, keys jwk.Source, token, payload []byte) (*jws.Message, error) {
		return o.VerifyDetached(keys, string(token), payload)
	}, isAnything},
	{"flattened detached", func(s *jws.Signer, payload []byte) ([]byte, error) {
		token, err := s.SignDetached(payload)
		if err != nil {
			return nil, err
		}
		return jws.FlattenDetached(token)
	}, jws.Options.VerifyDetachedJSON, isAnything},
	{"general detached", func(s *jws.Signer, payload []byte) ([]byte, error) {
		token, err := s.SignDetached(payload)
		if err != nil {
			return nil, err
		}
		return jws.JoinDetached(token)
	}, jws.Options.VerifyDetachedJSON, isAnything},
	{"streamed", func(s *jws.Signer, payload []byte) ([]byte, error) {
		token, err := s.SignReader(bytes.NewReader(payload))
		return []byte(token), err
	}, func(o jws.Options, keys jwk.Source, token, payload []byte) (*jws.Message, error) {
		return o.VerifyReader(keys, string(token), bytes.NewReader(payload))
	}, isAnything},
	{"streamed JSON", func(s *jws.Signer, payload []byte) ([]byte, error) {
		token, err := s.SignReader(bytes.NewReader(payload))
		if err != nil {
			return nil, err
		}
		return jws.JoinDetached(token)
	}, func(o jws.Options, keys jwk.Source, token, payload []byte) (*jws.Message, error) {
		return o.VerifyReaderJSON(keys, token, bytes.NewReader(payload))
	}, isAnything},
}

func (f form) detached() bool {
	return strings.Contains(f.name, "detached") || f.streamed()
}

func (f form) streamed() bool { return strings.HasPrefix(f.name, "streamed") }

func text(sign func(*jws.Signer, []byte) (string, error)) func(*jws.Signer, []byte) ([]byte, error) {
	return func(s *jws.Signer, payload []byte) ([]byte, error) {
		token, err := sign(s, payload)
		return []byte(token), err
	}
}

func attached(verify func(jws.Options, jwk.Source, string) (*jws.Message, error)) func(jws.Options, jwk.Source, []byte, []byte) (*jws.Message, error) {
	return func(o jws.Options, keys jwk.Source, token, _ []byte) (*jws.Message, error) {
		return verify(o, keys, string(token))
	}
}

func verifyJSON(o jws.Options, keys jwk.Source, token, _ []byte) (*jws.Message, error) {
	return o.VerifyJSON(keys, token)
}

func isText(p string) bool   { return strings.ToValidUTF8(p, "") == p }
func isAnything(string) bool { return true }

// newSigner makes a Signer whose header may ask for an unencoded payload.
func newSigner(t testing.TB, key *jwk.Key, unencoded bool) *jws.Signer {
	t.Helper()
	h := jws.Header{Type: "test"}
	if unencoded {
		h = h.WithUnencoded()
	}
	s, err := jws.NewSigner(key, h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var payloads = []string{"", "x", "hello, world", "a.b.c", "é\n\"\\\u2028", "\xff\x00\xfe", strings.Repeat("\x00", 5000)}

// Every algorithm, every form, encoded and not, with an empty payload among others.
func TestThreat126EmptyPayloadInEveryForm(t *testing.T) {
	for _, alg := range algorithms {
		key := newKey(t, alg)
		keys := key
		if !key.IsSymmetric() {
			keys, _ = key.Public()
		}
		for _, f := range forms {
			for _, unencoded := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/unencoded=%v", alg, f.name, unencoded), func(t *testing.T) {
					s := newSigner(t, key, unencoded)
					for _, payload := range payloads {
						roundTrip(t, f, s, keys, payload, unencoded)
					}
				})
			}
		}
	}
}

func roundTrip(t *testing.T, f form, s *jws.Signer, keys *jwk.Key, payload string, unencoded bool) {
	t.Helper()
	token, err := f.sign(s, []byte(payload))
	if unencoded && !f.mayHold(payload) {
		if !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%q: signed, %v", payload, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	m, err := f.verify(all, keys, token, []byte(payload))
	if err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	input := s.Header() + "." + wire.Encode([]byte(payload))
	if unencoded {
		input = s.Header() + "." + payload
	}
	checkMessage(t, f, m, keys, payload, input)
	_, err = f.verify(jws.Options{}, keys, token, []byte(payload))
	if unencoded != errors.Is(err, jws.ErrCritical) || !unencoded && err != nil {
		t.Errorf("%q without options: %v", payload, err)
	}
	if f.detached() {
		refuseForm(t, f, keys, token, payload+"x")
		refuseForm(t, f, keys, token, "x"+payload)
	}
}

func checkMessage(t *testing.T, f form, m *jws.Message, key *jwk.Key, payload, input string) {
	t.Helper()
	if f.streamed() {
		if m.Payload() != nil || m.SigningInput() != "" {
			t.Error("a payload that was read through is there")
		}
	} else if string(m.Payload()) != payload || m.PayloadString() != payload || m.SigningInput() != input {
		t.Errorf("%q came back as %q", payload, m.Payload())
	}
	if h := m.Header(); h.Algorithm != key.Algorithm() || h.KeyID != key.KeyID() || h.Type != "test" || m.Key() != key || m.Index() != 0 {
		t.Errorf("%+v, %v, %d", h, m.Key(), m.Index())
	}
}

// refuseForm fails if a form verifies, or if the error tells anything about it.
func refuseForm(t testing.TB, f form, keys jwk.Source, token []byte, payload string) error {
	t.Helper()
	m, err := f.verify(all, keys, token, []byte(payload))
	if err == nil {
		t.Errorf("%s accepted: %.200q", f.name, token)
		return nil
	}
	if m != nil {
		t.Errorf("a message beside error %v", err)
	}
	josetest.Leaks(t, err, string(token))
	return err
}
