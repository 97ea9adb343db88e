package jwk_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/big"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// rsaKey returns the key of rsaJWK as crypto/rsa has it.
func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	f := rsaJWK()
	n := func(name string) *big.Int { return new(big.Int).SetBytes(f.bytes(t, name)) }
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: n("n"), E: int(n("e").Int64())}, D: n("d"), Primes: []*big.Int{n("p"), n("q")},
	}
	if err := k.Validate(); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestThreat36WeakRSA(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0") // crypto/rsa itself would let these pass
	for _, bits := range []int{512, 1024, 2040, 2047} {
		weak, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		for _, material := range []any{weak, &weak.PublicKey} {
			if _, err := jwk.New(material, jwk.Params{Algorithm: jwk.RS256}); !isWeak(err) {
				t.Errorf("%d bits: %v", bits, err)
			}
		}
		f := rsaJWK().public().with("alg", "PS256").withBytes("n", weak.N.Bytes())
		refuse(t, f, jwk.ErrWeakKey)
	}
	odd := new(big.Int).Lsh(big.NewInt(1), 8192)
	refuse(t, rsaJWK().public().with("alg", "RS256").withBytes("n", odd.Add(odd, big.NewInt(1)).Bytes()), jwk.ErrMalformed)
}

func TestThreat36BrokenGenerator(t *testing.T) {
	// A number with the fingerprint of CVE-2017-15361: 1 modulo the product of the
	// first primes is a power of 65537 modulo each of them.
	product := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			product.Mul(product, big.NewInt(p))
		}
	}
	n := new(big.Int).Lsh(big.NewInt(1), 2047)
	n.Div(n, product).Add(n, big.NewInt(12)).Mul(n, product).Add(n, big.NewInt(1))
	refuse(t, rsaJWK().public().with("alg", "RS256").withBytes("n", n.Bytes()), jwk.ErrWeakKey)
	accept(t, rsaJWK().public().with("alg", "RS256").withBytes("n", n.Add(n, big.NewInt(4)).Bytes()))
}

func TestThreat114RSAExponent(t *testing.T) {
	f := rsaJWK().public().with("alg", "RS256")
	for _, c := range []struct {
		e    string
		want error
	}{
		{"00", jwk.ErrMalformed}, {"01", jwk.ErrWeakKey}, {"02", jwk.ErrWeakKey}, {"04", jwk.ErrWeakKey},
		{"010000", jwk.ErrWeakKey}, {"0100000001", jwk.ErrMalformed}, {"0100000000000000000001", jwk.ErrMalformed},
		{"80000001", jwk.ErrMalformed}, // below 2^32, above what crypto/rsa takes
		{"00010001", jwk.ErrMalformed}, // a leading zero would make a second thumbprint
	} {
		e, _ := hex.DecodeString(c.e)
		refuse(t, f.withBytes("e", e), c.want)
	}
	for _, ok := range []string{"03", "11", "010001", "7fffffff"} {
		e, _ := hex.DecodeString(ok)
		accept(t, f.withBytes("e", e))
	}
	n := f.bytes(t, "n")
	refuse(t, f.withBytes("n", append([]byte{0}, n...)), jwk.ErrMalformed)
	even := bytes.Clone(n)
	even[len(even)-1] &^= 1
	refuse(t, f.withBytes("n", even), jwk.ErrMalformed)
}

func TestThreat114RSAPrivateNumbers(t *testing.T) {
	f := rsaJWK().with("alg", "RS256")
	accept(t, f)
	names := []string{"p", "q", "dp", "dq", "qi"}
	for i, name := range names {
		refuse(t, f.without(name), jwk.ErrMalformed)
		refuse(t, f.without("d").without(names[:i]...), jwk.ErrMalformed)
		wrong := f.bytes(t, name)
		wrong[len(wrong)-1] ^= 2
		refuse(t, f.withBytes(name, wrong), jwk.ErrMalformed)
		refuse(t, f.withBytes(name, []byte{0}), jwk.ErrMalformed)
		refuse(t, f.withBytes(name, []byte{1}), jwk.ErrMalformed)
	}
	refuse(t, f.with("oth", []any{fields{"r": "AQ", "d": "AQ", "t": "AQ"}}), jwk.ErrMalformed)
	refuse(t, f.with("oth", []any{}), jwk.ErrMalformed)
	refuse(t, f.without("d").with("oth", nil), jwk.ErrMalformed)
	swapped := f.with("p", f["q"]).with("q", f["p"])
	refuse(t, swapped, jwk.ErrMalformed) // dp, dq and qi are those of the old order
}

// The work of a refusal must not grow with numbers that are not the key's.
// crypto/rsa alone takes minutes over these.
func TestThreat114RSAPrimesBeyondTheModulus(t *testing.T) {
	f := rsaJWK().with("alg", "RS256")
	long := make([]byte, 3000)
	rand.Read(long)
	long[0] |= 0x80
	long[len(long)-1] |= 1
	n, one := f.bytes(t, "n"), []byte{1}
	began := time.Now()
	for _, primes := range [][2][]byte{{long, long}, {long, f.bytes(t, "q")}, {f.bytes(t, "p"), long}, {n, n}, {n, one}, {one, n}, {n, {0}}, {{0}, n}} {
		refuse(t, f.withBytes("p", primes[0]).withBytes("q", primes[1]), jwk.ErrMalformed)
	}
	const limit = 5 * time.Second // milliseconds, were the machine idle
	if took := time.Since(began); took > limit {
		t.Errorf("took %v", took)
	}
}

func TestThreat114RSAPrivateExponent(t *testing.T) {
	f := rsaJWK().with("alg", "RS256")
	alone := f.without("p", "q", "dp", "dq", "qi")
	k := accept(t, alone)
	if err := k.Verify(input, mustSign(t, k, input)); err != nil {
		t.Error(err)
	}
	data := fieldsOf(t, k)
	if data["p"] != nil || data["d"] != f["d"] {
		t.Error("a key of d alone gained or lost members")
	}
	wrong := f.bytes(t, "d")
	wrong[9] ^= 1
	for _, f := range []fields{f, alone} {
		refuse(t, f.withBytes("d", wrong), jwk.ErrMalformed)
		refuse(t, f.withBytes("d", []byte{0}), jwk.ErrMalformed)
		refuse(t, f.withBytes("d", []byte{1}), jwk.ErrMalformed)
		refuse(t, f.withBytes("d", f.bytes(t, "n")), jwk.ErrMalformed)
	}
	multi := *rsaKey(t)
	multi.Primes = append(multi.Primes, big.NewInt(3))
	if _, err := jwk.New(&multi, jwk.Params{Algorithm: jwk.RS256}); err == nil {
		t.Error("three primes were taken")
	}
}

func TestThreat114PSSSaltLength(t *testing.T) {
	priv := rsaKey(t)
	k := accept(t, rsaJWK().with("alg", "PS256"))
	sum := sha256.Sum256(input)
	for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, 32, 1, 20, 31, 33, 64, 222} {
		sig, err := rsa.SignPSS(rand.Reader, priv, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		right := salt == 32 || salt == rsa.PSSSaltLengthEqualsHash
		if err := k.Verify(input, sig); (err == nil) != right {
			t.Errorf("salt of %d bytes: %v", salt, err)
		}
	}
	if err := rsa.VerifyPSS(&priv.PublicKey, crypto.SHA256, sum[:], mustSign(t, k, input), &rsa.PSSOptions{SaltLength: 32}); err != nil {
		t.Errorf("what we sign: %v", err)
	}
}

// maskedPSS signs sum by EMSA-PSS (RFC 8017, Section 9.1.1), the mask generated with
// another hash than the message was: crypto/rsa knows no such signature.
func maskedPSS(t *testing.T, priv *rsa.PrivateKey, sum []byte, mask func() hash.Hash) []byte {
	t.Helper()
	salt := bytes.Repeat([]byte{5}, len(sum))
	h := sha256.New()
	h.Write(make([]byte, 8))
	h.Write(sum)
	h.Write(salt)
	digest := h.Sum(nil)
	encoded := make([]byte, priv.Size())
	db := encoded[:len(encoded)-len(digest)-1]
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	for i, counter := 0, uint32(0); i < len(db); counter++ { // MGF1, RFC 8017, Appendix B.2.1
		m := mask()
		m.Write(digest)
		binary.Write(m, binary.BigEndian, counter)
		for _, b := range m.Sum(nil) {
			if i < len(db) {
				db[i] ^= b
				i++
			}
		}
	}
	db[0] &= 0x7f
	copy(encoded[len(db):], digest)
	encoded[len(encoded)-1] = 0xbc
	n := new(big.Int).SetBytes(encoded)
	return n.Exp(n, priv.D, priv.N).FillBytes(make([]byte, priv.Size()))
}

// RFC 7518, Section 3.5: the mask generation function uses the hash of the message.
func TestThreat114PSSMaskHash(t *testing.T) {
	k := accept(t, rsaJWK().with("alg", "PS256"))
	sum := sha256.Sum256(input)
	for name, mask := range map[string]func() hash.Hash{"SHA-256": sha256.New, "SHA-1": sha1.New, "SHA-384": sha512.New384, "SHA-512": sha512.New} {
		if err := k.Verify(input, maskedPSS(t, rsaKey(t), sum[:], mask)); (err == nil) != (name == "SHA-256") {
			t.Errorf("mask with %s: %v", name, err)
		}
	}
}

// The private key makes a signature of any encoded message, the way a forger does
// with a small exponent and a lenient verifier.
func TestThreat114PKCS1WholeEncoding(t *testing.T) {
	priv := rsaKey(t)
	k := accept(t, rsaJWK().with("alg", "RS256"))
	sum := sha256.Sum256(input)
	info, _ := hex.DecodeString("3031300d060960864801650304020105000420")
	bare, _ := hex.DecodeString("302f300b0609608648016503040201" + "0420")
	digest := append(info, sum[:]...)
	pad := func(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	sign := func(em []byte) []byte {
		return new(big.Int).Exp(new(big.Int).SetBytes(em), priv.D, priv.N).FillBytes(make([]byte, 256))
	}
	full := 256 - 3 - len(digest)
	if err := k.Verify(input, sign(join([]byte{0, 1}, pad(full), []byte{0}, digest))); err != nil {
		t.Fatalf("the proper encoding: %v", err)
	}
	dirty := pad(full)
	dirty[full/2] = 0xfe
	for name, em := range map[string][]byte{
		"garbage after the digest": join([]byte{0, 1}, pad(8), []byte{0}, digest, make([]byte, full-8)),
		"garbage in the padding":   join([]byte{0, 1}, dirty, []byte{0}, digest),
		"block type 2":             join([]byte{0, 2}, pad(full), []byte{0}, digest),
		"block type 0":             join([]byte{0, 0}, pad(full), []byte{0}, digest),
		"no separator":             join([]byte{0, 1}, pad(full+1), digest),
		"parameters left out":      join([]byte{0, 1}, pad(256-3-len(bare)-32), []byte{0}, bare, sum[:]),
		"no DigestInfo":            join([]byte{0, 1}, pad(256-3-32), []byte{0}, sum[:]),
	} {
		if len(em) != 256 {
			t.Fatalf("%s: %d bytes", name, len(em))
		}
		if err := k.Verify(input, sign(em)); err != jwk.ErrSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
	over := new(big.Int).Add(new(big.Int).SetBytes(mustSign(t, k, input)), priv.N)
	if over.BitLen() <= 2048 && k.Verify(input, over.Bytes()) == nil {
		t.Error("a signature above the modulus")
	}
}
