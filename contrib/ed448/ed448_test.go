package ed448_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil/contrib/ed448"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

var (
	params = jwk.Params{Algorithm: ed448.Algorithm, Extensions: []jwk.Extension{ed448.Extension()}}
	input  = []byte("eyJhbGciOiJFZDQ0OCJ9.e30")

	// prime and order are p and L of RFC 8032, Section 5.2.
	prime = sub(power(448), power(224), big.NewInt(1))
	order = sub(power(446), decimal("13818066809895115352007386748515426880336692474882178609894547503885"))
)

func power(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

func sub(n *big.Int, others ...*big.Int) *big.Int {
	for _, o := range others {
		n = new(big.Int).Sub(n, o)
	}
	return n
}

func decimal(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic(s)
	}
	return n
}

// little returns n in 57 bytes, little-endian.
func little(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 57))
	slices.Reverse(b)
	return b
}

func raw(t testing.TB) jwk.Raw {
	t.Helper()
	r, err := ed448.Extension().Generate()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func accept(t testing.TB, r jwk.Raw) *jwk.Key {
	t.Helper()
	k, err := jwk.New(r, params)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return k
}

func sign(t testing.TB, k *jwk.Key) []byte {
	t.Helper()
	sig, err := k.Sign(input)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	k := accept(t, raw(t))
	for _, in := range [][]byte{nil, input, make([]byte, 10_000)} {
		sig, err := k.Sign(in)
		if err != nil || len(sig) != 114 {
			t.Fatalf("%d bytes, %v", len(sig), err)
		}
		if err := k.Verify(in, sig); err != nil {
			t.Error(err)
		}
		if err := k.Verify(append(bytes.Clone(in), 0), sig); err != jwk.ErrSignature {
			t.Errorf("other input: %v", err)
		}
	}
}

// RFC 8032, Section 7.4: "Blank" and "1 octet".
func TestRFC8032(t *testing.T) {
	for _, v := range []struct{ d, x, message, sig string }{
		{
			"6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b",
			"5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180",
			"",
			"533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980ff0d2028d4b18a" +
				"9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600",
		},
		{
			"c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e",
			"43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c0866aea01eb00742802b8438ea4cb82169c235160627b4c3a9480",
			"03",
			"26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633fc1bf037ab7cd779805e0dbcc0aae1cb" +
				"cee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff3348ab21aa4adafd1d234441cf807c03a00",
		},
	} {
		k := accept(t, jwk.Raw{X: unhex(t, v.x), D: unhex(t, v.d)})
		sig, err := k.Sign(unhex(t, v.message))
		if err != nil || hex.EncodeToString(sig) != v.sig {
			t.Errorf("%q: %x, %v", v.message, sig, err)
		}
		if err := k.Verify(unhex(t, v.message), unhex(t, v.sig)); err != nil {
			t.Errorf("%q: %v", v.message, err)
		}
	}
}

func TestEveryBitOfASignature(t *testing.T) {
	k := accept(t, raw(t))
	sig := sign(t, k)
	for i := 0; i < 8*len(sig); i += 5 {
		bad := bytes.Clone(sig)
		bad[i/8] ^= 1 << (i % 8)
		if err := k.Verify(input, bad); err != jwk.ErrSignature {
			t.Errorf("bit %d flipped: %v", i, err)
		}
	}
	for n := range len(sig) {
		if err := k.Verify(input, sig[:n]); err != jwk.ErrSignature {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	for _, bad := range [][]byte{join(sig, []byte{0}), join([]byte{0}, sig), join(sig, sig)} {
		if err := k.Verify(input, bad); err != jwk.ErrSignature {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

// S + kL is the same number for the curve.
func TestThreat113ScalarRange(t *testing.T) {
	k := accept(t, raw(t))
	sig := sign(t, k)
	s := slices.Clone(sig[57:])
	slices.Reverse(s)
	for i := int64(1); ; i++ {
		bad := new(big.Int).Add(new(big.Int).SetBytes(s), new(big.Int).Mul(order, big.NewInt(i)))
		if bad.BitLen() > 8*57 {
			break
		}
		if err := k.Verify(input, join(sig[:57], little(bad))); err != jwk.ErrSignature {
			t.Errorf("S + %dL: %v", i, err)
		}
	}
}

// With a key of small order one signature fits every message.
func TestThreat113SmallOrder(t *testing.T) {
	for what, y := range map[string]*big.Int{"order 4": new(big.Int), "neutral": big.NewInt(1), "order 2": sub(prime, big.NewInt(1))} {
		for _, sign := range []byte{0, 0x80} {
			x := little(y)
			x[56] |= sign
			if _, err := jwk.New(jwk.Raw{X: x}, params); !errors.Is(err, jwk.ErrWeakKey) && !errors.Is(err, jwk.ErrMalformed) {
				t.Errorf("%s, sign %x: %v", what, sign, err)
			}
		}
	}
}

// y and y + p are one number; beside the sign of x there are no bits.
func TestThreat113NonCanonical(t *testing.T) {
	refused := 0
	for y := range int64(40) {
		x := little(big.NewInt(y))
		if _, err := jwk.New(jwk.Raw{X: x}, params); err != nil {
			refused++
			continue
		}
		x = little(new(big.Int).Add(prime, big.NewInt(y)))
		for _, bits := range []byte{0, 0x80} {
			x[56] = bits
			if _, err := jwk.New(jwk.Raw{X: x}, params); !errors.Is(err, jwk.ErrMalformed) {
				t.Errorf("p + %d: %v", y, err)
			}
		}
	}
	if refused < 8 || refused > 32 { // about half of all y have no x
		t.Errorf("%d of 40 off the curve", refused)
	}
	good := raw(t)
	for bit := range 7 {
		x := bytes.Clone(good.X)
		x[56] |= 1 << bit
		if _, err := jwk.New(jwk.Raw{X: x}, params); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("bit %d beside the sign: %v", bit, err)
		}
	}
}

func TestThreat115KeyIsExactAndMatching(t *testing.T) {
	good, other := raw(t), raw(t)
	negated := bytes.Clone(good.X)
	negated[56] ^= 0x80
	for what, bad := range map[string]jwk.Raw{
		"x short":          {X: good.X[:56]},
		"x long":           {X: join(good.X, []byte{0})},
		"x = p":            {X: little(prime)},
		"d short":          {X: good.X, D: good.D[:56]},
		"d long":           {X: good.X, D: join(good.D, []byte{0})},
		"d of another key": {X: good.X, D: other.D},
		"x with the other": {X: negated, D: good.D},
		"with y":           {X: good.X, Y: good.X},
		"nothing":          {},
	} {
		if _, err := jwk.New(bad, params); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := ed448.Extension().NewKey(bad); err == nil && bad.Y == nil {
			t.Errorf("%s: only package jwk refuses it", what)
		}
	}
}

func TestJWK(t *testing.T) {
	k := accept(t, raw(t))
	data, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	if f["kty"] != "OKP" || f["crv"] != "Ed448" || f["alg"] != "Ed448" || f["use"] != "sig" {
		t.Errorf("%v", f)
	}
	if _, err := jwk.Parse(data); err != jwk.ErrUnsupported {
		t.Errorf("without the extension: %v", err)
	}
	open := jwk.Params{Extensions: params.Extensions}
	for alg, want := range map[string]error{"": nil, "EdDSA": jwk.ErrAlgorithm, "Ed25519": jwk.ErrAlgorithm} {
		f["alg"] = alg
		if alg == "" {
			delete(f, "alg")
		}
		data, _ = json.Marshal(f)
		again, err := jwk.ParseAs(data, open)
		if !errors.Is(err, want) || err == nil && (again.Thumbprint() != k.Thumbprint() || again.Accepts("EdDSA")) {
			t.Errorf("alg %q: %v, %v", alg, again, err)
		}
	}
}

// FuzzKey has the package read numbers of any length: what it takes works.
func FuzzKey(f *testing.F) {
	r := raw(f)
	f.Add(r.X, r.D)
	f.Add(r.X, []byte{})
	f.Add(little(prime), little(order))
	f.Fuzz(func(t *testing.T, x, d []byte) {
		if len(d) == 0 {
			d = nil
		}
		k, err := jwk.New(jwk.Raw{X: x, D: d}, params)
		if err != nil {
			return
		}
		// The signature that fits every message under a key of small order.
		if k.Verify(input, join(little(big.NewInt(1)), make([]byte, 57))) == nil {
			t.Error("a key of small order")
		}
		if k.IsPrivate() && k.Verify(input, sign(t, k)) != nil {
			t.Error("does not verify what it signed")
		}
	})
}
