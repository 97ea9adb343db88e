package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// maxLanes is more than any dialect has.
const maxLanes = 8

// occupy holds every lane of st inside a function until the returned function
// is called, so that what is handed in meanwhile makes a batch.
func occupy(t testing.TB, st *store.Store) (release func()) {
	gate := make(chan struct{})
	var held, done sync.WaitGroup
	for range st.Stats().Lanes {
		held.Add(1)
		var once sync.Once
		done.Go(func() {
			err := st.Update(context.Background(), func(*store.Tx) error {
				once.Do(held.Done)
				<-gate
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		held.Wait() // one lane after the other, or one takes them all
	}
	return func() { close(gate); done.Wait() }
}

// pile hands in n Updates while the lanes are held, lets go, and returns their
// errors once all are answered.
func pile(t testing.TB, st *store.Store, n int, fn func(i int, tx *store.Tx) error) []error {
	t.Helper()
	release := occupy(t, st)
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = st.Update(context.Background(), func(tx *store.Tx) error { return fn(i, tx) }) })
	}
	for st.Stats().Waiting < n {
		runtime.Gosched()
	}
	release()
	all.Wait()
	return errs
}

func groupCommit(t *testing.T, db Database) {
	st := open(t, db)
	before := st.Stats()
	const n = 100
	for _, err := range pile(t, st, n, func(i int, tx *store.Tx) error { return tx.CreateSession(session(fmt.Sprint(i), "u")) }) {
		if err != nil {
			t.Fatal(err)
		}
	}
	after := st.Stats()
	if got := after.Updates - before.Updates; got != n+uint64(after.Lanes) {
		t.Errorf("%d Updates answered, want %d", got, n+after.Lanes)
	}
	if got := after.Commits - before.Commits; got > uint64(2*after.Lanes) {
		t.Errorf("%d commits for %d Updates on %d lanes", got, n, after.Lanes)
	}
}

// errorStaysAlone: in one batch some fail, before or after they wrote, by their
// own error or one of the database. Only their work is undone.
func errorStaysAlone(t *testing.T, db Database) {
	st := open(t, db)
	refused := errors.New("refused")
	const n = 60
	errs := pile(t, st, n, func(i int, tx *store.Tx) error {
		id := fmt.Sprintf("s%02d", i)
		switch i % 6 {
		case 1: // before it writes
			return refused
		case 2: // after it has written, appended and audited
			_, err := tx.Revoke(of(revocation.Subject, id))
			return errors.Join(err, tx.CreateSession(session(id, "bad")), tx.AppendAudit(store.AuditRow{Actor: "bad"}), refused)
		case 3: // the database says no
			return tx.SetMeta("broken", strings.Repeat("x", i)+"\x00")
		case 4: // revokes
			rec, err := tx.Revoke(of(revocation.Subject, id))
			if err != nil {
				return err
			}
			s := session(id, "good")
			s.Born = rec.Seq
			return tx.CreateSession(s)
		}
		return errors.Join(tx.CreateSession(session(id, "good")), tx.AppendAudit(store.AuditRow{Actor: "good"}))
	})
	for i, err := range errs {
		want := map[int]error{1: refused, 2: refused, 3: store.ErrText}[i%6]
		if !errors.Is(err, want) {
			t.Errorf("Update %d: got %v, want %v", i, err, want)
		}
	}
	good := read(t, st, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(store.SessionFilter{}) })
	equal(t, "sessions", len(good), n/2)
	for _, s := range good {
		equal(t, "user of "+s.ID, s.UserID, "good")
	}
	equal(t, "entries", len(logOf(t, st)), n/6)
	checkChain(t, st)
	for _, row := range auditOf(t, st) {
		equal(t, "audit row of", row.Actor, "good")
	}
	if _, broken := brokenAt(t, st); broken != 0 {
		t.Errorf("audit chain broken at %d", broken)
	}
}

// swallowedError: a function that hides an error of the database from Update
// has not succeeded, and the others of its batch have.
func swallowedError(t *testing.T, db Database) {
	st := open(t, db)
	if _, err := db.SQL(t).Exec("DROP TABLE secrets"); err != nil {
		t.Fatal(err)
	}
	errs := pile(t, st, 10, func(i int, tx *store.Tx) error {
		err := tx.CreateSession(session(fmt.Sprint(i), "u"))
		if i == 5 {
			tx.InsertSecret(store.SecretRow{Name: "x"})
		}
		return err
	})
	for i, err := range errs {
		if (err != nil) != (i == 5) || errors.Is(err, store.ErrUnavailable) != (i == 5) {
			t.Errorf("Update %d: %v", i, err)
		}
	}
	found := read(t, st, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(store.SessionFilter{}) })
	equal(t, "sessions", len(found), 9)
}

func panics(t *testing.T, db Database) {
	st := open(t, db)
	errs := pile(t, st, 20, func(i int, tx *store.Tx) error {
		err := tx.CreateSession(session(fmt.Sprint(i), "u"))
		if i%5 == 0 {
			panic("planned")
		}
		return err
	})
	for i, err := range errs {
		if (err != nil) != (i%5 == 0) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Update %d: %v", i, err)
		}
	}
	found := read(t, st, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(store.SessionFilter{}) })
	equal(t, "sessions", len(found), 16)
}

// goroutineEnds: a function that ends its goroutine, as FailNow does, leaves no
// lane dead and no caller waiting.
func goroutineEnds(t *testing.T, db Database) {
	st := open(t, db)
	for range maxLanes {
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			if err := tx.CreateSession(session("lost", "u")); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		})
		if err == nil {
			t.Fatal("an Update that never returned has succeeded")
		}
	}
	update(t, st, func(tx *store.Tx) error { return tx.CreateSession(session("kept", "u")) })
	found := read(t, st, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(store.SessionFilter{}) })
	equal(t, "sessions", ids(found), "kept ")
}

// cancelled: whoever gives up before the lane came is not run; whoever is
// running is finished, and told so.
func cancelled(t *testing.T, db Database) {
	st := open(t, db)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	ran := func(*store.Tx) error { t.Error("an Update was run whose context had ended"); return nil }
	for _, call := range []func(context.Context, func(*store.Tx) error) error{st.Update, st.View} {
		if err := call(ended, ran); !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %v", err)
		}
	}

	release := occupy(t, st)
	waiting, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() { answer <- st.Update(waiting, ran) }()
	for st.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("given up while waiting: %v", err)
	}
	release()

	running, cancel := context.WithCancel(t.Context())
	err := st.Update(running, func(tx *store.Tx) error {
		cancel()
		return tx.CreateSession(session("s", "u"))
	})
	if err != nil {
		t.Errorf("given up while running: %v", err)
	}
	read(t, st, func(tx *store.Tx) (store.Session, error) { return tx.Session("s") })
}

func closeDrains(t *testing.T, db Database) {
	st, err := db.Open(t, Issuer)
	if err != nil {
		t.Fatal(err)
	}
	release := occupy(t, st)
	const n = 300 // more than a batch takes
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			err := st.Update(context.Background(), func(tx *store.Tx) error { return tx.CreateSession(session(fmt.Sprint(i), "u")) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	for st.Stats().Waiting < n {
		runtime.Gosched()
	}
	all.Go(func() { closeStore(t, st) })
	for st.View(t.Context(), func(*store.Tx) error { return nil }) == nil {
		runtime.Gosched()
	}
	release()
	all.Wait()
	for _, call := range []func(context.Context, func(*store.Tx) error) error{st.Update, st.View} {
		if err := call(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
	}
	closeStore(t, st)
	found := read(t, open(t, db), func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(store.SessionFilter{}) })
	equal(t, "sessions", len(found), n)
}

// readOnlyView: a View sees one state and writes nothing.
func readOnlyView(t *testing.T, db Database) {
	st := open(t, db)
	before := headOf(t, st)
	err := st.View(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Head(); err != nil {
			return err
		}
		revokeIn(t, st, of(revocation.Subject, "u"))
		h, err := tx.Head()
		equal(t, "head in the view", h, before)
		seen, err2 := tx.Standing(store.StandingQuery{})
		equal(t, "head of a standing in the view", seen.Head, before.Seq)
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(tx *store.Tx) error{
		"row":    func(tx *store.Tx) error { return tx.CreateSession(session("s", "u")) },
		"revoke": revokes(of(revocation.Subject, "u")),
		"audit":  func(tx *store.Tx) error { return tx.AppendAudit(store.AuditRow{}) },
		"epoch":  func(tx *store.Tx) error { _, err := tx.NewEpoch(); return err },
		"trim":   func(tx *store.Tx) error { _, err := tx.TrimLog(someTime); return err },
	} {
		if err := st.View(t.Context(), write); err == nil {
			t.Errorf("%s: written in a View", name)
		}
	}
}

func txOutlives(t *testing.T, db Database) {
	st := open(t, db)
	var kept [2]*store.Tx
	update(t, st, func(tx *store.Tx) error { kept[0] = tx; return nil })
	read(t, st, func(tx *store.Tx) (int, error) { kept[1] = tx; return 0, nil })
	for _, tx := range kept {
		if _, err := tx.Head(); err == nil {
			t.Error("read through a transaction that is over")
		}
		if tx.CreateSession(session("s", "u")) == nil || tx.AppendAudit(store.AuditRow{}) == nil {
			t.Error("written through a transaction that is over")
		}
	}
}

// revocationLast: functions that append are called at the end of their batch,
// and see what the others did; one that wrote first stays where it is.
func revocationLast(t *testing.T, db Database) {
	st := open(t, db)
	var mu sync.Mutex
	var order []string
	errs := pile(t, st, 40, func(i int, tx *store.Tx) error {
		kind := "row"
		if i%2 == 0 {
			if _, err := tx.Revoke(of(revocation.Subject, fmt.Sprint(i))); err != nil {
				return err
			}
			kind = "entry"
		}
		mu.Lock()
		order = append(order, kind)
		mu.Unlock()
		return tx.CreateSession(session(fmt.Sprint(i), "u"))
	})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	if st.Stats().Lanes == 1 {
		equal(t, "order", strings.Join(order, " "), strings.TrimSpace(strings.Repeat("row ", 20)+strings.Repeat("entry ", 20)))
	}
	checkChain(t, st)
	equal(t, "entries", len(logOf(t, st)), 20)
}

func changed(t *testing.T, db Database) {
	st := open(t, db)
	select { // an epoch may have begun
	case <-st.Changed():
	default:
	}
	update(t, st, func(tx *store.Tx) error { return tx.CreateSession(session("s", "u")) })
	refused := errors.New("refused")
	wantUpdate(t, st, refused, func(tx *store.Tx) error {
		_, err := tx.Revoke(of(revocation.Subject, "u"))
		return errors.Join(err, refused)
	})
	select {
	case <-st.Changed():
		t.Error("signal without an entry")
	default:
	}
	for range 2 { // signals merge
		revokeIn(t, st, of(revocation.Subject, "u"))
	}
	<-st.Changed()
	select {
	case <-st.Changed():
		t.Error("a second signal for the same entries")
	default:
	}
	update(t, st, func(tx *store.Tx) error { _, err := tx.NewEpoch(); return err })
	<-st.Changed()
}

// Hammer lets many clients on two nodes refresh the same few sessions, revoke
// and audit, in every order. Each counter is given out once, and all chains
// hold. That nobody stood still is for the caller to see in its database.
func Hammer(t *testing.T, db Database) {
	nodes := []*store.Store{open(t, db), open(t, db)}
	const sessions, clients, rounds = 4, 32, 15
	update(t, nodes[0], func(tx *store.Tx) error {
		if err := tx.CreateUser(store.User{ID: "u", Name: "ann"}); err != nil {
			return err
		}
		for i := range sessions {
			if err := tx.CreateSession(session(fmt.Sprint(i), "u")); err != nil {
				return err
			}
		}
		return nil
	})
	var rotated [sessions]atomic.Uint64
	var slowest atomic.Int64
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for r := range rounds {
				i := (c + r) % sessions
				start := time.Now()
				err := nodes[c%2].Update(t.Context(), func(tx *store.Tx) error {
					seen, err := tx.Standing(store.StandingQuery{Session: fmt.Sprint(i)})
					if err != nil {
						return err
					}
					if r%5 == 4 {
						if _, err := tx.Revoke(ofToken(fmt.Sprint(c, "-", r%8), fmt.Sprint("other", i))); err != nil {
							return err
						}
					}
					return errors.Join(tx.RotateSession(next(seen)), tx.AppendAudit(store.AuditRow{Action: "refresh"}))
				})
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
				switch {
				case err == nil:
					rotated[i].Add(1)
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("slowest Update %v, %+v", time.Duration(slowest.Load()), nodes[0].Stats())
	total := uint64(0)
	for i := range sessions {
		s := read(t, nodes[0], func(tx *store.Tx) (store.Session, error) { return tx.Session(fmt.Sprint(i)) })
		equal(t, "counter", s.Counter, 1+rotated[i].Load())
		total += rotated[i].Load()
	}
	whole, broken := brokenAt(t, nodes[1])
	equal(t, "audit", []uint64{whole, broken}, []uint64{total, 0})
	checkChain(t, nodes[1])
}
