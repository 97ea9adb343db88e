package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
)

func ExampleRecord() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	st, err := sqlite.Open(ctx, filepath.Join(dir, "db"), sqlite.Config{Issuer: "https://id.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer st.Close()

	err = st.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetMeta("motto", "keep the stub"); err != nil {
			return err
		}
		return audit.Record(tx, time.Now(), audit.Event{Actor: "socket", Action: "motto.set", Subject: "motto"})
	})
	if err != nil {
		fmt.Println(err)
	}
	_ = st.View(ctx, func(tx *store.Tx) error {
		report, err := audit.Verify(tx, "")
		fmt.Println(report.OK, report.Rows, err)
		return err
	})
	// Output: true 1 <nil>
}
