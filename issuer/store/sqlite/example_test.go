package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/revocation"
)

// A user is revoked; what the user's session was born with is not enough any more.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	st, err := sqlite.Open(ctx, filepath.Join(dir, "store.db"), sqlite.Config{Issuer: "https://id.example"})
	if err != nil {
		panic(err)
	}
	defer st.Close()

	var before, after *store.Standing
	steps := []func(tx *store.Tx) (err error){
		func(tx *store.Tx) error { return tx.CreateUser(store.User{ID: "u1", Name: "ann"}) },
		func(tx *store.Tx) (err error) {
			before, err = tx.Standing(store.StandingQuery{UserID: "u1"})
			return err
		},
		func(tx *store.Tx) error {
			entry := revocation.Entry{Kind: revocation.Subject, Handle: 0xa11ce}
			_, err := tx.Revoke(store.Revocation{Entry: entry, Value: "u1"})
			return err
		},
		func(tx *store.Tx) (err error) {
			after, err = tx.Standing(store.StandingQuery{UserID: "u1"})
			return err
		},
	}
	for _, step := range steps {
		if err := st.Update(ctx, step); err != nil {
			panic(err)
		}
	}
	fmt.Println("born before:", after.Permits(before.Head) != nil)
	fmt.Println("born after:", after.Permits(after.Head) != nil)
	// Output:
	// born before: true
	// born after: false
}
