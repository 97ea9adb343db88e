package conformance_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// keys makes keys for the exchanges. One RSA key stands behind all of its
// algorithms, since RSA keys are slow to make.
type keys struct {
	rsa [2]*rsa.PrivateKey
}

func newKeys(t *testing.T) *keys {
	t.Helper()
	k := &keys{}
	for i := range k.rsa {
		var err error
		if k.rsa[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// A pair is a key for whoever makes tokens and a key for whoever reads them: for
// signatures the private one makes, for encryption it reads.
type pair struct{ private, public json.RawMessage }

// pair returns the i-th key, 0 or 1, for p.
func (k *keys) pair(t *testing.T, p jwk.Params, i int) pair {
	t.Helper()
	p.KeyID = fmt.Sprint(p.Algorithm, "-", i)
	key, err := k.make(p, i)
	if err != nil {
		t.Fatalf("%s: %v", p.Algorithm, err)
	}
	return pairOf(t, key)
}

// curve returns the i-th key for alg, on the curve where alg leaves that open.
func (k *keys) curve(t *testing.T, alg jwk.Algorithm, curve string, i int) *jwk.Key {
	t.Helper()
	p := jwk.Params{Algorithm: alg, KeyID: fmt.Sprint(alg, "-", i)}
	key, err := k.make(p, i)
	if strings.HasPrefix(string(alg), "ECDH") {
		agreement := map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521(), "X25519": ecdh.X25519()}[curve]
		var priv *ecdh.PrivateKey
		if priv, err = agreement.GenerateKey(rand.Reader); err == nil {
			key, err = jwk.New(priv, p)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", alg, err)
	}
	return key
}

func (k *keys) make(p jwk.Params, i int) (*jwk.Key, error) {
	if strings.HasPrefix(string(p.Algorithm), "R") || strings.HasPrefix(string(p.Algorithm), "PS") {
		return jwk.New(k.rsa[i], p)
	}
	return jwk.Generate(p)
}

func pairOf(t *testing.T, key *jwk.Key) pair {
	t.Helper()
	private, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	if key.IsSymmetric() {
		return pair{private, private}
	}
	public, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return pair{private, public}
}
