package jwk_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func TestParseReadsWhatMarshalWrote(t *testing.T) {
	for _, alg := range all {
		k := accept(t, generated(t, alg))
		data, err := k.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		again, err := jwk.Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if twice, _ := again.MarshalPrivate(); !bytes.Equal(twice, data) {
			t.Errorf("%s: %s became %s", alg, data, twice)
		}
		if k.IsSymmetric() {
			continue
		}
		data, err = json.Marshal(k) // also through encoding/json
		if err != nil {
			t.Fatal(err)
		}
		if again, err := jwk.Parse(data); err != nil || again.IsPrivate() {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestParseIgnoresUnknownMembers(t *testing.T) {
	f := generated(t, jwk.ES256).with("x5u", "https://a.example").with("ext", true).with("note", fields{"a": nil})
	k := accept(t, f)
	data, _ := k.MarshalPrivate()
	for _, name := range []string{"x5u", "ext", "note"} {
		if strings.Contains(string(data), name) {
			t.Errorf("%s came through: %s", name, data)
		}
	}
}

// Each string member with each other kind of JSON value, and with texts that are
// not the canonical base64url of the same bytes.
func TestParseIsStrictInEveryMember(t *testing.T) {
	for _, alg := range []jwk.Algorithm{jwk.RS256, jwk.ES256, jwk.Ed25519, jwk.MLDSA44, jwk.HS256} {
		f := generated(t, alg)
		for name, value := range f {
			for _, bad := range []any{nil, true, 1, 1.5, "", []any{}, []any{value}, fields{}, fields{"a": value}} {
				if _, err := jwk.Parse(f.with(name, bad).json(t)); err == nil {
					t.Errorf("%s: %s = %v was taken", alg, name, bad)
				}
			}
			if name == "kid" {
				continue
			}
			text := value.(string)
			for _, bad := range []string{text + "=", text + "\n", text[:1] + "\n" + text[1:], " " + text, text + "*", "*" + text} {
				if _, err := jwk.Parse(f.with(name, bad).json(t)); err == nil {
					t.Errorf("%s: %s = %.40q was taken", alg, name, bad)
				}
			}
		}
		for _, name := range []string{"kty", "crv", "x", "y", "n", "e", "k", "pub"} {
			if f[name] == nil {
				continue
			}
			if _, err := jwk.Parse(f.without(name).json(t)); err == nil {
				t.Errorf("%s without %s was taken", alg, name)
			}
		}
	}
}

func TestParseRefusesDuplicateMembers(t *testing.T) {
	data := generated(t, jwk.ES256).json(t)
	for _, extra := range []string{`{"alg":"ES256",`, `{"\u0061lg":"ES256",`, `{"kid":"other",`, `{"note":1,"note":2,`} {
		text := extra + string(data[1:])
		if _, err := jwk.Parse([]byte(text)); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%s…: %v", extra, err)
		}
	}
	for _, text := range []string{"", "null", "[]", "1", `"x"`, "{}", string(data) + "{}", "\ufeff" + string(data)} {
		if _, err := jwk.Parse([]byte(text)); !errors.Is(err, jwk.ErrMalformed) && !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestParseNamesAreCaseSensitive(t *testing.T) {
	f := generated(t, jwk.RS256)
	for _, name := range []string{"ALG", "Alg", "aLG"} {
		if _, err := jwk.Parse(f.without("alg").with(name, "RS256").json(t)); err != jwk.ErrNoAlgorithm {
			t.Errorf("%s was taken for alg: %v", name, err)
		}
	}
	// U+212A and U+017F fold to k and s.
	refuse(t, f.without("kty").with("\u212Aty", "RSA"), jwk.ErrAlgorithm)
	k := accept(t, generated(t, jwk.ES256).without("kid").with("\u212Aid", "x").with("u\u017fe", "enc"))
	if k.KeyID() != k.Thumbprint() {
		t.Errorf("kid %q", k.KeyID())
	}
	refuse(t, f.with("kty", "rsa"), jwk.ErrAlgorithm)
	refuse(t, f.with("alg", "rs256"), jwk.ErrAlgorithm)
	refuse(t, generated(t, jwk.ES256).with("crv", "p-256"), jwk.ErrAlgorithm)
}

func TestParseSizeLimit(t *testing.T) {
	f := generated(t, jwk.ES256)
	room := jwk.MaxKey - len(f.with("pad", "").json(t))
	accept(t, f.with("pad", strings.Repeat("x", room)))
	refuse(t, f.with("pad", strings.Repeat("x", room+1)), jwk.ErrMalformed)
	accept(t, f.with("kid", strings.Repeat("x", jwk.MaxKeyID)))
	refuse(t, f.with("kid", strings.Repeat("x", jwk.MaxKeyID+1)), jwk.ErrMalformed)
}

// No member of any other name or order may enter the hash.
func TestThreat127ThumbprintOfRequiredMembersOnly(t *testing.T) {
	required := map[jwk.Algorithm][]string{
		jwk.RS256: {"e", "kty", "n"}, jwk.ES256: {"crv", "kty", "x", "y"},
		jwk.Ed25519: {"crv", "kty", "x"}, jwk.HS256: {"k", "kty"}, jwk.MLDSA44: {"alg", "kty", "pub"},
	}
	for alg, names := range required {
		f := generated(t, alg)
		var parts []string
		for _, name := range names { // already in lexicographic order
			parts = append(parts, fmt.Sprintf("%q:%q", name, f[name]))
		}
		sum := sha256.Sum256([]byte("{" + strings.Join(parts, ",") + "}"))
		want := wire.Encode(sum[:])
		variants := []fields{f, f.without("kid"), f.without("use"), f.with("note", "x"), f.with("kid", "other")}
		if alg != jwk.HS256 {
			variants = append(variants, f.public())
		}
		for _, v := range variants {
			if got := accept(t, v).Thumbprint(); got != want {
				t.Errorf("%s: %s, want %s", alg, got, want)
			}
		}
	}
}

func TestThreat127PublicFormsHaveNoPrivateMember(t *testing.T) {
	for _, alg := range asymmetric {
		k := accept(t, generated(t, alg).with("k", "c2VjcmV0").with("note", "x"))
		pub, err := k.Public()
		if err != nil {
			t.Fatal(err)
		}
		set, err := jwk.NewSet(pub)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []any{k, pub, set} {
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			refusePrivateMembers(t, alg, data)
		}
		data, err := pub.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		refusePrivateMembers(t, alg, data)
	}
}

func refusePrivateMembers(t *testing.T, alg jwk.Algorithm, data []byte) {
	t.Helper()
	var f fields
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	keys := []any{map[string]any(f)}
	if f["keys"] != nil {
		keys = f["keys"].([]any)
	}
	for _, k := range keys {
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
			if _, ok := k.(map[string]any)[name]; ok {
				t.Errorf("%s: %s in %.80s", alg, name, data)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, alg := range all {
		if strings.HasPrefix(string(alg), "R") || strings.HasPrefix(string(alg), "P") {
			continue // too slow to explore
		}
		f.Add(generated(f, alg).json(f))
	}
	f.Add(rsaJWK().public().with("alg", "RS256").json(f))
	f.Add([]byte(`{"kty":"oct","k":"","alg":"HS256","key_ops":[],"counterfoil":{"from":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := jwk.Parse(data)
		if err != nil {
			return
		}
		again, err := k.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		twin, err := jwk.Parse(again)
		if err != nil {
			t.Fatalf("wrote what it does not read: %v: %s", err, again)
		}
		if twin.Thumbprint() != k.Thumbprint() || twin.Algorithm() != k.Algorithm() || twin.KeyID() != k.KeyID() {
			t.Fatalf("%v became %v", k, twin)
		}
		if sig, err := k.Sign(data); err == nil && k.Verify(data, sig) != nil && twin.Verify(data, sig) != jwk.ErrUse {
			t.Fatalf("%v does not verify what it signed", k)
		}
	})
}

func TestParseNamesASet(t *testing.T) {
	_, err := jwk.Parse([]byte(`{"keys":[]}`))
	if !errors.Is(err, jwk.ErrMalformed) || !strings.Contains(err.Error(), "ParseSet") {
		t.Errorf("a set in the place of a key: %v", err)
	}
}
