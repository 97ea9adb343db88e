//lint:file-ignore SA1019 a caller may still set the numbers of a key of crypto/ecdsa, and these tests do

package jwk_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

var input = []byte("eyJhbGciOiJFUzI1NiJ9.e30")

func TestSignAndVerifyRoundTrip(t *testing.T) {
	for _, alg := range signing {
		k := accept(t, generated(t, alg))
		for _, in := range [][]byte{nil, {}, input, make([]byte, 10_000)} {
			sig := mustSign(t, k, in)
			if err := k.Verify(in, sig); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
			if err := k.Verify(append(bytes.Clone(in), 0), sig); err != jwk.ErrSignature {
				t.Errorf("%s: other input: %v", alg, err)
			}
		}
	}
}

func TestThreat11EveryBitOfASignature(t *testing.T) {
	for _, alg := range signing {
		k := accept(t, generated(t, alg))
		sig := mustSign(t, k, input)
		step := 1
		if len(sig) > 100 { // slow, and all bits of a number are alike
			step = 37
		}
		for i := 0; i < 8*len(sig); i += step {
			bad := bytes.Clone(sig)
			bad[i/8] ^= 1 << (i % 8)
			if err := k.Verify(input, bad); err != jwk.ErrSignature {
				t.Errorf("%s: bit %d flipped: %v", alg, i, err)
			}
		}
		for n := range len(sig) {
			if err := k.Verify(input, sig[:n]); err != jwk.ErrSignature {
				t.Errorf("%s: cut to %d bytes: %v", alg, n, err)
			}
		}
		for _, bad := range [][]byte{append(bytes.Clone(sig), 0), append([]byte{0}, sig...), append(bytes.Clone(sig), sig...)} {
			if err := k.Verify(input, bad); err != jwk.ErrSignature {
				t.Errorf("%s: %d bytes for %d: %v", alg, len(bad), len(sig), err)
			}
		}
	}
}

// A signature by one algorithm is none by any other that the same numbers serve,
// and a header that names the other one finds no key.
func TestThreat26AnotherAlgorithm(t *testing.T) {
	for _, own := range all {
		f := generated(t, own)
		k := accept(t, f)
		for _, other := range append(all, "none", "None", "", "HS", "es256", "ES256K", "RS1") {
			if found, err := k.Find(k.KeyID(), string(other)); other != own && (found != nil || err != jwk.ErrAlgorithm) {
				t.Errorf("%s key found for %q: %v", own, other, err)
			}
			if other == own {
				continue
			}
			again, err := jwk.Parse(f.with("alg", string(other)).json(t))
			if err != nil {
				continue // most do not fit the numbers at all
			}
			if sig, err := k.Sign(input); err == nil && !sameName(own, other) && again.Verify(input, sig) == nil {
				t.Errorf("a signature by %s verifies by %s", own, other)
			}
		}
	}
}

func sameName(a, b jwk.Algorithm) bool {
	names := string(a) + " " + string(b)
	return names == "EdDSA Ed25519" || names == "Ed25519 EdDSA"
}

func TestThreat26EdDSAIsNotEd25519(t *testing.T) {
	f := generated(t, jwk.EdDSA)
	for _, name := range []jwk.Algorithm{jwk.EdDSA, jwk.Ed25519} {
		k := accept(t, f.with("alg", string(name)))
		for _, alg := range []jwk.Algorithm{jwk.EdDSA, jwk.Ed25519} {
			if k.Accepts(string(alg)) != (alg == name) {
				t.Errorf("a key for %s and the name %s", name, alg)
			}
		}
	}
}

func TestThreat119OneKeyDeclaredForBothNames(t *testing.T) {
	_, priv, _ := ed25519.GenerateKey(rand.Reader)
	k, err := jwk.New(priv, jwk.Params{Algorithm: jwk.EdDSA, Also: jwk.Ed25519})
	if err != nil {
		t.Fatal(err)
	}
	again := accept(t, fieldsOf(t, k))
	for _, k := range []*jwk.Key{k, again} {
		if !k.Accepts("EdDSA") || !k.Accepts("Ed25519") || k.Algorithm() != jwk.EdDSA || k.Also() != jwk.Ed25519 {
			t.Errorf("%v also %v", k, k.Also())
		}
	}
	for _, p := range []jwk.Params{
		{Algorithm: jwk.EdDSA, Also: jwk.ES256}, {Algorithm: jwk.EdDSA, Also: jwk.EdDSA}, {Algorithm: jwk.EdDSA, Also: "none"},
	} {
		if _, err := jwk.New(priv, p); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	refuse(t, generated(t, jwk.ES256).with("counterfoil", fields{"also": "ES384"}), jwk.ErrAlgorithm)
	refuse(t, generated(t, jwk.RS256).with("counterfoil", fields{"also": "PS256"}), jwk.ErrAlgorithm)
}

func TestThreat27KeyWithoutAlgorithm(t *testing.T) {
	for _, alg := range []jwk.Algorithm{jwk.RS256, jwk.HS256, jwk.A256GCMKW} {
		refuse(t, generated(t, alg).without("alg"), jwk.ErrNoAlgorithm)
	}
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.ES384, jwk.ES512} {
		k := accept(t, generated(t, alg).without("alg"))
		if k.Algorithm() != alg || k.Also() != "" {
			t.Errorf("%s was implied for %s", k.Algorithm(), alg)
		}
	}
	k := accept(t, generated(t, jwk.EdDSA).without("alg"))
	if !k.Accepts("Ed25519") || !k.Accepts("EdDSA") {
		t.Error("a key on Ed25519 has both names")
	}
	if _, err := jwk.Generate(jwk.Params{}); err != jwk.ErrNoAlgorithm {
		t.Errorf("Generate without an algorithm: %v", err)
	}
	if _, err := jwk.New(make([]byte, 32), jwk.Params{}); err != jwk.ErrNoAlgorithm {
		t.Errorf("New without an algorithm: %v", err)
	}
}

func TestThreat27CallerNamesTheAlgorithmOnce(t *testing.T) {
	f := generated(t, jwk.RS256)
	k, err := jwk.ParseAs(f.without("alg").json(t), jwk.Params{Algorithm: jwk.PS384, KeyID: "rsa"})
	if err != nil || k.Algorithm() != jwk.PS384 {
		t.Fatalf("%v, %v", k, err)
	}
	for _, p := range []jwk.Params{
		{Algorithm: jwk.PS256}, {Algorithm: jwk.ES256}, {Algorithm: "none"}, {Algorithm: jwk.RS256, Also: jwk.PS256},
	} {
		if _, err := jwk.ParseAs(f.json(t), p); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%+v for a key with alg RS256: %v", p, err)
		}
	}
	if _, err := jwk.ParseAs(f.json(t), jwk.Params{KeyID: "other"}); err == nil {
		t.Error("another kid was taken")
	}
	limits := jwk.Limits{Issuer: "https://a.example"}
	bounded := f.with("counterfoil", fields{"iss": "https://b.example"})
	if _, err := jwk.ParseAs(bounded.json(t), jwk.Params{Limits: limits}); err == nil {
		t.Error("other limits were taken")
	}
}

func TestNewRefusesWhatDoesNotFit(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	secret := make([]byte, 64)
	rand.Read(secret)
	for _, c := range []struct {
		material any
		alg      jwk.Algorithm
	}{
		{p256, jwk.ES384}, {&p256.PublicKey, jwk.ES512}, {p224, jwk.ES256}, {p256, jwk.RS256}, {p256, jwk.HS256},
		{pub, jwk.ES256}, {priv, jwk.HS256}, {priv[:31], jwk.Ed25519}, {secret, jwk.ES256}, {"string", jwk.HS256},
		{nil, jwk.HS256}, {*p256, jwk.ES256}, {(*rsa.PrivateKey)(nil), jwk.RS256}, {(*rsa.PublicKey)(nil), jwk.RS256},
		{(*ecdsa.PrivateKey)(nil), jwk.ES256}, {(*ecdsa.PublicKey)(nil), jwk.ES256}, {[]byte(pub), jwk.Ed25519},
		{priv, jwk.A256GCMKW}, {p256, "none"},
	} {
		if _, err := jwk.New(c.material, jwk.Params{Algorithm: c.alg}); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%T for %s: %v", c.material, c.alg, err)
		}
	}
	for _, c := range []struct {
		material any
		alg      jwk.Algorithm
	}{
		{secret, jwk.A256GCMKW}, {pub[:31], jwk.Ed25519}, {&rsa.PublicKey{}, jwk.RS256}, {&rsa.PrivateKey{}, jwk.RS256},
		{&rsa.PublicKey{N: big.NewInt(-1), E: 3}, jwk.RS256}, {&ecdsa.PublicKey{Curve: elliptic.P256()}, jwk.ES256},
		{&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}, jwk.ES256},
		{&ecdsa.PrivateKey{PublicKey: p256.PublicKey}, jwk.ES256},
		{&ecdsa.PrivateKey{PublicKey: p256.PublicKey, D: big.NewInt(5)}, jwk.ES256},
	} {
		if _, err := jwk.New(c.material, jwk.Params{Algorithm: c.alg}); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%T for %s: %v", c.material, c.alg, err)
		}
	}
}

func TestNewCopiesTheMaterial(t *testing.T) {
	secret := make([]byte, 32)
	rand.Read(secret)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	for _, c := range []struct {
		material any
		alg      jwk.Algorithm
		spoil    func()
	}{
		{secret, jwk.HS256, func() { secret[0] ^= 1 }},
		{ed, jwk.Ed25519, func() { ed[0] ^= 1; ed[40] ^= 1 }},
		{ec, jwk.ES256, func() { ec.X.SetInt64(1); ec.D.SetInt64(1) }},
		{rs, jwk.RS256, func() { rs.N.SetInt64(1); rs.D.SetInt64(1); rs.Primes[0].SetInt64(1) }},
	} {
		k, err := jwk.New(c.material, jwk.Params{Algorithm: c.alg})
		if err != nil {
			t.Fatal(err)
		}
		before, _ := k.MarshalPrivate()
		c.spoil()
		after, _ := k.MarshalPrivate()
		if !bytes.Equal(before, after) {
			t.Errorf("%s: the key changed with the caller's material", c.alg)
		}
		if err := k.Verify(input, mustSign(t, k, input)); err != nil {
			t.Errorf("%s: %v", c.alg, err)
		}
	}
}

func TestPublicHalf(t *testing.T) {
	for _, alg := range asymmetric {
		k := accept(t, generated(t, alg))
		pub, err := k.Public()
		if err != nil {
			t.Fatal(err)
		}
		if !k.IsPrivate() || pub.IsPrivate() || pub.IsSymmetric() {
			t.Errorf("%s: private %v, its public half %v", alg, k.IsPrivate(), pub.IsPrivate())
		}
		if err := pub.Verify(input, mustSign(t, k, input)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if sig, err := pub.Sign(input); sig != nil || err != jwk.ErrNotPrivate {
			t.Errorf("%s: a public key signed: %v", alg, err)
		}
		if again, _ := pub.Public(); again != pub {
			t.Errorf("%s: a public key has another public half", alg)
		}
		if pub.KeyID() != k.KeyID() || pub.Thumbprint() != k.Thumbprint() || pub.Algorithm() != alg {
			t.Errorf("%s: the halves differ in name", alg)
		}
	}
	for _, alg := range append(symmetric, jwk.A256GCMKW) {
		k := accept(t, generated(t, alg))
		if _, err := k.Public(); err != jwk.ErrSymmetric || !k.IsPrivate() || !k.IsSymmetric() {
			t.Errorf("%s: %v", alg, err)
		}
		if data, err := k.MarshalJSON(); data != nil || err != jwk.ErrSymmetric {
			t.Errorf("%s published: %v", alg, err)
		}
	}
}

// Every verb and every handler, on the key, on its value and on what holds it.
func TestKeysDoNotPrintMaterial(t *testing.T) {
	for _, alg := range all {
		f := generated(t, alg)
		k := accept(t, f)
		set, err := jwk.NewSet(k)
		if err != nil {
			t.Fatal(err)
		}
		holders := []any{k, *k, []*jwk.Key{k}, map[string]*jwk.Key{"a": k}, struct{ K *jwk.Key }{k}, struct{ k jwk.Key }{*k}, set, *set}
		var out bytes.Buffer
		text := slog.New(slog.NewTextHandler(&out, nil))
		lines := slog.New(slog.NewJSONHandler(&out, nil))
		for _, holder := range holders {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q", "%08b"} {
				fmt.Fprintf(&out, verb+"\n", holder)
			}
			text.Info("m", "key", holder)
			lines.Info("m", "key", holder)
		}
		data, _ := json.Marshal(struct{ K jwk.Key }{*k})
		out.Write(data)
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "priv"} {
			if f[name] == nil {
				continue
			}
			secret := f.bytes(t, name)
			for _, form := range []string{
				f[name].(string)[:8], hex.EncodeToString(secret[:6]), strings.Trim(fmt.Sprint(secret[:6]), "[]"),
				new(big.Int).SetBytes(secret).String()[:12],
			} {
				if strings.Contains(out.String(), form) {
					t.Errorf("%s: %s was printed as %s", alg, name, form)
				}
			}
		}
		if want := fmt.Sprintf("jwk.Key{alg: %s, kid: %q}", alg, k.KeyID()); k.String() != want || fmt.Sprintf("%#v", k) != want {
			t.Errorf("%s", k)
		}
	}
}

func TestKeyIsSafeForConcurrentUse(t *testing.T) {
	for _, alg := range signing {
		k := accept(t, generated(t, alg))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				in := []byte{byte(i)}
				sig, err := k.Sign(in)
				if err == nil {
					err = k.Verify(in, sig)
				}
				if err != nil {
					t.Errorf("%s: %v", alg, err)
				}
			})
		}
		wg.Wait()
	}
}

func TestGenerateNames(t *testing.T) {
	for _, alg := range all {
		a, err := jwk.Generate(jwk.Params{Algorithm: alg})
		if err != nil {
			t.Fatal(err)
		}
		if a.KeyID() == "" || a.IsSymmetric() == (a.KeyID() == a.Thumbprint()) {
			t.Errorf("%s: kid %q, thumbprint %q", alg, a.KeyID(), a.Thumbprint())
		}
		if len(a.KeyID()) < 22 {
			t.Errorf("%s: kid %q", alg, a.KeyID())
		}
	}
	k, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: "mine"})
	if err != nil || k.KeyID() != "mine" {
		t.Errorf("%v, %v", k, err)
	}
	if _, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: strings.Repeat("x", jwk.MaxKeyID+1)}); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("a kid over the limit: %v", err)
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	if k, err := jwk.New(secret, jwk.Params{Algorithm: jwk.HS256}); err != nil || k.KeyID() != "" {
		t.Errorf("a secret of one's own: kid %q, %v", k.KeyID(), err)
	}
	if _, err := jwk.Generate(jwk.Params{Algorithm: "none"}); !errors.Is(err, jwk.ErrAlgorithm) {
		t.Error(err)
	}
}
