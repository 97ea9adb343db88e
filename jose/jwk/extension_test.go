package jwk_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/mldsa"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// p224 is an extension for the curve P-224, for which JOSE has no algorithm.
func p224() jwk.Extension {
	return jwk.Extension{
		Algorithm: "ES224", KeyType: "EC", Curve: "P-224", NewKey: newP224,
		Generate: func() (jwk.Raw, error) {
			k, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			if err != nil {
				return jwk.Raw{}, err
			}
			point, _ := k.PublicKey.Bytes()
			d, err := k.Bytes()
			return jwk.Raw{X: point[1:29], Y: point[29:], D: d}, err
		},
	}
}

type p224Key struct {
	pub  *ecdsa.PublicKey
	priv *ecdsa.PrivateKey
}

// newP224 leaves to package jwk to find that D does not belong to X and Y.
func newP224(raw jwk.Raw) (k jwk.ExtensionKey, err error) {
	key := &p224Key{}
	point := append(append([]byte{4}, raw.X...), raw.Y...)
	if key.pub, err = ecdsa.ParseUncompressedPublicKey(elliptic.P224(), point); err != nil {
		return nil, errors.New("point")
	}
	if raw.D != nil {
		if key.priv, err = ecdsa.ParseRawPrivateKey(elliptic.P224(), raw.D); err != nil {
			return nil, jwk.ErrWeakKey
		}
	}
	return key, nil
}

func (k *p224Key) Sign(input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	return ecdsa.SignASN1(rand.Reader, k.priv, sum[:])
}

func (k *p224Key) Verify(input, sig []byte) bool {
	sum := sha256.Sum256(input)
	return ecdsa.VerifyASN1(k.pub, sum[:], sig)
}

// renamed is ML-DSA-44 under another name, for the key type AKP.
func renamed() jwk.Extension {
	return jwk.Extension{
		Algorithm: "ML-DSA-44-test", KeyType: "AKP",
		NewKey: func(raw jwk.Raw) (jwk.ExtensionKey, error) {
			f := fields{"kty": "AKP", "alg": "ML-DSA-44"}.withBytes("pub", raw.X)
			if raw.D != nil {
				f = f.withBytes("priv", raw.D)
			}
			data, _ := json.Marshal(f)
			k, err := jwk.Parse(data)
			return renamedKey{k}, err
		},
		Generate: func() (jwk.Raw, error) {
			priv, err := mldsa.GenerateKey(mldsa.MLDSA44())
			return jwk.Raw{X: priv.PublicKey().Bytes(), D: priv.Bytes()}, err
		},
	}
}

type renamedKey struct{ *jwk.Key }

func (k renamedKey) Verify(input, sig []byte) bool { return k.Key.Verify(input, sig) == nil }

// extended names the extensions of these tests, with alg for the algorithm.
func extended(alg jwk.Algorithm) jwk.Params {
	return jwk.Params{Algorithm: alg, Extensions: []jwk.Extension{p224(), renamed()}}
}

func TestExtension(t *testing.T) {
	for _, alg := range []jwk.Algorithm{"ES224", "ML-DSA-44-test"} {
		k, err := jwk.Generate(extended(alg))
		if err != nil {
			t.Fatal(err)
		}
		pub, err := k.Public()
		if err != nil {
			t.Fatal(err)
		}
		sig := mustSign(t, k, input)
		if k.Verify(input, sig) != nil || pub.Verify(input, sig) != nil || pub.Verify([]byte("other"), sig) != jwk.ErrSignature {
			t.Errorf("%s: does not verify", alg)
		}
		if _, err := pub.Sign(input); err != jwk.ErrNotPrivate || pub.IsPrivate() || k.IsSymmetric() || k.Algorithm() != alg {
			t.Errorf("%v and %v: %v", k, pub, err)
		}
		f := fieldsOf(t, k)
		if again, err := jwk.ParseAs(f.json(t), extended("")); err != nil || again.Verify(input, mustSign(t, again, input)) != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := jwk.Parse(f.json(t)); err != jwk.ErrUnsupported {
			t.Errorf("%s without the extension: %v", alg, err)
		}
	}
}

func TestExtensionMakesAKeyOfRawMaterial(t *testing.T) {
	k, err := jwk.Generate(extended("ES224"))
	if err != nil {
		t.Fatal(err)
	}
	f := fieldsOf(t, k)
	raw := jwk.Raw{X: f.bytes(t, "x"), Y: f.bytes(t, "y"), D: f.bytes(t, "d")}
	again, err := jwk.New(raw, extended("ES224"))
	if err != nil || again.Thumbprint() != k.Thumbprint() {
		t.Fatalf("%v, %v", again, err)
	}
	raw.X[0] ^= 1
	raw.D[0] ^= 1
	if got := fieldsOf(t, again); got["x"] != f["x"] || got["d"] != f["d"] || again.Verify(input, mustSign(t, again, input)) != nil {
		t.Error("the key changed with the caller's material")
	}
	if _, err := jwk.New(raw, jwk.Params{Algorithm: jwk.ES256}); !errors.Is(err, jwk.ErrAlgorithm) {
		t.Errorf("for an algorithm that is built in: %v", err)
	}
	if _, err := jwk.New(f.bytes(t, "x"), extended("ES224")); !errors.Is(err, jwk.ErrAlgorithm) {
		t.Errorf("of bytes: %v", err)
	}
	ext := p224()
	ext.Generate = nil
	if _, err := jwk.Generate(jwk.Params{Algorithm: "ES224", Extensions: []jwk.Extension{ext}}); !errors.Is(err, jwk.ErrUnsupported) {
		t.Errorf("without Generate: %v", err)
	}
}

// RFC 7638, Section 3.2, for EC; RFC 9964, Section 6, for AKP.
func TestThreat127ThumbprintOfAnExtension(t *testing.T) {
	for alg, names := range map[jwk.Algorithm][]string{"ES224": {"crv", "kty", "x", "y"}, "ML-DSA-44-test": {"alg", "kty", "pub"}} {
		k, err := jwk.Generate(extended(alg))
		if err != nil {
			t.Fatal(err)
		}
		f := fieldsOf(t, k)
		var parts []string
		for _, name := range names {
			parts = append(parts, fmt.Sprintf("%q:%q", name, f[name]))
		}
		sum := sha256.Sum256([]byte("{" + strings.Join(parts, ",") + "}"))
		if want := wire.Encode(sum[:]); k.Thumbprint() != want || k.KeyID() != want {
			t.Errorf("%s: %s, want %s", alg, k.Thumbprint(), want)
		}
		for _, v := range []any{k, mustPublic(t, k)} {
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			refusePrivateMembers(t, alg, data)
		}
	}
}

func mustPublic(t *testing.T, k *jwk.Key) *jwk.Key {
	t.Helper()
	pub, err := k.Public()
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func TestExtensionInASet(t *testing.T) {
	k, err := jwk.Generate(extended("ES224"))
	if err != nil {
		t.Fatal(err)
	}
	own := fieldsOf(t, k)
	pub, es := own.public().with("kid", "ext"), generated(t, jwk.ES256).public().with("kid", "es")
	bare := own.public().without("alg").with("kid", "bare")
	text := setOf(t, pub, es, bare, own)
	s, err := jwk.ParseSetAs(text, extended(""))
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Find("ext", "ES224")
	if err != nil || found.Verify(input, mustSign(t, k, input)) != nil {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := s.Find("ext", "ES256"); err != jwk.ErrAlgorithm {
		t.Errorf("for another algorithm: %v", err)
	}
	if implied, err := s.Find("bare", "ES224"); err != nil || implied.Algorithm() != "ES224" {
		t.Errorf("implied by the curve: %v", err)
	}
	if s.Len() != 3 || s.Skipped()[0].Err != jwk.ErrPrivate {
		t.Errorf("%v, %v", s.Keys(), s.Skipped())
	}
	plain := mustSet(t, text)
	if plain.Len() != 1 || !errors.Is(plain.Skipped()[0].Err, jwk.ErrUnsupported) {
		t.Errorf("without the extension: %v", plain.Keys())
	}
	private, err := jwk.ParsePrivateSetAs(setOf(t, own), extended(""))
	if err != nil || !private.Keys()[0].IsPrivate() {
		t.Errorf("private set: %v", err)
	}
}

// An extension adds a name and takes none over, and what it says is used in
// thumbprints and so must need no escapes.
func TestExtensionThatIsRefused(t *testing.T) {
	for what, change := range map[string]func(*jwk.Extension){
		"built in":          func(e *jwk.Extension) { e.Algorithm = jwk.ES256 },
		"built in, EdDSA":   func(e *jwk.Extension) { e.Algorithm, e.KeyType, e.Curve = jwk.EdDSA, "OKP", "Ed448" },
		"for wrapping":      func(e *jwk.Extension) { e.Algorithm = jwk.A256GCMKW },
		"none":              func(e *jwk.Extension) { e.Algorithm = "none" },
		"None":              func(e *jwk.Extension) { e.Algorithm = "None" },
		"nameless":          func(e *jwk.Extension) { e.Algorithm = "" },
		"quote":             func(e *jwk.Extension) { e.Algorithm = `ES"` },
		"symmetric":         func(e *jwk.Extension) { e.KeyType = "oct" },
		"RSA":               func(e *jwk.Extension) { e.KeyType = "RSA" },
		"no type":           func(e *jwk.Extension) { e.KeyType = "" },
		"no curve":          func(e *jwk.Extension) { e.Curve = "" },
		"curve and AKP":     func(e *jwk.Extension) { e.KeyType = "AKP" },
		"quote in curve":    func(e *jwk.Extension) { e.Curve = `P"` },
		"control character": func(e *jwk.Extension) { e.Curve = "P\n" },
		"without NewKey":    func(e *jwk.Extension) { e.NewKey = nil },
	} {
		e := p224()
		change(&e)
		refuseExtensions(t, what, e)
		refuseExtensions(t, what+", beside another", p224(), e)
	}
	refuseExtensions(t, "twice", p224(), p224())
}

// refuseExtensions checks that a list is refused by every call, also by those
// that would not have needed it.
func refuseExtensions(t *testing.T, what string, list ...jwk.Extension) {
	t.Helper()
	es := generated(t, jwk.ES256)
	p := jwk.Params{Extensions: list}
	_, parse := jwk.ParseAs(es.json(t), p)
	_, set := jwk.ParseSetAs(setOf(t, es.public()), p)
	_, private := jwk.ParsePrivateSetAs(setOf(t, es), p)
	p.Algorithm = jwk.ES256
	_, generate := jwk.Generate(p)
	for call, err := range map[string]error{"ParseAs": parse, "ParseSetAs": set, "ParsePrivateSetAs": private, "Generate": generate} {
		if err == nil {
			t.Errorf("%s: taken by %s", what, call)
		}
	}
}

func TestExtensionKeyThatIsRefused(t *testing.T) {
	k, err := jwk.Generate(extended("ES224"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := jwk.Generate(extended("ES224"))
	if err != nil {
		t.Fatal(err)
	}
	f, g := fieldsOf(t, k), fieldsOf(t, other)
	for what, c := range map[string]struct {
		f    fields
		want error
	}{
		"d of another key":   {f.with("d", g["d"]), jwk.ErrMalformed},
		"y of another key":   {f.public().with("y", g["y"]), jwk.ErrMalformed},
		"without x":          {f.without("x"), jwk.ErrMalformed},
		"without y":          {f.without("y"), jwk.ErrMalformed},
		"empty d":            {f.with("d", ""), jwk.ErrMalformed},
		"NewKey's own error": {f.withBytes("d", make([]byte, 28)), jwk.ErrWeakKey},
		"another curve":      {f.with("crv", "P-256"), jwk.ErrAlgorithm},
		"another type":       {f.with("kty", "OKP"), jwk.ErrAlgorithm},
		"for encryption":     {f.with("use", "enc"), jwk.ErrUse},
		"derives keys":       {f.with("key_ops", []string{"deriveKey"}), jwk.ErrUse},
		"AKP without alg":    {generated(t, jwk.MLDSA44).without("alg"), jwk.ErrNoAlgorithm},
	} {
		_, err := jwk.ParseAs(c.f.json(t), extended(""))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
			continue
		}
		silent(t, err, c.f)
	}
	akp := generated(t, jwk.MLDSA44).without("alg")
	if _, err := jwk.ParseAs(akp.json(t), extended("ML-DSA-44-test")); err != jwk.ErrNoAlgorithm {
		t.Errorf("the caller's word for the alg of AKP: %v", err)
	}
	if _, err := jwk.New(jwk.Raw{}, extended("ES224")); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("nothing at all: %v", err)
	}
	if _, err := jwk.ParseAs(f.withBytes("d", make([]byte, 28)).json(t), extended("")); errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("a weak key is called malformed: %v", err)
	}
	lazy := p224()
	lazy.NewKey = func(jwk.Raw) (jwk.ExtensionKey, error) { return nil, nil }
	if _, err := jwk.ParseAs(f.json(t), jwk.Params{Extensions: []jwk.Extension{lazy}}); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("an extension that makes nothing: %v", err)
	}
}

// What every key of a type has is looked at before an extension is asked, and it
// works on a copy.
func TestExtensionThatTakesEverything(t *testing.T) {
	careless := p224()
	careless.NewKey = func(raw jwk.Raw) (jwk.ExtensionKey, error) {
		clear(raw.X)
		return &p224Key{}, nil
	}
	p := jwk.Params{Algorithm: "ES224", Extensions: []jwk.Extension{careless}}
	for _, raw := range []jwk.Raw{{}, {X: []byte{1}}, {Y: []byte{1}}, {X: []byte{1}, Y: []byte{}}} {
		if _, err := jwk.New(raw, p); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%v: %v", raw, err)
		}
	}
	raw := jwk.Raw{X: []byte{1}, Y: []byte{2}}
	k, err := jwk.New(raw, p)
	if err != nil || fieldsOf(t, k)["x"] != "AQ" || raw.X[0] != 1 {
		t.Errorf("%v, %v, %v", k, raw, err)
	}
	flat := careless
	flat.KeyType = "OKP"
	p.Extensions = []jwk.Extension{flat}
	if _, err := jwk.New(jwk.Raw{X: []byte{1}, Y: []byte{2}}, p); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("y in a key of OKP: %v", err)
	}
}

// Two extensions for one curve leave a key without alg with none.
func TestExtensionsForOneCurve(t *testing.T) {
	k, err := jwk.Generate(extended("ES224"))
	if err != nil {
		t.Fatal(err)
	}
	second := p224()
	second.Algorithm = "ES224-2"
	p := jwk.Params{Extensions: []jwk.Extension{p224(), second}}
	f := fieldsOf(t, k)
	if _, err := jwk.ParseAs(f.without("alg").json(t), p); err != jwk.ErrNoAlgorithm {
		t.Errorf("without alg: %v", err)
	}
	if again, err := jwk.ParseAs(f.with("alg", "ES224-2").json(t), p); err != nil || again.Accepts("ES224") {
		t.Errorf("%v, %v", again, err)
	}
}
