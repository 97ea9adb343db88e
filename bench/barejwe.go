package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil/jose/jwe"
)

// The bare operations of a JWE: key management and content encryption of RFC
// 7518 by crypto/..., with every byte already where it belongs. What is fresh in
// each message is made in each; what belongs to the key is prepared.

// A contentCipher is an "enc" under one key. What it seals begins with the IV and
// ends with the tag.
type contentCipher interface {
	seal(dst, plaintext, aad []byte) []byte
	open(dst, sealed, aad []byte) ([]byte, error)
}

func newContent(enc string, key []byte) contentCipher {
	if strings.HasSuffix(enc, "GCM") {
		return newGCM(key)
	}
	block, err := aes.NewCipher(key[len(key)/2:])
	if err != nil {
		panic(err)
	}
	hashes := map[int]func() hash.Hash{32: sha256.New, 48: sha512.New384, 64: sha512.New}
	return cbc{block, hmac.New(hashes[len(key)], key[:len(key)/2]), len(key) / 2}
}

// gcm makes its nonces itself.
type gcm struct{ cipher.AEAD }

func newGCM(key []byte) gcm {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return gcm{aead}
}

func (g gcm) seal(dst, plaintext, aad []byte) []byte { return g.Seal(dst, nil, plaintext, aad) }
func (g gcm) open(dst, sealed, aad []byte) ([]byte, error) {
	return g.Open(dst, nil, sealed, aad)
}

// cbc is RFC 7518, Section 5.2.
type cbc struct {
	block cipher.Block
	mac   hash.Hash
	tag   int
}

func (c cbc) seal(dst, plaintext, aad []byte) []byte {
	var iv [aes.BlockSize]byte
	rand.Read(iv[:])
	dst = append(append(dst, iv[:]...), plaintext...)
	pad := aes.BlockSize - len(plaintext)%aes.BlockSize
	for range pad {
		dst = append(dst, byte(pad))
	}
	cipher.NewCBCEncrypter(c.block, iv[:]).CryptBlocks(dst[aes.BlockSize:], dst[aes.BlockSize:])
	return append(dst, c.sum(dst, aad)...)
}

func (c cbc) open(dst, sealed, aad []byte) ([]byte, error) {
	body, tag := sealed[:len(sealed)-c.tag], sealed[len(sealed)-c.tag:]
	if !hmac.Equal(c.sum(body, aad), tag) {
		return nil, errBare
	}
	dst = append(dst, body[aes.BlockSize:]...)
	cipher.NewCBCDecrypter(c.block, body[:aes.BlockSize]).CryptBlocks(dst, dst)
	return dst[:len(dst)-int(dst[len(dst)-1])], nil
}

func (c cbc) sum(body, aad []byte) []byte {
	c.mac.Reset()
	c.mac.Write(aad)
	c.mac.Write(body)
	c.mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(aad))*8))
	return c.mac.Sum(nil)[:c.tag]
}

// A keyManagement makes the content encryption key of a new message, and finds
// that of one in hand.
type keyManagement interface {
	wrap(cekSize int) (cek []byte)
	unwrap(m *bareMessage) (cek []byte, err error)
}

// A bareMessage is a JWE in its parts.
type bareMessage struct {
	alg, enc    string
	key, sealed []byte // JWE Encrypted Key; IV, ciphertext and tag
	aad         []byte
	iv, tag     []byte // of A*GCMKW
	salt        []byte // of PBES2, with the name of the algorithm before it
	epk         []byte // as package ecdh wants it
}

func splitJWE(token string) (*bareMessage, error) {
	var part [5][]byte
	segments := strings.Split(token, ".")
	if len(segments) != len(part) {
		return nil, errBare
	}
	for i, segment := range segments {
		part[i] = decode(segment)
	}
	var h struct {
		Alg, Enc, IV, Tag, P2S string
		EPK                    struct{ X, Y string }
	}
	if err := json.Unmarshal(part[0], &h); err != nil {
		return nil, err
	}
	m := &bareMessage{
		alg: h.Alg, enc: h.Enc, key: part[1], aad: []byte(segments[0]),
		sealed: append(append(part[2], part[3]...), part[4]...),
		iv:     decode(h.IV), tag: decode(h.Tag), salt: append([]byte(h.Alg+"\x00"), decode(h.P2S)...),
		epk: decode(h.EPK.X),
	}
	if h.EPK.Y != "" {
		m.epk = append(append([]byte{4}, m.epk...), decode(h.EPK.Y)...)
	}
	return m, nil
}

func decode(s string) []byte {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return data
}

// newKeyManagement knows every algorithm but dir, under which the key is the
// content encryption key.
func newKeyManagement(alg, enc string, private any, iterations int) (keyManagement, error) {
	switch key := private.(type) {
	case *rsa.PrivateKey:
		hashes := map[string]func() hash.Hash{"RSA-OAEP": sha1.New, "RSA-OAEP-256": sha256.New, "RSA-OAEP-384": sha512.New384, "RSA-OAEP-512": sha512.New}
		return oaep{key, hashes[alg]}, nil
	case *ecdh.PrivateKey:
		id, size := enc, jwe.Encryption(enc).KeySize()
		if wrap, ok := strings.CutPrefix(alg, "ECDH-ES+"); ok {
			id, size = alg, keySize(wrap)
		}
		return agreement{key, []byte(id), size, id == alg}, nil
	case []byte:
		switch {
		case strings.HasPrefix(alg, "PBES2"):
			return newPBES2(alg, string(key), iterations), nil
		case strings.HasSuffix(alg, "GCMKW"):
			return gcmKW{newGCM(key)}, nil
		case strings.HasSuffix(alg, "KW"):
			block, err := aes.NewCipher(key)
			return keyWrap{block}, err
		}
	}
	return nil, fmt.Errorf("no bare operation for %s", alg)
}

// keySize is that of A128KW or A128GCMKW, in bytes.
func keySize(alg string) int {
	bits, err := strconv.Atoi(alg[1:4])
	if err != nil {
		panic(err)
	}
	return bits / 8
}

func fresh(size int) []byte {
	cek := make([]byte, size)
	rand.Read(cek)
	return cek
}

type oaep struct {
	key  *rsa.PrivateKey
	hash func() hash.Hash
}

func (o oaep) wrap(size int) []byte {
	cek := fresh(size)
	if _, err := rsa.EncryptOAEP(o.hash(), rand.Reader, &o.key.PublicKey, cek, nil); err != nil {
		panic(err)
	}
	return cek
}

func (o oaep) unwrap(m *bareMessage) ([]byte, error) {
	return rsa.DecryptOAEP(o.hash(), nil, o.key, m.key, nil)
}

// agreement is ECDH-ES; with wraps it has an AES key wrap after it.
type agreement struct {
	key   *ecdh.PrivateKey
	id    []byte
	size  int
	wraps bool
}

func (a agreement) wrap(size int) []byte {
	ephemeral, err := a.key.Curve().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	secret, err := ephemeral.ECDH(a.key.PublicKey())
	if err != nil {
		panic(err)
	}
	derived := a.derive(secret)
	if !a.wraps {
		return derived
	}
	return newKeyWrap(derived).wrap(size)
}

func (a agreement) unwrap(m *bareMessage) ([]byte, error) {
	public, err := a.key.Curve().NewPublicKey(m.epk)
	if err != nil {
		return nil, err
	}
	secret, err := a.key.ECDH(public)
	if err != nil {
		return nil, err
	}
	derived := a.derive(secret)
	if !a.wraps {
		return derived, nil
	}
	return newKeyWrap(derived).unwrap(m)
}

// derive is the Concat KDF of RFC 7518, Section 4.6.2, with empty PartyUInfo and
// PartyVInfo.
func (a agreement) derive(secret []byte) []byte {
	var out []byte
	for round := uint32(1); len(out) < a.size; round++ {
		b := binary.BigEndian.AppendUint32(make([]byte, 0, 256), round)
		b = append(b, secret...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(a.id)))
		b = append(b, a.id...)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(a.size*8))
		digest := sha256.Sum256(b)
		out = append(out, digest[:]...)
	}
	return out[:a.size]
}

// keyWrap is RFC 3394.
type keyWrap struct{ block cipher.Block }

func newKeyWrap(key []byte) keyWrap {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return keyWrap{block}
}

const wrapIV = 0xa6a6a6a6a6a6a6a6

func (k keyWrap) wrap(size int) []byte {
	cek := fresh(size)
	r := append(make([]byte, 8, size+8), cek...)
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[:], wrapIV)
	for t := range 6 * size / 8 {
		at := 8 + t*8%size
		copy(b[8:], r[at:at+8])
		k.block.Encrypt(b[:], b[:])
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^uint64(t+1))
		copy(r[at:], b[8:])
	}
	copy(r, b[:8])
	return cek
}

func (k keyWrap) unwrap(m *bareMessage) ([]byte, error) {
	var b [aes.BlockSize]byte
	copy(b[:8], m.key)
	r := append([]byte(nil), m.key[8:]...)
	for t := 6*len(r)/8 - 1; t >= 0; t-- {
		at := t * 8 % len(r)
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^uint64(t+1))
		copy(b[8:], r[at:at+8])
		k.block.Decrypt(b[:], b[:])
		copy(r[at:], b[8:])
	}
	if subtle.ConstantTimeCompare(b[:8], binary.BigEndian.AppendUint64(nil, wrapIV)) != 1 {
		return nil, errBare
	}
	return r, nil
}

type gcmKW struct{ gcm }

func (g gcmKW) wrap(size int) []byte {
	cek := fresh(size)
	g.seal(nil, cek, nil)
	return cek
}

func (g gcmKW) unwrap(m *bareMessage) ([]byte, error) {
	sealed := append(append(append(make([]byte, 0, 128), m.iv...), m.key...), m.tag...)
	return g.open(nil, sealed, nil)
}

// pbes2 is RFC 7518, Section 4.8.
type pbes2 struct {
	text       string
	prefix     []byte
	hash       func() hash.Hash
	size       int
	iterations int
}

func newPBES2(alg, text string, iterations int) pbes2 {
	hashes := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}
	name, wrap, _ := strings.Cut(strings.TrimPrefix(alg, "PBES2-"), "+")
	return pbes2{text, []byte(alg + "\x00"), hashes[name], keySize(wrap), iterations}
}

func (p pbes2) wrap(size int) []byte {
	salt := append(p.prefix[:len(p.prefix):len(p.prefix)], fresh(16)...)
	return p.derive(salt).wrap(size)
}

func (p pbes2) unwrap(m *bareMessage) ([]byte, error) { return p.derive(m.salt).unwrap(m) }

func (p pbes2) derive(salt []byte) keyWrap {
	key, err := pbkdf2.Key(p.hash, p.text, salt, p.iterations, p.size)
	if err != nil {
		panic(err)
	}
	return newKeyWrap(key)
}
