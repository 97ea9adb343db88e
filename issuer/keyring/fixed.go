package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

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

// founded stood in a secret of its own where an algorithm had its first keys.
const founded = "-"

// fixed is what all nodes share and nobody changes while they run.
type fixed struct {
	feed    *jwk.Key // private
	root    *jwk.Key // public
	trust   string
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
	feed, err := k.signingKey(ctx, purposeFeed)
	if err != nil {
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
	k.fixed = &fixed{feed: feed, handles: handles, bare: &bare{handleSecret: handle, refresh: refresh, rows: rows}}
	k.fixed.root, err = root.Public()
	if err != nil {
		return err
	}
	if k.fixed.trust, err = k.openTrust(ctx, root); err != nil {
		return err
	}
	return k.openStandbySecret(ctx)
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
		key, err := jwk.Generate(jwk.Params{
			Algorithm: jwk.EdDSA, Also: jwk.Ed25519, KeyID: purpose + "." + newKeyID(),
		})
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
		rows, err := tx.Secrets(name)
		for _, row := range rows {
			if row.ID == firstSlot {
				sealed = row.Sealed
			}
		}
		return err
	})
	return sealed, err
}

// trustKey is where the store keeps the trust statement in force.
const trustKey = "keyring.trust"

// openTrust returns the statement in force, signed anew with the next version when
// what it says has changed. Verifiers keep the old values beside the new.
func (k *Keyring) openTrust(ctx context.Context, root *jwk.Key) (signed string, err error) {
	want, err := k.statement()
	if err != nil {
		return "", err
	}
	err = k.st.Update(ctx, func(tx *store.Tx) error {
		signed, err = tx.Meta(trustKey)
		switch {
		case errors.Is(err, store.ErrNotFound):
			want.Version = 1
		case err != nil:
			return err
		default:
			held, err := revocation.OpenTrust(k.fixed.root, k.cfg.Issuer, signed)
			if err != nil {
				return err
			}
			if k.cfg.WitnessKeys == nil {
				want.WitnessKeys = held.WitnessKeys
			}
			if sameTrust(held, want) {
				return nil
			}
			want.Version = held.Version + 1
		}
		if signed, err = want.Sign(root); err != nil {
			return err
		}
		return tx.SetMeta(trustKey, signed)
	})
	return signed, err
}

// statement is what the root vouches for today.
func (k *Keyring) statement() (*revocation.Trust, error) {
	feed, err := k.fixed.feed.Public()
	if err != nil {
		return nil, err
	}
	feeds, err := jwk.NewSet(feed)
	if err != nil {
		return nil, err
	}
	t := &revocation.Trust{
		Issuer:       k.cfg.Issuer,
		FeedKeys:     feeds,
		HandleKeyIDs: []string{k.fixed.handles.ID()},
		MaxLife:      k.cfg.MaxTokenLife.Truncate(time.Second),
	}
	if k.cfg.WitnessKeys != nil && k.cfg.WitnessKeys.Len() > 0 {
		t.WitnessKeys = k.cfg.WitnessKeys
	}
	return t, nil
}

func sameTrust(a, b *revocation.Trust) bool {
	return sameSet(a.FeedKeys, b.FeedKeys) && sameSet(a.WitnessKeys, b.WitnessKeys) &&
		a.MaxLife == b.MaxLife && slices.Equal(a.HandleKeyIDs, b.HandleKeyIDs)
}

func sameSet(a, b *jwk.Set) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && string(x) == string(y)
}
