package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/counterfoil/counterfoil/internal/atomicfile"
)

// ErrNoStore reports a file that no issuer keeps its store in.
var ErrNoStore = errors.New("sqlite: the file is no store of an issuer")

// Backup writes what the store in the file at path holds, at one moment, to a new file
// that only its owner can read. The issuer that owns the store may run meanwhile, and
// goes on writing. A file that is there already is not touched: the error then matches
// [io/fs.ErrExist]. When Backup returns nil the copy is whole and on disk.
func Backup(ctx context.Context, path, target string) error {
	err := atomicfile.Create(target, func(name string) error { return vacuum(ctx, path, name) })
	if err != nil && !errors.Is(err, ErrNoStore) {
		return fmt.Errorf("sqlite: %w", err)
	}
	return err
}

// vacuum has SQLite copy what one read transaction sees, into an empty file.
func vacuum(ctx context.Context, path, empty string) (err error) {
	db, err := sql.Open("sqlite", fileURL(path, url.Values{
		"mode":    {"rw"}, // a file that is not there is not made
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())},
	}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var issuer string
	if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'issuer'").Scan(&issuer); err != nil {
		return fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", empty)
	return err
}
