package issuer_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/notary"
)

// A second node that was given the key-encryption key and not the notary's
// secret would mint tokens that look forged.
func TestStoreHasOneNotary(t *testing.T) {
	s := newShared(t, "https://id.example")
	ring, err := keyring.Open(t.Context(), s.store, keyring.Config{Issuer: s.url, KEK: s.kek})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secret notary.Secret
		want   error
	}{
		{s.secret, nil}, // the first start
		{notary.Secret{4, 5, 6}, issuer.ErrNotary},
		{s.secret, nil},
	} {
		iss, err := issuer.New(t.Context(), issuer.Config{
			URL: s.url, Store: s.store, Keyring: ring, Tagger: notary.NewLocal(c.secret),
			Argon2: account.Params{Memory: 64, Time: 1, Threads: 1},
		})
		if !errors.Is(err, c.want) {
			t.Errorf("started with %v, want %v", err, c.want)
		}
		if err == nil {
			iss.Close()
		}
	}
}
