package keyring_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// All secrets are sealed under one key. Whoever can write to the database can
// still not make the feed's key the root, nor one secret another.
func TestThreat71SecretInTheRowOfAnother(t *testing.T) {
	kek := newKEK(t)
	from := newStore(t)
	open(t, from, keyring.Config{KEK: kek})
	for to, of := range map[string]string{
		"root": "feed", "feed": "root", "handle": "refresh", "refresh": "handle",
	} {
		st := newStore(t)
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			row := secretOf(t, from, of)
			row.Name = to
			return tx.InsertSecret(row)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: kek}); err == nil {
			t.Errorf("the secret %q is taken for %q", of, to)
		}
	}
}

func secretOf(t testing.TB, st *store.Store, name string) (row store.SecretRow) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Secrets(name)
		if err == nil {
			row = rows[0]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return row
}
