// Package sqlite opens a store in a file, without a server.
//
//	st, err := sqlite.Open(ctx, "counterfoil-data/counterfoil.db", sqlite.Config{Issuer: url})
//
// One process owns the file; another may open it for a moment, such as a
// command of the operator. The file must be on a disk of this machine.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/counterfoil/counterfoil/issuer/store"
)

const (
	// busyTimeout is how long a transaction waits for another process.
	busyTimeout = 5 * time.Second

	// checkpointPages is how far the write-ahead log grows, in pages of 4 KiB,
	// before its pages move into the database file.
	checkpointPages = 4000

	// readers is how many Views run at once.
	readers = 4
)

// Config says how to open a file.
type Config struct {
	Issuer string           // see store.Config
	Now    func() time.Time // default time.Now; SQLite has no clock of its own

	// UnsafeNoSync acknowledges writes before they are on disk. It is there so
	// that a test of durability can be seen failing.
	UnsafeNoSync bool
}

// Open opens the store in the file at path and creates it, readable by its
// owner only, if it is not there. Close it.
func Open(ctx context.Context, path string, cfg Config) (*store.Store, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	writes, err := sql.Open("sqlite", source(path, cfg, false))
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	writes.SetMaxOpenConns(1)
	reads, err := sql.Open("sqlite", source(path, cfg, true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), writes.Close())
	}
	return store.Open(ctx, dialect, writes, reads, store.Config{Issuer: cfg.Issuer, Now: cfg.Now})
}

// create makes an empty file that only its owner can read; SQLite gives its
// write-ahead log the same mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// source names the file and what every connection to it sets first.
// synchronous=FULL makes a commit wait for the disk also in WAL mode.
func source(path string, cfg Config, readOnly bool) string {
	sync := "FULL"
	if cfg.UnsafeNoSync {
		sync = "OFF"
	}
	v := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(" + sync + ")",
		"foreign_keys(ON)",
		fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages),
		fmt.Sprintf("journal_size_limit(%d)", checkpointPages*4096),
	}}
	if readOnly {
		v.Add("_pragma", "query_only(ON)")
	}
	return fileURL(path, v)
}

// fileURL names a file to SQLite, whatever characters its path has.
func fileURL(path string, v url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: v.Encode()}).String()
}

var dialect = store.Dialect{
	Name:        "sqlite",
	Goose:       goose.DialectSQLite3,
	BeginUpdate: "BEGIN IMMEDIATE",
	BeginView:   "BEGIN",
	Lanes:       1,
	Views:       readers,
	Again:       busy,
}

// busy reports that another process held the file for too long.
func busy(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}
