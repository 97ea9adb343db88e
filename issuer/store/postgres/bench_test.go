//go:build unix

package postgres_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/issuer/store/storetest"
)

func BenchmarkUpdate(b *testing.B) {
	st, err := postgres.Open(b.Context(), postgrestest.Start(b).Database(b), postgres.Config{Issuer: storetest.Issuer})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	storetest.BenchmarkRefresh(b, st)
}
