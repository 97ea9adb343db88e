package keyring_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output: keys published: 3, signs with ES256
}

func example() error {
	dir, err := os.MkdirTemp("", "keyring")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, url := context.Background(), "https://id.example"
	st, err := sqlite.Open(ctx, filepath.Join(dir, "db"), sqlite.Config{Issuer: url})
	if err != nil {
		return err
	}
	defer st.Close()
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		return err
	}
	ring, err := keyring.Open(ctx, st, keyring.Config{Issuer: url, KEK: kek})
	if err != nil {
		return err
	}
	signer, err := ring.Signer("")
	if err != nil {
		return err
	}
	fmt.Printf("keys published: %d, signs with %s\n", ring.Public().Len(), signer.Key().Algorithm())
	return nil
}
