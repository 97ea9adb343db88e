package store

import (
	"math"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A User is somebody who can sign in. Rows are never deleted, since a user's ID
// is the "sub" of tokens and is not used again.
type User struct {
	ID           string // "sub"
	Name         string // what the user types; unique
	PasswordHash string // as package account encodes it; empty: no password
	Tenant       string
	Roles        []string
	Claims       map[string]jsontext.Value // the application's own
	Disabled     bool
	Version      int64     // counts UpdateUser
	Created      time.Time // milliseconds

	// ValidFrom is the seq of the last entry that revoked the user, 0 if none.
	// Only [Tx.Revoke] changes it.
	ValidFrom uint64
}

// The columns of u, for dest. They stand after the columns of other tables in
// Standing, hence the prefix.
const userColumns = `u.id, u.name, u.password, u.tenant, u.roles, u.claims, u.disabled, u.version, u.created,
	(SELECT v.seq FROM valid_from v WHERE v.kind = 3 AND v.value = u.id)`

func (u *User) dest() []any {
	return []any{
		text{&u.ID}, text{&u.Name}, text{&u.PasswordHash}, text{&u.Tenant}, parsed{&u.Roles}, parsed{&u.Claims},
		flag{&u.Disabled}, signed{&u.Version}, millis{&u.Created}, number{&u.ValidFrom},
	}
}

// columns returns the values of the columns that CreateUser and UpdateUser write.
func (u *User) columns() ([]any, error) {
	roles, err := jsonText(u.Roles)
	if err != nil {
		return nil, err
	}
	claims, err := jsonText(u.Claims)
	if err != nil {
		return nil, err
	}
	return []any{u.ID, u.Name, u.PasswordHash, u.Tenant, roles, claims, bit(u.Disabled)}, nil
}

// CreateUser adds a user. [ErrExists] means that the ID or the name is taken.
// u.Version and u.ValidFrom are ignored.
func (tx *Tx) CreateUser(u User) error {
	cols, err := u.columns()
	if err != nil {
		return err
	}
	n, err := tx.exec(`INSERT INTO users (id, name, password, tenant, roles, claims, disabled, created, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) ON CONFLICT DO NOTHING`, append(cols, toMillis(u.Created))...)
	return one(n, err, ErrExists)
}

// UpdateUser writes u over the user with its ID if u.Version is still that of
// the row, and [ErrConflict] otherwise. Created and ValidFrom stay.
func (tx *Tx) UpdateUser(u User) error {
	cols, err := u.columns()
	if err != nil {
		return err
	}
	n, err := tx.exec(`UPDATE users SET name = $2, password = $3, tenant = $4, roles = $5, claims = $6, disabled = $7,
		version = version + 1 WHERE id = $1 AND version = $8`, append(cols, u.Version)...)
	return one(n, err, ErrConflict)
}

// User returns the user with a name.
func (tx *Tx) User(name string) (User, error) {
	var u User
	err := tx.row("SELECT "+userColumns+" FROM users u WHERE u.name = $1", []any{name}, u.dest()...)
	return u, err
}

// UserByID returns the user with an ID.
func (tx *Tx) UserByID(id string) (User, error) {
	var u User
	err := tx.row("SELECT "+userColumns+" FROM users u WHERE u.id = $1", []any{id}, u.dest()...)
	return u, err
}

// Users returns up to limit users whose name comes after the given one, by
// name. A limit of 0 means all.
func (tx *Tx) Users(after string, limit int) ([]User, error) {
	return list(tx, "SELECT "+userColumns+" FROM users u WHERE u.name > $1 ORDER BY u.name LIMIT $2",
		[]any{after, all(limit)}, (*User).dest)
}

// all turns a limit of 0 into no limit.
func all(limit int) int64 {
	if limit <= 0 {
		return math.MaxInt64
	}
	return int64(limit)
}

// one turns a statement that touched no row into the error that this means.
func one(n int64, err, none error) error {
	if err == nil && n == 0 {
		return none
	}
	return err
}
