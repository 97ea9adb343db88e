package jwe

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/content"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Decrypt opens a compact JWE with the key that its "kid" names in keys, if the
// JWE, that key and the policy agree on the algorithms. Errors match
// [ErrMalformed], [ErrAlgorithm], [ErrEncryption], [ErrIterations], what keys.Find
// returns, such as [jwk.ErrUnknownKey], [jwk.ErrUse] and [jwk.ErrNotPrivate] for a
// key that may not or cannot decrypt, [jwk.ErrUnavailable] for one whose holder
// cannot be asked now, or [ErrDecrypt]; none carries bytes of the token.
func Decrypt(keys jwk.Source, p Policy, token string) ([]byte, error) {
	plaintext, _, _, err := decryptCompact(keys, &p, token)
	return plaintext, err
}

// DecryptMessage is [Decrypt] for a caller who wants more than the plaintext.
func DecryptMessage(keys jwk.Source, p Policy, token string) (*Message, error) {
	plaintext, h, key, err := decryptCompact(keys, &p, token)
	if err != nil {
		return nil, err
	}
	return &Message{header: h.Header, hidden: &hidden{&opened{plaintext: plaintext}}, key: key}, nil
}

func decryptCompact(keys jwk.Source, p *Policy, token string) ([]byte, *params, *jwk.Key, error) {
	b, r, err := parseCompact(p, token)
	if err != nil {
		return nil, nil, nil, err
	}
	key, err := r.find(keys)
	if err != nil {
		return nil, nil, nil, err
	}
	plaintext, err := b.open(key, p, r)
	if err != nil {
		return nil, nil, nil, err
	}
	if !r.cached {
		rememberHeader(b.protected, r.params)
	}
	return plaintext, r.params, key, nil
}

// UnverifiedHeader returns the header of a compact JWE that nobody has decrypted:
// whatever it says may come from anybody. It is for looking at. The error matches
// [ErrMalformed].
func UnverifiedHeader(token string) (Header, error) {
	b, r, err := split(token)
	if err != nil {
		return Header{}, err
	}
	if r.params, err = lookupHeader(b.protected); err != nil {
		return Header{}, err
	}
	return r.Header, nil
}

// A body is what all recipients of a message share, as it stood in the message.
type body struct {
	protected string // base64url of the protected header; may be empty in JSON
	aad       string // base64url of "aad"
	iv        string
	text      string
	tag       string
}

// A recipient is one of those that a message is for.
type recipient struct {
	*params
	encryptedKey string // base64url
}

// parseCompact takes a compact JWE apart and holds it against the policy.
func parseCompact(p *Policy, token string) (b body, r recipient, err error) {
	if err := p.check(); err != nil {
		return b, r, err
	}
	if b, r, err = split(token); err != nil {
		return b, r, err
	}
	if r.params, err = lookupHeader(b.protected); err != nil {
		return b, r, err
	}
	return b, r, r.check(p)
}

// split finds the five segments of a compact JWE.
func split(token string) (b body, r recipient, err error) {
	if len(token) > MaxToken {
		return b, r, errTokenSize
	}
	var ok [4]bool
	b.protected, token, ok[0] = strings.Cut(token, ".")
	r.encryptedKey, token, ok[1] = strings.Cut(token, ".")
	b.iv, token, ok[2] = strings.Cut(token, ".")
	b.text, b.tag, ok[3] = strings.Cut(token, ".")
	if !ok[3] || strings.Contains(b.tag, ".") {
		return b, r, errSegments
	}
	return b, r, nil
}

// check holds the header against the policy.
func (h *params) check(p *Policy) error {
	switch {
	case h.Algorithm == "RSA1_5":
		return errRSA15
	case h.Algorithm != p.Algorithm:
		return ErrAlgorithm
	case h.Encryption != p.Encryption:
		return ErrEncryption
	case h.zip && !p.AllowZip:
		return ErrCompressed
	case h.wrapped.P2C > p.MaxIterations:
		return ErrIterations
	}
	for _, name := range h.critical {
		if p.Critical[name] == nil {
			return ErrCritical
		}
	}
	return nil
}

// find returns the key for a recipient. The algorithm of a header that passed
// check is the policy's.
func (h *params) find(keys jwk.Source) (*jwk.Key, error) {
	if keys == nil {
		return nil, jwk.ErrUnknownKey
	}
	key, err := keys.Find(h.KeyID, string(h.Algorithm))
	if err != nil {
		return nil, err
	}
	// Not every Source is ours: one may return no key, or one for another algorithm.
	return key.Find("", string(h.Algorithm))
}

// open decrypts b for r, whose header has passed check.
func (b *body) open(key *jwk.Key, p *Policy, r recipient) ([]byte, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	var err error
	if s.key, err = wire.AppendDecode(s.key[:0], r.encryptedKey); err != nil {
		return nil, malformed("encrypted key")
	}
	// RFC 7516, Section 5.2, step 10: where no key is encrypted, none may be there.
	if key.Direct() && !r.Algorithm.Integrated() && len(s.key) != 0 {
		return nil, malformed("encrypted key")
	}
	suite, _ := content.Lookup(string(p.Encryption)) // no sizes where the algorithm is integrated
	if err := s.decode(b, suite); err != nil {
		return nil, err
	}
	plaintext, err := s.open(key, p.Encryption, r.params)
	if err != nil {
		return nil, err
	}
	if r.zip {
		if plaintext, err = inflate(plaintext); err != nil {
			return nil, err
		}
	}
	h := r.protected()
	for _, name := range r.critical {
		value, _ := h.Member(name)
		if err := p.Critical[name](h, value); err != nil {
			return nil, err
		}
	}
	return plaintext, nil
}

// open decrypts what is in s.
func (s *scratch) open(key *jwk.Key, enc Encryption, h *params) ([]byte, error) {
	switch {
	case h.Algorithm == jwk.Dir:
		plaintext, err := key.Open(enc, nil, s.sealed, s.aad)
		return plaintext, directError(err)
	case h.Algorithm.Integrated():
		plaintext, err := key.OpenIntegrated(s.key, s.sealed, s.aad)
		return plaintext, directError(err)
	}
	w := h.wrapped
	w.Key, w.Encryption = s.key, enc
	cek, err := contentKey(key, enc, w)
	if err != nil {
		return nil, err
	}
	defer clear(cek)
	c, err := content.New(string(enc), cek)
	if err != nil {
		return nil, ErrDecrypt
	}
	plaintext, err := c.Open(nil, s.sealed, s.aad)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plaintext, nil
}

// directError keeps what says something about the key, and not about the message.
func directError(err error) error {
	switch {
	case errors.Is(err, jwk.ErrUnwrap):
		return ErrDecrypt
	case errors.Is(err, jwk.ErrUnsupported): // a key for another enc
		return ErrEncryption
	}
	return err
}

// contentKey finds the content encryption key. Where none of the right size comes
// out it returns a random one, with which nothing will open: neither errors nor
// time tell a bad key from bad content (RFC 7516, Section 11.5).
func contentKey(key *jwk.Key, enc Encryption, w jwk.Wrapped) (cek []byte, err error) {
	if key.Direct() {
		cek, err = key.AgreedKey(enc, w)
	} else {
		cek, err = key.UnwrapKey(w)
	}
	if errors.Is(err, jwk.ErrUse) || errors.Is(err, jwk.ErrNotPrivate) || errors.Is(err, jwk.ErrUnavailable) {
		return nil, err
	}
	// RFC 7516, Section 5.2, step 10: the key has exactly the size of enc.
	if err != nil || len(cek) != enc.KeySize() {
		return freshKey(enc), nil
	}
	return cek, nil
}

func freshKey(enc Encryption) []byte {
	cek := make([]byte, enc.KeySize())
	rand.Read(cek) // never fails, see crypto/rand
	return cek
}

// decode reads the content into s. IV and tag must have their exact sizes: else a
// byte could be moved from one part to the next.
func (s *scratch) decode(b *body, suite content.Suite) (err error) {
	s.sealed = slices.Grow(s.sealed[:0], len(b.iv)+len(b.text)+len(b.tag))
	if s.sealed, err = wire.AppendDecode(s.sealed, b.iv); err != nil {
		return malformed("initialization vector")
	}
	sizeIV := len(s.sealed)
	if s.sealed, err = wire.AppendDecode(s.sealed, b.text); err != nil {
		return malformed("ciphertext")
	}
	end := len(s.sealed)
	if s.sealed, err = wire.AppendDecode(s.sealed, b.tag); err != nil {
		return malformed("authentication tag")
	}
	if sizeIV != suite.IV || len(s.sealed)-end != suite.Tag {
		return ErrDecrypt
	}
	s.aad = append(s.aad[:0], b.protected...)
	if b.aad != "" { // RFC 7516, Section 5.1, step 14
		s.aad = append(append(s.aad, '.'), b.aad...)
	}
	return nil
}
