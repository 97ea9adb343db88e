package audit_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	_ "modernc.org/sqlite"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), path, sqlite.Config{Issuer: "https://id.example"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func record(t *testing.T, st *store.Store, e audit.Event) {
	t.Helper()
	if err := st.Update(t.Context(), func(tx *store.Tx) error { return audit.Record(tx, noon, e) }); err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, st *store.Store) (report audit.Report) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) (err error) {
		report, err = audit.Verify(tx, "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		tamper string
		want   audit.Report
	}{
		"untouched": {"", audit.Report{OK: true, Rows: 5}},
		"changed":   {"UPDATE audit SET detail = 'nothing' WHERE n = 3", audit.Report{Rows: 2, BrokenAt: 3}},
		"taken out": {"DELETE FROM audit WHERE n = 3", audit.Report{Rows: 2, BrokenAt: 3}},
		"cut off":   {"DELETE FROM audit WHERE n = 5", audit.Report{Rows: 4, BrokenAt: 5}},
		"swapped":   {"UPDATE audit SET subject = '4' WHERE n = 3; UPDATE audit SET subject = '3' WHERE n = 4", audit.Report{Rows: 2, BrokenAt: 3}},
		"emptied":   {"DELETE FROM audit", audit.Report{BrokenAt: 1}},
	} {
		path := filepath.Join(t.TempDir(), "db")
		st := open(t, path)
		for i := range 5 {
			record(t, st, audit.Event{Actor: "socket", Action: audit.Revoke, Subject: fmt.Sprint(i + 1)})
		}
		tamper(t, path, c.tamper)
		got := verify(t, st)
		if (got.Hash == "") != (got.Rows == 0) {
			t.Errorf("%s: hash %q of %d rows", name, got.Hash, got.Rows)
		}
		got.Hash = ""
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func tamper(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

// What a client chose, such as a user name, cannot break lines or grow without end.
func TestFieldsAreCleaned(t *testing.T) {
	st := open(t, filepath.Join(t.TempDir(), "db"))
	for in, want := range map[string]string{
		"alice":                        "alice",
		"a\nb\x00c\x1b[31m\u0085":      "a?b?c?[31m?",
		"\xff":                         "?",
		strings.Repeat("é", 400):       strings.Repeat("é", audit.MaxField/2),
		strings.Repeat("x", 1<<20):     strings.Repeat("x", audit.MaxField),
		"x" + strings.Repeat("é", 400): "x" + strings.Repeat("é", (audit.MaxField-1)/2),
	} {
		record(t, st, audit.Event{Actor: in, Action: audit.SignInFailed, Subject: in, Detail: in})
		var rows []store.AuditRow
		err := st.View(t.Context(), func(tx *store.Tx) (err error) {
			rows, err = tx.Audit(0, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got := rows[len(rows)-1]
		if got.Actor != want || got.Subject != want || got.Detail != want || !utf8.ValidString(got.Detail) {
			t.Errorf("%.20q became %.20q (%d bytes)", in, got.Subject, len(got.Subject))
		}
	}
	if r := verify(t, st); !r.OK {
		t.Errorf("%+v", r)
	}
}

// The hash of an earlier report is found in a trail that grew, and not in one that was
// cut off or written anew, however well.
func TestKeptHash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	st := open(t, path)
	add := func(n int) {
		for i := range n {
			record(t, st, audit.Event{Actor: "socket", Action: audit.Revoke, Subject: fmt.Sprint(i)})
		}
	}
	check := func(kept string) (report audit.Report, err error) {
		err = st.View(t.Context(), func(tx *store.Tx) error {
			report, err = audit.Verify(tx, kept)
			return err
		})
		return report, err
	}
	add(5)
	kept := verify(t, st).Hash
	add(3)
	if r, err := check(kept); err != nil || !r.OK || r.Kept != 5 || r.Rows != 8 {
		t.Errorf("grown: %+v %v", r, err)
	}
	for _, bad := range []string{"x", kept[1:], kept + "00", "../" + kept[3:]} {
		if _, err := check(bad); !errors.Is(err, audit.ErrHash) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	tamper(t, path, "DELETE FROM audit WHERE n > 4; UPDATE audit_head SET n = 4, hash = (SELECT hash FROM audit WHERE n = 4)")
	if r, err := check(""); err != nil || !r.OK {
		t.Errorf("cut off with care: %+v %v", r, err)
	}
	for range 2 {
		if r, err := check(kept); err != nil || r.OK || r.Kept != 0 || r.BrokenAt != 0 {
			t.Errorf("cut off: %+v %v", r, err)
		}
		add(4) // and goes on
	}
}
