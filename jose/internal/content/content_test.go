package content_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/counterfoil/counterfoil/jose/internal/content"
)

var names = []string{"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"}

// counted is a key of n bytes 0, 1, 2, ….
func counted(n int) []byte {
	key := make([]byte, n)
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

func TestSealAndOpen(t *testing.T) {
	for _, name := range names {
		suite, ok := content.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		for _, make := range []func(string, []byte) (content.Cipher, error){content.New, content.NewReusable} {
			c, err := make(name, counted(suite.Key))
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for n := range 70 {
				text, aad := bytes.Repeat([]byte{1}, n), bytes.Repeat([]byte{2}, n/2)
				sealed := c.Seal([]byte("before"), text, aad)[len("before"):]
				iv, ciphertext, tag := suite.Split(sealed)
				if len(sealed) != suite.SealedLen(n) || len(ciphertext) != suite.CiphertextLen(n) || len(iv) != suite.IV || len(tag) != suite.Tag || seen[string(iv)] {
					t.Errorf("%s, %d bytes: %d, %d, %d", name, n, len(iv), len(ciphertext), len(tag))
				}
				seen[string(iv)] = true
				if len(sealed)-n > content.MaxOverhead {
					t.Errorf("%s, %d bytes: %d more", name, n, len(sealed)-n)
				}
				got, err := c.Open([]byte("before"), sealed, aad)
				if err != nil || string(got) != "before"+string(text) {
					t.Errorf("%s, %d bytes: %q, %v", name, n, got, err)
				}
				if got, err := c.Open(nil, sealed, append(aad, 0)); got != nil || err != content.ErrOpen {
					t.Errorf("%s with a longer aad: %v", name, err)
				}
			}
		}
	}
}

func TestOpenRefusesEveryChange(t *testing.T) {
	for _, name := range names {
		suite, _ := content.Lookup(name)
		c, err := content.New(name, counted(suite.Key))
		if err != nil {
			t.Fatal(err)
		}
		sealed := c.Seal(nil, counted(40), []byte("aad"))
		for bit := range 8 * len(sealed) {
			bad := bytes.Clone(sealed)
			bad[bit/8] ^= 1 << (bit % 8)
			if got, err := c.Open(nil, bad, []byte("aad")); got != nil || err != content.ErrOpen {
				t.Errorf("%s, bit %d: %x, %v", name, bit, got, err)
			}
		}
		for n := range len(sealed) {
			for _, bad := range [][]byte{sealed[:n], sealed[n+1:]} {
				if got, err := c.Open(nil, bad, []byte("aad")); got != nil || err != content.ErrOpen {
					t.Errorf("%s, %d bytes: %x, %v", name, len(bad), got, err)
				}
			}
		}
	}
}

// RFC 7518, Appendix B.1.
func TestAppendixB1(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c, err := content.New("A128CBC-HS256", counted(32))
	if err != nil {
		t.Fatal(err)
	}
	sealed := unhex("1af38c2dc2b96ffdd86694092341bc04" +
		"c80edfa32ddf39d5ef00c0b468834279a2e46a1b8049f792f76bfe54b903a9c9a94ac9b47ad2655c5f10f9aef71427e2fc6f9b3f399a221489f16362c703233609d45ac69864e3321cf82935ac4096c8" +
		"6e133314c54019e8ca7980dfa4b9cf1b384c486f3a54c51078158ee5d79de59fbd34d848b3d69550a67646344427ade54b8851ffb598f7f80074b9473c82e2db" +
		"652c3fa36b0a7c5b3219fab3a30bc1c4")
	const want = "A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without inconvenience"
	got, err := c.Open(nil, sealed, []byte("The second principle of Auguste Kerckhoffs"))
	if err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestKeysHaveTheirSize(t *testing.T) {
	for _, name := range names {
		suite, _ := content.Lookup(name)
		for n := range 70 {
			if _, err := content.New(name, counted(n)); (err == nil) != (n == suite.Key) {
				t.Errorf("%s, %d bytes: %v", name, n, err)
			}
		}
		if suite.Key > content.MaxKey {
			t.Errorf("%s: MaxKey", name)
		}
	}
	for _, name := range []string{"", "A512GCM", "a128gcm", "A128CBC"} {
		if _, err := content.New(name, counted(32)); err == nil {
			t.Errorf("%q is known", name)
		}
	}
}

// A sender that has the key and pads wrongly.
func TestPaddingIsChecked(t *testing.T) {
	key := counted(32)
	block, err := aes.NewCipher(key[16:])
	if err != nil {
		t.Fatal(err)
	}
	c, err := content.New("A128CBC-HS256", key)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(padded []byte) []byte {
		sealed := append(make([]byte, 16), padded...)
		cipher.NewCBCEncrypter(block, sealed[:16]).CryptBlocks(sealed[16:], sealed[16:])
		mac := hmac.New(sha256.New, key[:16])
		mac.Write(sealed)
		mac.Write(make([]byte, 8))
		return append(sealed, mac.Sum(nil)[:16]...)
	}
	text := bytes.Repeat([]byte{'x'}, 29)
	if got, err := c.Open(nil, seal(append(text, 3, 3, 3)), nil); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%q, %v", got, err)
	}
	for what, padded := range map[string][]byte{
		"zero":                append(bytes.Clone(text), 3, 3, 0),
		"longer than a block": bytes.Repeat([]byte{17}, 32),
		"all of it":           bytes.Repeat([]byte{32}, 32),
		"beyond the text":     bytes.Repeat([]byte{255}, 16),
		"not all the same":    append(bytes.Clone(text), 3, 2, 3),
		"one short":           append(bytes.Clone(text), 1, 3, 3),
		"none":                bytes.Repeat([]byte{'x'}, 32),
	} {
		if got, err := c.Open(nil, seal(padded), nil); got != nil || err != content.ErrOpen {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	if got, err := c.Open(nil, seal(bytes.Repeat([]byte{16}, 16)), nil); err != nil || len(got) != 0 {
		t.Errorf("nothing but padding: %q, %v", got, err)
	}
}
