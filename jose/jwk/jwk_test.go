package jwk_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// asymmetric and symmetric are the signing algorithms.
var (
	asymmetric = []jwk.Algorithm{
		jwk.RS256, jwk.RS384, jwk.RS512, jwk.PS256, jwk.PS384, jwk.PS512,
		jwk.ES256, jwk.ES384, jwk.ES512, jwk.Ed25519, jwk.EdDSA, jwk.MLDSA44, jwk.MLDSA65, jwk.MLDSA87,
	}
	symmetric = []jwk.Algorithm{jwk.HS256, jwk.HS384, jwk.HS512}
	signing   = append(append([]jwk.Algorithm{}, asymmetric...), symmetric...)

	// encrypting are those for encryption: first with key pairs, then with secrets.
	encryptingPairs   = []jwk.Algorithm{jwk.RSAOAEP, jwk.RSAOAEP256, jwk.RSAOAEP384, jwk.RSAOAEP512, jwk.ECDHES, jwk.ECDHESA128KW, jwk.ECDHESA192KW, jwk.ECDHESA256KW}
	encryptingSecrets = []jwk.Algorithm{
		jwk.A128KW, jwk.A192KW, jwk.A256KW, jwk.A128GCMKW, jwk.A192GCMKW, jwk.A256GCMKW, jwk.Dir,
		jwk.PBES2HS256A128KW, jwk.PBES2HS384A192KW, jwk.PBES2HS512A256KW,
	}
	encrypting = slices.Concat(encryptingPairs, encryptingSecrets)
	all        = slices.Concat(signing, encrypting)
)

// rsaJWK is the private JWK of one RSA key for all tests, without alg and kid.
var rsaJWK = sync.OnceValue(func() fields {
	k, err := jwk.Generate(jwk.Params{Algorithm: jwk.RS256})
	if err != nil {
		panic(err)
	}
	data, err := k.MarshalPrivate()
	if err != nil {
		panic(err)
	}
	var f fields
	if err := json.Unmarshal(data, &f); err != nil {
		panic(err)
	}
	return f.without("alg", "kid")
})

// fields is a JWK that a test takes apart.
type fields map[string]any

// generated returns the private JWK of a fresh key for alg; RSA keys share their
// numbers.
func generated(t testing.TB, alg jwk.Algorithm) fields {
	t.Helper()
	if strings.HasPrefix(string(alg), "RSA-OAEP") {
		return rsaJWK().with("alg", string(alg)).with("kid", "rsa").with("use", "enc")
	}
	if strings.HasPrefix(string(alg), "RS") || strings.HasPrefix(string(alg), "PS") {
		return rsaJWK().with("alg", string(alg)).with("kid", "rsa")
	}
	k, err := jwk.Generate(jwk.Params{Algorithm: alg, KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	return fieldsOf(t, k)
}

func fieldsOf(t testing.TB, k *jwk.Key) fields {
	t.Helper()
	data, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	var f fields
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fields) with(name string, value any) fields {
	g := maps.Clone(f)
	g[name] = value
	return g
}

func (f fields) without(names ...string) fields {
	g := maps.Clone(f)
	for _, name := range names {
		delete(g, name)
	}
	return g
}

// public drops all private members.
func (f fields) public() fields { return f.without("d", "p", "q", "dp", "dq", "qi", "k", "priv") }

func (f fields) json(t testing.TB) []byte {
	t.Helper()
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// bytes decodes a base64url member.
func (f fields) bytes(t testing.TB, name string) []byte {
	t.Helper()
	b, err := wire.Decode(f[name].(string))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f fields) withBytes(name string, b []byte) fields { return f.with(name, wire.Encode(b)) }

// accept parses f.
func accept(t testing.TB, f fields) *jwk.Key {
	t.Helper()
	k, err := jwk.Parse(f.json(t))
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return k
}

// refuse checks that f is refused with an error that is want and shows none of
// its values.
func refuse(t testing.TB, f fields, want error) {
	t.Helper()
	_, err := jwk.Parse(f.json(t))
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
		return
	}
	silent(t, err, f)
}

// silent checks that err repeats no private member of f.
func silent(t testing.TB, err error, f fields) {
	t.Helper()
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "priv"} {
		if value, _ := f[name].(string); len(value) > 7 && strings.Contains(err.Error(), value[:8]) {
			t.Errorf("the error shows %s: %v", name, err)
		}
	}
}

func mustSign(t testing.TB, k *jwk.Key, input []byte) []byte {
	t.Helper()
	sig, err := k.Sign(input)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}
