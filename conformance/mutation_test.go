package conformance_test

import (
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// Row 11 of the threats, for each algorithm: a token has one spelling, so that
// every bit of it and its whole length matter, also those bits that another
// decoder of base64url would pass over.

func TestThreat11EveryBitAndLengthOfAJWS(t *testing.T) {
	keys := newKeys(t)
	for _, alg := range signatureAlgorithms {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			key, err := keys.make(jwk.Params{Algorithm: alg, KeyID: "k"}, 0)
			if err != nil {
				t.Fatal(err)
			}
			token, err := jws.Sign(key, jws.Header{Type: "example"}, []byte(message))
			if err != nil {
				t.Fatal(err)
			}
			everyMutation(t, token, func(token string) error {
				_, err := jws.Verify(key, token)
				return err
			})
		})
	}
}

// Nothing in a token of the flattened serialization is unsigned, but for the white
// space that we do not write and the members that we do not know.
func TestThreat11EveryBitAndLengthOfAFlattenedJWS(t *testing.T) {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jws.NewSigner(key, jws.Header{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.SignFlattened([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	everyMutation(t, string(token), func(token string) error {
		_, err := jws.VerifyJSON(key, []byte(token))
		return err
	})
}

// Keys on other curves than P-256 share all but the arithmetic with it: one
// algorithm is enough for them.
var mutated = []management{
	{alg: jwk.RSAOAEP}, {alg: jwk.RSAOAEP256}, {alg: jwk.RSAOAEP384}, {alg: jwk.RSAOAEP512},
	{alg: jwk.ECDHES, curve: "P-256"}, {alg: jwk.ECDHES, curve: "P-384"}, {alg: jwk.ECDHES, curve: "P-521"}, {alg: jwk.ECDHES, curve: "X25519"},
	{alg: jwk.ECDHESA128KW, curve: "P-256"}, {alg: jwk.ECDHESA192KW, curve: "P-256"}, {alg: jwk.ECDHESA256KW, curve: "P-256"},
	{alg: jwk.A128KW}, {alg: jwk.A192KW}, {alg: jwk.A256KW}, {alg: jwk.A128GCMKW}, {alg: jwk.A192GCMKW}, {alg: jwk.A256GCMKW},
	{alg: jwk.Dir, all: true},
	{alg: jwk.PBES2HS256A128KW}, {alg: jwk.PBES2HS384A192KW}, {alg: jwk.PBES2HS512A256KW},
}

func TestThreat11EveryBitAndLengthOfAJWE(t *testing.T) {
	keys := newKeys(t)
	for i, m := range slices.Concat(mutated, hpkeManagements) {
		encryptions := m.encryptions()
		if len(encryptions) == 2 { // one of the two kinds, in turn
			encryptions = encryptions[i%2 : i%2+1]
		}
		for _, enc := range encryptions {
			t.Run(string(m.alg)+" "+m.key()+" "+string(enc), func(t *testing.T) {
				t.Parallel()
				key, err := jwk.Parse(keys.recipient(t, m, enc, 0).private)
				if err != nil {
					t.Fatal(err)
				}
				everyMutation(t, messageFor(t, key, enc), func(token string) error {
					_, err := jwe.Decrypt(key, jwe.Policy{Algorithm: m.alg, Encryption: enc, AllowZip: true, MaxIterations: 9 * jwk.MinIterations}, token)
					return err
				})
			})
		}
	}
}

func TestThreat11EveryBitAndLengthOfAFlattenedJWE(t *testing.T) {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256KW})
	if err != nil {
		t.Fatal(err)
	}
	e, err := jwe.NewEncrypter(key, jwe.A128CBCHS256, jwe.Header{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwe.EncryptJSON([]byte("text"), []byte("not secret"), e)
	if err != nil {
		t.Fatal(err)
	}
	everyMutation(t, string(token), func(token string) error {
		_, err := jwe.DecryptJSON(key, jwe.Policy{Algorithm: jwk.A256KW, Encryption: jwe.A128CBCHS256}, []byte(token))
		return err
	})
}

// messageFor encrypts a short text, for a password with few iterations.
func messageFor(t *testing.T, key *jwk.Key, enc jwe.Encryption) string {
	t.Helper()
	h := jwe.Header{}
	if jwk.DefaultIterations(key.Algorithm()) != 0 {
		h.Iterations = jwk.MinIterations
	}
	e, err := jwe.NewEncrypter(key, enc, h)
	if err != nil {
		t.Fatal(err)
	}
	token, err := e.Encrypt([]byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Of tokens longer than longToken, which are those of ML-DSA, one bit in
// longStride is flipped, else they would take half a minute: the first of one byte,
// the second of the next, and so on, and all of the last byte.
const (
	longToken  = 2 << 10 // bytes
	longStride = 9       // bits; has no factor in common with 8
)

// everyMutation flips each bit of token and cuts it at each length, and wants
// read to refuse them all. The token itself must be good.
func everyMutation(t *testing.T, token string, read func(string) error) {
	t.Helper()
	if err := read(token); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	stride := 1
	if len(token) > longToken {
		stride = longStride
	}
	b := []byte(token)
	for n := range len(b) * 8 {
		i, bit := n/8, n%8
		if n%stride != 0 && i < len(b)-1 {
			continue
		}
		b[i] ^= 1 << bit
		if read(string(b)) == nil {
			t.Errorf("accepted with bit %d of byte %d of %d flipped", bit, i, len(b))
		}
		b[i] ^= 1 << bit
	}
	for i := range token {
		if read(token[:i]) == nil {
			t.Errorf("accepted when cut to %d of %d bytes", i, len(token))
		}
	}
}
