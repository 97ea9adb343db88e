package differ_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	_ "embed"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

const keyID = "k1"

// Keys are always the same, so that a corpus keeps its meaning. They are made
// here for nothing else.
var (
	//go:embed testdata/rsa2048.pem
	rsa2048 []byte
	//go:embed testdata/rsa1024.pem
	rsa1024 []byte
)

// A testKey signs with one algorithm, fit for it or not.
type testKey struct {
	name, alg       string
	private, public any

	ours   *jwk.Key // nil if we refuse the key
	theirs []rival
}

// A rival is a library that has the algorithm. Without verify it refuses the key.
type rival struct {
	library string
	verify  rivals.Verify
	err     error
}

// goodKeys sign as they should; among oddKeys there is something against each.
var (
	goodKeys = sync.OnceValue(func() []*testKey {
		r := parseRSA(rsa2048)
		list := []*testKey{
			newKey("HMAC", "HS256", seed("HS256", 32)), newKey("HMAC", "HS384", seed("HS384", 48)), newKey("HMAC", "HS512", seed("HS512", 64)),
			newKey("P-256", "ES256", ecdsaKey(elliptic.P256())), newKey("P-384", "ES384", ecdsaKey(elliptic.P384())), newKey("P-521", "ES512", ecdsaKey(elliptic.P521())),
			newKey("Ed25519", "EdDSA", ed25519.NewKeyFromSeed(seed("EdDSA", 32))),
		}
		for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
			list = append(list, newKey("RSA-2048", alg, r))
		}
		return list
	})
	oddKeys = sync.OnceValue(func() []*testKey {
		list := []*testKey{
			newKey("empty", "HS256", []byte{}),
			newKey("1 byte", "HS256", []byte{7}),
			newKey("31 bytes", "HS256", seed("short", 31)),
			newKey("32 bytes", "HS512", seed("half", 32)),
			newKey("zeros", "HS256", make([]byte, 32)),
			newKey("one byte repeated", "HS256", bytes.Repeat([]byte{'a'}, 32)),
			newKey("long", "HS256", seed("long", 1024)),
			newKey("too long", "HS256", seed("too long", 1025)),
			newKey("text", "HS256", []byte("correct horse battery staple, and more")),
			newKey("public key in PEM", "HS256", pemOf(&parseRSA(rsa2048).PublicKey)),
			newKey("RSA-1024", "RS256", parseRSA(rsa1024)),
			newKey("RSA-1024", "PS256", parseRSA(rsa1024)),
			newKey("P-384", "ES256", ecdsaKey(elliptic.P384())),
			newKey("P-256", "ES384", ecdsaKey(elliptic.P256())),
			newKey("P-224", "ES256", ecdsaKey(elliptic.P224())),
			newKey("by its newer name", "Ed25519", ed25519.NewKeyFromSeed(seed("EdDSA", 32))),
		}
		return list
	})
)

func newKey(name, alg string, private any) *testKey {
	k := &testKey{name: name, alg: alg, private: private, public: private}
	if s, ok := private.(crypto.Signer); ok {
		k.public = s.Public()
	}
	if own, err := jwk.New(k.public, jwk.Params{Algorithm: jwk.Algorithm(alg), KeyID: keyID}); err == nil {
		k.ours = own
	}
	for _, lib := range rivals.JWT {
		verify, err := verifierOf(lib, alg, k.public)
		if !errors.Is(err, rivals.ErrUnsupported) {
			k.theirs = append(k.theirs, rival{lib.Name, verify, err})
		}
	}
	return k
}

// verifierOf takes a panic for the refusal that it is.
func verifierOf(lib rivals.Library, alg string, public any) (verify rivals.Verify, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panics: %v", p)
		}
	}()
	return lib.Verifier(alg, keyID, public, rivalPolicy)
}

// seed is n bytes that depend on the label alone.
func seed(label string, n int) []byte {
	var out []byte
	for i := byte(0); len(out) < n; i++ {
		block := sha512.Sum512(append([]byte(label), i))
		out = append(out, block[:]...)
	}
	return out[:n]
}

func ecdsaKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	size := (curve.Params().BitSize + 7) / 8
	raw := seed(curve.Params().Name, size)
	raw[0] = 0 // smaller than the order of every curve
	return must(ecdsa.ParseRawPrivateKey(curve, raw))
}

func parseRSA(text []byte) *rsa.PrivateKey {
	block, _ := pem.Decode(text)
	return must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)
}

func pemOf(public any) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(public))})
}

// sign signs whatever it is given, as RFC 7518 and RFC 8037 say.
func (k *testKey) sign(input string) []byte {
	if key, ok := k.private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(key, []byte(input))
	}
	hash := k.hash()
	if key, ok := k.private.([]byte); ok {
		mac := hmac.New(hash.New, key)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	switch key := k.private.(type) {
	case *ecdsa.PrivateKey:
		return joined(key, signECDSA(key, k.digest(input)))
	case *rsa.PrivateKey:
		if k.alg[0] == 'R' {
			return must(rsa.SignPKCS1v15(nil, key, hash, k.digest(input)))
		}
		return k.signPSS(key, input, rsa.PSSSaltLengthEqualsHash)
	}
	panic("no such key")
}

// verifies is the bare operation.
func (k *testKey) verifies(input string, signature []byte) bool {
	switch key := k.public.(type) {
	case []byte:
		return hmac.Equal(k.sign(input), signature)
	case ed25519.PublicKey:
		return ed25519.Verify(key, []byte(input), signature)
	case *rsa.PublicKey:
		if k.alg[0] == 'R' {
			return rsa.VerifyPKCS1v15(key, k.hash(), k.digest(input), signature) == nil
		}
		return rsa.VerifyPSS(key, k.hash(), k.digest(input), signature, nil) == nil
	case *ecdsa.PublicKey:
		half := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		return len(signature) == 2*((key.Params().BitSize+7)/8) && ecdsa.Verify(key, k.digest(input), r, s)
	}
	return false
}

func (k *testKey) hash() crypto.Hash {
	return map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[k.alg[2:]]
}

func (k *testKey) digest(input string) []byte {
	h := k.hash().New()
	h.Write([]byte(input))
	return h.Sum(nil)
}

func (k *testKey) signPSS(key *rsa.PrivateKey, input string, salt int) []byte {
	return must(rsa.SignPSS(rand.Reader, key, k.hash(), k.digest(input), &rsa.PSSOptions{SaltLength: salt}))
}

// signOddly makes signatures that somebody could take for good ones.
func (k *testKey) signOddly(input string, s *script) []byte {
	switch key := k.private.(type) {
	case *ecdsa.PrivateKey:
		return oddECDSA(key, k.digest(input), s)
	case *rsa.PrivateKey:
		if k.alg[0] == 'P' {
			return k.signPSS(key, input, pick(s, []int{0, 1, 20, 33, rsa.PSSSaltLengthAuto}))
		}
		signature := new(big.Int).SetBytes(k.sign(input))
		return pick(s, [][]byte{append([]byte{0}, k.sign(input)...), signature.Add(signature, key.N).Bytes()})
	case ed25519.PrivateKey:
		return oddEd25519(k.sign(input), s)
	}
	signature := k.sign(input)
	return pick(s, [][]byte{signature[:16], signature[:len(signature)-1], append(signature, 0), []byte(hex.EncodeToString(signature))})
}

func oddECDSA(key *ecdsa.PrivateKey, digest []byte, s *script) []byte {
	pair := signECDSA(key, digest)
	switch s.choose(6) {
	case 0: // the second valid signature of the message
		pair[1].Sub(key.Params().N, pair[1])
	case 1:
		return must(asn1.Marshal(struct{ R, S *big.Int }{pair[0], pair[1]}))
	case 2:
		return append(joined(key, pair), 0)
	case 3:
		pair[0].SetInt64(0)
	case 4:
		return append(pair[0].Bytes(), pair[1].Bytes()...) // shorter, once in a while
	default:
		return append([]byte{0}, joined(key, pair)...)
	}
	return joined(key, pair)
}

// oddEd25519 adds the order of the group to S, which RFC 8032, Section 5.1.7,
// forbids, or sets a bit of it.
func oddEd25519(signature []byte, s *script) []byte {
	if s.choose(2) == 0 {
		signature[63] |= 0x80 >> s.choose(4)
		return signature
	}
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	little := slices.Clone(signature[32:])
	slices.Reverse(little)
	sum := new(big.Int).SetBytes(little)
	sum.Add(sum, order).FillBytes(little)
	slices.Reverse(little)
	return append(signature[:32:32], little...)
}

func signECDSA(key *ecdsa.PrivateKey, digest []byte) [2]*big.Int {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		panic(err)
	}
	return [2]*big.Int{r, s}
}

// joined is r and s as RFC 7518, Section 3.4, wants them.
func joined(key *ecdsa.PrivateKey, pair [2]*big.Int) []byte {
	size := (key.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	pair[0].FillBytes(signature[:size])
	pair[1].FillBytes(signature[size:])
	return signature
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
