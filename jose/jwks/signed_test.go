package jwks_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jws"
)

const signedBy = "https://id.example"

func generateFor(t testing.TB, alg jwk.Algorithm) *jwk.Key {
	t.Helper()
	k, err := jwk.Generate(jwk.Params{Algorithm: alg})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, keys ...*jwk.Key) *jwk.Set {
	t.Helper()
	var all []*jwk.Key
	for _, k := range keys {
		p, err := k.Public()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	set, err := jwk.NewSet(all...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// statement signs keys under a version.
func statement(t testing.TB, signer *jwk.Key, version uint64, keys ...*jwk.Key) string {
	t.Helper()
	s := jwks.Signed{Issuer: signedBy, IssuedAt: time.Unix(1_700_000_000, 0), Version: version, Keys: public(t, keys...)}
	token, err := s.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func signedConfig(t testing.TB, signer *jwk.Key) jwks.Config {
	return jwks.Config{Signers: public(t, signer), Issuer: signedBy}
}

func TestSignedSet(t *testing.T) {
	signer, key := generateFor(t, jwk.EdDSA), generate(t)
	at := time.Unix(1_700_000_000, 0).UTC()
	in := jwks.Signed{Issuer: signedBy, IssuedAt: at, Version: 7, KeySet: "x", Keys: public(t, key)}
	token, err := in.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jwks.OpenSigned(public(t, signer), signedBy, token)
	if err != nil {
		t.Fatal(err)
	}
	if out.Issuer != signedBy || out.Version != 7 || out.KeySet != "x" || !out.IssuedAt.Equal(at) || out.Keys.Len() != 1 {
		t.Errorf("%+v", out)
	}
	if got, err := out.Keys.Find(key.KeyID(), "ES256"); err != nil || got.Limits().Issuer != signedBy {
		t.Errorf("%v, %v", got, err)
	}
	u, err := jws.Parse(token)
	if err != nil || u.UnverifiedHeader().Type != "jwk-set+jwt" {
		t.Errorf("%+v, %v", u.UnverifiedHeader(), err)
	}
}

// A set of 128 RSA keys is longer than an ordinary token.
func TestSignedSetMayBeLarge(t *testing.T) {
	signer := generateFor(t, jwk.EdDSA)
	var keys []*jwk.Key
	for range jwk.MaxKeys {
		k, err := generate(t).Public()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	token := statement(t, signer, 1, keys...)
	if len(token) <= jws.MaxToken {
		t.Fatalf("%d bytes", len(token))
	}
	if s, err := jwks.OpenSigned(public(t, signer), signedBy, token); err != nil || s.Keys.Len() != jwk.MaxKeys {
		t.Error(err)
	}
}

func TestSignRefuses(t *testing.T) {
	signer, key := generateFor(t, jwk.EdDSA), generate(t)
	good := jwks.Signed{Issuer: signedBy, IssuedAt: time.Unix(1, 0), Version: 1, Keys: public(t, key)}
	private, err := jwk.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	tagged := signer.WithLimits(jwk.Limits{Tagged: true})
	tokens := signer.WithLimits(jwk.Limits{Types: []string{"at+jwt"}})
	for name, try := range map[string]func(s *jwks.Signed) (string, error){
		"no issuer":     func(s *jwks.Signed) (string, error) { s.Issuer = ""; return s.Sign(signer) },
		"no version":    func(s *jwks.Signed) (string, error) { s.Version = 0; return s.Sign(signer) },
		"huge version":  func(s *jwks.Signed) (string, error) { s.Version = 1 << 53; return s.Sign(signer) },
		"no keys":       func(s *jwks.Signed) (string, error) { s.Keys = nil; return s.Sign(signer) },
		"private keys":  func(s *jwks.Signed) (string, error) { s.Keys = private; return s.Sign(signer) },
		"long key_set":  func(s *jwks.Signed) (string, error) { s.KeySet = strings.Repeat("x", 65); return s.Sign(signer) },
		"public signer": func(s *jwks.Signed) (string, error) { return s.Sign(public(t, signer).Keys()[0]) },
		"tagged signer": func(s *jwks.Signed) (string, error) { return s.Sign(tagged) },
		"token signer":  func(s *jwks.Signed) (string, error) { return s.Sign(tokens) },
		"shared secret": func(s *jwks.Signed) (string, error) { return s.Sign(generateFor(t, jwk.HS256)) },
	} {
		s := good
		if token, err := try(&s); err == nil || token != "" {
			t.Errorf("%s: signed", name)
		}
	}
}

// forms are signed sets with one thing wrong.
func forms(t testing.TB, signer, key *jwk.Key) map[string]string {
	claims := func(change map[string]any) []byte {
		set, err := public(t, key).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Keys jsontext.Value }
		if err := json.Unmarshal(set, &doc, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		all := map[string]any{"iss": signedBy, "sub": signedBy, "iat": 1_700_000_000, "ver": 9, "keys": doc.Keys}
		maps.Copy(all, change)
		maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
		body, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	sign := func(by *jwk.Key, typ string, payload []byte) string {
		token, err := jws.Sign(by, jws.Header{Type: typ}, payload)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	with := func(name string, v any) string {
		return sign(signer, jwks.SignedType, claims(map[string]any{name: v}))
	}
	good := sign(signer, jwks.SignedType, claims(nil))
	header, rest, _ := strings.Cut(good, ".")
	_, signature, _ := strings.Cut(rest, ".")
	other := generateFor(t, jwk.EdDSA)
	return map[string]string{
		"another typ":          sign(signer, "JWT", claims(nil)),
		"typ of a manifest":    sign(signer, "revocation-manifest+jwt", claims(nil)),
		"no typ":               sign(signer, "", claims(nil)),
		"another signer":       sign(other, jwks.SignedType, claims(nil)),
		"by a key inside":      sign(key, jwks.SignedType, claims(nil)),
		"alg none":             wire.Encode([]byte(`{"alg":"none","typ":"jwk-set+jwt"}`)) + "." + rest[:strings.IndexByte(rest, '.')] + ".",
		"other payload":        header + "." + wire.Encode(claims(map[string]any{"ver": 10})) + "." + signature,
		"no signature":         good[:strings.LastIndexByte(good, '.')+1],
		"another iss":          with("iss", "https://id.example/"),
		"no iss":               with("iss", nil),
		"another sub":          with("sub", "https://other.example"),
		"no sub":               with("sub", nil),
		"no ver":               with("ver", nil),
		"ver 0":                with("ver", 0),
		"negative ver":         with("ver", -1),
		"ver of a half":        with("ver", 9.5),
		"ver in a text":        with("ver", "9"),
		"ver with an exponent": with("ver", jsontext.Value("1e3")),
		"huge ver":             with("ver", uint64(1)<<53),
		"ver beyond uint64":    with("ver", jsontext.Value("99999999999999999999")),
		"no iat":               with("iat", nil),
		"iat in a text":        with("iat", "1"),
		"huge iat":             with("iat", int64(1)<<41),
		"no keys":              with("keys", nil),
		"keys in an object":    with("keys", map[string]any{}),
		"long key_set":         with("key_set", strings.Repeat("x", 65)),
		"a plain set":          document(t, key),
		"two payloads":         good + "." + signature,
		"nothing":              "",
	}
}

func TestThreat98HostileSignedSet(t *testing.T) {
	signer, key := generateFor(t, jwk.EdDSA), generate(t)
	for name, token := range forms(t, signer, key) {
		if s, err := jwks.OpenSigned(public(t, signer), signedBy, token); s != nil || !errors.Is(err, jwks.ErrSigned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, limits := range map[string]jwk.Limits{"tagged": {Tagged: true}, "for tokens": {Types: []string{"at+jwt"}}} {
		limited, err := jwk.NewSet(public(t, signer).Keys()[0].WithLimits(limits))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwks.OpenSigned(limited, signedBy, statement(t, signer, 1, key)); !errors.Is(err, jwks.ErrSigned) {
			t.Errorf("by a key that is %s: %v", name, err)
		}
	}
}

// A private key in a signed set has no place there, and is not used: anybody has it.
func TestThreat98PrivateKeyInSignedSet(t *testing.T) {
	signer, good, bad := generateFor(t, jwk.EdDSA), generate(t), generate(t)
	private, err := bad.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := good.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	payload := fmt.Sprintf(`{"iss":%q,"sub":%q,"iat":1,"ver":1,"keys":[%s,%s]}`, signedBy, signedBy, plain, private)
	token, err := jws.Sign(signer, jws.Header{Type: jwks.SignedType}, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	s, err := jwks.OpenSigned(public(t, signer), signedBy, token)
	if err != nil || s.Keys.Len() != 1 || len(s.Keys.Skipped()) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := s.Keys.Find(bad.KeyID(), "ES256"); !errors.Is(err, jwk.ErrUnknownKey) {
		t.Errorf("the private key: %v", err)
	}
}

// What a source offers after the set that is held: only upward.
func TestThreat98SignedSetRollback(t *testing.T) {
	signer, first, second := generateFor(t, jwk.EdDSA), generate(t), generate(t)
	for name, test := range map[string]struct {
		offered string
		refused bool
	}{
		"lower":                 {statement(t, signer, 4, first), true},
		"equal and other keys":  {statement(t, signer, 5, first), true},
		"equal and more keys":   {statement(t, signer, 5, first, second), true},
		"equal":                 {statement(t, signer, 5, second), false},
		"higher":                {statement(t, signer, 6, first, second), false},
		"higher, the same keys": {statement(t, signer, 6, second), false},
		"highest":               {statement(t, signer, 1<<53-1, second), false},
		"by nobody":             {document(t, first), true},
	} {
		bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
			src.answer(serve(statement(t, signer, 5, second)))
			r := open(signedConfig(t, signer))
			if err := found(r, second); err != nil || r.Version() != 5 {
				t.Fatalf("version %d, %v", r.Version(), err)
			}
			src.answer(serve(test.offered))
			pass(jwks.DefaultMaxAge)
			if err := found(r, second); err != nil {
				t.Errorf("%s: the key that was held: %v", name, err)
			}
			failed := r.Status().LastError
			if (failed != nil) != test.refused || test.refused && !errors.Is(failed, jwks.ErrRollback) && !errors.Is(failed, jwks.ErrSigned) {
				t.Errorf("%s: %v", name, failed)
			}
			if test.refused && r.Version() != 5 {
				t.Errorf("%s: version %d", name, r.Version())
			}
			if has := found(r, first) == nil; has && test.refused {
				t.Errorf("%s: it has a key of the set that was refused", name)
			}
		})
	}
}

// The version that was held counts after a restart too, and at another place.
func TestThreat98RollbackOverRestart(t *testing.T) {
	signer, first, second := generateFor(t, jwk.EdDSA), generate(t), generate(t)
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		cfg := signedConfig(t, signer)
		cfg.StateFile = filepath.Join(t.TempDir(), "keys")
		src.answer(serve(statement(t, signer, 5, second)))
		open(cfg).Close()

		src.answer(down)
		r := open(cfg)
		if err := found(r, second); err != nil || r.Version() != 5 {
			t.Fatalf("from disk: version %d, %v", r.Version(), err)
		}
		r.Close()

		src.answer(serve(statement(t, signer, 4, first)))
		r = open(cfg)
		if found(r, first) == nil || found(r, second) != nil || !errors.Is(r.Status().LastError, jwks.ErrRollback) {
			t.Errorf("an older set after a restart: %v", r.Status().LastError)
		}
		r.Close()

		moved := cfg
		moved.URL, moved.HTTPClient = "https://id.example/elsewhere", &http.Client{Transport: refusal{}}
		m, err := jwks.Open(moved)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if m.Version() != 5 || found(m, second) != nil {
			t.Errorf("at another place: version %d", m.Version())
		}
	})
}

type refusal struct{}

func (refusal) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("unreachable")
}

// A copy on disk is verified again: whoever writes the file does not sign.
func TestThreat98StateFileIsVerified(t *testing.T) {
	signer, key := generateFor(t, jwk.EdDSA), generate(t)
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		cfg := signedConfig(t, signer)
		cfg.StateFile = filepath.Join(t.TempDir(), "keys")
		src.answer(serve(statement(t, signer, 5, key)))
		open(cfg).Close()
		src.answer(down)
		cfg.Signers = public(t, generateFor(t, jwk.EdDSA)) // the feed key was replaced
		r := open(cfg)
		if !errors.Is(found(r, key), jwks.ErrNoKeys) {
			t.Error("a set by a key that may no longer sign it was used")
		}
	})
}

// A floor: somebody knows that the source has more than it shows.
func TestThreat98BelowWhatIsKnown(t *testing.T) {
	signer, old, young := generateFor(t, jwk.EdDSA), generate(t), generate(t)
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		floor := uint64(6)
		cfg := signedConfig(t, signer)
		cfg.MinVersion = func() uint64 { return floor }
		asked := make(chan string, 8)
		answer := func(version uint64, keys ...*jwk.Key) {
			src.answer(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Header.Get("Cache-Control")
				serve(statement(t, signer, version, keys...))(w, r)
			})
		}
		answer(5, old)
		r := open(cfg)
		if !errors.Is(found(r, old), jwks.ErrNoKeys) || !errors.Is(r.Status().LastError, jwks.ErrRollback) {
			t.Errorf("older than known, and taken: %v", r.Status().LastError)
		}
		answer(6, young)
		pass(5 * time.Second)
		if err := found(r, young); err != nil {
			t.Error(err)
		}
		if <-asked != "no-cache" {
			t.Error("caches on the way were not told to look")
		}
		for len(asked) > 0 {
			<-asked
		}
		pass(jwks.DefaultMaxAge)
		if <-asked != "" {
			t.Error("caches are bypassed though nothing is missing")
		}
	})
}

// What is still the same keeps its pointer, so that nobody judges anew by it: with
// and without an entity tag, signed or plain.
func TestSameSetKeepsItsPointer(t *testing.T) {
	signer, key, next := generateFor(t, jwk.EdDSA), generate(t), generate(t)
	fresh := func(version uint64, at int64, keys ...*jwk.Key) string {
		s := jwks.Signed{Issuer: signedBy, IssuedAt: time.Unix(at, 0), Version: version, Keys: public(t, keys...)}
		token, err := s.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, test := range map[string]struct {
		cfg                jwks.Config
		first, same, other string
	}{
		"plain":                      {jwks.Config{}, document(t, key), document(t, key), document(t, key, next)},
		"signed":                     {signedConfig(t, signer), fresh(1, 1, key), fresh(1, 2, key), fresh(2, 3, key, next)},
		"signed, of another version": {signedConfig(t, signer), fresh(1, 1, key), fresh(2, 2, key), fresh(3, 3, next)},
	} {
		bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
			src.answer(serve(test.first))
			r := open(test.cfg)
			set, hits := r.Set(), src.count()
			src.answer(serve(test.same))
			pass(jwks.DefaultMaxAge)
			if src.count() == hits || r.Set() != set || set == nil {
				t.Errorf("%s: the same set has another pointer", name)
			}
			if age := r.Status().Age; age > jwks.DefaultMaxAge/2 {
				t.Errorf("%s: it was not confirmed: %v", name, age)
			}
			src.answer(serve(test.other))
			pass(jwks.DefaultMaxAge)
			if r.Set() == set || found(r, next) != nil {
				t.Errorf("%s: another set was not taken", name)
			}
		})
	}
}

func TestOpenRefusesSigners(t *testing.T) {
	signer := public(t, generateFor(t, jwk.EdDSA))
	for name, cfg := range map[string]jwks.Config{
		"no issuer":                {URL: "https://id.example/jwks.jwt", Signers: signer},
		"version of what is plain": {URL: "https://id.example/jwks", MinVersion: func() uint64 { return 1 }},
	} {
		if r, err := jwks.Open(cfg); err == nil {
			r.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func FuzzOpenSigned(f *testing.F) {
	signer, key := generateFor(f, jwk.EdDSA), generate(f)
	for _, token := range forms(f, signer, key) {
		f.Add(token)
	}
	f.Add(statement(f, signer, 1, key))
	f.Fuzz(func(t *testing.T, token string) {
		s, err := jwks.OpenSigned(public(t, signer), signedBy, token)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v, %v", s, err)
		}
		if err == nil && (s.Issuer != signedBy || s.Version == 0 || s.Keys == nil) {
			t.Fatalf("%+v", s)
		}
	})
}
