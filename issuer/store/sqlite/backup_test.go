package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/issuer/store/storetest"
)

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), path, sqlite.Config{Issuer: storetest.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func setMeta(t *testing.T, st *store.Store, name, value string) {
	t.Helper()
	if err := st.Update(t.Context(), func(tx *store.Tx) error { return tx.SetMeta(name, value) }); err != nil {
		t.Fatal(err)
	}
}

func meta(t *testing.T, st *store.Store, name string) (value string) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) (err error) {
		value, err = tx.Meta(name)
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return value
}

// A copy that is made while the store is open has what was written last, which is not in
// the file yet, and nothing of what was written later.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a b'?.db"), filepath.Join(dir, "copy's ?&%41.db")
	st := open(t, from)
	setMeta(t, st, "test.last", "written")
	if err := sqlite.Backup(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	setMeta(t, st, "test.last", "later")
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "copy*")); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
	if got := meta(t, open(t, to), "test.last"); got != "written" {
		t.Errorf("the copy has %q", got)
	}
}

// Updates that are under way are in a copy whole or not at all, and go on meanwhile.
func TestBackupOfABusyStore(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "store.db"), filepath.Join(dir, "copy.db")
	st := open(t, from)
	ctx, stop := context.WithCancel(t.Context())
	setMeta(t, st, "test.a", "")
	setMeta(t, st, "test.b", "")
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for n := 0; ctx.Err() == nil; n++ {
			err := st.Update(t.Context(), func(tx *store.Tx) error {
				value := string(rune('a' + n%26))
				return errors.Join(tx.SetMeta("test.a", value), tx.SetMeta("test.b", value))
			})
			if err != nil {
				t.Error(err)
			}
		}
	}()
	err := sqlite.Backup(t.Context(), from, to)
	stop()
	<-writing
	if err != nil {
		t.Fatal(err)
	}
	copied := open(t, to)
	if a, b := meta(t, copied, "test.a"), meta(t, copied, "test.b"); a != b {
		t.Errorf("half of an Update: %q and %q", a, b)
	}
}

// What is in the way stays as it is, and what is no store leaves nothing behind.
func TestBackupIsRefused(t *testing.T) {
	dir := t.TempDir()
	from, to, empty := filepath.Join(dir, "store.db"), filepath.Join(dir, "copy.db"), filepath.Join(dir, "empty.db")
	open(t, from)
	for _, name := range []string{to, empty} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := sqlite.Backup(t.Context(), from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	if info, err := os.Stat(to); err != nil || info.Size() != 0 {
		t.Errorf("it is touched: %v", err)
	}
	other := filepath.Join(dir, "other.db")
	if err := sqlite.Backup(t.Context(), empty, other); !errors.Is(err, sqlite.ErrNoStore) {
		t.Errorf("an empty file: %v", err)
	}
	missing := filepath.Join(dir, "missing.db")
	if err := sqlite.Backup(t.Context(), missing, other); err == nil {
		t.Error("of nothing")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sqlite.Backup(ended, from, other); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	for _, name := range []string{missing, other} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there", name)
		}
	}
	if left, _ := filepath.Glob(other + "*"); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}
