package jwe_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

var encryptions = []jwe.Encryption{jwe.A128GCM, jwe.A192GCM, jwe.A256GCM, jwe.A128CBCHS256, jwe.A192CBCHS384, jwe.A256CBCHS512}

// management is every way to find a content encryption key.
var management = []jwk.Params{
	{Algorithm: jwk.RSAOAEP}, {Algorithm: jwk.RSAOAEP256}, {Algorithm: jwk.RSAOAEP384}, {Algorithm: jwk.RSAOAEP512},
	{Algorithm: jwk.ECDHES}, {Algorithm: jwk.ECDHES, Curve: "P-384"}, {Algorithm: jwk.ECDHES, Curve: "P-521"}, {Algorithm: jwk.ECDHES, Curve: "X25519"},
	{Algorithm: jwk.ECDHESA128KW}, {Algorithm: jwk.ECDHESA192KW, Curve: "P-384"}, {Algorithm: jwk.ECDHESA256KW, Curve: "P-521"}, {Algorithm: jwk.ECDHESA256KW, Curve: "X25519"},
	{Algorithm: jwk.A128KW}, {Algorithm: jwk.A192KW}, {Algorithm: jwk.A256KW},
	{Algorithm: jwk.A128GCMKW}, {Algorithm: jwk.A192GCMKW}, {Algorithm: jwk.A256GCMKW},
	{Algorithm: jwk.PBES2HS256A128KW}, {Algorithm: jwk.PBES2HS384A192KW}, {Algorithm: jwk.PBES2HS512A256KW},
	{Algorithm: jwk.Dir},
}

// eachPair calls f with every algorithm under every encryption, with an Encrypter
// and what opens its messages.
func eachPair(t *testing.T, f func(t *testing.T, e *jwe.Encrypter, key *jwk.Key, p jwe.Policy)) {
	for _, params := range management {
		var key *jwk.Key
		for _, enc := range encryptions {
			if params.Algorithm == jwk.Dir {
				params.Encryption = enc
			}
			if key == nil || params.Algorithm == jwk.Dir {
				key = newKey(t, params)
			}
			p := jwe.Policy{Algorithm: params.Algorithm, Encryption: enc}
			h := jwe.Header{ContentType: "text/plain"}
			if jwk.DefaultIterations(params.Algorithm) != 0 {
				h.Iterations, p.MaxIterations = jwk.MinIterations, jwk.MinIterations
			}
			to := key
			if !key.IsSymmetric() {
				var err error
				if to, err = key.Public(); err != nil {
					t.Fatal(err)
				}
			}
			e, err := jwe.NewEncrypter(to, enc, h)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(string(params.Algorithm)+params.Curve+"/"+string(enc), func(t *testing.T) { f(t, e, key, p) })
		}
	}
}

// isSlow reports whether every decryption takes long.
func isSlow(key *jwk.Key, p jwe.Policy) bool { return !key.IsSymmetric() || p.MaxIterations > 0 }

func TestThreat126EmptyPlaintextInEveryPair(t *testing.T) {
	eachPair(t, func(t *testing.T, e *jwe.Encrypter, key *jwk.Key, p jwe.Policy) {
		sizes := []int{0, 1, 15, 16, 17, 1000}
		if isSlow(key, p) {
			sizes = []int{0, 17}
		}
		for _, n := range sizes {
			want := bytes.Repeat([]byte{0xa5}, n)
			token, err := e.Encrypt(want)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := jwe.Decrypt(key, p, token); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: %x, %v", n, got, err)
			}
			data, err := jwe.EncryptJSON(want, []byte("aad"), e)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := jwe.DecryptJSON(key, p, data); err != nil || !bytes.Equal(m.Plaintext(), want) || string(m.AAD()) != "aad" || m.Key() != key {
				t.Errorf("JSON, %d bytes: %v, %v", n, m, err)
			}
		}
	})
}

// Every bit of every pair, under the encoding and in it.
func TestEveryBitOfEveryPairMatters(t *testing.T) {
	eachPair(t, func(t *testing.T, e *jwe.Encrypter, key *jwk.Key, p jwe.Policy) {
		token, err := e.Encrypt([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		step := 1
		if isSlow(key, p) && p.Encryption != jwe.A256GCM && p.Encryption != jwe.A128CBCHS256 {
			return // what is behind the key is the same in all pairs
		}
		if isSlow(key, p) {
			step = 149 // a prime: in time each bit of a character
		}
		for bit := 0; bit < 8*len(token); bit += step {
			bad := []byte(token)
			bad[bit/8] ^= 1 << (bit % 8)
			if plaintext, err := jwe.Decrypt(key, p, string(bad)); err == nil || plaintext != nil {
				t.Errorf("bit %d flipped: opened", bit)
			}
		}
		for n := 0; n < len(token); n += (step + 7) / 8 {
			if plaintext, err := jwe.Decrypt(key, p, token[:n]); err == nil || plaintext != nil {
				t.Errorf("cut to %d bytes: opened", n)
			}
		}
	})
}

// Whatever is wrong after the header was read, the error is the same.
func TestThreat120OneErrorForAll(t *testing.T) {
	eachPair(t, func(t *testing.T, e *jwe.Encrypter, key *jwk.Key, p jwe.Policy) {
		token, err := e.Encrypt([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		segments := strings.Split(token, ".")
		for i := 1; i < 5; i++ {
			whole := decode(t, segments[i])
			if len(whole) == 0 {
				continue
			}
			for what, bad := range map[string][]byte{
				"first bit": append([]byte{whole[0] ^ 1}, whole[1:]...),
				"last bit":  append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1),
				"shorter":   whole[:len(whole)-1],
				"longer":    append(bytes.Clone(whole), 0),
				"block off": whole[:len(whole)/2],
				"none":      nil,
			} {
				changed := append([]string{}, segments...)
				changed[i] = wire.Encode(bad)
				plaintext, err := jwe.Decrypt(key, p, strings.Join(changed, "."))
				if plaintext != nil || err != jwe.ErrDecrypt {
					t.Errorf("segment %d, %s: %v", i, what, err)
				}
			}
		}
	})
}

func TestKeyOfAnotherIsRefused(t *testing.T) {
	for _, params := range management[1:] { // one RSA key pair less
		enc := jwe.A256GCM
		a, b := generate(t, params), generate(t, params)
		h := jwe.Header{}
		p := jwe.Policy{Algorithm: params.Algorithm, Encryption: enc, MaxIterations: 1000}
		if jwk.DefaultIterations(params.Algorithm) != 0 {
			h.Iterations = 1000
		}
		e, err := jwe.NewEncrypter(a, enc, h)
		if err != nil {
			t.Fatal(err)
		}
		data, err := jwe.EncryptJSON([]byte(secret), nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwe.DecryptJSON(b, p, data); err == nil {
			t.Errorf("%s: another key opened", params.Algorithm)
		}
	}
}
