package storetest

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// escapes reports whether a token with rsq gets past an entry that a verifier
// compares with rsq: every kind but token and session.
func escapes(rsq uint64, entry store.LogRecord) bool { return entry.Seq <= rsq }

// people fills a store with a user, a client and a session of theirs that was
// born now.
func people(t testing.TB, st *store.Store) {
	t.Helper()
	update(t, st, func(tx *store.Tx) error {
		h, err := tx.Head()
		if err != nil {
			return err
		}
		s := session("s", "u")
		s.Born, s.Tenant, s.Device = h.Seq, "acme", "jkt"
		return errors.Join(
			tx.CreateUser(store.User{ID: "u", Name: "ann", Tenant: "acme"}),
			tx.CreateClient(store.Client{ID: "app"}),
			tx.CreateSession(s),
		)
	})
}

// A hand is a connection whose statements are stepped by the test.
type hand struct {
	t    testing.TB
	conn *sql.Conn
}

// newHand connects beside the stores; the transaction, if the database has
// one, begins at once and is rolled back at the end of the test.
func newHand(t testing.TB, db Database) *hand {
	t.Helper()
	conn, err := db.SQL(t).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{t, conn}
	if db.Begin != "" {
		h.exec(db.Begin)
	}
	t.Cleanup(func() {
		if db.Begin != "" {
			conn.ExecContext(context.Background(), "ROLLBACK")
		}
		conn.Close()
	})
	return h
}

func (h *hand) exec(query string, args ...any) int64 {
	h.t.Helper()
	res, err := h.conn.ExecContext(context.Background(), query, args...)
	if err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *hand) number(query string, args ...any) uint64 {
	h.t.Helper()
	var n int64
	if err := h.conn.QueryRowContext(context.Background(), query, args...).Scan(&n); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	return uint64(n)
}

const (
	readHead      = "SELECT seq FROM log_head WHERE id = 1"
	readValidFrom = "SELECT COALESCE((SELECT seq FROM valid_from WHERE kind = $1 AND value = $2), 0)"
)

// MintRules shows each way of minting that lets a revocation escape, and that
// the store's way does not.
func MintRules(t *testing.T, fresh Fresh) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"TwoStatements", twoStatements},
		{"LargerOfTwo", largerOfTwo},
		{"CachedClient", cachedClient},
		{"CounterAlone", counterAlone},
		{"UserReadBeforeHashing", userReadBeforeHashing},
		{"NumbersAfterRestore", numbersAfterRestore},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

// twoStatements: the rows, then the head. A revocation that commits between
// them is known to the token and unknown to the decision.
func twoStatements(t *testing.T, db Database) {
	st := open(t, db)
	people(t, st)
	born := standingOf(t, st, store.StandingQuery{Session: "s"}).Session.Born

	wrong := newHand(t, db)
	if from := wrong.number(readValidFrom, int64(revocation.Subject), "u"); born < from {
		t.Fatal("the user was revoked before the test")
	}
	entry := revokeIn(t, st, of(revocation.Subject, "u"))
	if rsq := wrong.number(readHead); !escapes(rsq, entry) {
		t.Fatalf("the wrong way was expected to let entry %d escape, rsq is %d", entry.Seq, rsq)
	}

	// The right way, with the revocation before, during and after the statement.
	for _, kind := range []revocation.Kind{
		revocation.Subject, revocation.Client, revocation.Tenant, revocation.Device, revocation.Everything,
	} {
		r := of(kind, map[revocation.Kind]string{
			revocation.Subject: "u", revocation.Client: "app", revocation.Tenant: "acme", revocation.Device: "jkt",
		}[kind])
		born := headOf(t, st).Seq
		setBorn(t, db, born)

		before := standingOf(t, st, store.StandingQuery{Session: "s"})
		during, entry := standingDuring(t, st, r)
		after := standingOf(t, st, store.StandingQuery{Session: "s"})
		for when, seen := range map[string]*store.Standing{"before": before, "during": during, "after": after} {
			if seen.Permits(born) == nil && escapes(seen.Head, entry) {
				t.Errorf("%v: entry %d escapes a token with rsq %d, minted %s it was committed", kind, entry.Seq, seen.Head, when)
			}
		}
		if after.Permits(born) == nil {
			t.Errorf("%v: a revoked grant mints", kind)
		}
	}
}

// setBorn stands for a new sign-in: the session's grant is born now.
func setBorn(t testing.TB, db Database, born uint64) {
	t.Helper()
	if _, err := db.SQL(t).Exec("UPDATE sessions SET born = $1", int64(born)); err != nil {
		t.Fatal(err)
	}
}

// standingDuring reads a standing while a revocation is written and not yet
// committed.
func standingDuring(t testing.TB, st *store.Store, r store.Revocation) (*store.Standing, store.LogRecord) {
	t.Helper()
	written, commit := make(chan struct{}), make(chan struct{})
	var entry store.LogRecord
	answer := make(chan error)
	go func() {
		answer <- st.Update(context.Background(), func(tx *store.Tx) (err error) {
			if entry, err = tx.Revoke(r); err != nil {
				return err
			}
			close(written)
			<-commit
			return nil
		})
	}()
	<-written
	seen := standingOf(t, st, store.StandingQuery{Session: "s"})
	close(commit)
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	return seen, entry
}

// largerOfTwo: a token made from a token, or from a number kept from before,
// takes the smaller rsq. The larger one claims to know an entry that the older
// decision did not.
func largerOfTwo(t *testing.T, db Database) {
	st := open(t, db)
	people(t, st)
	first := standingOf(t, st, store.StandingQuery{Session: "s"})
	entry := revokeIn(t, st, of(revocation.Tenant, "partner")) // in the first token; this issuer has no row that says so
	second := standingOf(t, st, store.StandingQuery{Session: "s"})
	if err := errors.Join(first.Permits(first.Session.Born), second.Permits(second.Session.Born)); err != nil {
		t.Fatal(err)
	}
	if !escapes(max(first.Head, second.Head), entry) {
		t.Error("the larger number was expected to let the entry escape")
	}
	if escapes(min(first.Head, second.Head), entry) {
		t.Error("the entry escapes the smaller number")
	}
}

// cachedClient: the head is fresh and the client comes from a cache.
func cachedClient(t *testing.T, db Database) {
	st := open(t, db)
	people(t, st)
	cache := read(t, st, func(tx *store.Tx) (store.Client, error) { return tx.Client("app") })
	entry := revokeIn(t, st, of(revocation.Client, "app"))
	fresh := standingOf(t, st, store.StandingQuery{Session: "s"})
	if born := fresh.Session.Born; born < cache.ValidFrom || !escapes(fresh.Head, entry) {
		t.Error("the cached client was expected to let the entry escape")
	}
	if err := fresh.Permits(fresh.Session.Born); !errors.Is(err, store.ErrRevoked) {
		t.Errorf("with the client as it is: %v", err)
	}
}

// counterAlone: a refresh has read a living session; it is revoked; then the
// counter is written. Without the second condition that succeeds, and the
// answer carries a new refresh token.
func counterAlone(t *testing.T, db Database) {
	st := open(t, db)
	people(t, st)
	seen := standingOf(t, st, store.StandingQuery{Session: "s"})
	if err := seen.Permits(seen.Session.Born); err != nil {
		t.Fatal(err)
	}
	revokeIn(t, st, of(revocation.Session, "s"))
	wrong := newHand(t, db)
	n := wrong.exec("UPDATE sessions SET counter = counter + 1 WHERE id = $1 AND counter = $2", "s", int64(seen.Session.Counter))
	if n != 1 {
		t.Fatal("the wrong way was expected to write a counter")
	}
	wrong.exec("UPDATE sessions SET counter = counter - 1 WHERE id = $1", "s")
	if db.Begin != "" {
		wrong.exec("ROLLBACK")
	}
	wantUpdate(t, st, store.ErrConflict, func(tx *store.Tx) error { return tx.RotateSession(next(seen)) })
}

// userReadBeforeHashing: a sign-in reads the user, hashes for a while, and
// mints. What happened meanwhile counts from the head at the begin, not now.
func userReadBeforeHashing(t *testing.T, db Database) {
	st := open(t, db)
	people(t, st)
	begin := standingOf(t, st, store.StandingQuery{UserName: "ann", ClientID: "app"})
	if err := begin.Permits(begin.Head); err != nil {
		t.Fatal(err)
	}
	entry := revokeIn(t, st, of(revocation.Subject, "u"))
	end := standingOf(t, st, store.StandingQuery{UserID: "u", ClientID: "app"})
	if end.Permits(end.Head) != nil || !escapes(end.Head, entry) {
		t.Error("a sign-in born at its end was expected to let the entry escape")
	}
	var why *store.RevokedError
	if err := end.Permits(begin.Head); !errors.As(err, &why) || why.Kind != revocation.Subject || why.Seq != entry.Seq {
		t.Errorf("a sign-in born at its begin: %v", err)
	}
}

// lose makes a backup of a store, lets it live on until a token is out whose
// rsq the backup has never heard of, and returns the backup and that rsq.
func lose(t testing.TB, db Database) (backup Database, rsq uint64) {
	t.Helper()
	st, err := db.Open(t, Issuer)
	if err != nil {
		t.Fatal(err)
	}
	people(t, st)
	revokeIn(t, st, of(revocation.Tenant, "x"))
	closeStore(t, st)
	backup = db.Copy(t)
	return backup, live(t, db)
}

// live appends to the log of a store and returns the rsq of a token minted then.
func live(t testing.TB, db Database) uint64 {
	t.Helper()
	st, err := db.Open(t, Issuer)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, st)
	for range 5 {
		revokeIn(t, st, of(revocation.Tenant, "x"))
	}
	return standingOf(t, st, store.StandingQuery{Session: "s"}).Head
}

// numbersAfterRestore: going on from the head of the backup gives numbers that
// live tokens already claim to know.
func numbersAfterRestore(t *testing.T, db Database) {
	backup, rsq := lose(t, db)
	st := open(t, backup)
	if entry := revokeIn(t, st, of(revocation.Subject, "u")); !escapes(rsq, entry) {
		t.Fatalf("without a new epoch entry %d was expected to escape a token with rsq %d", entry.Seq, rsq)
	}
	db.Tick(t)
	update(t, st, func(tx *store.Tx) error { _, err := tx.NewEpoch(); return err })
	if entry := revokeIn(t, st, of(revocation.Subject, "u")); escapes(rsq, entry) {
		t.Errorf("in a new epoch entry %d escapes a token with rsq %d", entry.Seq, rsq)
	}
}
