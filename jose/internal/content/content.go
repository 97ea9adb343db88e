// Package content is the content encryption of JWE (RFC 7518, Section 5): the six
// ways to encrypt a plaintext under a key that is used for nothing else.
//
//	c, err := content.New("A256GCM", key)
//	sealed := c.Seal(nil, plaintext, aad) // iv ‖ ciphertext ‖ tag
//
// The parts have fixed sizes, see [Suite], so that a sealed text needs no marks
// between them, and none of them can be moved.
package content

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"sync"
)

// ErrOpen is all that [Cipher.Open] says about a text that does not open. Which
// step refused it would help an attacker.
var ErrOpen = errors.New("content does not decrypt")

var errKeySize = errors.New("content encryption key has the wrong size")

// A Cipher seals and opens under one key. It may be used by several goroutines at
// once.
type Cipher interface {
	// Seal appends iv ‖ ciphertext ‖ tag to dst under a fresh random iv. The
	// memory of dst and plaintext must not overlap.
	Seal(dst, plaintext, aad []byte) []byte
	// Open appends the plaintext of iv ‖ ciphertext ‖ tag to dst, or returns nil
	// and [ErrOpen]. The memory of dst and sealed must not overlap.
	Open(dst, sealed, aad []byte) ([]byte, error)
}

// A Suite is what is fixed about a content encryption. Sizes are in bytes.
type Suite struct {
	Key int // of the whole key; both halves where there are two
	IV  int
	Tag int
	pad bool // the ciphertext is longer than the plaintext, by 1 to 16 bytes
	mac func() hash.Hash
}

// names are the values of "enc" in RFC 7518, Section 5.1.
var names = []string{"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"}

// MaxKey and MaxOverhead are the largest values over all suites, in bytes.
const (
	MaxKey      = 64
	MaxOverhead = 16 + 16 + 32 // iv, padding, tag
)

// Lookup returns the suite of a value of "enc", or false. There is no other
// spelling of any. It is asked several times for each message, and a map would
// take longer.
func Lookup(enc string) (Suite, bool) {
	switch enc {
	case "A128GCM":
		return Suite{Key: 16, IV: 12, Tag: 16}, true
	case "A192GCM":
		return Suite{Key: 24, IV: 12, Tag: 16}, true
	case "A256GCM":
		return Suite{Key: 32, IV: 12, Tag: 16}, true
	case "A128CBC-HS256":
		return Suite{Key: 32, IV: 16, Tag: 16, pad: true, mac: sha256.New}, true
	case "A192CBC-HS384":
		return Suite{Key: 48, IV: 16, Tag: 24, pad: true, mac: sha512.New384}, true
	case "A256CBC-HS512":
		return Suite{Key: 64, IV: 16, Tag: 32, pad: true, mac: sha512.New}, true
	}
	return Suite{}, false
}

// Names returns the encryptions whose key has the given size.
func Names(keySize int) (found []string) {
	for _, name := range names {
		if s, _ := Lookup(name); s.Key == keySize {
			found = append(found, name)
		}
	}
	return found
}

// CiphertextLen returns the length of the ciphertext of n bytes.
func (s Suite) CiphertextLen(n int) int {
	if s.pad {
		return n + aes.BlockSize - n%aes.BlockSize
	}
	return n
}

// SealedLen returns the length of what Seal makes of n bytes.
func (s Suite) SealedLen(n int) int { return s.IV + s.CiphertextLen(n) + s.Tag }

// Split takes apart what Seal has made.
func (s Suite) Split(sealed []byte) (iv, ciphertext, tag []byte) {
	end := len(sealed) - s.Tag
	return sealed[:s.IV], sealed[s.IV:end], sealed[end:]
}

// New returns the cipher of an encryption under key, which it keeps.
func New(enc string, key []byte) (Cipher, error) {
	s, ok := Lookup(enc)
	if !ok || len(key) != s.Key {
		return nil, errKeySize
	}
	if s.mac != nil {
		return newCBC(s, key)
	}
	return newGCM(key)
}

// NewReusable is [New] for a key that serves many texts: the cipher keeps what can
// be used again.
func NewReusable(enc string, key []byte) (Cipher, error) {
	c, err := New(enc, key)
	if c, ok := c.(*cbc); ok {
		c.macs = new(sync.Pool)
	}
	return c, err
}

// A gcm is AES-GCM (RFC 7518, Section 5.3). In both directions it goes through the
// one constructor that FIPS 140-3 mode allows.
type gcm struct{ aead cipher.AEAD }

func newGCM(key []byte) (Cipher, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return gcm{aead}, nil
}

// One key must not seal more than 2^32 texts (NIST SP 800-38D, Section 8.3).
func (g gcm) Seal(dst, plaintext, aad []byte) []byte {
	return g.aead.Seal(dst, nil, plaintext, aad)
}

func (g gcm) Open(dst, sealed, aad []byte) ([]byte, error) {
	plaintext, err := g.aead.Open(dst, nil, sealed, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}
