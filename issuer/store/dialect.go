package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// A Dialect is what differs between databases. Packages sqlite and postgres
// each have one; nobody else needs it.
type Dialect struct {
	Name  string        // folder below migrations
	Goose goose.Dialect // how goose keeps its version table

	MigrationLock lock.SessionLocker // against nodes that migrate at once; nil where one process owns the file

	BeginUpdate string // begins a transaction that writes
	BeginView   string // begins a read-only transaction with one snapshot for all its statements
	Lock        string // follows a SELECT to lock its row until the end of the transaction; may be empty
	LockFree    string // the same, and leaves out a row that is taken; empty: no two transactions write at once
	Now         string // expression for the database's clock in Unix milliseconds; empty: the process has the only clock

	Lanes   int           // how many transactions write at once
	Views   int           // how many transactions read at once
	Timeout time.Duration // longest life of a batch, and of a View; zero: no bound

	// Again reports whether a transaction that met err may succeed when it is
	// simply tried again: a deadlock, a serialization failure, a busy file.
	Again func(err error) bool

	// Identity names the physical history that a connection writes to. When it
	// differs from what the store has written down, the database was restored
	// or another server took over, and a new epoch begins. Nil: unknown.
	Identity func(ctx context.Context, conn *sql.Conn) (string, error)
}

// expand fills the places of a statement that differ between databases.
func (d *Dialect) expand(query string) string {
	now := d.Now
	if now == "" {
		now = "0"
	}
	return strings.NewReplacer("{now}", now, "{lock}", d.Lock, "{lockfree}", d.LockFree).Replace(query)
}
