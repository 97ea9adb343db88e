package jwk_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

var curves = map[jwk.Algorithm]elliptic.Curve{
	jwk.ES256: elliptic.P256(), jwk.ES384: elliptic.P384(), jwk.ES512: elliptic.P521(),
}

func TestThreat38ZeroSignature(t *testing.T) {
	for alg, curve := range curves {
		k := accept(t, generated(t, alg))
		sig := mustSign(t, k, input)
		half := len(sig) / 2
		r, s := sig[:half], sig[half:]
		zero := make([]byte, half)
		order := curve.Params().N.FillBytes(make([]byte, half))
		above := new(big.Int).Add(curve.Params().N, big.NewInt(1)).FillBytes(make([]byte, half))
		ones := bytes.Repeat([]byte{0xff}, half)
		for _, bad := range [][]byte{zero, order, above, ones} {
			for _, sig := range [][]byte{join(bad, s), join(r, bad), join(bad, bad)} {
				if err := k.Verify(input, sig); err != jwk.ErrSignature {
					t.Errorf("%s: %x: %v", alg, sig, err)
				}
			}
		}
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestThreat113ECDSAHalves(t *testing.T) {
	for alg, curve := range curves {
		k := accept(t, generated(t, alg))
		sig := mustSign(t, k, input)
		half := len(sig) / 2
		r, s := sig[:half], sig[half:]
		if err := k.Verify(input, join(s, r)); err != jwk.ErrSignature {
			t.Errorf("%s: halves swapped: %v", alg, err)
		}
		for _, bad := range [][]byte{
			nil, r, join(sig, []byte{0}), join([]byte{0}, sig), sig[:len(sig)-1], sig[1:],
			join([]byte{0}, r, []byte{0}, s), join(r[1:], s[1:]), join(r, s, s),
		} {
			if err := k.Verify(input, bad); err != jwk.ErrSignature {
				t.Errorf("%s: %d bytes for %d: %v", alg, len(bad), len(sig), err)
			}
		}
		// r+n and s+n are the same numbers modulo n. On P-521 they fit.
		for _, pair := range [][2]*big.Int{{curve.Params().N, new(big.Int)}, {new(big.Int), curve.Params().N}} {
			r2 := new(big.Int).Add(new(big.Int).SetBytes(r), pair[0])
			s2 := new(big.Int).Add(new(big.Int).SetBytes(s), pair[1])
			if r2.BitLen() > 8*half || s2.BitLen() > 8*half {
				continue
			}
			bad := join(r2.FillBytes(make([]byte, half)), s2.FillBytes(make([]byte, half)))
			if err := k.Verify(input, bad); err != jwk.ErrSignature {
				t.Errorf("%s: unreduced half: %v", alg, err)
			}
		}
	}
}

// n-s is the one second form of an ECDSA signature. It verifies: whoever needs one
// name for a token takes it from the claims and not from the bytes.
func TestThreat10SecondFormVerifies(t *testing.T) {
	for alg, curve := range curves {
		k := accept(t, generated(t, alg))
		sig := mustSign(t, k, input)
		half := len(sig) / 2
		s := new(big.Int).Sub(curve.Params().N, new(big.Int).SetBytes(sig[half:]))
		if err := k.Verify(input, join(sig[:half], s.FillBytes(make([]byte, half)))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestThreat39DERSignature(t *testing.T) {
	for alg := range curves {
		k := accept(t, generated(t, alg))
		for range 20 { // DER has several lengths, one of which may be ours
			sig := mustSign(t, k, input)
			half := len(sig) / 2
			der, err := asn1.Marshal(struct{ R, S *big.Int }{
				new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:]),
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, bad := range [][]byte{der, append(der, make([]byte, max(0, len(sig)-len(der)))...), der[:min(len(der), len(sig))]} {
				if err := k.Verify(input, bad); err != jwk.ErrSignature {
					t.Errorf("%s: DER of %d bytes: %v", alg, len(bad), err)
				}
			}
		}
	}
}

// Short numbers have leading zeros in r and s, and the shortest forms in ASN.1.
func TestECDSANumbersOfEveryLength(t *testing.T) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.New(priv, jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		t.Fatal(err)
	}
	short := map[int]bool{}
	for i := range 2000 {
		in := []byte{byte(i), byte(i >> 8)}
		sig := mustSign(t, k, in)
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		short[r.BitLen()] = true
		sum := sha256.Sum256(in)
		if k.Verify(in, sig) != nil || !ecdsa.Verify(&priv.PublicKey, sum[:], r, s) {
			t.Fatalf("r of %d bits, s of %d bits", r.BitLen(), s.BitLen())
		}
	}
	if len(short) < 5 {
		t.Errorf("only %d lengths of r seen", len(short))
	}
}

func TestThreat37BadPoint(t *testing.T) {
	for alg, curve := range curves {
		f := generated(t, alg)
		x, y := f.bytes(t, "x"), f.bytes(t, "y")
		zero := make([]byte, len(x))
		p := curve.Params().P.FillBytes(make([]byte, len(x)))
		off := bytes.Clone(y)
		off[len(off)-1] ^= 1
		for name, bad := range map[string]fields{
			"off the curve": f.withBytes("y", off),
			"infinity":      f.withBytes("x", zero).withBytes("y", zero),
			"x = p":         f.withBytes("x", p),
			"y = p":         f.withBytes("y", p),
			"swapped":       f.withBytes("x", y).withBytes("y", x),
		} {
			if _, err := jwk.Parse(bad.public().json(t)); err == nil {
				t.Errorf("%s: %s was taken", alg, name)
			}
			refuse(t, bad, jwk.ErrMalformed)
		}
		for other := range curves {
			if other != alg {
				refuse(t, f.with("alg", string(other)), jwk.ErrAlgorithm)
				refuse(t, f.with("crv", generated(t, other)["crv"]), jwk.ErrAlgorithm)
			}
		}
		refuse(t, f.with("crv", "secp256k1").without("alg"), jwk.ErrAlgorithm)
		refuse(t, f.with("crv", "P-224").without("alg"), jwk.ErrAlgorithm)
		refuse(t, f.with("kty", "RSA"), jwk.ErrAlgorithm)
		refuse(t, f.with("kty", "OKP"), jwk.ErrAlgorithm)
	}
}

func TestThreat115CoordinatesOfExactLength(t *testing.T) {
	for alg := range curves {
		f := generated(t, alg)
		for _, name := range []string{"x", "y", "d"} {
			b := f.bytes(t, name)
			refuse(t, f.withBytes(name, append([]byte{0}, b...)), jwk.ErrMalformed)
			refuse(t, f.withBytes(name, append(b, 0)), jwk.ErrMalformed)
			refuse(t, f.withBytes(name, b[1:]), jwk.ErrMalformed)
			refuse(t, f.withBytes(name, b[:len(b)-1]), jwk.ErrMalformed)
			refuse(t, f.public().withBytes(name, append([]byte{0}, b...)), jwk.ErrMalformed)
		}
	}
	// A coordinate that happens to begin with zero must keep it.
	for {
		k, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
		if err != nil {
			t.Fatal(err)
		}
		f := fieldsOf(t, k)
		if x := f.bytes(t, "x"); x[0] == 0 {
			accept(t, f)
			refuse(t, f.withBytes("x", x[1:]), jwk.ErrMalformed)
			return
		}
	}
}

// On P-521 the seven spare bits let a coordinate be written unreduced.
func TestThreat115UnreducedCoordinate(t *testing.T) {
	f := generated(t, jwk.ES512)
	p := elliptic.P521().Params().P
	for _, name := range []string{"x", "y"} {
		n := new(big.Int).SetBytes(f.bytes(t, name))
		refuse(t, f.withBytes(name, n.Add(n, p).FillBytes(make([]byte, 66))), jwk.ErrMalformed)
	}
}

func TestThreat115PrivateNumber(t *testing.T) {
	for alg, curve := range curves {
		f := generated(t, alg)
		d, n := new(big.Int).SetBytes(f.bytes(t, "d")), curve.Params().N
		size := len(f.bytes(t, "d"))
		bad := []*big.Int{
			new(big.Int), n, new(big.Int).Add(n, big.NewInt(1)), new(big.Int).Sub(n, d), // n-d has the same x
			new(big.Int).SetBytes(generated(t, alg).bytes(t, "d")),
		}
		if sum := new(big.Int).Add(d, n); sum.BitLen() <= 8*size {
			bad = append(bad, sum)
		}
		for _, number := range bad {
			refuse(t, f.withBytes("d", number.FillBytes(make([]byte, size))), jwk.ErrMalformed)
		}
	}
}
