package jwk_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// setOf writes a JWK Set.
func setOf(t testing.TB, keys ...any) []byte {
	t.Helper()
	return fields{"keys": keys}.json(t)
}

func mustSet(t testing.TB, data []byte) *jwk.Set {
	t.Helper()
	s, err := jwk.ParseSet(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSetFind(t *testing.T) {
	es := generated(t, jwk.ES256).public().with("kid", "es")
	ed := generated(t, jwk.EdDSA).public().with("kid", "ed")
	rs1 := generated(t, jwk.RS256).public().with("kid", "rs1")
	rs2 := generated(t, jwk.RS256).public().with("kid", "rs2")
	s := mustSet(t, setOf(t, es, ed, rs1, rs2))
	for _, c := range []struct {
		kid, alg string
		want     error
	}{
		{"es", "ES256", nil}, {"ed", "EdDSA", nil}, {"rs1", "RS256", nil}, {"rs2", "RS256", nil},
		{"es", "ES384", jwk.ErrAlgorithm}, {"ed", "Ed25519", jwk.ErrAlgorithm}, {"rs1", "PS256", jwk.ErrAlgorithm},
		{"es", "", jwk.ErrAlgorithm}, {"es", "none", jwk.ErrAlgorithm}, {"es", "HS256", jwk.ErrAlgorithm},
		{"ES", "ES256", jwk.ErrUnknownKey}, {"es ", "ES256", jwk.ErrUnknownKey}, {"../es", "ES256", jwk.ErrUnknownKey},
		{"", "ES256", nil}, {"", "EdDSA", nil}, {"", "RS256", jwk.ErrUnknownKey}, {"", "PS256", jwk.ErrUnknownKey}, {"", "", jwk.ErrUnknownKey},
	} {
		k, err := s.Find(c.kid, c.alg)
		if err != c.want || (k != nil) != (err == nil) || err == nil && !k.Accepts(c.alg) {
			t.Errorf("Find(%q, %q) = %v, %v", c.kid, c.alg, k, err)
		}
	}
	if s.Len() != 4 || len(s.Keys()) != 4 || s.Keys()[1].KeyID() != "ed" {
		t.Errorf("%v", s.Keys())
	}
	s.Keys()[0] = nil
	if s.Keys()[0] == nil {
		t.Error("the set gave its own slice away")
	}
}

func TestKeyFind(t *testing.T) {
	k := accept(t, generated(t, jwk.HS256).with("kid", "a"))
	for _, c := range []struct {
		kid, alg string
		want     error
	}{
		{"a", "HS256", nil}, {"", "HS256", nil}, {"b", "HS256", jwk.ErrUnknownKey}, {"a", "HS512", jwk.ErrAlgorithm}, {"", "", jwk.ErrAlgorithm},
	} {
		if found, err := k.Find(c.kid, c.alg); err != c.want || err == nil && found != k {
			t.Errorf("Find(%q, %q) = %v, %v", c.kid, c.alg, found, err)
		}
	}
	nameless := accept(t, generated(t, jwk.HS256).without("kid"))
	if _, err := nameless.Find("b", "HS256"); err != jwk.ErrUnknownKey {
		t.Errorf("a key without kid was found as b: %v", err)
	}
}

func TestThreat34DuplicateKeyID(t *testing.T) {
	a, b := generated(t, jwk.ES256).public().with("kid", "x"), generated(t, jwk.EdDSA).public().with("kid", "x")
	unknown := fields{"kty": "new", "kid": "x"}
	nameless := generated(t, jwk.ES256).public().without("kid")
	for what, keys := range map[string][]any{
		"other key":         {a, b},
		"the same key":      {a, a},
		"beside unknown":    {a, unknown},
		"two unknown":       {unknown, unknown},
		"escaped":           {a, json.RawMessage(strings.Replace(string(b.json(t)), `"kid":"x"`, `"kid":"\u0078"`, 1))},
		"same, without kid": {nameless, nameless},
	} {
		if _, err := jwk.ParseSet(setOf(t, keys...)); err != jwk.ErrDuplicate {
			t.Errorf("%s: %v", what, err)
		}
	}
	ka, kb := accept(t, a), accept(t, b)
	if _, err := jwk.NewSet(ka, kb); err != jwk.ErrDuplicate {
		t.Errorf("NewSet: %v", err)
	}
	secret := generated(t, jwk.HS256).with("kid", "x")
	if _, err := jwk.ParsePrivateSet(setOf(t, secret, generated(t, jwk.HS512).with("kid", "x"))); err != jwk.ErrDuplicate {
		t.Errorf("ParsePrivateSet: %v", err)
	}
}

// Keycloak derives the kid from the numbers, so that one key pair for both uses
// is in its set twice under one name.
func TestSetWithOneKeyIDForBothUses(t *testing.T) {
	rs := generated(t, jwk.RS256).public().with("kid", "x").with("use", "sig")
	for what, enc := range map[jwk.Algorithm]fields{
		"RSA-OAEP":     rs.with("use", "enc").with("alg", "RSA-OAEP"),
		"RSA-OAEP-256": rs.with("use", "enc").with("alg", "RSA-OAEP-256"),
		"ECDH-ES":      generated(t, jwk.ES256).public().with("kid", "x").with("use", "enc").with("alg", "ECDH-ES"),
		"RSA1_5":       rs.with("use", "enc").with("alg", "RSA1_5"),
		"":             rs.with("use", "enc").without("alg"),
	} {
		known := 1
		if what == "RSA1_5" || what == "" {
			known = 0
		}
		for _, keys := range [][]any{{rs, enc}, {enc, rs}, {enc, rs, enc}} {
			s, err := jwk.ParseSet(setOf(t, keys...))
			if err != nil || s.Len() != 1+known || len(s.Skipped()) != len(keys)-1-known {
				t.Errorf("%s: %v, %v", what, s, err)
				continue
			}
			if k, err := s.Find("x", "RS256"); err != nil || k.Algorithm() != jwk.RS256 {
				t.Errorf("%s: %v", what, err)
			}
			if k, err := s.Find("x", string(what)); known == 1 && (err != nil || k.Algorithm() != what) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := s.Find("x", "PS256"); err != jwk.ErrAlgorithm {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := jwk.ParseSet(setOf(t, rs, enc, rs)); err != jwk.ErrDuplicate {
			t.Errorf("%s, and two that sign: %v", what, err)
		}
	}
	both := []any{rs, rs.with("use", "enc").with("alg", "RSA-OAEP"), rs.with("use", "enc").with("alg", "RSA-OAEP-256")}
	if s, err := jwk.ParseSet(setOf(t, both...)); err != nil || s.Len() != 3 {
		t.Errorf("a key pair with two algorithms for encryption: %v, %v", s, err)
	}
	kek := newKey(t, jwk.A256GCMKW, "x")
	if _, err := jwk.NewSet(kek, newKey(t, jwk.A256GCMKW, "x")); err != jwk.ErrDuplicate {
		t.Errorf("two keys that wrap: %v", err)
	}
	// A use that says nothing excuses nothing.
	for _, use := range []any{nil, "", "ENC", 1, []any{"enc"}} {
		if _, err := jwk.ParseSet(setOf(t, rs, rs.with("use", use))); err != jwk.ErrDuplicate {
			t.Errorf("use %v: %v", use, err)
		}
	}
}

func newKey(t *testing.T, alg jwk.Algorithm, kid string) *jwk.Key {
	t.Helper()
	k, err := jwk.Generate(jwk.Params{Algorithm: alg, KeyID: kid})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestThreat41PrivateKeyInPublicSet(t *testing.T) {
	good := generated(t, jwk.ES256).public().with("kid", "good")
	for _, alg := range all {
		f := generated(t, alg)
		s := mustSet(t, setOf(t, good, f))
		if s.Len() != 1 || len(s.Skipped()) != 1 {
			t.Fatalf("%s: %d keys", alg, s.Len())
		}
		skipped := s.Skipped()[0]
		if skipped.Index != 1 || skipped.Err != jwk.ErrPrivate || skipped.KeyID != f["kid"] {
			t.Errorf("%s: %+v", alg, skipped)
		}
		if _, err := s.Find(f["kid"].(string), string(alg)); err != jwk.ErrUnknownKey {
			t.Errorf("%s: the private key is in use: %v", alg, err)
		}
	}
	// Any private member of any type of key, whatever its value.
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		for _, alg := range asymmetric {
			f := generated(t, alg).public()
			for _, value := range []any{"AQ", "", nil, 1, []any{}} {
				if s := mustSet(t, setOf(t, f.with(name, value))); s.Len() != 0 || s.Skipped()[0].Err != jwk.ErrPrivate {
					t.Errorf("%s with %s = %v was taken", alg, name, value)
				}
			}
		}
	}
}

func TestThreat41PrivateKeyIsNotPublished(t *testing.T) {
	for _, alg := range all {
		k := accept(t, generated(t, alg))
		s, err := jwk.NewSet(k)
		if err != nil {
			t.Fatal(err)
		}
		want := jwk.ErrPrivate
		if k.IsSymmetric() {
			want = jwk.ErrSymmetric
		}
		if data, err := s.MarshalJSON(); data != nil || err != want {
			t.Errorf("%s: %s, %v", alg, data, err)
		}
		if data, err := json.Marshal(s); err == nil {
			t.Errorf("%s: %s", alg, data)
		}
	}
}

func TestParseSetSkipsWhatItCannotUse(t *testing.T) {
	good := generated(t, jwk.ES256).public().with("kid", "good")
	for what, bad := range map[string]any{
		"unknown kty":    fields{"kty": "AKP", "kid": "bad"},
		"unknown alg":    good.with("alg", "ES999").with("kid", "bad"),
		"unknown crv":    fields{"kty": "OKP", "crv": "X25519", "x": good["x"], "kid": "bad"},
		"for encryption": good.with("use", "enc").with("kid", "bad"),
		"no alg":         generated(t, jwk.RS256).public().without("alg").with("kid", "bad"),
		"weak":           generated(t, jwk.RS256).public().with("e", "AQ").with("kid", "bad"),
		"off the curve":  good.with("x", good["y"]).with("kid", "bad"),
		"large":          good.with("kid", "bad").with("pad", strings.Repeat("x", jwk.MaxKey)),
		"number":         1, "text": "x", "array": []any{}, "null": nil, "empty": fields{},
		"kid is number": good.with("kid", 1), "kid is empty": good.with("kid", ""),
	} {
		s := mustSet(t, setOf(t, bad, good))
		if s.Len() != 1 || len(s.Skipped()) != 1 || s.Skipped()[0].Index != 0 || s.Skipped()[0].Err == nil {
			t.Errorf("%s: %d keys, skipped %+v", what, s.Len(), s.Skipped())
			continue
		}
		if f, ok := bad.(fields); ok && f["kid"] == "bad" && s.Skipped()[0].KeyID != "bad" {
			t.Errorf("%s: skipped %+v", what, s.Skipped())
		}
		if _, err := s.Find("good", "ES256"); err != nil {
			t.Errorf("%s: the good key: %v", what, err)
		}
	}
}

func TestParseSetRefusesWhatIsNoSet(t *testing.T) {
	good := generated(t, jwk.ES256).public()
	for _, text := range []string{
		"", "null", "[]", "{}", `{"keys":null}`, `{"keys":{}}`, `{"keys":"x"}`, `{"Keys":[]}`, `{"\u212Aeys":[]}`,
		`{"keys":[],"keys":[]}`, `{"keys":[],"k\u0065ys":[]}`, `{"keys":[]}{}`, "\ufeff" + `{"keys":[]}`, `{"keys":[}`,
		`{"keys":[{"kty":"EC","kty":"RSA"}]}`, string(good.json(t)), "[" + string(good.json(t)) + "]", "<html>", `{"error":"no"}`,
	} {
		if s, err := jwk.ParseSet([]byte(text)); s != nil || !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if s := mustSet(t, []byte(`{"keys":[],"extra":1}`)); s.Len() != 0 {
		t.Errorf("%v", s.Keys())
	}
}

func TestParseSetLimits(t *testing.T) {
	var keys []any
	for i := range jwk.MaxKeys {
		keys = append(keys, fields{"kty": "new", "kid": fmt.Sprint(i)})
	}
	if s := mustSet(t, setOf(t, keys...)); len(s.Skipped()) != jwk.MaxKeys {
		t.Errorf("%d skipped", len(s.Skipped()))
	}
	if _, err := jwk.ParseSet(setOf(t, append(keys, fields{})...)); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("%d keys: %v", jwk.MaxKeys+1, err)
	}
	empty := `{"keys":[]` + strings.Repeat(" ", jwk.MaxSet-len(`{"keys":[]}`)) + "}"
	mustSet(t, []byte(empty))
	if _, err := jwk.ParseSet([]byte(empty + " ")); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("%d bytes: %v", jwk.MaxSet+1, err)
	}
	k := accept(t, generated(t, jwk.HS256).without("kid"))
	many := make([]*jwk.Key, jwk.MaxKeys+1)
	for i := range many {
		many[i] = k
	}
	if _, err := jwk.NewSet(many...); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("NewSet: %v", err)
	}
	if _, err := jwk.NewSet(nil); err == nil {
		t.Error("a nil key was taken")
	}
}

func TestSetDoesNotMixSecretsAndKeyPairs(t *testing.T) {
	secret, pair, kek := generated(t, jwk.HS256).with("kid", "s"), generated(t, jwk.ES256).with("kid", "p"), generated(t, jwk.A256GCMKW)
	for _, keys := range [][]any{{secret, pair}, {pair, secret}, {pair.public(), secret}} {
		if _, err := jwk.ParsePrivateSet(setOf(t, keys...)); !errors.Is(err, jwk.ErrUse) {
			t.Errorf("%v", err)
		}
	}
	for _, keys := range [][]any{{secret, kek}, {pair, kek}, {pair, generated(t, jwk.EdDSA)}, {secret}} {
		if s, err := jwk.ParsePrivateSet(setOf(t, keys...)); err != nil || s.Len() != len(keys) {
			t.Errorf("%v", err)
		}
	}
}

func TestParsePrivateSetLeavesOutTheUnsupportedOnly(t *testing.T) {
	good := generated(t, jwk.ES256).with("kid", "good")
	for _, other := range []any{fields{"kty": "new"}, good.with("kid", "x").with("alg", "ECDH-1PU"), good.with("kid", "x").without("alg").with("use", "enc")} {
		s, err := jwk.ParsePrivateSet(setOf(t, good, other))
		if err != nil || s.Len() != 1 || len(s.Skipped()) != 1 {
			t.Errorf("%v: %v", other, err)
		}
	}
	for _, bad := range []any{1, good.with("kid", "x").with("alg", "ES384"), good.with("kid", "x").with("use", "enc"), generated(t, jwk.HS256).without("alg"), good.with("kid", "x").with("d", "AQ")} {
		if _, err := jwk.ParsePrivateSet(setOf(t, good, bad)); err == nil || !strings.Contains(err.Error(), "key 1 of the set") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestThreat27SetWithoutAlgorithms(t *testing.T) {
	bare := generated(t, jwk.RS256).public().without("alg").with("kid", "bare")
	named := generated(t, jwk.PS256).public().with("kid", "named")
	es := generated(t, jwk.ES384).public().without("alg").with("kid", "es")
	data := setOf(t, bare, named, es)
	s, err := jwk.ParseSetAs(data, jwk.Params{Algorithm: jwk.RS256, Limits: jwk.Limits{MaxLife: time.Hour}})
	if err != nil || s.Len() != 3 {
		t.Fatalf("%v, %v", s, err)
	}
	for kid, alg := range map[string]string{"bare": "RS256", "named": "PS256", "es": "ES384"} {
		k, err := s.Find(kid, alg)
		if err != nil {
			t.Errorf("%s: %v", kid, err)
		} else if k.Limits().MaxLife != time.Hour {
			t.Errorf("%s: limits %+v", kid, k.Limits())
		}
	}
	if _, err := s.Find("bare", "PS256"); err != jwk.ErrAlgorithm {
		t.Errorf("a key without alg serves two: %v", err)
	}
	if s := mustSet(t, data); s.Len() != 2 || s.Skipped()[0].Err != jwk.ErrNoAlgorithm {
		t.Errorf("%d keys, skipped %v", s.Len(), s.Skipped())
	}
}

func TestSetReadsWhatItWrote(t *testing.T) {
	var keys []*jwk.Key
	for i, alg := range asymmetric {
		pub, err := accept(t, generated(t, alg).with("kid", fmt.Sprint(i))).Public()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, pub.WithLimits(someLimits))
	}
	s, err := jwk.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again := mustSet(t, data)
	if again.Len() != len(keys) || len(again.Skipped()) != 0 {
		t.Fatalf("%d keys, skipped %v", again.Len(), again.Skipped())
	}
	if twice, _ := json.Marshal(again); string(twice) != string(data) {
		t.Errorf("%s became %s", data, twice)
	}
	if empty, err := json.Marshal(new(jwk.Set)); err != nil || string(empty) != `{"keys":[]}` {
		t.Errorf("%s, %v", empty, err)
	}
}

func FuzzParseSet(f *testing.F) {
	es, ed := generated(f, jwk.ES256), generated(f, jwk.EdDSA)
	f.Add(setOf(f, es.public(), ed.public().with("kid", "b")))
	f.Add(setOf(f, es, ed.with("kid", "b"), 1, nil))
	f.Add(setOf(f, es.public(), fields{"kty": "new", "kid": "k"}))
	f.Add([]byte(`{"keys":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		jwk.ParsePrivateSet(data)
		s, err := jwk.ParseSet(data)
		if err != nil {
			return
		}
		for _, k := range s.Keys() {
			if found, err := s.Find(k.KeyID(), string(k.Algorithm())); found != k || err != nil || k.IsPrivate() {
				t.Fatalf("%v: found %v, %v", k, found, err)
			}
		}
		text, err := s.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := jwk.ParseSet(text); err != nil || again.Len() != s.Len() {
			t.Fatalf("wrote what it does not read: %v: %s", err, text)
		}
	})
}

// A caller's algorithm is for the keys that it fits, by type and by use; curves of
// another use keep what they imply.
func TestSetWithoutAlgorithmsForEncryption(t *testing.T) {
	signs := generated(t, jwk.ES256).without("alg").public().with("kid", "signs")
	encrypts := generated(t, jwk.ECDHES).without("alg").public().with("kid", "encrypts")
	x25519, err := jwk.Generate(jwk.Params{Algorithm: jwk.ECDHES, Curve: "X25519", KeyID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwk.ParseSetAs(setOf(t, signs, encrypts, fieldsOf(t, x25519).without("alg").public()), jwk.Params{Algorithm: jwk.ECDHESA256KW})
	if err != nil {
		t.Fatal(err)
	}
	for kid, alg := range map[string]jwk.Algorithm{"signs": jwk.ES256, "encrypts": jwk.ECDHESA256KW, "x": jwk.ECDHESA256KW} {
		if k, err := set.Find(kid, string(alg)); err != nil || k.Algorithm() != alg {
			t.Errorf("%s: %v, skipped %v", kid, err, set.Skipped())
		}
	}
}

func TestTooLargeCostsNothing(t *testing.T) {
	key, set := make([]byte, jwk.MaxKey+1), make([]byte, jwk.MaxSet+1)
	for name, parse := range map[string]func() error{
		"Parse":             func() error { _, err := jwk.Parse(key); return err },
		"ParsePublic":       func() error { _, err := jwk.ParsePublic(key); return err },
		"ParsePEM":          func() error { _, err := jwk.ParsePEM(key, jwk.Params{}); return err },
		"ParseDER":          func() error { _, err := jwk.ParseDER(key, jwk.Params{}); return err },
		"ParseCertificates": func() error { _, err := jwk.ParseCertificates(key); return err },
		"ParseSet":          func() error { _, err := jwk.ParseSet(set); return err },
	} {
		if n := testing.AllocsPerRun(10, func() {
			if err := parse(); !errors.Is(err, jwk.ErrMalformed) {
				t.Error(name, err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
