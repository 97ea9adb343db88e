package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store"
)

func auditOf(t testing.TB, st *store.Store) []store.AuditRow {
	t.Helper()
	return read(t, st, func(tx *store.Tx) ([]store.AuditRow, error) { return tx.Audit(0, 0) })
}

// brokenAt returns what VerifyAudit finds.
func brokenAt(t testing.TB, st *store.Store) (whole, broken uint64) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) (err error) { whole, broken, err = tx.VerifyAudit(); return err })
	if err != nil {
		t.Fatal(err)
	}
	return whole, broken
}

func audit(t *testing.T, db Database) {
	st := open(t, db)
	equal(t, "empty trail", auditOf(t, st), []store.AuditRow(nil))
	long := strings.Repeat("x", store.MaxAuditText+1)
	update(t, st, func(tx *store.Tx) error {
		return errors.Join(
			tx.AppendAudit(store.AuditRow{At: someTime, Actor: "admin", Action: "user add", Subject: "u1", Detail: `{"a":1}`}),
			tx.AppendAudit(store.AuditRow{Actor: "a\x00b\xff", Detail: long}),
		)
	})
	refused := errors.New("refused")
	wantUpdate(t, st, refused, func(tx *store.Tx) error {
		return errors.Join(tx.AppendAudit(store.AuditRow{Actor: "nobody"}), refused)
	})
	update(t, st, func(tx *store.Tx) error { return tx.AppendAudit(store.AuditRow{Actor: "last"}) })

	rows := auditOf(t, st)
	equal(t, "rows", len(rows), 3)
	equal(t, "first", []any{rows[0].N, rows[0].At, rows[0].Actor, rows[0].Action, rows[0].Subject, rows[0].Detail},
		[]any{uint64(1), someTime, "admin", "user add", "u1", `{"a":1}`})
	equal(t, "text that no database keeps", rows[1].Actor, "a\uFFFDb\uFFFD")
	equal(t, "long text", rows[1].Detail, long[:store.MaxAuditText])
	if rows[1].At.IsZero() {
		t.Error("a row without a time")
	}
	equal(t, "numbers", []uint64{rows[1].N, rows[2].N}, []uint64{2, 3})
	equal(t, "page", read(t, st, func(tx *store.Tx) ([]store.AuditRow, error) { return tx.Audit(1, 1) }), rows[1:2])
	whole, broken := brokenAt(t, st)
	equal(t, "check", []uint64{whole, broken}, []uint64{3, 0})
}

// auditTampered: whatever is changed by SQL is found, at its row.
func auditTampered(t *testing.T, db Database) {
	st := open(t, db)
	for _, actor := range []string{"ab", "c", "d", "e", "f"} {
		update(t, st, func(tx *store.Tx) error {
			return tx.AppendAudit(store.AuditRow{At: someTime, Actor: actor, Action: "bc", Subject: "s", Detail: "d"})
		})
	}
	raw := db.SQL(t)
	run := func(statement string) {
		t.Helper()
		if _, err := raw.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	kept := auditOf(t, st)[4].Hash
	run("CREATE TABLE kept AS SELECT * FROM audit")
	run("CREATE TABLE kept_head AS SELECT * FROM audit_head")
	for _, test := range []struct {
		tamper string
		broken uint64
	}{
		{"UPDATE audit SET at = at + 1 WHERE n = 1", 1},
		{"UPDATE audit SET actor = 'abb', action = 'c' WHERE n = 1", 1}, // the same bytes, cut elsewhere
		{"UPDATE audit SET action = 'x' WHERE n = 2", 2},
		{"UPDATE audit SET subject = 'x' WHERE n = 3", 3},
		{"UPDATE audit SET detail = '' WHERE n = 5", 5},
		{"UPDATE audit SET hash = (SELECT hash FROM kept WHERE n = 1) WHERE n = 4", 4},
		{"DELETE FROM audit WHERE n = 3", 3},
		{"DELETE FROM audit WHERE n = 5", 5},
		{"DELETE FROM audit", 1},
		{"INSERT INTO audit SELECT 6, at, actor, action, subject, detail, hash FROM kept WHERE n = 5", 6},
		{"UPDATE audit SET n = 7 WHERE n = 5", 5},
		// Two rows in the other order, with their hashes and without.
		{"UPDATE audit SET n = 9 WHERE n = 2; UPDATE audit SET n = 2 WHERE n = 4; UPDATE audit SET n = 4 WHERE n = 9", 2},
		{"UPDATE audit SET actor = (SELECT k.actor FROM kept k WHERE k.n = 7 - audit.n) WHERE n IN (3, 4)", 3},
		// Taken out, and the others moved up.
		{"DELETE FROM audit WHERE n = 2; UPDATE audit SET n = 2 WHERE n = 3; UPDATE audit SET n = 3 WHERE n = 4; " +
			"UPDATE audit SET n = 4 WHERE n = 5; UPDATE audit_head SET n = 4", 2},
		// Appended, with another row's hash and the head to it.
		{"INSERT INTO audit SELECT 6, at, actor, action, subject, detail, hash FROM kept WHERE n = 4; " +
			"UPDATE audit_head SET n = 6, hash = (SELECT hash FROM kept WHERE n = 4)", 6},
		{"UPDATE audit_head SET n = 4", 6},
		{"UPDATE audit_head SET n = 6", 6},
		{"UPDATE audit_head SET hash = (SELECT hash FROM kept WHERE n = 1)", 6},
	} {
		run(test.tamper)
		if _, broken := brokenAt(t, st); broken != test.broken {
			t.Errorf("%s: found at %d, want %d", test.tamper, broken, test.broken)
		}
		run("DELETE FROM audit")
		run("INSERT INTO audit SELECT * FROM kept")
		run("DELETE FROM audit_head")
		run("INSERT INTO audit_head SELECT * FROM kept_head")
		if whole, broken := brokenAt(t, st); whole != 5 || broken != 0 {
			t.Fatalf("restored after %q: %d whole, broken at %d", test.tamper, whole, broken)
		}
	}
	has := func(hash [32]byte) bool {
		err := st.View(t.Context(), func(tx *store.Tx) error { _, err := tx.AuditOf(hash); return err })
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	equal(t, "the kept hash is there", []bool{has(kept), has([32]byte{1})}, []bool{true, false})

	// Cut off with care: the chain is whole, and only the kept hash is missing.
	run("DELETE FROM audit WHERE n = 5")
	run("UPDATE audit_head SET n = 4, hash = (SELECT hash FROM kept WHERE n = 4)")
	whole, broken := brokenAt(t, st)
	equal(t, "cut off with care", []uint64{whole, broken}, []uint64{4, 0})
	update(t, st, func(tx *store.Tx) error { return tx.AppendAudit(store.AuditRow{Actor: "a later one"}) })
	if has(kept) {
		t.Error("the kept hash is still there")
	}
}
