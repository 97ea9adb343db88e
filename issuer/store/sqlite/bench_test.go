package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/issuer/store/storetest"
)

func BenchmarkUpdate(b *testing.B) {
	st, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"), sqlite.Config{Issuer: storetest.Issuer})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	storetest.BenchmarkRefresh(b, st)
}
