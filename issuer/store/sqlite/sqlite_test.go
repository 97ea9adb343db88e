package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/issuer/store/storetest"
)

func TestStore(t *testing.T)     { storetest.Run(t, fresh) }
func TestMintRules(t *testing.T) { storetest.MintRules(t, fresh) }
func TestHammer(t *testing.T)    { storetest.Hammer(t, fresh(t)) }

func TestThreat63SignInAfterRevocation(t *testing.T) { storetest.SignInAfterRevocation(t, fresh(t)) }
func TestThreat64MintedBehind(t *testing.T)          { storetest.MintedBehind(t, fresh(t)) }
func TestThreat75RestoredTwice(t *testing.T)         { storetest.RestoredTwice(t, fresh(t)) }
func TestThreat110RolledBack(t *testing.T)           { storetest.RolledBack(t, fresh(t)) }
func TestThreat132BornBefore(t *testing.T)           { storetest.BornBefore(t, fresh(t)) }

// fresh makes an empty folder with a clock of its own, which starts now.
func fresh(t testing.TB) storetest.Database {
	return at(filepath.Join(t.TempDir(), "store.db"), new(atomic.Int64))
}

// at is the database in a file, whose clock is ahead by a number of seconds.
func at(path string, ahead *atomic.Int64) storetest.Database {
	return storetest.Database{
		Open: func(t testing.TB, issuer string) (*store.Store, error) {
			return sqlite.Open(t.Context(), path, sqlite.Config{Issuer: issuer, Now: func() time.Time {
				return time.Now().Add(time.Duration(ahead.Load()) * time.Second)
			}})
		},
		SQL: func(t testing.TB) *sql.DB {
			db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return db
		},
		Copy: func(t testing.TB) storetest.Database {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
				t.Fatal("copied while it is open")
			}
			to := filepath.Join(t.TempDir(), "copy.db")
			if err := os.WriteFile(to, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return at(to, ahead)
		},
		Tick: func(testing.TB) { ahead.Add(1) },
	}
}

// TestFile: the file is the one that was named, whatever characters that has,
// and nobody else may read it or its write-ahead log.
func TestFile(t *testing.T) {
	for _, name := range []string{"store.db", "a b?c=d&e.db", "%41#x.db", "Ω'\".db"} {
		path := filepath.Join(t.TempDir(), name)
		st, err := sqlite.Open(t.Context(), path, sqlite.Config{Issuer: storetest.Issuer})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		for _, file := range []string{path, path + "-wal"} {
			info, err := os.Stat(file)
			if err != nil {
				t.Errorf("%q: %v", name, err)
			} else if mode := info.Mode().Perm(); mode != 0o600 {
				t.Errorf("%q has mode %v", file, mode)
			}
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "no folder", "store.db"), sqlite.Config{Issuer: storetest.Issuer})
	if err == nil {
		st.Close()
		t.Error("opened in a folder that is not there")
	}
}
