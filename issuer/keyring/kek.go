package keyring

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// metaKEK is where the store keeps the id of the key-encryption key in force.
// Whoever changes keys or reseals them locks that row first.
const metaKEK = "keyring.kek"

// kekAlgorithms are the algorithms of JWE that a key-encryption key may be for:
// those that wrap a fresh content key each time, under a key that is not a
// password. Under one with a private half, anyone could seal; what is opened is
// still checked against its row.
var kekAlgorithms = []jwk.Algorithm{jwk.A256GCMKW, jwk.A256KW, jwk.ECDHESA256KW, jwk.RSAOAEP256, jwk.RSAOAEP}

// checkKEK refuses what cannot both seal and open.
func checkKEK(key *jwk.Key) error {
	if !slices.Contains(kekAlgorithms, key.Algorithm()) || !key.IsPrivate() {
		return errors.New("keyring: a key-encryption key is a JWK for A256GCMKW, or the private one for " +
			"ECDH-ES+A256KW or RSA-OAEP-256")
	}
	return nil
}

// KEKID names a key-encryption key in the store and in messages. It is a hash, of
// which the key cannot be guessed.
func KEKID(key *jwk.Key) string {
	sum := sha256.Sum256([]byte("counterfoil/keyring/kek/v1\x00" + key.Thumbprint()))
	return wire.Encode(sum[:kidBytes])
}

// A KEKError reports a store that is sealed under a key-encryption key that this
// node does not have. It matches [ErrKEK].
type KEKError struct {
	Want string   // id of the one that opens the store, see [KEKID]; empty: not known
	Have []string // ids of those that this node has
}

// Error implements error.
func (e *KEKError) Error() string {
	if e.Want == "" {
		return ErrKEK.Error()
	}
	return fmt.Sprintf("%v: it is sealed under the key with id %s, and this node has %s",
		ErrKEK, e.Want, strings.Join(e.Have, " and "))
}

// Is reports whether target is [ErrKEK].
func (e *KEKError) Is(target error) bool { return target == ErrKEK }

// A locker holds the key-encryption keys of a node: the one that it was started
// with, and perhaps the next one.
type locker struct{ keys []*jwk.Key }

func newLocker(cfg *Config) (*locker, error) {
	l := &locker{}
	for _, key := range []*jwk.Key{cfg.KEK, cfg.NextKEK} {
		if key == nil {
			continue
		}
		if err := checkKEK(key); err != nil {
			return nil, err
		}
		l.keys = append(l.keys, key)
	}
	return l, nil
}

// find returns the key with an id, or a [*KEKError].
func (l *locker) find(id string) (*jwk.Key, error) {
	e := &KEKError{Want: id}
	for _, key := range l.keys {
		have := KEKID(key)
		if have == id {
			return key, nil
		}
		e.Have = append(e.Have, have)
	}
	return nil, e
}

// open opens what one of the keys sealed. Its error says nothing of the content;
// that of a token which does not answer is [jwk.ErrUnavailable].
func (l *locker) open(sealed string) ([]byte, error) {
	e := &KEKError{}
	for _, key := range l.keys {
		plain, err := openUnder(key, sealed)
		if err == nil || errors.Is(err, jwk.ErrUnavailable) {
			return plain, err
		}
		e.Have = append(e.Have, KEKID(key))
	}
	return nil, e
}

// An unnamed key opens what was sealed under it by whatever name: the same key has
// another "kid", or none, where it is not kept as the same JWK.
type unnamed struct{ key *jwk.Key }

// Find is part of [jwk.Source].
func (u unnamed) Find(_, alg string) (*jwk.Key, error) { return u.key.Find("", alg) }

func openUnder(kek *jwk.Key, sealed string) ([]byte, error) {
	plain, err := jwe.Decrypt(unnamed{kek}, jwe.Policy{Algorithm: kek.Algorithm(), Encryption: sealEncryption}, sealed)
	if err != nil && !errors.Is(err, jwk.ErrUnavailable) {
		err = ErrKEK
	}
	return plain, err
}

// sealUnder encrypts for whoever holds kek. It asks no token: one with a private
// half is sealed to by its public one.
func sealUnder(kek *jwk.Key, plain []byte) (string, error) {
	to := kek
	if !kek.IsSymmetric() {
		var err error
		if to, err = kek.Public(); err != nil {
			return "", err
		}
	}
	return jwe.Encrypt(to, sealEncryption, sealContentType, plain)
}

// claimKEK makes sure that this node can open the store, and writes down under
// which key it is sealed if nobody has.
func (k *Keyring) claimKEK(ctx context.Context) error {
	mine := k.locker.keys[0]
	if err := k.provesKEK(ctx); err != nil {
		return err
	}
	return k.st.Update(ctx, func(tx *store.Tx) error {
		id, err := tx.KeepMeta(metaKEK, KEKID(mine))
		if err == nil {
			_, err = k.locker.find(id)
		}
		return err
	})
}

// provesKEK refuses to claim a store of before the id was kept, which is sealed
// under another key.
func (k *Keyring) provesKEK(ctx context.Context) error {
	return k.st.View(ctx, func(tx *store.Tx) error {
		_, err := tx.Meta(metaKEK)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		roots, err := tx.Secrets(purposeRoot)
		if err != nil || len(roots) == 0 {
			return err
		}
		_, err = openUnder(k.locker.keys[0], roots[0].Sealed)
		return err
	})
}
