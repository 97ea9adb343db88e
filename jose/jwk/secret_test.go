package jwk_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// refuseSecret checks that secret is refused for every HMAC that it is long
// enough for, on both ways in.
func refuseSecret(t *testing.T, what string, secret []byte) {
	t.Helper()
	for _, alg := range append(symmetric, jwk.A256GCMKW) {
		if alg == jwk.A256GCMKW && len(secret) != 32 {
			continue
		}
		if _, err := jwk.New(secret, jwk.Params{Algorithm: alg}); !isWeak(err) {
			t.Errorf("%s for %s: %v", what, alg, err)
		} else if len(secret) > 8 && strings.Contains(err.Error(), string(secret)) {
			t.Errorf("the error shows the secret: %v", err)
		}
		f := fields{"kty": "oct", "alg": string(alg), "k": wire.Encode(secret)}
		if _, err := jwk.Parse(f.json(t)); !isWeak(err) && len(secret) > 0 {
			t.Errorf("%s for %s as JWK: %v", what, alg, err)
		}
	}
}

// publicForms returns the encodings of a public key that programs hand to HMAC by
// mistake.
func publicForms(t *testing.T, signer crypto.Signer) map[string][]byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Unix(1e9, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	ders := map[string][]byte{"DER": spki, "PKCS #8": pkcs8, "certificate": certificate}
	if pub, ok := signer.Public().(*rsa.PublicKey); ok {
		ders["PKCS #1"] = x509.MarshalPKCS1PublicKey(pub)
	}
	forms := maps.Clone(ders)
	for name, der := range ders {
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		forms["PEM of "+name] = text
		forms["PEM without line end of "+name] = bytes.TrimSpace(text)
		forms["PEM with CRLF of "+name] = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
		forms["body of PEM of "+name] = []byte(base64.StdEncoding.EncodeToString(der))
		lines := bytes.SplitAfter(text, []byte("\n"))
		forms["lines of PEM of "+name] = bytes.Join(lines[1:len(lines)-2], nil)
	}
	return forms
}

func TestThreat23HMACKeyedWithPublicKey(t *testing.T) {
	rs := rsaKey(t)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for alg, signer := range map[jwk.Algorithm]crypto.Signer{jwk.RS256: rs, jwk.ES256: ec, jwk.Ed25519: ed} {
		for name, form := range publicForms(t, signer) {
			refuseSecret(t, fmt.Sprintf("%s %s", alg, name), form)
		}
		k, err := jwk.New(signer, jwk.Params{Algorithm: alg})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(k)
		set, _ := json.Marshal(fields{"keys": []any{json.RawMessage(text)}})
		for name, form := range map[string][]byte{
			"JWK": text, "JWK in lines": indent(t, text), "JWK with space": append([]byte(" \n"), text...),
			"JWK Set": set, "ssh": []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0bY2WmN2z3h5Yj9 someone@somewhere and a little more text"),
		} {
			refuseSecret(t, fmt.Sprintf("%s %s", alg, name), form)
		}
	}
}

func indent(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestThreat40WeakHMAC(t *testing.T) {
	random := make([]byte, 64)
	rand.Read(random)
	for alg, size := range map[jwk.Algorithm]int{jwk.HS256: 32, jwk.HS384: 48, jwk.HS512: 64} {
		for n := range size {
			if _, err := jwk.New(random[:n], jwk.Params{Algorithm: alg}); !isWeak(err) {
				t.Errorf("%s with %d bytes: %v", alg, n, err)
			}
		}
		if _, err := jwk.New(random[:size], jwk.Params{Algorithm: alg}); err != nil {
			t.Errorf("%s with %d bytes: %v", alg, size, err)
		}
	}
	// CVE-2019-20933: an empty secret is no secret, in whatever form it comes.
	for _, empty := range []any{nil, []byte(nil), []byte{}} {
		if _, err := jwk.New(empty, jwk.Params{Algorithm: jwk.HS256}); err == nil {
			t.Errorf("%#v was taken", empty)
		}
	}
	refuse(t, fields{"kty": "oct", "alg": "HS256", "k": ""}, jwk.ErrMalformed)
	refuse(t, fields{"kty": "oct", "alg": "HS256"}, jwk.ErrWeakKey)
	refuse(t, fields{"kty": "oct", "alg": "HS256", "k": nil}, jwk.ErrMalformed)
}

func TestThreat40SecretThatIsAPattern(t *testing.T) {
	for what, secret := range map[string]string{
		"zeros":           strings.Repeat("\x00", 64),
		"spaces":          strings.Repeat(" ", 64),
		"blank":           strings.Repeat(" \t\r\n", 16),
		"one letter":      strings.Repeat("a", 64),
		"a word repeated": strings.Repeat("secret", 11),
		"digits repeated": strings.Repeat("0123456789", 7),
		"a block twice":   strings.Repeat("9f8e7d6c5b4a39281706f5e4d3c2b1a0", 2),
		"padded, zeros":   "my-secret-password" + strings.Repeat("\x00", 46),
		"padded, letters": "Pa$$w0rd!" + strings.Repeat("x", 55),
		"padded in front": strings.Repeat("=", 50) + "my-secret-password",
		"few letters":     strings.Repeat("abcab", 1) + strings.Repeat("bcaacbabcacb", 5),
		"bits as text":    "0110100111010010110011010010101011010100101101011010010100110101",
	} {
		refuseSecret(t, what, []byte(secret))
	}
}

func TestThreat40WellKnownSecret(t *testing.T) {
	for _, secret := range []string{
		"a-string-secret-at-least-256-bits-long",
		"your-super-secret-jwt-token-with-at-least-32-characters-long",
		"reallyreallyreallyreallyverysafe",
		"REALLYreallyREALLYreallyVERYSAFE",
		"reallyreallyreallyreallyverysafe\n",
		"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
		"0123456789ABCDEF0123456789ABCDEF",
		// Shorter ones, from the head of every cracker's list.
		"secret", "password", "changeme", "your-256-bit-secret", "jwt_secret", "key", "test", "1234567890", "AllYourBase",
		"", "gsSLTdvvwhRp",
	} {
		refuseSecret(t, secret, []byte(secret))
	}
}

func TestHonestSecretsPass(t *testing.T) {
	for range 3000 {
		b := make([]byte, 64)
		rand.Read(b)
		for _, secret := range [][]byte{b[:32], b, []byte(fmt.Sprintf("%x", b[:32])), []byte(base64.StdEncoding.EncodeToString(b))} {
			if _, err := jwk.New(secret, jwk.Params{Algorithm: jwk.HS256}); err != nil {
				t.Fatalf("%x: %v", secret, err)
			}
		}
	}
	long := make([]byte, 1025)
	rand.Read(long)
	if _, err := jwk.New(long[:1024], jwk.Params{Algorithm: jwk.HS256}); err != nil {
		t.Error(err)
	}
	if _, err := jwk.New(long, jwk.Params{Algorithm: jwk.HS256}); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("1025 bytes: %v", err)
	}
}

func TestKeyEncryptionKeyHasItsSize(t *testing.T) {
	b := make([]byte, 64)
	rand.Read(b)
	for n := range len(b) {
		if _, err := jwk.New(b[:n], jwk.Params{Algorithm: jwk.A256GCMKW}); (err == nil) != (n == 32) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
