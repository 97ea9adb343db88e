//go:build unix

package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/issuer/store/storetest"
	"github.com/counterfoil/counterfoil/revocation"
)

func TestStore(t *testing.T)     { storetest.Run(t, fresh) }
func TestMintRules(t *testing.T) { storetest.MintRules(t, fresh) }

func TestThreat63SignInAfterRevocation(t *testing.T) { storetest.SignInAfterRevocation(t, fresh(t)) }
func TestThreat64MintedBehind(t *testing.T)          { storetest.MintedBehind(t, fresh(t)) }
func TestThreat75RestoredTwice(t *testing.T)         { storetest.RestoredTwice(t, fresh(t)) }
func TestThreat110RolledBack(t *testing.T)           { storetest.RolledBack(t, fresh(t)) }
func TestThreat132BornBefore(t *testing.T)           { storetest.BornBefore(t, fresh(t)) }

// shared is the server of most tests here; its databases keep them apart.
var shared struct {
	once   sync.Once
	server *postgrestest.Server
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func server(t testing.TB) *postgrestest.Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = postgrestest.New() })
	postgrestest.Require(t, shared.err)
	return shared.server
}

func fresh(t testing.TB) storetest.Database {
	pg := server(t)
	return at(pg, pg.Database(t))
}

// at is the database that url names.
func at(pg *postgrestest.Server, url string) storetest.Database {
	return storetest.Database{
		Open: func(t testing.TB, issuer string) (*store.Store, error) {
			return postgres.Open(t.Context(), url, postgres.Config{Issuer: issuer})
		},
		SQL:   func(t testing.TB) *sql.DB { return connect(t, url) },
		Copy:  func(t testing.TB) storetest.Database { return at(pg, pg.Clone(t, url)) },
		Tick:  func(t testing.TB) { tick(t, url) },
		Begin: "BEGIN ISOLATION LEVEL READ COMMITTED",
	}
}

func connect(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// tick waits for the server's clock, which nobody can turn, to pass a second.
func tick(t testing.TB, url string) {
	t.Helper()
	if _, err := connect(t, url).Exec("SELECT pg_sleep(1.01)"); err != nil {
		t.Fatal(err)
	}
}

// TestSequenceSkips: numbers from a sequence become visible in the order of
// commits, not of numbers, and a reader passes over one that commits late.
func TestSequenceSkips(t *testing.T) {
	db := fresh(t)
	raw := db.SQL(t)
	for _, statement := range []string{"CREATE SEQUENCE wrong", "CREATE TABLE wrong_log (seq BIGINT PRIMARY KEY DEFAULT nextval('wrong'))"} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	early, late := begin(t, raw), begin(t, raw)
	insert := "INSERT INTO wrong_log DEFAULT VALUES RETURNING seq"
	first, second := number(t, early, insert), number(t, late, insert)
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	held := number(t, raw, "SELECT max(seq) FROM wrong_log") // a reader applies what it sees and stands there
	if err := early.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := number(t, raw, "SELECT count(*) FROM wrong_log WHERE seq > $1", held); first > second || n != 0 {
		t.Fatalf("the reader at %d was expected to miss %d", held, first)
	}

	// The same two in the store: the second waits for the first.
	nodes := [2]*store.Store{}
	for i := range nodes {
		st, err := db.Open(t, storetest.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		nodes[i] = st
	}
	base := head(t, nodes[0]).Seq
	appended, commit := make(chan struct{}), make(chan struct{})
	var both sync.WaitGroup
	var once sync.Once
	both.Go(func() {
		err := nodes[0].Update(context.Background(), func(tx *store.Tx) error {
			if _, err := tx.Revoke(subject("first")); err != nil {
				return err
			}
			once.Do(func() { close(appended) })
			<-commit
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-appended
	both.Go(func() {
		if err := nodes[1].Update(context.Background(), func(tx *store.Tx) error { _, err := tx.Revoke(subject("second")); return err }); err != nil {
			t.Error(err)
		}
	})
	for number(t, raw, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == 0 {
	}
	if h := head(t, nodes[1]); h.Seq != base {
		t.Errorf("a reader sees %d before %d has committed", h.Seq, base+1)
	}
	close(commit)
	both.Wait()
	if h := head(t, nodes[1]); h.Seq != base+2 {
		t.Errorf("head %d, want %d", h.Seq, base+2)
	}
}

func begin(t testing.TB, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func number(t testing.TB, db interface {
	QueryRow(string, ...any) *sql.Row
}, query string, args ...any) (n uint64) {
	t.Helper()
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func head(t testing.TB, st *store.Store) (h store.Head) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) (err error) { h, err = tx.Head(); return err })
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func subject(id string) store.Revocation {
	return store.Revocation{Entry: revocation.Entry{Kind: revocation.Subject, Handle: 1}, Value: id}
}

// TestNoDeadlock: batches that want the same rows in different order never wait
// for each other in a circle, which would hold everybody up for a second.
func TestNoDeadlock(t *testing.T) {
	url := server(t).Database(t)
	t.Run("Hammer", func(t *testing.T) { storetest.Hammer(t, at(shared.server, url)) })
	db := connect(t, url)
	// A connection adds to the count when it has gone.
	for number(t, db, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counterfoil' AND datname = current_database()") > 0 {
	}
	if n := number(t, db, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n > 0 {
		t.Errorf("%d deadlocks", n)
	}
}

// TestUnsafe: a server that loses what it acknowledged is refused, and the
// error says what to type.
func TestUnsafe(t *testing.T) {
	pg := postgrestest.Start(t)
	url := pg.Database(t)
	raw := connect(t, url)
	try := func(cfg postgres.Config) error {
		st, err := postgres.Open(t.Context(), url, cfg)
		if err == nil {
			err = st.Close()
		}
		return err
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		set(t, raw, name, "off")
		err := try(postgres.Config{Issuer: storetest.Issuer})
		if !errors.Is(err, postgres.ErrUnsafe) || !strings.Contains(err.Error(), "ALTER SYSTEM SET "+name+" = on; SELECT pg_reload_conf();") {
			t.Errorf("opened with %s off: %v", name, err)
		}
		if err := try(postgres.Config{Issuer: storetest.Issuer, AllowUnsafe: true}); err != nil {
			t.Errorf("allowed with %s off: %v", name, err)
		}
		set(t, raw, name, "on") // what the error says
	}
	if err := try(postgres.Config{Issuer: storetest.Issuer}); err != nil {
		t.Errorf("all on: %v", err)
	}
}

// set changes a setting of the whole server and waits until it has effect.
func set(t testing.TB, db *sql.DB, name, value string) {
	t.Helper()
	for _, statement := range []string{"ALTER SYSTEM SET " + name + " = " + value, "SELECT pg_reload_conf()"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	for number(t, db, "SELECT count(*) FROM pg_settings WHERE name = $1 AND setting = $2", name, value) == 0 {
	}
}

func TestBadURL(t *testing.T) {
	const secret = "correcthorse"
	for _, bad := range []string{"postgres://u:" + secret + "@[/x", "postgres://u:" + secret + "@127.0.0.1:1/x?connect_timeout=2"} {
		st, err := postgres.Open(t.Context(), bad, postgres.Config{Issuer: storetest.Issuer})
		if err == nil {
			st.Close()
			t.Fatal("opened")
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}

// TestThreat75Failover: the primary is lost and a standby that had not received
// everything takes over, at the same address, under a running issuer. It has
// another timeline, so a new epoch begins before anything is minted.
func TestThreat75Failover(t *testing.T) {
	primary := postgrestest.Start(t)
	name := primary.Database(t)
	st, err := postgres.Open(t.Context(), name, postgres.Config{Issuer: storetest.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	before := head(t, st)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := primary.Stop(); err != nil {
		t.Fatal(err)
	}
	standby := primary.Standby(t) // has what was there until now
	st, err = postgres.Open(t.Context(), standby.At(name), postgres.Config{Issuer: storetest.Issuer})
	if !errors.Is(err, postgres.ErrStandby) {
		t.Errorf("opened a standby: %v", err)
	}
	if st != nil {
		st.Close()
	}
	if err := primary.Run(); err != nil {
		t.Fatal(err)
	}

	relay := newRelay(t, primary.Socket())
	address := relay.url(t, name)
	st, err = postgres.Open(t.Context(), address, postgres.Config{Issuer: storetest.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var lost store.LogRecord
	for range 3 {
		lost = revoke(t, st, "u")
	}
	if lost.Epoch != before.Epoch {
		t.Fatalf("epoch %d became %d without a reason", before.Epoch, lost.Epoch)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Exec(t.Context(), "SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
	relay.to.Store(standby.Socket())
	tick(t, address)

	entry := retry(t, func() (store.LogRecord, error) { return tryRevoke(st, "u") })
	if entry.Epoch <= lost.Epoch || entry.Seq <= lost.Seq {
		t.Errorf("entry %d.%d does not exceed the lost %d.%d", entry.Epoch, entry.Seq, lost.Epoch, lost.Seq)
	}
	seen := retry(t, func() (seen *store.Standing, err error) {
		err = st.View(t.Context(), func(tx *store.Tx) error { seen, err = tx.Standing(store.StandingQuery{}); return err })
		return seen, err
	})
	if seen.Epoch != entry.Epoch || seen.Head != entry.Seq {
		t.Errorf("standing at %d.%d, want %d.%d", seen.Epoch, seen.Head, entry.Epoch, entry.Seq)
	}
	again, err := postgres.Open(t.Context(), address, postgres.Config{Issuer: storetest.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if h := head(t, again); h.Epoch != entry.Epoch {
		t.Errorf("opening again began another epoch: %v after %d", h, entry.Epoch)
	}
}

// retry calls fn until the store has found the new server: calls that were
// under way when the old one went are lost.
func retry[T any](t testing.TB, fn func() (T, error)) T {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		v, err := fn()
		if err == nil {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func tryRevoke(st *store.Store, id string) (rec store.LogRecord, err error) {
	err = st.Update(context.Background(), func(tx *store.Tx) error { rec, err = tx.Revoke(subject(id)); return err })
	return rec, err
}

func revoke(t testing.TB, st *store.Store, id string) store.LogRecord {
	t.Helper()
	rec, err := tryRevoke(st, id)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestThreat75KilledServer: what was acknowledged before the server was killed
// is there after it has recovered, and its history is the same one.
func TestThreat75KilledServer(t *testing.T) {
	pg := postgrestest.Start(t)
	st, err := postgres.Open(t.Context(), pg.Database(t), postgres.Config{Issuer: storetest.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var acknowledged atomic.Uint64
	var all sync.WaitGroup
	enough := make(chan struct{})
	var once sync.Once
	for w := range 16 {
		all.Go(func() {
			for {
				rec, err := tryRevoke(st, fmt.Sprint(w))
				if err != nil {
					return
				}
				for {
					was := acknowledged.Load()
					if rec.Seq <= was || acknowledged.CompareAndSwap(was, rec.Seq) {
						break
					}
				}
				if rec.Seq%256 == 0 {
					once.Do(func() { close(enough) })
				}
			}
		})
	}
	<-enough
	if err := pg.Kill(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if err := pg.Run(); err != nil {
		t.Fatal(err)
	}
	h := retry(t, func() (h store.Head, err error) {
		err = st.View(t.Context(), func(tx *store.Tx) error { h, err = tx.Head(); return err })
		return h, err
	})
	if h.Seq < acknowledged.Load() {
		t.Errorf("head %d, but %d was acknowledged", h.Seq, acknowledged.Load())
	}
	entry := retry(t, func() (store.LogRecord, error) { return tryRevoke(st, "after") })
	if entry.Epoch != h.Epoch || entry.Seq != h.Seq+1 {
		t.Errorf("entry %d.%d follows %v", entry.Epoch, entry.Seq, h)
	}
}
