//go:build pkcs11 && cgo

package pkcs11

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A keyName is how a key is found again: its label, its id, or both.
type keyName struct{ label, id string }

// What names a signing key in its token, and in the keyring that keeps its name.
const (
	labelPrefix = "counterfoil."
	namePrefix  = Scheme + "object="
	idBytes     = 16
	maxKeyID    = 32 // bytes of a kid
)

var errName = errors.New("pkcs11: not the name of a key of this package")

// MakeKey makes a key pair for p.Algorithm and p.KeyID inside the token, from where
// the private half cannot be read, and looks that it is so. The name finds it again.
func (t *Token) MakeKey(ctx context.Context, p jwk.Params) (*jwk.Key, string, error) {
	kind, ok := kinds[p.Algorithm]
	if !ok {
		return nil, "", fmt.Errorf("pkcs11: %w: %s", jwk.ErrUnsupported, p.Algorithm)
	}
	if p.KeyID == "" || len(p.KeyID) > maxKeyID || !printable(p.KeyID) {
		return nil, "", errName
	}
	var id [idBytes]byte
	rand.Read(id[:])
	name := keyName{labelPrefix + p.KeyID, string(id[:])}
	signer, err := t.make(ctx, name, kind, pkcs11.CKA_SIGN)
	if err != nil {
		return nil, "", err
	}
	key, err := jwk.New(signer, p)
	return key, name.String(), err
}

// FindKey returns the key that MakeKey has named. The error matches
// [jwk.ErrUnknownKey] when the token does not have it, and [ErrWeak] when it is not
// as MakeKey left it.
func (t *Token) FindKey(ctx context.Context, name string, p jwk.Params) (*jwk.Key, error) {
	n, err := parseName(name)
	if err != nil {
		return nil, err
	}
	if n.label != labelPrefix+p.KeyID {
		return nil, errName
	}
	signer, err := t.find(ctx, n, strict)
	if err != nil {
		return nil, err
	}
	return jwk.New(signer, p)
}

// ForgetKey destroys the key that MakeKey has named. One that is gone already is
// no error.
func (t *Token) ForgetKey(ctx context.Context, name string) error {
	n, err := parseName(name)
	if err != nil {
		return err
	}
	return t.destroy(ctx, n)
}

func (t *Token) destroy(ctx context.Context, name keyName) error {
	_, err := use(ctx, t, func(c *connection, s pkcs11.SessionHandle) (struct{}, error) {
		c.forget(name)
		return struct{}{}, c.module.destroy(s, name)
	})
	return err
}

// KEK returns the key-encryption key that the URI names: an EC key for
// ECDH-ES+A256KW, or an RSA key for RSA-OAEP. One that is made is an EC key on
// P-256. The error matches [jwk.ErrUnknownKey] when there is none to find.
//
// Before it is returned something is encrypted to it and opened again: a key that
// may not derive or decrypt should not be noticed when everything lies under it.
func (t *Token) KEK(ctx context.Context, existence Existence) (*jwk.Key, error) {
	name := keyName{t.cfg.URI.Object, t.cfg.URI.ID}
	if name == (keyName{}) {
		return nil, fmt.Errorf("%w: it names no object", ErrURI)
	}
	far, err := t.find(ctx, name, lenient)
	if errors.Is(err, jwk.ErrUnknownKey) && existence == Make {
		far, err = t.makeKEK(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	key, err := far.kek()
	if err != nil {
		return nil, err
	}
	return key, tryKEK(key)
}

// makeKEK makes the key. When another process made one at the same moment, it takes
// its own back: what is sealed under either would not open under the other.
func (t *Token) makeKEK(ctx context.Context, name keyName) (*key, error) {
	own := name
	if own.id == "" {
		var id [idBytes]byte
		rand.Read(id[:])
		own.id = string(id[:])
	}
	if _, err := t.make(ctx, own, p256, pkcs11.CKA_DERIVE); err != nil {
		return nil, err
	}
	far, err := t.find(ctx, name, lenient)
	if !errors.Is(err, ErrAmbiguous) {
		return far, err
	}
	if err := t.destroy(ctx, own); err != nil {
		return nil, err
	}
	return t.find(ctx, name, lenient)
}

func tryKEK(key *jwk.Key) error {
	cek := make([]byte, 32)
	rand.Read(cek)
	w, err := key.WrapKey(cek, jwk.WrapParams{})
	if err != nil {
		return err
	}
	got, err := key.UnwrapKey(w)
	if err != nil {
		return fmt.Errorf("pkcs11: the token does not open what was encrypted to its key: %w", err)
	}
	if string(got) != string(cek) {
		return errors.New("pkcs11: the token opens something else than what was encrypted to its key")
	}
	return nil
}

// String is the name as the keyring keeps it.
func (n keyName) String() string {
	return namePrefix + encode(n.label, "") + ";id=" + encode(n.id, "")
}

func parseName(s string) (n keyName, err error) {
	rest, ok := strings.CutPrefix(s, namePrefix)
	label, id, both := strings.Cut(rest, ";id=")
	if !ok || !both {
		return n, errName
	}
	n.label, ok = decode(label, "")
	if !ok || !strings.HasPrefix(n.label, labelPrefix) || len(n.label) > len(labelPrefix)+maxKeyID {
		return n, errName
	}
	if n.id, ok = decode(id, ""); !ok || len(n.id) != idBytes {
		return n, errName
	}
	return n, nil
}

// A key is a private key in a token.
type key struct {
	token  *Token
	name   keyName
	public crypto.PublicKey
}

// ask lends fn a session and the handle of the key in it.
func (k *key) ask(ctx context.Context, fn func(*pkcs11.Ctx, pkcs11.SessionHandle, pkcs11.ObjectHandle) ([]byte, error)) ([]byte, error) {
	return use(ctx, k.token, func(c *connection, s pkcs11.SessionHandle) ([]byte, error) {
		h, err := c.handle(s, k.name)
		if err != nil {
			return nil, err
		}
		return fn(c.module.ctx, s, h)
	})
}
