package keyring_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// All nodes sign alarms with one secret, whoever comes first, also with a secret of its
// own of before; another key-encryption key changes nothing about it.
func TestOneWebhookSecret(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	if _, err := keyring.ReadWebhookSecret(t.Context(), st, kek); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before there is one: %v", err)
	}
	secrets := make([][]byte, 4)
	var all sync.WaitGroup
	for i := range secrets {
		ring := open(t, st, keyring.Config{KEK: kek})
		earlier := bytes.Repeat([]byte{byte(i)}, 24+i)
		if i == 0 {
			earlier = nil
		}
		all.Go(func() {
			var err error
			if secrets[i], err = ring.WebhookSecret(t.Context(), earlier); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i, secret := range secrets {
		if len(secret) < 24 || !bytes.Equal(secret, secrets[0]) {
			t.Errorf("node %d has another one", i)
		}
	}
	next, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Reseal(t.Context(), st, kek, next, "test"); err != nil {
		t.Fatal(err)
	}
	if secret, err := keyring.ReadWebhookSecret(t.Context(), st, next); err != nil || !bytes.Equal(secret, secrets[0]) {
		t.Errorf("resealed: %v", err)
	}
	if _, err := keyring.ReadWebhookSecret(t.Context(), st, kek); !errors.Is(err, keyring.ErrKEK) {
		t.Errorf("with the old key: %v", err)
	}
}

// The secret of an earlier version is taken over.
func TestWebhookSecretOfBefore(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	earlier := bytes.Repeat([]byte("k"), 64)
	for _, own := range [][]byte{earlier, nil, []byte("another one, of another node")} {
		if got, err := open(t, st, keyring.Config{KEK: kek}).WebhookSecret(t.Context(), own); err != nil || !bytes.Equal(got, earlier) {
			t.Errorf("%q (%v)", got, err)
		}
	}
}
