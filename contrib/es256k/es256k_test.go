package es256k_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/counterfoil/counterfoil/contrib/es256k"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

var (
	params = jwk.Params{Algorithm: es256k.Algorithm, Extensions: []jwk.Extension{es256k.Extension()}}
	input  = []byte("eyJhbGciOiJFUzI1NksifQ.e30")
	prime  = secp256k1.Params().P
	order  = secp256k1.Params().N
)

// raw returns the material of a fresh private key.
func raw(t testing.TB) jwk.Raw {
	t.Helper()
	r, err := es256k.Extension().Generate()
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

func full(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

func TestRoundTrip(t *testing.T) {
	k := accept(t, raw(t))
	for _, in := range [][]byte{nil, input, make([]byte, 10_000)} {
		sig, err := k.Sign(in)
		if err != nil || len(sig) != 64 {
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

// The key is 1 and the nonce that of RFC 6979; every library for Bitcoin has
// this signature among its tests.
func TestKnownAnswer(t *testing.T) {
	k := accept(t, keyOne())
	sig, err := k.Sign([]byte("Satoshi Nakamoto"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8" +
		"2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
	if got := hex.EncodeToString(sig); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestEveryBitOfASignature(t *testing.T) {
	k := accept(t, raw(t))
	sig := sign(t, k)
	for i := range 8 * len(sig) {
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
}

func TestThreat113SignatureRange(t *testing.T) {
	k := accept(t, raw(t))
	sig := sign(t, k)
	r, s := sig[:32], sig[32:]
	zero, n := make([]byte, 32), full(order)
	for what, bad := range map[string][]byte{
		"r = 0": join(zero, s), "s = 0": join(r, zero), "both 0": join(zero, zero), "r = n": join(n, s), "s = n": join(r, n),
		"all ones": bytes.Repeat([]byte{0xff}, 64), "halves swapped": join(s, r), "a byte more": join(sig, []byte{0}),
		"a zero before": join([]byte{0}, sig), "33 bytes each": join([]byte{0}, r, []byte{0}, s), "twice": join(sig, sig),
	} {
		if err := k.Verify(input, bad); err != jwk.ErrSignature {
			t.Errorf("%s: %v", what, err)
		}
	}
	high := join(r, full(new(big.Int).Sub(order, new(big.Int).SetBytes(s))))
	if err := k.Verify(input, high); err != nil {
		t.Errorf("n - s, which the package doc says is taken: %v", err)
	}
}

// A key can be found for which r and s = 1 are a signature. Then s = n + 1 has 32
// bytes too.
func TestThreat113UnreducedScalar(t *testing.T) {
	one := big.NewInt(1)
	r := keyOne().X // of the nonce 1
	sum := sha256.Sum256(input)
	pub, _, err := ecdsa.RecoverCompact(join([]byte{27}, r, full(one)), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	point := pub.SerializeUncompressed()
	k := accept(t, jwk.Raw{X: point[1:33], Y: point[33:]})
	if err := k.Verify(input, join(r, full(one))); err != nil {
		t.Fatalf("s = 1: %v", err)
	}
	if err := k.Verify(input, join(r, full(new(big.Int).Add(order, one)))); err != jwk.ErrSignature {
		t.Errorf("s = n + 1: %v", err)
	}
}

// withX returns the point whose x is small, so that x + p has 32 bytes too.
func withX(t *testing.T, x uint16) jwk.Raw {
	t.Helper()
	var fx, fy secp256k1.FieldVal
	fx.SetInt(x)
	if !secp256k1.DecompressY(&fx, false, &fy) {
		t.Fatalf("no point has x = %d", x)
	}
	fy.Normalize()
	return jwk.Raw{X: fx.Bytes()[:], Y: fy.Bytes()[:]}
}

func TestThreat115KeyIsExactAndMatching(t *testing.T) {
	good, other := raw(t), raw(t)
	unreduced := withX(t, 1)
	accept(t, unreduced)
	unreduced.X = full(new(big.Int).Add(prime, big.NewInt(1)))
	one := full(big.NewInt(1))
	first := keyOne()
	for what, bad := range map[string]jwk.Raw{
		"x of another key":  {X: other.X, Y: good.Y},
		"y of another key":  {X: good.X, Y: other.Y},
		"d of another key":  {X: good.X, Y: good.Y, D: other.D},
		"x short":           {X: good.X[1:], Y: good.Y},
		"x long":            {X: join([]byte{0}, good.X), Y: good.Y},
		"y short":           {X: good.X, Y: good.Y[:31]},
		"shifted":           {X: good.X[:31], Y: join(good.X[31:], good.Y)},
		"d short":           {X: good.X, Y: good.Y, D: good.D[1:]},
		"d long":            {X: good.X, Y: good.Y, D: join([]byte{0}, good.D)},
		"d = 0":             {X: good.X, Y: good.Y, D: make([]byte, 32)},
		"d = n":             {X: good.X, Y: good.Y, D: full(order)},
		"d + n":             {X: good.X, Y: good.Y, D: bytes.Repeat([]byte{0xff}, 32)},
		"x + p":             unreduced,
		"x = p":             {X: full(prime), Y: good.Y},
		"off the curve":     {X: one, Y: one},
		"(0, 0)":            {X: make([]byte, 32), Y: make([]byte, 32)},
		"d without zeros":   {X: first.X, Y: first.Y, D: []byte{1}},
		"d = 1 + n":         {X: first.X, Y: first.Y, D: full(new(big.Int).Add(order, big.NewInt(1)))},
		"nothing":           {},
		"compressed":        {X: good.X},
		"both in x":         {X: join(good.X, good.Y)},
		"d in a public key": {D: good.D},
	} {
		_, err := jwk.New(bad, params)
		if !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if len(err.Error()) > 80 {
			t.Errorf("%s: the error shows numbers: %v", what, err)
		}
		if _, err := es256k.Extension().NewKey(bad); err == nil {
			t.Errorf("%s: only package jwk refuses it", what)
		}
	}
}

// keyOne is the key whose d is 1.
func keyOne() jwk.Raw {
	var one secp256k1.ModNScalar
	one.SetInt(1)
	priv := secp256k1.NewPrivateKey(&one)
	point := priv.PubKey().SerializeUncompressed()
	return jwk.Raw{X: point[1:33], Y: point[33:], D: priv.Serialize()}
}

// (p - x, …) is not on the curve, (x, p - y) is: the other half of the private
// numbers, n - d, belongs to it and not to (x, y).
func TestThreat115NegatedKey(t *testing.T) {
	good := raw(t)
	negated := full(new(big.Int).Sub(order, new(big.Int).SetBytes(good.D)))
	if _, err := jwk.New(jwk.Raw{X: good.X, Y: good.Y, D: negated}, params); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("n - d: %v", err)
	}
	y := full(new(big.Int).Sub(prime, new(big.Int).SetBytes(good.Y)))
	accept(t, jwk.Raw{X: good.X, Y: y, D: negated})
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
	if f["kty"] != "EC" || f["crv"] != "secp256k1" || f["alg"] != "ES256K" || f["use"] != "sig" {
		t.Errorf("%v", f)
	}
	if _, err := jwk.Parse(data); err != jwk.ErrUnsupported {
		t.Errorf("without the extension: %v", err)
	}
	open := jwk.Params{Extensions: params.Extensions}
	delete(f, "alg")
	data, _ = json.Marshal(f)
	if again, err := jwk.ParseAs(data, open); err != nil || again.Thumbprint() != k.Thumbprint() || again.Algorithm() != es256k.Algorithm {
		t.Errorf("without alg: %v, %v", again, err)
	}
	// A point of this curve is none of P-256, and the other way round.
	f["crv"], f["alg"] = "P-256", "ES256"
	data, _ = json.Marshal(f)
	if _, err := jwk.ParseAs(data, open); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("as P-256: %v", err)
	}
	f["alg"] = "ES256K"
	data, _ = json.Marshal(f)
	if _, err := jwk.ParseAs(data, open); !errors.Is(err, jwk.ErrAlgorithm) {
		t.Errorf("ES256K on P-256: %v", err)
	}
}

// FuzzKey has the package read numbers of any length: what it takes works and
// comes back as it was.
func FuzzKey(f *testing.F) {
	r := raw(f)
	f.Add(r.X, r.Y, r.D)
	f.Add(r.X, r.Y, []byte{})
	f.Add(make([]byte, 32), full(prime), full(order))
	f.Fuzz(func(t *testing.T, x, y, d []byte) {
		if len(d) == 0 {
			d = nil
		}
		k, err := jwk.New(jwk.Raw{X: x, Y: y, D: d}, params)
		if err != nil {
			return
		}
		if k.Verify(input, join(x, y)) == nil {
			t.Error("a point verified as a signature")
		}
		if k.IsPrivate() && k.Verify(input, sign(t, k)) != nil {
			t.Error("does not verify what it signed")
		}
	})
}
