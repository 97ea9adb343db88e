package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// migrate brings the schema up to date. It refuses a schema that is ahead of
// this program, since older code would write rows that the newer cannot trust.
func migrate(ctx context.Context, d *Dialect, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations/"+d.Name)
	if err != nil {
		return err
	}
	opts := []goose.ProviderOption{
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()),
		goose.WithTableName("schema_version"),
	}
	if d.MigrationLock != nil {
		opts = append(opts, goose.WithSessionLocker(d.MigrationLock))
	}
	p, err := goose.NewProvider(d.Goose, db, files, opts...)
	if err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	upErr := up(ctx, p)
	current, target, err := p.GetVersions(ctx)
	switch {
	case err == nil && current > target:
		return fmt.Errorf("%w: version %d, known up to %d", ErrNewer, current, target)
	case upErr != nil:
		return fmt.Errorf("store: migrate: %w", upErr)
	case err != nil:
		return fmt.Errorf("store: schema version: %w", err)
	}
	return nil
}

// migrationTries is how often a schema change is begun. Where nothing locks
// out a second process (SQLite), the one that comes later finds the work done
// in the middle of its own, and sees so when it looks again.
const migrationTries = 3

func up(ctx context.Context, p *goose.Provider) (err error) {
	for range migrationTries {
		if _, err = p.Up(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}
