package keyring

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	secretSize  = 32 // bytes of the feed's secret and of the refresh tokens' MAC key
	refreshSlot = 1  // id of the only refresh key so far
)

// firstSlot is the id of the first row of each name. Nodes that start together
// all insert that row; one of them wins and the others read what it wrote.
const firstSlot = "1"

// founded is not sealed: stores of before hold it in place of a secret, as a mark that
// an algorithm has had its first keys.
const founded = "-"

// fixed is what all nodes share and nobody changes while they run.
type fixed struct {
	root    *jwk.Key // public
	handles revocation.HandleKey
	standby *jwk.Key // seals standbys below the notary's layer; nil without a notary
	*bare
}

// bare are secrets that are no Key. They are two pointers away from a Keyring:
// package fmt follows one when a ring is printed with a wrong verb.
type bare struct {
	handleSecret []byte
	refresh      []byte
	rows         []byte // authenticates the key rows
}

// openFixed reads the feed key, the root and the secrets, and makes those that
// are missing.
func (k *Keyring) openFixed(ctx context.Context) error {
	if _, err := k.signingKey(ctx, purposeFeed); err != nil {
		return err
	}
	root, err := k.signingKey(ctx, purposeRoot)
	if err != nil {
		return err
	}
	handle, err := k.secret(ctx, purposeHandle)
	if err != nil {
		return err
	}
	refresh, err := k.secret(ctx, purposeRefresh)
	if err != nil {
		return err
	}
	handles, err := revocation.NewHandleKey(handle)
	if err != nil {
		return err
	}
	rows, err := rowSecret(root)
	if err != nil {
		return err
	}
	k.fixed = &fixed{handles: handles, bare: &bare{handleSecret: handle, refresh: refresh, rows: rows}}
	k.fixed.root, err = root.Public()
	if err != nil {
		return err
	}
	if err := k.openTrust(ctx, root); err != nil {
		return err
	}
	return k.openStandbySecret(ctx)
}

// lacksRoot reports whether the store is of no issuer yet.
func (k *Keyring) lacksRoot(ctx context.Context) (bool, error) {
	root, err := k.readSecret(ctx, purposeRoot)
	return err == nil && root == "", err
}

// openStandbySecret reads the secret that standbys are sealed under when a notary keeps them.
func (k *Keyring) openStandbySecret(ctx context.Context) error {
	if k.cfg.Notary == nil {
		return nil
	}
	secret, err := k.secret(ctx, purposeStandby)
	if err != nil {
		return err
	}
	defer clear(secret)
	k.fixed.standby, err = jwk.New(secret, jwk.Params{Algorithm: jwk.A256GCMKW, KeyID: purposeStandby + "." + firstSlot})
	return err
}

// signingKey returns the Ed25519 key for a purpose of the feed.
func (k *Keyring) signingKey(ctx context.Context, purpose string) (*jwk.Key, error) {
	sealed, err := k.firstSecret(ctx, purpose, func(kek string) (string, error) {
		key, err := newSigningKey(purpose)
		if err != nil {
			return "", err
		}
		return k.locker.sealKey(kek, key)
	})
	if err != nil {
		return nil, err
	}
	return k.locker.openFor(purpose, sealed)
}

func newSigningKey(purpose string) (*jwk.Key, error) {
	return jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA, Also: jwk.Ed25519, KeyID: purpose + "." + newKeyID()})
}

// secretJWK is a symmetric key that is no signing key of JOSE (RFC 7518, Section 6.4).
type secretJWK struct {
	Type   string `json:"kty"`
	KeyID  string `json:"kid"`
	Secret string `json:"k"`
}

// secret returns the raw secret for a purpose.
func (k *Keyring) secret(ctx context.Context, purpose string) ([]byte, error) {
	sealed, err := k.firstSecret(ctx, purpose, func(kek string) (string, error) {
		var b [secretSize]byte
		rand.Read(b[:])
		defer clear(b[:])
		return k.locker.sealJSON(kek, secretJWK{Type: "oct", KeyID: purpose + "." + firstSlot, Secret: wire.Encode(b[:])})
	})
	if err != nil {
		return nil, err
	}
	var key secretJWK
	if err := k.locker.openJSON(sealed, &key); err != nil {
		return nil, err
	}
	secret, err := wire.Decode(key.Secret)
	if err != nil || key.KeyID != purpose+"."+firstSlot || len(secret) != secretSize {
		return nil, ErrKEK
	}
	return secret, nil
}

// firstSecret returns the sealed value in the first slot of name. If there is none
// it inserts the one that fresh makes under a key-encryption key, unless another
// node was faster.
func (k *Keyring) firstSecret(ctx context.Context, name string, fresh func(kek string) (string, error)) (string, error) {
	sealed, err := k.readSecret(ctx, name)
	if err != nil || sealed != "" {
		return sealed, err
	}
	err = k.st.Update(ctx, func(tx *store.Tx) error {
		kek, err := tx.LockMeta(metaKEK)
		if err != nil {
			return err
		}
		mine, err := fresh(kek)
		if err != nil {
			return err
		}
		return tx.InsertSecret(store.SecretRow{Name: name, ID: firstSlot, Sealed: mine, Created: k.now()})
	})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return "", err
	}
	return k.readSecret(ctx, name)
}

func (k *Keyring) readSecret(ctx context.Context, name string) (sealed string, err error) {
	err = k.st.View(ctx, func(tx *store.Tx) error {
		row, err := firstRow(tx, name)
		sealed = row.Sealed
		return err
	})
	return sealed, err
}

// firstRow returns the row in the first slot of name, an empty one if there is none.
func firstRow(tx *store.Tx, name string) (store.SecretRow, error) {
	rows, err := tx.Secrets(name)
	for _, row := range rows {
		if row.ID == firstSlot {
			return row, err
		}
	}
	return store.SecretRow{}, err
}
