// Package storetest holds the tests that every store has to pass, whatever
// database is below it.
//
//	func TestStore(t *testing.T) { storetest.Run(t, fresh) }
//
// Besides [Run] there are tests of single rules, each with the wrong way
// first: it shows a revocation escape, so that the right way means something.
package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// Issuer is the "iss" of the stores that are tested.
const Issuer = "https://id.example"

// A Database is one database under test. It outlives the stores opened on it.
type Database struct {
	// Open opens a store on it, for Issuer unless another one is given. Several
	// may be open at once, as several nodes are.
	Open func(t testing.TB, issuer string) (*store.Store, error)

	// SQL connects beside the stores, to tamper and to step by hand.
	SQL func(t testing.TB) *sql.DB

	// Copy returns a copy of the present state: a backup. No store is open.
	Copy func(t testing.TB) Database

	// Tick lets at least a second pass on the clock of the database.
	Tick func(t testing.TB)

	// Begin begins a transaction in which each statement sees its own state.
	// Empty: the database has none, and statements go without a transaction.
	Begin string
}

// A Fresh makes an empty database that is gone after the test.
type Fresh func(t testing.TB) Database

// Run tests everything that a store promises.
func Run(t *testing.T, fresh Fresh) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"Users", users},
		{"Clients", clients},
		{"Sessions", sessions},
		{"RotateOnce", rotateOnce},
		{"Standing", standing},
		{"Permits", permits},
		{"Revoke", revoke},
		{"RevokeTwice", revokeTwice},
		{"TokensOfASession", tokensOfASession},
		{"Chain", chain},
		{"ConcurrentRevocations", concurrentRevocations},
		{"TrimLog", trimLog},
		{"Epochs", epochs},
		{"Keys", keys},
		{"SecretsAndMeta", secretsAndMeta},
		{"Nodes", nodes},
		{"Incidents", incidents},
		{"KeysKilled", keysKilled},
		{"Forgeries", forgeries},
		{"Undrained", undrained},
		{"Alarms", alarms},
		{"AlarmsAreBounded", alarmsAreBounded},
		{"Probes", probes},
		{"Traces", traces},
		{"TracesAreBounded", tracesAreBounded},
		{"Audit", audit},
		{"AuditTampered", auditTampered},
		{"Ownership", ownership},
		{"OpenedAtOnce", openedAtOnce},
		{"NewerSchema", newerSchema},
		{"Text", texts},
		{"Reopen", reopen},
		{"Times", times},
		{"GroupCommit", groupCommit},
		{"ErrorStaysAlone", errorStaysAlone},
		{"SwallowedError", swallowedError},
		{"Panic", panics},
		{"GoroutineEnds", goroutineEnds},
		{"Cancelled", cancelled},
		{"CloseDrains", closeDrains},
		{"ReadOnlyView", readOnlyView},
		{"TxOutlivesFunction", txOutlives},
		{"RevocationLast", revocationLast},
		{"Changed", changed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

// open opens a store that is closed with the test.
func open(t testing.TB, db Database) *store.Store {
	t.Helper()
	st, err := db.Open(t, Issuer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, st) })
	return st
}

func closeStore(t testing.TB, st *store.Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// update runs fn in an Update that has to succeed.
func update(t testing.TB, st *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := st.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// wantUpdate runs fn in an Update that has to fail in a certain way.
func wantUpdate(t testing.TB, st *store.Store, want error, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := st.Update(t.Context(), fn); !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// read returns what fn reads in a View.
func read[T any](t testing.TB, st *store.Store, fn func(tx *store.Tx) (T, error)) T {
	t.Helper()
	var v T
	err := st.View(t.Context(), func(tx *store.Tx) (err error) {
		v, err = fn(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// session returns a session that was born late enough for every test.
func session(id, user string) store.Session {
	return store.Session{ID: id, UserID: user, ClientID: "app", Audience: "api", Scope: "read", Born: math.MaxInt64, Counter: 1}
}

// handle stands in for the keyed hash of a value, which the store never makes.
func handle(kind revocation.Kind, value string) revocation.Entry {
	h := uint64(14695981039346656037)
	for _, b := range []byte(fmt.Sprint(kind, value)) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return revocation.Entry{Kind: kind, Handle: revocation.Handle(h)}
}

func of(kind revocation.Kind, value string) store.Revocation {
	return store.Revocation{Entry: handle(kind, value), Value: value}
}

func ofToken(jti, sid string) store.Revocation {
	return store.Revocation{
		Entry: handle(revocation.Token, jti), Value: jti,
		Session: sid, SessionEntry: handle(revocation.Session, sid),
	}
}

// revokeIn revokes in a transaction of its own.
func revokeIn(t testing.TB, st *store.Store, r store.Revocation) store.LogRecord {
	t.Helper()
	var rec store.LogRecord
	update(t, st, func(tx *store.Tx) (err error) {
		rec, err = tx.Revoke(r)
		return err
	})
	return rec
}

func standingOf(t testing.TB, st *store.Store, q store.StandingQuery) *store.Standing {
	t.Helper()
	return read(t, st, func(tx *store.Tx) (*store.Standing, error) { return tx.Standing(q) })
}

func headOf(t testing.TB, st *store.Store) store.Head {
	t.Helper()
	return read(t, st, (*store.Tx).Head)
}
