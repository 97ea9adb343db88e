// Package postgres opens a store in a PostgreSQL database, which several nodes
// of one issuer may share.
//
//	st, err := postgres.Open(ctx, "postgres://counterfoil@db.example/counterfoil?sslmode=verify-full", postgres.Config{Issuer: url})
//
// A server on another machine has to show a certificate for its name (sslmode=verify-full).
//
// It wants the primary: a standby is refused, since what it has not received
// yet would be missing from the decision to mint. A pooler in between has to
// keep one server connection for each of ours (session mode).
//
// Each new connection looks whose history it writes to. After a failover or a
// recovery to a point in time that is another timeline, and the store begins a
// new epoch by itself. A copy of the data folder put back in place is not told
// apart; see store.Tx.NewEpoch.
package postgres

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/issuer/store"
)

const (
	// writers and readers are how many Updates' batches and Views run at once.
	writers = 4
	readers = 8

	// migrationWait is for how many seconds a node waits while another one
	// brings the schema up to date.
	migrationWait = 300

	// lockTimeout ends a wait for a row, which is then tried again. Batches
	// wait only for the heads of the log and of the audit trail, which others
	// hold while they commit.
	lockTimeout = 2 * time.Second

	// batchTimeout bounds a batch, and a View, when the server does not answer.
	batchTimeout = 10 * time.Second
)

// Config says how to open a database.
type Config struct {
	Issuer string // see store.Config

	// AllowUnsafe opens a server that may lose what it has acknowledged:
	// revocations then come undone by a power cut.
	AllowUnsafe bool

	// AllowUnverified connects to a server elsewhere without TLS, or without looking
	// at its certificate: who stands in the way then reads the password and writes
	// to the store. A socket and a loopback address need no certificate.
	AllowUnverified bool
}

// ErrUnsafe reports a server that acknowledges a commit before it is durable.
var ErrUnsafe = errors.New("postgres: the server may lose what it acknowledges")

// ErrUnverified reports a URL by which anybody on the way could be the server.
var ErrUnverified = errors.New("postgres: the connection is not protected: add sslmode=verify-full, and sslrootcert=FILE for an authority of your own")

// ErrStandby reports a server that follows another one.
var ErrStandby = errors.New("postgres: the server is a standby; connect to the primary")

// Open opens the store in the database at url (a postgres:// URL or a keyword
// string, as libpq reads it) and makes its tables there, in the first schema of
// the search path, if they are not there. Close it. Errors are [ErrUnverified],
// [ErrStandby], [ErrUnsafe] and those of store.Open.
func Open(ctx context.Context, url string, cfg Config) (*store.Store, error) {
	return open(ctx, url, cfg, batchTimeout)
}

func open(ctx context.Context, url string, cfg Config, timeout time.Duration) (*store.Store, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("postgres: the store's URL is not understood") // err may show the password
	}
	if !cfg.AllowUnverified && !verified(&c.Config) {
		return nil, ErrUnverified
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "counterfoil"
	}
	c.RuntimeParams["lock_timeout"] = strconv.FormatInt(lockTimeout.Milliseconds(), 10)
	db := stdlib.OpenDB(*c)
	db.SetMaxIdleConns(0) // the store keeps its own, and knows when they lead nowhere
	if err := inspect(ctx, db, cfg); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d, err := newDialect(timeout)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return store.Open(ctx, d, db, db, store.Config{Issuer: cfg.Issuer})
}

// verified reports whether each server that may be tried shows a certificate for its
// name, or is on this machine. libpq's default is TLS with whoever answers, and no TLS
// where that is refused.
func verified(c *pgconn.Config) bool {
	safe := func(host string, t *tls.Config) bool {
		return local(host) || t != nil && !t.InsecureSkipVerify
	}
	for _, f := range c.Fallbacks {
		if !safe(f.Host, f.TLSConfig) {
			return false
		}
	}
	return safe(c.Host, c.TLSConfig)
}

// local reports whether host is a folder with a socket, or this machine.
func local(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || fetch.IsLoopbackHost(host)
}

// inspect refuses servers that cannot keep the store's promises.
func inspect(ctx context.Context, db *sql.DB, cfg Config) error {
	var standby bool
	if err := db.QueryRowContext(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if standby {
		return ErrStandby
	}
	if cfg.AllowUnsafe {
		return nil
	}
	var off []string
	for _, name := range [...]string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		if err := db.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		if value == "off" {
			off = append(off, name)
		}
	}
	if len(off) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s off; type: ALTER SYSTEM SET %s = on; SELECT pg_reload_conf();",
		ErrUnsafe, strings.Join(off, ", "), strings.Join(off, " = on; ALTER SYSTEM SET "))
}

func newDialect(timeout time.Duration) (store.Dialect, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, migrationWait))
	if err != nil {
		return store.Dialect{}, fmt.Errorf("postgres: %w", err)
	}
	return store.Dialect{
		Name:          "postgres",
		Goose:         goose.DialectPostgres,
		MigrationLock: locker,
		BeginUpdate:   "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
		BeginView:     "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		Lock:          " FOR UPDATE",
		LockFree:      " FOR UPDATE SKIP LOCKED",
		Now:           "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)",
		Lanes:         writers,
		Views:         readers,
		Timeout:       timeout,
		Again:         again,
		Identity:      identity,
	}, nil
}

// again reports a serialization failure, a deadlock or a lock not granted.
func again(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == "40001" || e.Code == "40P01" || e.Code == "55P03"
}

// identity names the history that this server writes: the cluster, and the
// timeline that every promotion and every recovery to a point in time changes.
// It is read from the position in the write-ahead log, since the control file
// learns of a new timeline only at the next checkpoint.
func identity(ctx context.Context, conn *sql.Conn) (string, error) {
	var id string
	err := conn.QueryRowContext(ctx, `SELECT system_identifier || '/' ||
		left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM pg_control_system()`).Scan(&id)
	return id, err
}
