package jwe

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/content"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// An Encrypter encrypts messages for one key under one header, of which it has
// prepared what it can. It is safe for concurrent use.
type Encrypter struct {
	key    *jwk.Key
	header Header
	suite  content.Suite
	wrap   jwk.WrapParams
	own    []byte // parameters for one recipient, without braces
	shared []byte // parameters for all

	// fixed is the encoded header if it is the same in every message, and
	// otherwise nil.
	fixed []byte
}

// NewEncrypter returns an Encrypter for the holder of key under the content
// encryption enc. Algorithm, Encryption and KeyID of h may be left empty; when
// they are given they must agree. The error matches [ErrEncryption],
// [jwk.ErrUse] for a key that does not encrypt, or [ErrAlgorithm].
func NewEncrypter(key *jwk.Key, enc Encryption, h Header) (*Encrypter, error) {
	if key == nil {
		return nil, jwk.ErrUnknownKey
	}
	if !fits(key.Algorithm(), enc) || h.Encryption != "" && h.Encryption != enc {
		return nil, ErrEncryption
	}
	if err := key.CanEncrypt(); err != nil {
		return nil, err
	}
	if only := key.Encryption(); only != "" && only != enc {
		return nil, ErrEncryption
	}
	if h.Algorithm != "" && h.Algorithm != key.Algorithm() {
		return nil, ErrAlgorithm
	}
	if h.KeyID != "" && h.KeyID != key.KeyID() {
		return nil, errors.New("jwe: kid is not the key's")
	}
	if err := checkWrap(key, h); err != nil {
		return nil, err
	}
	h.Algorithm, h.Encryption, h.KeyID = key.Algorithm(), enc, key.KeyID()
	h.APU, h.APV = bytes.Clone(h.APU), bytes.Clone(h.APV)
	suite, _ := content.Lookup(string(enc)) // no sizes where the algorithm is integrated
	e := &Encrypter{
		key: key, header: h, suite: suite,
		wrap: jwk.WrapParams{APU: h.APU, APV: h.APV, Iterations: h.Iterations, Encryption: enc},
	}
	if err := e.prepare(); err != nil {
		return nil, err
	}
	return e, nil
}

// checkWrap refuses parameters that the algorithm does not have: without them the
// message would be another than the caller thinks.
func checkWrap(key *jwk.Key, h Header) error {
	if (len(h.APU) > 0 || len(h.APV) > 0) && !strings.HasPrefix(string(key.Algorithm()), string(jwk.ECDHES)) {
		return errors.New("jwe: APU and APV are for ECDH-ES")
	}
	if h.Iterations != 0 && jwk.DefaultIterations(key.Algorithm()) == 0 {
		return errors.New("jwe: Iterations are for PBES2")
	}
	return nil
}

// prepare encodes the header as far as it is known.
func (e *Encrypter) prepare() (err error) {
	if e.own, err = e.header.appendOwn(nil); err != nil {
		return err
	}
	if e.shared, err = e.header.appendShared(nil); err != nil {
		return err
	}
	if len(e.own)+len(e.shared) > MaxHeader {
		return errTooLarge
	}
	if e.key.Fixed() {
		e.fixed, err = e.encodeHeader(nil, nil, jwk.Wrapped{})
	}
	return err
}

// Header returns the header of the messages, without what is different in each.
func (e *Encrypter) Header() Header { return e.header }

// Encrypt returns plaintext as a compact JWE. Where the content encryption key is
// not the key itself it is fresh. The error is [jwk.ErrUse] for a key that may not
// encrypt, or says that the message would be larger than [MaxToken].
func (e *Encrypter) Encrypt(plaintext []byte) (string, error) {
	if e.key == nil { // the zero Encrypter
		return "", jwk.ErrUnknownKey
	}
	if len(plaintext) > MaxToken {
		return "", errTooLarge
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	w, cek, err := e.newKey()
	if err != nil {
		return "", err
	}
	header := e.fixed
	if header == nil {
		if header, err = e.encodeHeader(s.aad[:0], s.out[:0], w); err != nil {
			return "", err
		}
		s.aad = header
	}
	if err := e.seal(s, &w, cek, plaintext, header); err != nil {
		return "", err
	}
	return s.compact(e.suite, header, w.Key)
}

// Encrypt seals plaintext for key as [NewEncrypter] and [Encrypter.Encrypt] do.
// contentType becomes "cty" unless empty.
func Encrypt(key *jwk.Key, enc Encryption, contentType string, plaintext []byte) (string, error) {
	e, err := NewEncrypter(key, enc, Header{ContentType: contentType})
	if err != nil {
		return "", err
	}
	return e.Encrypt(plaintext)
}

// newKey finds a content encryption key and what the message carries of it. For
// [jwk.Dir] and integrated encryption there is neither.
func (e *Encrypter) newKey() (w jwk.Wrapped, cek []byte, err error) {
	switch {
	case e.header.Algorithm == jwk.Dir, e.header.Algorithm.Integrated():
		return w, nil, nil
	case e.header.Algorithm == jwk.ECDHES:
		cek, w, err = e.key.AgreeKey(e.header.Encryption, e.wrap)
		return w, cek, err
	}
	cek = freshKey(e.header.Encryption)
	w, err = e.key.WrapKey(cek, e.wrap)
	return w, cek, err
}

// encodeHeader appends the encoded header of a message for one recipient to dst.
// text is memory for it as JSON.
func (e *Encrypter) encodeHeader(dst, text []byte, w jwk.Wrapped) ([]byte, error) {
	text = append(append(text, '{'), e.own...)
	if len(e.shared) > 0 {
		text = append(append(text, ','), e.shared...)
	}
	text = append(appendWrapped(text, w), '}')
	if len(text) > MaxHeader {
		return nil, errTooLarge
	}
	return wire.AppendEncode(dst, text), nil
}

// seal encrypts plaintext into s, under cek or, if there is none, the key itself.
// Only integrated encryption has something for w then.
func (e *Encrypter) seal(s *scratch, w *jwk.Wrapped, cek, plaintext, aad []byte) (err error) {
	if e.header.Algorithm.Integrated() {
		w.Key, s.sealed, err = e.key.SealIntegrated(plaintext, aad)
		return err
	}
	if cek == nil {
		s.sealed, err = e.key.Seal(e.header.Encryption, s.sealed[:0], plaintext, aad)
		return err
	}
	defer clear(cek)
	c, err := content.New(string(e.header.Encryption), cek)
	if err != nil {
		return fmt.Errorf("jwe: %w", err)
	}
	s.sealed = c.Seal(s.sealed[:0], plaintext, aad)
	return nil
}

// compact puts a compact JWE together.
func (s *scratch) compact(suite content.Suite, header, encryptedKey []byte) (string, error) {
	iv, text, tag := suite.Split(s.sealed)
	out := append(append(s.out[:0], header...), '.')
	out = append(wire.AppendEncode(out, encryptedKey), '.')
	out = append(wire.AppendEncode(out, iv), '.')
	out = append(wire.AppendEncode(out, text), '.')
	out = wire.AppendEncode(out, tag)
	s.out = out
	if len(out) > MaxToken {
		return "", errTooLarge
	}
	return string(out), nil
}
