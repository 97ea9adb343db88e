package issuer_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store"
)

func TestDisabledVerifierGetsNoKey(t *testing.T) {
	n := newRemote(t)
	client := n.addClient(t, "orders", "verifier")
	for _, test := range []struct {
		disabled bool
		want     int
	}{{false, 200}, {true, 401}, {false, 200}} {
		err := n.store.Update(t.Context(), func(tx *store.Tx) error {
			c, err := tx.Client("orders")
			if err != nil {
				return err
			}
			c.Disabled = test.disabled
			return tx.UpdateClient(c)
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := n.get(t, "/revocation/key", basic(client.Credential)).status; got != test.want {
			t.Errorf("disabled %v: %d, want %d", test.disabled, got, test.want)
		}
	}
}
