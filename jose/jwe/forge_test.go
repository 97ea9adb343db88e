package jwe_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// What is below makes messages as the RFCs say and without a check, so that a test
// can break one rule and keep all others.

// with is a copy with one member changed or, if value is nil, left out.
func (h header) with(name string, value any) header {
	h = maps.Clone(h)
	if h[name] = value; value == nil {
		delete(h, name)
	}
	return h
}

func (h header) json(t testing.TB) string {
	t.Helper()
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A parts is a message taken apart.
type parts struct{ protected, key, iv, text, tag string }

func (p parts) compact() string {
	return strings.Join([]string{p.protected, p.key, p.iv, p.text, p.tag}, ".")
}

// sealGCM encrypts content under cek, with the text of a protected header; ".…" of
// an aad may follow its encoding.
func sealGCM(t testing.TB, cek []byte, text, aad string, content []byte) parts {
	t.Helper()
	block, err := aes.NewCipher(cek)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	p := parts{protected: wire.Encode([]byte(text))}
	iv := bytes.Repeat([]byte{7}, 12)
	sealed := gcm.Seal(nil, iv, content, []byte(p.protected+aad))
	end := len(sealed) - 16
	p.iv, p.text, p.tag = wire.Encode(iv), wire.Encode(sealed[:end]), wire.Encode(sealed[end:])
	return p
}

// A direct is a key for dir, and its bytes.
type direct struct {
	*jwk.Key
	secret []byte
}

func newDirect(t testing.TB) direct {
	t.Helper()
	secret := make([]byte, 32)
	rand.Read(secret)
	k, err := jwk.New(secret, jwk.Params{Algorithm: jwk.Dir})
	if err != nil {
		t.Fatal(err)
	}
	return direct{k, secret}
}

var directPolicy = jwe.Policy{Algorithm: jwk.Dir, Encryption: jwe.A256GCM}

var directHeader = header{"alg": "dir", "enc": "A256GCM"}

// forge makes a compact JWE under d.
func (d direct) forge(t testing.TB, h header, content []byte) string {
	t.Helper()
	return sealGCM(t, d.secret, h.json(t), "", content).compact()
}

// concatKDF is that of RFC 7518, Section 4.6.2, for at most 32 bytes.
func concatKDF(z []byte, algorithm string, apu, apv []byte, size int) []byte {
	h := sha256.New()
	number := func(n int) { h.Write(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	number(1)
	h.Write(z)
	for _, part := range [][]byte{[]byte(algorithm), apu, apv} {
		number(len(part))
		h.Write(part)
	}
	number(size * 8)
	return h.Sum(nil)[:size]
}

// epkOf is the JWK of an ephemeral key.
func epkOf(crv string, pub *ecdh.PublicKey) header {
	b := pub.Bytes()
	if crv == "X25519" {
		return header{"kty": "OKP", "crv": crv, "x": wire.Encode(b)}
	}
	size := (len(b) - 1) / 2
	return header{"kty": "EC", "crv": crv, "x": wire.Encode(b[1 : 1+size]), "y": wire.Encode(b[1+size:])}
}

// agreedHeader is that of a message with ECDH-ES and A128GCM.
func agreedHeader(epk any) header {
	return header{"alg": "ECDH-ES", "enc": "A128GCM", "epk": epk}
}

var agreedPolicy = jwe.Policy{Algorithm: jwk.ECDHES, Encryption: jwe.A128GCM}

// forgeAgreed makes a compact JWE with ECDH-ES from an agreed secret.
func forgeAgreed(t testing.TB, z []byte, h header) string {
	t.Helper()
	cek := concatKDF(z, "A128GCM", nil, nil, 16)
	return sealGCM(t, cek, h.json(t), "", []byte(secret)).compact()
}

// curveOf returns the curve of crypto/ecdh.
var curveOf = map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521(), "X25519": ecdh.X25519()}

// newAgreeing makes a key for ECDH-ES, and returns it in both forms.
func newAgreeing(t testing.TB, crv string) (*jwk.Key, *ecdh.PrivateKey) {
	t.Helper()
	priv, err := curveOf[crv].GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.New(priv, jwk.Params{Algorithm: jwk.ECDHES})
	if err != nil {
		t.Fatal(err)
	}
	return k, priv
}

// refuseBy is refuse under another policy.
func refuseBy(t testing.TB, what string, keys jwk.Source, p jwe.Policy, token string, want error) {
	t.Helper()
	plaintext, err := jwe.Decrypt(keys, p, token)
	checkRefusal(t, what, plaintext, err, want)
}

// refuseJSON is refuse for the JSON serializations.
func refuseJSON(t testing.TB, what string, keys jwk.Source, p jwe.Policy, data string, want error) {
	t.Helper()
	m, err := jwe.DecryptJSON(keys, p, []byte(data))
	var plaintext []byte
	if m != nil {
		plaintext = m.Plaintext()
	}
	checkRefusal(t, what, plaintext, err, want)
}

func opens(t testing.TB, what string, keys jwk.Source, p jwe.Policy, token string) {
	t.Helper()
	if plaintext, err := jwe.Decrypt(keys, p, token); err != nil || string(plaintext) != secret {
		t.Errorf("%s: %q, %v", what, plaintext, err)
	}
}

func opensJSON(t testing.TB, what string, keys jwk.Source, p jwe.Policy, data string) *jwe.Message {
	t.Helper()
	m, err := jwe.DecryptJSON(keys, p, []byte(data))
	if err != nil || string(m.Plaintext()) != secret {
		t.Errorf("%s: %v, %v", what, m, err)
		return nil
	}
	return m
}

// checkRefusal checks that nothing came out and that the error is want.
func checkRefusal(t testing.TB, what string, plaintext []byte, err, want error) {
	t.Helper()
	switch {
	case err == nil || plaintext != nil:
		t.Errorf("%s: opened", what)
	case !errors.Is(err, want):
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}
