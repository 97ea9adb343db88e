package keyring

import (
	"context"
	"crypto/rand"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// WebhookSecret returns the secret that signs alarms, the same for all nodes. Where the
// store has none it keeps earlier, which a node had by itself, or one that it makes if
// that is empty. Of several nodes that come at once the first wins.
func (k *Keyring) WebhookSecret(ctx context.Context, earlier []byte) ([]byte, error) {
	sealed, err := k.firstSecret(ctx, purposeWebhook, func(kek string) (string, error) {
		secret := earlier
		if len(secret) == 0 {
			secret = make([]byte, secretSize)
			rand.Read(secret)
		}
		return k.locker.sealJSON(kek, secretJWK{Type: "oct", KeyID: webhookKeyID, Secret: wire.Encode(secret)})
	})
	if err != nil {
		return nil, err
	}
	return k.locker.openWebhook(sealed)
}

// ReadWebhookSecret is [Keyring.WebhookSecret] for who opens a store without a
// Keyring. The error is [store.ErrNotFound] if none was made, and [ErrKEK] if kek does
// not open it.
func ReadWebhookSecret(ctx context.Context, st *store.Store, kek *jwk.Key) ([]byte, error) {
	if err := checkKEK(kek); err != nil {
		return nil, err
	}
	var row store.SecretRow
	err := st.View(ctx, func(tx *store.Tx) (err error) {
		row, err = firstRow(tx, purposeWebhook)
		return err
	})
	if err == nil && row.Sealed == "" {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return (&locker{keys: []*jwk.Key{kek}}).openWebhook(row.Sealed)
}

// The webhook's secret is kept as others are, and it may be of another length.
const (
	purposeWebhook = "webhook"
	webhookKeyID   = purposeWebhook + "." + firstSlot
)

func (l *locker) openWebhook(sealed string) ([]byte, error) {
	var key secretJWK
	if err := l.openJSON(sealed, &key); err != nil {
		return nil, err
	}
	secret, err := wire.Decode(key.Secret)
	if err != nil || key.KeyID != webhookKeyID || len(secret) == 0 {
		return nil, ErrKEK
	}
	return secret, nil
}
