package content

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"hash"
	"slices"
	"sync"
)

// A cbc is AES in CBC mode with HMAC, encrypt-then-MAC (RFC 7518, Section 5.2).
type cbc struct {
	suite Suite
	block cipher.Block
	key   []byte     // of the HMAC
	macs  *sync.Pool // of hash.Hash, keyed; nil for a key that is used once
}

// newCBC takes the first half of key for the HMAC and the second for AES.
func newCBC(s Suite, key []byte) (Cipher, error) {
	half := s.Key / 2
	block, err := aes.NewCipher(key[half:])
	if err != nil {
		return nil, err
	}
	return &cbc{suite: s, block: block, key: key[:half]}, nil
}

func (c *cbc) Seal(dst, plaintext, aad []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, c.suite.SealedLen(len(plaintext)))
	dst = dst[:start+c.suite.IV]
	rand.Read(dst[start:]) // never fails, see crypto/rand
	dst = appendPadded(dst, plaintext)
	iv, text := dst[start:start+c.suite.IV], dst[start+c.suite.IV:]
	cipher.NewCBCEncrypter(c.block, iv).CryptBlocks(text, text)
	return c.appendTag(dst, aad, dst[start:])
}

// Open checks the tag before it looks at anything else, so that nobody learns by
// trying what is inside, not even the padding.
func (c *cbc) Open(dst, sealed, aad []byte) ([]byte, error) {
	end := len(sealed) - c.suite.Tag
	size := end - c.suite.IV
	if size < aes.BlockSize || size%aes.BlockSize != 0 {
		return nil, ErrOpen
	}
	var room [MaxKey]byte
	if !hmac.Equal(c.appendTag(room[:0], aad, sealed[:end]), sealed[end:]) {
		return nil, ErrOpen
	}
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	iv, text := sealed[:c.suite.IV], sealed[c.suite.IV:end]
	cipher.NewCBCDecrypter(c.block, iv).CryptBlocks(dst[start:], text)
	plaintext, ok := unpad(dst[start:])
	if !ok {
		clear(dst[start:])
		return nil, ErrOpen
	}
	return dst[:start+len(plaintext)], nil
}

// appendTag appends the first half of the HMAC over aad ‖ iv ‖ ciphertext ‖ AL,
// where AL is the length of aad in bits (RFC 7518, Section 5.2.2.1).
func (c *cbc) appendTag(dst, aad, text []byte) []byte {
	mac := c.mac()
	mac.Write(aad)
	mac.Write(text)
	var sum [MaxKey]byte // first the eight bytes of AL, then the whole HMAC
	mac.Write(binary.BigEndian.AppendUint64(sum[:0], uint64(len(aad))*8))
	dst = append(dst, mac.Sum(sum[:0])[:c.suite.Tag]...)
	if c.macs != nil {
		c.macs.Put(mac)
	}
	return dst
}

// mac returns a keyed hash that has read nothing.
func (c *cbc) mac() hash.Hash {
	if c.macs != nil {
		if mac, ok := c.macs.Get().(hash.Hash); ok {
			mac.Reset()
			return mac
		}
	}
	return hmac.New(c.suite.mac, c.key)
}

// appendPadded appends text and the padding of PKCS #7: n bytes of value n, with
// n from 1 to 16.
func appendPadded(dst, text []byte) []byte {
	n := aes.BlockSize - len(text)%aes.BlockSize
	dst = append(dst, text...)
	return append(dst, bytes.Repeat([]byte{byte(n)}, n)...)
}

func unpad(text []byte) ([]byte, bool) {
	n := int(text[len(text)-1])
	if n < 1 || n > aes.BlockSize {
		return nil, false
	}
	for _, b := range text[len(text)-n:] {
		if int(b) != n {
			return nil, false
		}
	}
	return text[:len(text)-n], true
}
