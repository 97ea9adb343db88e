package jws_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func TestSignAndVerify(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := newKey(t, alg)
			keys := key
			if !key.IsSymmetric() {
				keys, _ = key.Public()
			}
			for _, payload := range []string{"", "x", "{}", strings.Repeat("\x00", 1000)} {
				token, err := jws.Sign(key, jws.Header{Type: "at+jwt"}, []byte(payload))
				if err != nil {
					t.Fatal(err)
				}
				m := accept(t, keys, token)
				if string(m.Payload()) != payload {
					t.Errorf("%q came back as %q", payload, m.Payload())
				}
				if h := m.Header(); h.Algorithm != alg || h.KeyID != string(alg) || h.Type != "at+jwt" {
					t.Errorf("%+v", h)
				}
				if m.Key() != keys {
					t.Error("another key")
				}
			}
		})
	}
}

func TestHeaderOnTheWire(t *testing.T) {
	key := newKey(t, jwk.ES256)
	h, err := jws.Header{Type: "at+jwt"}.With("x5t#S256", "<abc>")
	if err != nil {
		t.Fatal(err)
	}
	s, err := jws.NewSigner(key, h)
	if err != nil {
		t.Fatal(err)
	}
	header, err := wire.Decode(s.Header())
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"alg":"ES256","kid":"ES256","typ":"at+jwt","x5t#S256":"<abc>"}`; string(header) != want {
		t.Errorf("got %s, want %s", header, want)
	}
	token, err := s.Sign(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(token, s.Header()+".") {
		t.Error("the token does not begin with the header")
	}
	v, ok := accept(t, key, token).Header().Member("x5t#S256")
	if !ok || string(v) != `"<abc>"` {
		t.Errorf("%s, %v", v, ok)
	}
	if _, ok := accept(t, key, token).Header().Member("kid"); ok {
		t.Error("kid is a field and a member")
	}
}

func TestHeaderIsAValue(t *testing.T) {
	a, err := jws.Header{}.With("x", 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.With("y", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := a.Member("y"); ok {
		t.Error("With changed its receiver")
	}
	v, _ := b.Member("x")
	v[0] = '7'
	if v, _ := b.Member("x"); string(v) != "1" {
		t.Error("Member gave the header's own bytes away")
	}
}

func TestHeaderRefusedToSign(t *testing.T) {
	key := newKey(t, jwk.ES256)
	for _, name := range []string{"alg", "kid", "typ", "cty", "crit", "b64", "enc", "\xff"} {
		if _, err := (jws.Header{}).With(name, "x"); err == nil {
			t.Errorf("With(%q)", name)
		}
	}
	if _, err := (jws.Header{}).With("x", func() {}); err == nil {
		t.Error("a function as a header parameter")
	}
	big, err := jws.Header{}.With("x", strings.Repeat("x", jws.MaxHeader))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []jws.Header{{Algorithm: jwk.ES384}, {Algorithm: "none"}, {KeyID: "other"}, {Type: "\xff"}, big} {
		if _, err := jws.NewSigner(key, h); err == nil {
			t.Errorf("%+v", h)
		}
	}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.NewSigner(public, jws.Header{}); !errors.Is(err, jwk.ErrNotPrivate) {
		t.Error(err)
	}
	if _, err := jws.NewSigner(nil, jws.Header{}); !errors.Is(err, jwk.ErrNotPrivate) {
		t.Error(err)
	}
}

func TestHasType(t *testing.T) {
	for _, c := range []struct {
		typ, want string
		same      bool
	}{
		{"at+jwt", "at+jwt", true},
		{"application/at+jwt", "at+jwt", true},
		{"at+jwt", "application/at+jwt", true},
		{"Application/AT+JWT", "at+jwt", true},
		{"application/a/b", "a/b", false}, // RFC 7515, 4.1.9: the prefix stays if another slash follows
		{"jwt", "at+jwt", false},
		{"", "", false},
		{"", "JWT", false},
		{"application/", "", false},
		{"text/at+jwt", "at+jwt", false},
		{"application/application/at+jwt", "at+jwt", false},
		{"at+jwt ", "at+jwt", false},
	} {
		if got := (jws.Header{Type: c.typ}).HasType(c.want); got != c.same {
			t.Errorf("%q is %q: %v", c.typ, c.want, got)
		}
	}
}

// Headers are remembered under a lock-free map: more of them than it holds, from
// several goroutines, each with its own meaning.
func TestRememberedHeaders(t *testing.T) {
	key := newKey(t, jwk.HS256)
	var tokens []string
	for i := range 100 {
		token, err := jws.Sign(key, jws.Header{Type: strings.Repeat("t", i+1)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				for i, token := range tokens {
					m, err := jws.Verify(key, token)
					if err != nil || len(m.Header().Type) != i+1 {
						t.Errorf("token %d: %v", i, err)
						return
					}
				}
			}
		})
	}
	group.Wait()
}

// What is remembered is what the header says, never that it was good once.
func TestRememberedHeaderIsNoPass(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := craft(t, key, hello, "payload")
	accept(t, key, token)
	other, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "HS256"})
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, other, token)
	refuse(t, newKey(t, jwk.ES256), token)
}

// One Signer makes another for a token with a parameter of its own, and stays as
// it is.
func TestSignerWith(t *testing.T) {
	key := newKey(t, jwk.ES256)
	h, err := jws.Header{Type: "at+jwt"}.With("a", 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jws.NewSigner(key, h)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Header()
	other, err := s.With("witness", "w")
	if err != nil {
		t.Fatal(err)
	}
	for signer, want := range map[*jws.Signer]string{
		s:     `{"alg":"ES256","kid":"ES256","typ":"at+jwt","a":1}`,
		other: `{"alg":"ES256","kid":"ES256","typ":"at+jwt","a":1,"witness":"w"}`,
	} {
		token, err := signer.Sign([]byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		accept(t, key, token)
		segment, _, _ := strings.Cut(token, ".")
		if header, err := wire.Decode(segment); err != nil || string(header) != want || segment != signer.Header() {
			t.Errorf("got %s, want %s", header, want)
		}
	}
	if s.Header() != before || other.Key() != s.Key() {
		t.Error("the first signer changed")
	}
	for _, name := range []string{"alg", "kid", "typ", "cty", "crit", "b64", "enc"} {
		if _, err := s.With(name, "x"); err == nil {
			t.Errorf("%q is set", name)
		}
	}
	if _, err := s.With("x", strings.Repeat("x", jws.MaxHeader)); !errors.Is(err, jws.ErrTooLarge) {
		t.Errorf("a header that nobody reads: %v", err)
	}
}
