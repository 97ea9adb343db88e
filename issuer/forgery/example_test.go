package forgery_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// forged
	// the key is quarantined
}

func example() error {
	dir, err := os.MkdirTemp("", "forgery")
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
	desk, err := forgery.Open(ctx, forgery.Config{
		Issuer: url, Store: st, Keyring: ring, Notary: notary.NewLocal(notary.Secret{1}), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}

	thief, err := ring.Signer("") // the key, and not the notary's secret
	if err != nil {
		return err
	}
	token, err := thief.Sign([]byte(`{"jti":"AAAAAAAAAAAAAAAAAAAAAAAAAAA","sub":"admin"}`))
	if err != nil {
		return err
	}
	verdict, err := desk.Evidence(ctx, "guard-7", netip.Addr{}, token)
	if err != nil {
		return err
	}
	fmt.Println(verdict)
	incident, err := desk.Incident(ctx, thief.Key().KeyID())
	fmt.Println("the key is", incident.State)
	return err
}
