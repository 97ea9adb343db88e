package jwks

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// SignedType is the "typ" of a signed key set, and [SignedMediaType] how it is served
// (OpenID Federation 1.0, Section 5.2.1).
const (
	SignedType      = "jwk-set+jwt"
	SignedMediaType = "application/" + SignedType
)

const (
	// maxSigned is the longest signed set, in bytes.
	maxSigned = MaxBody
	// maxVersion is the highest version: JSON numbers are exact up to it.
	maxVersion  = 1<<53 - 1
	maxKeySet   = 64  // bytes of Signed.KeySet
	maxIssuer   = 512 // bytes of Signed.Issuer
	maxSignedAt = 1 << 40
)

// ErrRollback reports a signed set that is older than the one held, or another one
// under the same version. Somebody on the way answers with what was withdrawn, or the
// source has lost its memory: the set that is held stays in use. It matches
// [jwk.ErrUnavailable].
var ErrRollback error = unavailable("the signed key set is older than the one held")

// ErrSigned reports what is not a key set signed by whom it should be. It matches
// [jwk.ErrUnavailable].
var ErrSigned error = unavailable("not a key set signed by its issuer")

// A Signed is a key set of an issuer that says so under a signature, so that nobody
// between source and reader can add a key (OpenID Federation 1.0, Section 5.2.1). Its
// versions only go up.
type Signed struct {
	Issuer   string
	IssuedAt time.Time // whole seconds; for people, since Version says which is newer
	Version  uint64    // from 1 to 2^53-1
	KeySet   string    // base64url SHA-256 of the plain set as its source writes it; may be empty
	Keys     *jwk.Set  // public keys

	content string   // digest of the keys as they were signed
	signer  *jwk.Key // by which
}

type signedJSON struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	IssuedAt int64          `json:"iat"`
	Version  uint64         `json:"ver"`
	KeySet   string         `json:"key_set,omitzero"`
	Keys     jsontext.Value `json:"keys"`
}

type setJSON struct {
	Keys jsontext.Value `json:"keys"`
}

// Sign returns the set as a compact JWS by key. It refuses what [OpenSigned] would.
func (s *Signed) Sign(key *jwk.Key) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	signer, err := jws.NewSigner(key, jws.Header{Type: SignedType})
	if err != nil {
		return "", err
	}
	if !maySign(key) {
		return "", ErrSigned
	}
	payload, err := s.payload()
	if err != nil {
		return "", err
	}
	// A set may be longer than what jws signs in one piece.
	input := signer.Header() + "." + wire.Encode(payload)
	signature, err := key.Sign([]byte(input))
	if err != nil {
		return "", err
	}
	token := input + "." + wire.Encode(signature)
	if len(token) > maxSigned {
		return "", jws.ErrTooLarge
	}
	return token, nil
}

func (s *Signed) payload() ([]byte, error) {
	body, err := s.Keys.MarshalJSON() // which refuses private members
	if err != nil {
		return nil, err
	}
	var set setJSON
	if err := wire.Unmarshal(body, &set); err != nil {
		return nil, err
	}
	return wire.Marshal(signedJSON{
		Issuer: s.Issuer, Subject: s.Issuer, IssuedAt: s.IssuedAt.Unix(), Version: s.Version, KeySet: s.KeySet, Keys: set.Keys,
	})
}

// OpenSigned verifies a signed set of issuer iss. keys are those that may sign it and
// nothing else: whatever key they find for the token is believed. Keys in the set
// that cannot be used are left out, as [jwk.ParseSet] does.
//
// Errors: [ErrSigned], or an error that matches [jwk.ErrUnavailable] while the keys
// are not known.
func OpenSigned(keys jwk.Source, iss, token string) (*Signed, error) {
	c := Config{Signers: keys, Issuer: iss}
	return c.openSigned(token)
}

func (c *Config) openSigned(token string) (*Signed, error) {
	m, err := jws.Options{MaxToken: maxSigned}.Verify(c.Signers, token)
	switch {
	case errors.Is(err, jwk.ErrUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrSigned, err)
	case m.Header().Type != SignedType || !maySign(m.Key()):
		return nil, fmt.Errorf("%w: typ", ErrSigned)
	}
	var w signedJSON
	if err := wire.Unmarshal(m.Payload(), &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSigned, err)
	}
	if w.Issuer != c.Issuer || w.Subject != c.Issuer {
		return nil, fmt.Errorf("%w: of another issuer", ErrSigned)
	}
	s, err := c.readSigned(&w)
	if err == nil {
		s.signer = m.Key()
	}
	return s, err
}

// maySign applies what a key says of itself: one that signs tokens does not sign the
// sets that tokens are verified with.
func maySign(key *jwk.Key) bool {
	l := key.Limits()
	return !key.IsSymmetric() && !l.Tagged && (len(l.Types) == 0 || slices.Contains(l.Types, SignedType))
}

func (c *Config) readSigned(w *signedJSON) (*Signed, error) {
	body, err := wire.Marshal(setJSON{w.Keys})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSigned, err)
	}
	set, err := c.parseSet(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSigned, err)
	}
	if w.IssuedAt <= 0 || w.IssuedAt > maxSignedAt {
		return nil, fmt.Errorf("%w: iat", ErrSigned)
	}
	s := &Signed{
		Issuer: w.Issuer, IssuedAt: time.Unix(w.IssuedAt, 0).UTC(), Version: w.Version, KeySet: w.KeySet, Keys: set,
		content: digest(body),
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// check says whether the statement could be true.
func (s *Signed) check() error {
	switch {
	case s.Issuer == "" || len(s.Issuer) > maxIssuer:
		return fmt.Errorf("%w: iss", ErrSigned)
	case s.Version == 0 || s.Version > maxVersion:
		return fmt.Errorf("%w: ver", ErrSigned)
	case len(s.KeySet) > maxKeySet:
		return fmt.Errorf("%w: key_set", ErrSigned)
	case s.Keys == nil:
		return fmt.Errorf("%w: keys", ErrSigned)
	}
	for _, key := range s.Keys.Keys() {
		if key.IsPrivate() || key.IsSymmetric() {
			return fmt.Errorf("%w: it holds a private key", ErrSigned)
		}
	}
	return nil
}
