package jwk_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

func isWeak(err error) bool { return errors.Is(err, jwk.ErrWeakKey) }

// smallOrder are all encodings, canonical or not, of the eight points of small
// order, from low y to high.
var smallOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func TestThreat113Ed25519SmallOrder(t *testing.T) {
	for _, text := range smallOrder {
		x, _ := hex.DecodeString(text)
		// Why it matters: the standard library takes such a key, and this signature,
		// made without any private key, is good for one message in eight or for all.
		taken := 0
		sig := make([]byte, 64)
		sig[0] = 1
		for i := range 100 {
			if ed25519.Verify(x, []byte{byte(i)}, sig) {
				taken++
			}
		}
		if taken == 0 {
			t.Errorf("%s: no message verifies; is it of small order?", text)
		}
		refuseEd25519(t, x)
	}
}

// refuseEd25519 checks that x is no public key on any of the ways in.
func refuseEd25519(t *testing.T, x []byte) {
	t.Helper()
	f := fields{"kty": "OKP", "crv": "Ed25519"}.withBytes("x", x)
	if _, err := jwk.Parse(f.json(t)); !isWeak(err) && !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("Parse of %x: %v", x, err)
	}
	if _, err := jwk.New(ed25519.PublicKey(x), jwk.Params{Algorithm: jwk.EdDSA}); !isWeak(err) && !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("New of %x: %v", x, err)
	}
}

// y and y+p are one number. Only nineteen of them have a second encoding.
func TestThreat113Ed25519NonCanonical(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	for y := range int64(19) {
		x := new(big.Int).Add(p, big.NewInt(y)).FillBytes(make([]byte, 32))
		slices.Reverse(x)
		refuseEd25519(t, x)
		x[31] |= 0x80
		refuseEd25519(t, x)
	}
}

func TestThreat113Ed25519ScalarRange(t *testing.T) {
	k := accept(t, generated(t, jwk.Ed25519))
	l, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	sig := mustSign(t, k, input)
	s := slices.Clone(sig[32:])
	slices.Reverse(s)
	for i := int64(1); ; i++ {
		bad := new(big.Int).Add(new(big.Int).SetBytes(s), new(big.Int).Mul(l, big.NewInt(i)))
		if bad.BitLen() > 256 {
			break
		}
		half := bad.FillBytes(make([]byte, 32))
		slices.Reverse(half)
		if err := k.Verify(input, join(sig[:32], half)); err != jwk.ErrSignature {
			t.Errorf("S + %dL: %v", i, err)
		}
	}
}

// About every second y has no x. Such a key could verify nothing, and is better
// refused when it comes in.
func TestEd25519PointOffTheCurve(t *testing.T) {
	off := 0
	for y := byte(2); y < 60; y++ {
		x := make([]byte, 32)
		x[0] = y
		f := fields{"kty": "OKP", "crv": "Ed25519"}.withBytes("x", x)
		_, err := jwk.Parse(f.json(t))
		// crypto/ed25519 decodes the key first: with the neutral element for R and
		// S = 0 only its refusal shows, so that we ask for both answers elsewhere.
		if errors.Is(err, jwk.ErrMalformed) {
			off++
		} else if err != nil {
			t.Errorf("y = %d: %v", y, err)
		}
	}
	if off < 15 || off > 45 {
		t.Errorf("%d of 58 off the curve", off)
	}
	for range 50 {
		accept(t, generated(t, jwk.Ed25519).public())
	}
}

func TestThreat115OKPExactAndMatching(t *testing.T) {
	f := generated(t, jwk.Ed25519)
	other := generated(t, jwk.Ed25519)
	for _, name := range []string{"x", "d"} {
		b := f.bytes(t, name)
		for _, bad := range [][]byte{b[:31], b[1:], append(bytes.Clone(b), 0), append([]byte{0}, b...), join(b, b)} {
			refuse(t, f.withBytes(name, bad), jwk.ErrMalformed)
		}
		refuse(t, f.with(name, other[name]), jwk.ErrMalformed)
	}
	refuse(t, f.with("crv", "X25519"), jwk.ErrAlgorithm)
	refuse(t, f.with("crv", "Ed448"), jwk.ErrAlgorithm)
	refuse(t, f.with("crv", "Ed448").without("alg"), jwk.ErrAlgorithm)
	refuse(t, f.with("crv", "ed25519").without("alg"), jwk.ErrAlgorithm)
	priv := ed25519.NewKeyFromSeed(f.bytes(t, "d"))
	priv[40] ^= 1 // the public half no longer belongs to the seed
	if _, err := jwk.New(priv, jwk.Params{Algorithm: jwk.EdDSA}); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("halves that do not match: %v", err)
	}
}
