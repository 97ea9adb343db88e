package migrating_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"

	"github.com/counterfoil/counterfoil/bench/migrating/counterfoil"
	"github.com/counterfoil/counterfoil/bench/migrating/gojose"
	"github.com/counterfoil/counterfoil/bench/migrating/golangjwt"
	"github.com/counterfoil/counterfoil/bench/migrating/jwx"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A program is one of the four. golang-jwt has neither Encrypt nor Decrypt.
type program struct {
	name    string
	sign    func(priv *ecdsa.PrivateKey, kid string) (string, error)
	verify  func(set []byte, token string) (subject, scope string, err error)
	encrypt func(pub *ecdsa.PublicKey, plaintext []byte) (string, error)
	decrypt func(priv *ecdsa.PrivateKey, token string) ([]byte, error)
}

var programs = []program{
	{"Counterfoil", counterfoil.Sign, counterfoil.Verify, counterfoil.Encrypt, counterfoil.Decrypt},
	{"golang-jwt", golangjwt.Sign, golangVerify, nil, nil},
	{"go-jose", gojose.Sign, gojose.Verify, gojose.Encrypt, gojose.Decrypt},
	{"jwx", jwx.Sign, jwx.Verify, jwx.Encrypt, jwx.Decrypt},
}

// golangVerify reads the set for golang-jwt, which does not.
func golangVerify(set []byte, token string) (subject, scope string, err error) {
	parsed, err := jwk.ParseSet(set)
	if err != nil {
		return "", "", err
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, k := range parsed.Keys() {
		pub, err := k.CryptoPublic()
		if err != nil {
			return "", "", err
		}
		if pub, ok := pub.(*ecdsa.PublicKey); ok {
			keys[k.KeyID()] = pub
		}
	}
	return golangjwt.Verify(keys, token)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return priv
}

// publicJWK returns the members of the JWK of a key.
func publicJWK(t testing.TB, priv *ecdsa.PrivateKey, kid string) map[string]any {
	t.Helper()
	k, err := jwk.New(&priv.PublicKey, jwk.Params{Algorithm: jwk.ES256, KeyID: kid})
	if err != nil {
		t.Fatal(err)
	}
	data, err := k.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func setOf(t testing.TB, keys ...any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Each program reads what each other one writes: they can be changed one at a time.
func TestProgramsReadEachOther(t *testing.T) {
	priv := newKey(t)
	set := setOf(t, publicJWK(t, priv, "2026-01"))
	for _, from := range programs {
		token, err := from.sign(priv, "2026-01")
		if err != nil {
			t.Fatalf("%s: %v", from.name, err)
		}
		for _, to := range programs {
			subject, scope, err := to.verify(set, token)
			if err != nil || subject != "alice" || scope != "orders:read" {
				t.Errorf("%s reads a token of %s: %q, %q, %v", to.name, from.name, subject, scope, err)
			}
			if _, _, err := to.verify(setOf(t, publicJWK(t, newKey(t), "2026-01")), token); err == nil {
				t.Errorf("%s takes a token of %s under another key", to.name, from.name)
			}
		}
	}
}

func TestProgramsDecryptEachOther(t *testing.T) {
	priv := newKey(t)
	for _, from := range programs {
		if from.encrypt == nil {
			continue
		}
		token, err := from.encrypt(&priv.PublicKey, []byte("for your eyes only"))
		if err != nil {
			t.Fatalf("%s: %v", from.name, err)
		}
		for _, to := range programs {
			if to.decrypt == nil {
				continue
			}
			if plaintext, err := to.decrypt(priv, token); err != nil || string(plaintext) != "for your eyes only" {
				t.Errorf("%s decrypts for %s: %q, %v", to.name, from.name, plaintext, err)
			}
		}
	}
}

// docs/migrating.md says that jwx opens a message under any content encryption,
// and that the two others do not.
func TestContentEncryptionIsPinned(t *testing.T) {
	priv := newKey(t)
	key, err := jwk.New(&priv.PublicKey, jwk.Params{Algorithm: jwk.ECDHESA128KW, KeyID: "box"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwe.Encrypt(key, jwe.A128CBCHS256, "text/plain", []byte("for your eyes only"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if p.decrypt == nil {
			continue
		}
		if _, err := p.decrypt(priv, token); (err == nil) != (p.name == "jwx") {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}
