package issuer_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

func ExampleNew() {
	if err := run(context.Background(), "https://id.example"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 200 application/json
}

func run(ctx context.Context, url string) error {
	dir, err := os.MkdirTemp("", "issuer")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	st, err := sqlite.Open(ctx, filepath.Join(dir, "counterfoil.db"), sqlite.Config{Issuer: url})
	if err != nil {
		return err
	}
	defer st.Close()
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW}) // a real one is kept apart from the store
	if err != nil {
		return err
	}
	ring, err := keyring.Open(ctx, st, keyring.Config{Issuer: url, KEK: kek})
	if err != nil {
		return err
	}
	var secret notary.Secret // a real one is kept, apart from the keyring
	rand.Read(secret[:])
	iss, err := issuer.New(ctx, issuer.Config{
		URL: url, Store: st, Keyring: ring, Tagger: notary.NewLocal(secret), Argon2: account.DefaultParams,
	})
	if err != nil {
		return err
	}
	defer iss.Close()

	w := httptest.NewRecorder()
	iss.ServeHTTP(w, httptest.NewRequest(http.MethodGet, url+"/.well-known/openid-configuration", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	return nil
}
