package storetest

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

var someTime = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

func users(t *testing.T, db Database) {
	st := open(t, db)
	ann := store.User{
		ID: "u1", Name: "ann", PasswordHash: "$argon2id$", Tenant: "acme", Roles: []string{"admin", "it's"},
		Claims:  map[string]jsontext.Value{"plan": jsontext.Value(`{"level":3}`)},
		Created: someTime, Version: 77, ValidFrom: 78, // both ignored
	}
	update(t, st, func(tx *store.Tx) error { return tx.CreateUser(ann) })
	ann.Version, ann.ValidFrom = 1, 0
	equal(t, "user by name", read(t, st, func(tx *store.Tx) (store.User, error) { return tx.User("ann") }), ann)
	equal(t, "user by ID", read(t, st, func(tx *store.Tx) (store.User, error) { return tx.UserByID("u1") }), ann)

	for _, taken := range []store.User{{ID: "u1", Name: "bob"}, {ID: "u2", Name: "ann"}} {
		wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.CreateUser(taken) })
	}
	ann.Disabled, ann.PasswordHash = true, "new"
	update(t, st, func(tx *store.Tx) error { return tx.UpdateUser(ann) })
	wantUpdate(t, st, store.ErrConflict, func(tx *store.Tx) error { return tx.UpdateUser(ann) })
	rec := revokeIn(t, st, of(revocation.Subject, "u1"))
	ann.Version, ann.ValidFrom = 2, rec.Seq
	equal(t, "changed user", read(t, st, func(tx *store.Tx) (store.User, error) { return tx.User("ann") }), ann)
	update(t, st, func(tx *store.Tx) error { return tx.UpdateUser(ann) }) // a revocation is no conflict

	update(t, st, func(tx *store.Tx) error {
		return errors.Join(tx.CreateUser(store.User{ID: "u3", Name: "cid"}), tx.CreateUser(store.User{ID: "u2", Name: "bob"}))
	})
	equal(t, "names", names(read(t, st, func(tx *store.Tx) ([]store.User, error) { return tx.Users("", 0) })), "ann bob cid ")
	equal(t, "page", names(read(t, st, func(tx *store.Tx) ([]store.User, error) { return tx.Users("ann", 1) })), "bob ")
	err := st.View(t.Context(), func(tx *store.Tx) error { _, err := tx.User("nobody"); return err })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown user: %v", err)
	}
}

func names(users []store.User) (all string) {
	for _, u := range users {
		all += u.Name + " "
	}
	return all
}

func clients(t *testing.T, db Database) {
	st := open(t, db)
	public := store.Client{ID: "app", Kind: "public", Created: someTime}
	guard := store.Client{ID: "guard", Kind: "verifier", SecretHash: make([]byte, 32), Created: someTime}
	update(t, st, func(tx *store.Tx) error { return errors.Join(tx.CreateClient(public), tx.CreateClient(guard)) })
	wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.CreateClient(public) })
	equal(t, "clients", read(t, st, (*store.Tx).Clients), []store.Client{public, guard})

	guard.Disabled = true
	update(t, st, func(tx *store.Tx) error { return tx.UpdateClient(guard) })
	equal(t, "client", read(t, st, func(tx *store.Tx) (store.Client, error) { return tx.Client("guard") }), guard)
	wantUpdate(t, st, store.ErrNotFound, func(tx *store.Tx) error { return tx.UpdateClient(store.Client{ID: "x"}) })

	// A client that is removed and added again is not what it was.
	var rec store.LogRecord
	update(t, st, func(tx *store.Tx) (err error) {
		if rec, err = tx.Revoke(of(revocation.Client, "app")); err != nil {
			return err
		}
		return errors.Join(tx.CreateSession(session("s", "u")), tx.RemoveClient("app"))
	})
	wantUpdate(t, st, store.ErrNotFound, func(tx *store.Tx) error { return tx.RemoveClient("app") })
	equal(t, "sessions of a removed client", len(read(t, st, func(tx *store.Tx) ([]store.Session, error) {
		return tx.Sessions(store.SessionFilter{})
	})), 0)
	update(t, st, func(tx *store.Tx) error { return tx.CreateClient(public) })
	public.ValidFrom = rec.Seq
	equal(t, "client again", read(t, st, func(tx *store.Tx) (store.Client, error) { return tx.Client("app") }), public)
}

func sessions(t *testing.T, db Database) {
	st := open(t, db)
	now := read(t, st, (*store.Tx).Now)
	full := store.Session{
		ID: "s1", UserID: "u1", ClientID: "app", Tenant: "acme", Device: "jkt", Audience: "api", Scope: "a b",
		Born: 1 << 60, AuthTime: someTime, Created: someTime.Add(time.Second), Expires: now.Add(time.Hour).UTC().Truncate(time.Millisecond),
		RotatedAt: someTime.Add(time.Minute), Counter: 7, Epoch: 8, SecretHash: [32]byte{9}, Holder: [32]byte{10},
	}
	expired := session("s2", "u1")
	expired.Expires = someTime
	other := session("s3", "u2")
	update(t, st, func(tx *store.Tx) error {
		return errors.Join(tx.CreateSession(full), tx.CreateSession(expired), tx.CreateSession(other))
	})
	wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.CreateSession(full) })
	equal(t, "session", read(t, st, func(tx *store.Tx) (store.Session, error) { return tx.Session("s1") }), full)

	for _, test := range []struct {
		filter store.SessionFilter
		want   string
	}{
		{store.SessionFilter{}, "s1 s2 s3 "},
		{store.SessionFilter{UserID: "u1"}, "s1 s2 "},
		{store.SessionFilter{UserID: "u1", Alive: true}, "s1 "},
		{store.SessionFilter{ClientID: "app", Alive: true}, "s1 s3 "},
		{store.SessionFilter{After: "s1", Limit: 1}, "s2 "},
		{store.SessionFilter{UserID: "u1", ClientID: "other", Alive: true, After: "s0", Limit: 9}, ""},
	} {
		found := read(t, st, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(test.filter) })
		equal(t, fmt.Sprintf("%+v", test.filter), ids(found), test.want)
	}
	revokeIn(t, st, of(revocation.Session, "s3"))
	alive := read(t, st, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(store.SessionFilter{Alive: true}) })
	equal(t, "alive", ids(alive), "s1 ")

	var n int
	update(t, st, func(tx *store.Tx) (err error) { n, err = tx.RemoveSessions(now, 10); return err })
	equal(t, "removed", n, 1)
	left := read(t, st, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(store.SessionFilter{}) })
	equal(t, "left", ids(left), "s1 s3 ")
}

func ids(sessions []store.Session) (all string) {
	for _, s := range sessions {
		all += s.ID + " "
	}
	return all
}

// rotateOnce: of many who hold the same refresh token, on two nodes, one wins.
func rotateOnce(t *testing.T, db Database) {
	nodes := []*store.Store{open(t, db), open(t, db)}
	s := session("s", "u")
	s.Epoch = headOf(t, nodes[0]).Epoch // as after a refresh: only the counter tells the next one apart
	update(t, nodes[0], func(tx *store.Tx) error {
		return errors.Join(tx.CreateUser(store.User{ID: "u", Name: "ann"}), tx.CreateSession(s))
	})
	seen := standingOf(t, nodes[0], store.StandingQuery{Session: "s"})
	var won, lost atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			err := nodes[i%2].Update(t.Context(), func(tx *store.Tx) error { return tx.RotateSession(next(seen)) })
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, store.ErrConflict):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	equal(t, "winners and losers", []int32{won.Load(), lost.Load()}, []int32{1, 49})

	for name, r := range map[string]store.Rotation{
		"old counter": next(seen),
		"other epoch": {ID: "s", From: 2, FromEpoch: 5, To: 3},
		"no session":  {ID: "x", From: 2},
	} {
		if err := nodes[0].Update(t.Context(), func(tx *store.Tx) error { return tx.RotateSession(r) }); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	revokeIn(t, nodes[1], of(revocation.Session, "s"))
	present := store.Rotation{ID: "s", From: 2, FromEpoch: seen.Epoch, To: 3, Epoch: seen.Epoch}
	wantUpdate(t, nodes[0], store.ErrConflict, func(tx *store.Tx) error { return tx.RotateSession(present) })
}

func standing(t *testing.T, db Database) {
	st := open(t, db)
	update(t, st, func(tx *store.Tx) error {
		return errors.Join(
			tx.CreateUser(store.User{ID: "u1", Name: "ann", Tenant: "acme"}),
			tx.CreateUser(store.User{ID: "u2", Name: "bob"}),
			tx.CreateClient(store.Client{ID: "app", Kind: "public"}),
			tx.CreateSession(session("s", "u1")),
			tx.InsertKey(store.KeyRow{KID: "k", Use: "at+jwt", Alg: "ES256", State: store.KeyActive}),
		)
	})
	h := headOf(t, st)
	seen := standingOf(t, st, store.StandingQuery{Session: "s", UserID: "u2", KeyID: "k"})
	if seen.Session == nil || seen.User == nil || seen.User.Name != "ann" || seen.Client == nil {
		t.Fatalf("rows of a session: %+v", seen)
	}
	equal(t, "head, epoch, key", []any{seen.Head, seen.Epoch, seen.KeyState}, []any{h.Seq, h.Epoch, store.KeyActive})
	if seen.Now.IsZero() {
		t.Error("no database time")
	}
	for name, q := range map[string]store.StandingQuery{
		"bob": {UserName: "bob"}, "ann": {UserID: "u1", UserName: "bob"}, "": {UserName: "nobody", Session: "x", ClientID: "x", KeyID: "x"},
	} {
		seen := standingOf(t, st, q)
		if name == "" && (seen.User != nil || seen.Session != nil || seen.Client != nil || seen.KeyState != "") || name != "" && seen.User.Name != name {
			t.Errorf("%+v gives %+v", q, seen)
		}
	}
}

// permits: each thing that may stand against a grant does, by itself.
func permits(t *testing.T, db Database) {
	for _, test := range []struct {
		name   string
		change func(tx *store.Tx) error
		want   error
	}{
		{"nothing", func(tx *store.Tx) error { return nil }, nil},
		{"another user revoked", revokes(of(revocation.Subject, "u2")), nil},
		{"user disabled", func(tx *store.Tx) error {
			return tx.UpdateUser(store.User{ID: "u", Name: "ann", Disabled: true, Version: 1})
		}, store.ErrDisabled},
		{"client disabled", func(tx *store.Tx) error { return tx.UpdateClient(store.Client{ID: "app", Disabled: true}) }, store.ErrDisabled},
		{"key retiring", func(tx *store.Tx) error {
			return tx.UpdateKey(store.KeyRow{KID: "k", State: store.KeyRetiring, Version: 1})
		}, store.ErrKeyInactive},
		{"session", revokes(of(revocation.Session, "s")), &store.RevokedError{Kind: revocation.Session}},
		{"subject", revokes(of(revocation.Subject, "u")), &store.RevokedError{Kind: revocation.Subject}},
		{"client", revokes(of(revocation.Client, "app")), &store.RevokedError{Kind: revocation.Client}},
		{"tenant", revokes(of(revocation.Tenant, "acme")), &store.RevokedError{Kind: revocation.Tenant}},
		{"device", revokes(of(revocation.Device, "jkt")), &store.RevokedError{Kind: revocation.Device}},
		{"everything", revokes(of(revocation.Everything, "")), &store.RevokedError{Kind: revocation.Everything}},
	} {
		t.Run(test.name, func(t *testing.T) {
			st := open(t, Database{Open: db.Open})
			s := session("s", "u")
			s.Tenant, s.Device, s.Born = "acme", "jkt", headOf(t, st).Seq
			update(t, st, func(tx *store.Tx) error {
				return errors.Join(
					tx.CreateUser(store.User{ID: "u", Name: "ann"}),
					tx.CreateClient(store.Client{ID: "app"}),
					tx.CreateSession(s),
					tx.InsertKey(store.KeyRow{KID: "k", State: store.KeyActive}),
				)
			})
			defer wipe(t, db)
			update(t, st, test.change)
			q := store.StandingQuery{Session: "s", KeyID: "k"}
			err := standingOf(t, st, q).Permits(math.MaxUint64)
			var got, want *store.RevokedError
			if errors.As(test.want, &want) {
				if !errors.As(err, &got) || got.Kind != want.Kind || !errors.Is(err, store.ErrRevoked) || got.Seq != headOf(t, st).Seq {
					t.Errorf("got %v, want %v", err, want)
				}
				return
			}
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}

	st := open(t, db)
	old := session("old", "")
	old.Expires = someTime
	update(t, st, func(tx *store.Tx) error {
		return errors.Join(tx.CreateSession(old), tx.CreateSession(session("orphan", "nobody")))
	})
	for want, q := range map[error]store.StandingQuery{
		store.ErrExpired: {Session: "old"}, store.ErrNotFound: {Session: "orphan"}, store.ErrKeyInactive: {KeyID: "x"},
	} {
		if err := standingOf(t, st, q).Permits(0); !errors.Is(err, want) {
			t.Errorf("%+v: got %v, want %v", q, err, want)
		}
	}
	for _, q := range []store.StandingQuery{{Session: "x"}, {UserID: "x"}, {UserName: "x"}} {
		if err := standingOf(t, st, q).Permits(0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%+v: got %v", q, err)
		}
	}
}

func revokes(r store.Revocation) func(tx *store.Tx) error {
	return func(tx *store.Tx) error { _, err := tx.Revoke(r); return err }
}

// wipe empties the tables that permits fills.
func wipe(t testing.TB, db Database) {
	raw := db.SQL(t)
	for _, table := range []string{"users", "clients", "sessions", "keys", "valid_from"} {
		if _, err := raw.Exec("DELETE FROM " + table); err != nil {
			t.Fatal(err)
		}
	}
}

func keys(t *testing.T, db Database) {
	st := open(t, db)
	k := store.KeyRow{
		KID: "k1", Use: "at+jwt", Alg: "ES256", State: store.KeyActive, Sealed: "a.b.c", Public: []byte(`{}`), Published: someTime,
		Activated: someTime.Add(1e9), MAC: []byte("of one"),
	}
	standby := store.KeyRow{KID: "k2", Use: "at+jwt", Alg: "ES256", State: store.KeyStandby, Published: someTime.Add(2e9)}
	feed := store.KeyRow{KID: "k3", Use: "feed", Alg: "ES256", State: store.KeyActive, Published: someTime.Add(3e9)}
	update(t, st, func(tx *store.Tx) error {
		return errors.Join(tx.InsertKey(k), tx.InsertKey(standby), tx.InsertKey(feed))
	})
	k.Version, standby.Version, feed.Version = 1, 1, 1
	equal(t, "keys", read(t, st, (*store.Tx).Keys), []store.KeyRow{k, standby, feed})

	second := standby
	second.KID, second.State = "k4", store.KeyActive
	wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.InsertKey(second) })
	wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.InsertKey(k) })
	standby.State = store.KeyActive
	wantUpdate(t, st, store.ErrConflict, func(tx *store.Tx) error { return tx.UpdateKey(standby) })

	k.State, k.Retired, k.MAC = store.KeyRetired, someTime.Add(4e9), []byte("of another")
	update(t, st, func(tx *store.Tx) error { return errors.Join(tx.UpdateKey(k), tx.UpdateKey(standby)) })
	wantUpdate(t, st, store.ErrConflict, func(tx *store.Tx) error { return tx.UpdateKey(k) })
	k.Version = 2
	equal(t, "key", read(t, st, func(tx *store.Tx) (store.KeyRow, error) { return tx.Key("k1") }), k)
	equal(t, "signs now", read(t, st, func(tx *store.Tx) (store.KeyRow, error) { return tx.Key("k2") }).State, store.KeyActive)

	refused := feed
	refused.Version, refused.MAC, refused.Alg = 7, []byte("of a third"), "not written"
	wantUpdate(t, st, store.ErrConflict, func(tx *store.Tx) error { return tx.RefuseKey(refused, 2) })
	update(t, st, func(tx *store.Tx) error { return tx.RefuseKey(refused, 1) })
	refused.Alg, refused.State = feed.Alg, store.KeyRefused
	equal(t, "refused", read(t, st, func(tx *store.Tx) (store.KeyRow, error) { return tx.Key("k3") }), refused)
}

func secretsAndMeta(t *testing.T, db Database) {
	st := open(t, db)
	a := store.SecretRow{Name: "feed", ID: "a", Sealed: "x", Created: someTime}
	b := store.SecretRow{Name: "feed", ID: "b", Sealed: "y", Created: someTime.Add(-1e9)}
	update(t, st, func(tx *store.Tx) error { return errors.Join(tx.InsertSecret(a), tx.InsertSecret(b)) })
	wantUpdate(t, st, store.ErrExists, func(tx *store.Tx) error { return tx.InsertSecret(a) })
	equal(t, "secrets", read(t, st, func(tx *store.Tx) ([]store.SecretRow, error) { return tx.Secrets("feed") }), []store.SecretRow{b, a})

	wantUpdate(t, st, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Meta("x"); return err })
	for _, v := range []string{"1", "", "2"} {
		update(t, st, func(tx *store.Tx) error { return tx.SetMeta("x", v) })
		equal(t, "meta", read(t, st, func(tx *store.Tx) (string, error) { return tx.Meta("x") }), v)
	}
}

func ownership(t *testing.T, db Database) {
	if st, err := db.Open(t, ""); err == nil {
		closeStore(t, st)
		t.Fatal("a new store without an issuer was opened")
	}
	first := headOf(t, open(t, db))
	if first.Epoch == 0 || first.Base == 0 || first.Seq != first.Base || first.C != revocation.Origin(Issuer, first.Epoch, first.Base) {
		t.Errorf("first epoch: %+v", first)
	}
	if st, err := db.Open(t, "https://other.example"); !errors.Is(err, store.ErrIssuer) {
		if err == nil {
			closeStore(t, st)
		}
		t.Errorf("opened for another issuer: %v", err)
	}
	st, err := db.Open(t, "")
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, st)
	equal(t, "issuer", st.Issuer(), Issuer)
	equal(t, "head of a store opened again", headOf(t, st), first)
}

// openedAtOnce: several nodes start on an empty database.
func openedAtOnce(t *testing.T, db Database) {
	heads := make([]store.Head, 4)
	var all sync.WaitGroup
	for i := range heads {
		all.Go(func() {
			st, err := db.Open(t, Issuer)
			if err != nil {
				t.Error(err)
				return
			}
			defer closeStore(t, st)
			heads[i] = headOf(t, st)
		})
	}
	all.Wait()
	for _, h := range heads {
		equal(t, "head", h, heads[0])
	}
}

func newerSchema(t *testing.T, db Database) {
	closeStore(t, open(t, db))
	if _, err := db.SQL(t).Exec("UPDATE schema_version SET version_id = 99999 WHERE version_id > 0"); err != nil {
		t.Fatal(err)
	}
	if st, err := db.Open(t, Issuer); !errors.Is(err, store.ErrNewer) {
		if err == nil {
			closeStore(t, st)
		}
		t.Errorf("schema of a later version: %v", err)
	}
}

// texts: what a database cannot keep is refused before it reaches one, the same
// on each, and spoils no batch.
func texts(t *testing.T, db Database) {
	st := open(t, db)
	for _, bad := range []string{"a\x00b", "\xff", "\xed\xa0\x80"} {
		wantUpdate(t, st, store.ErrText, func(tx *store.Tx) error { return tx.CreateUser(store.User{ID: bad, Name: bad}) })
		wantUpdate(t, st, store.ErrText, func(tx *store.Tx) error {
			_, err := tx.Standing(store.StandingQuery{UserName: bad})
			return err
		})
	}
	for i, good := range []string{"Ω\u2028'\"\\", "'; DROP TABLE users; --", "x' UNION SELECT '1", "%", "\u0001"} {
		update(t, st, func(tx *store.Tx) error { return tx.CreateUser(store.User{ID: fmt.Sprint(i), Name: good}) })
		equal(t, "name", read(t, st, func(tx *store.Tx) (store.User, error) { return tx.User(good) }).Name, good)
	}
	equal(t, "batches run again", st.Stats().Reruns, uint64(0))
}

// reopen: what was acknowledged is there when the store is opened again.
func reopen(t *testing.T, db Database) {
	st, err := db.Open(t, Issuer)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			err := st.Update(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Revoke(of(revocation.Token, fmt.Sprint(i))); err != nil {
					return err
				}
				return tx.CreateSession(session(fmt.Sprintf("s%03d", i), "u"))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	before := headOf(t, st)
	closeStore(t, st)

	again := open(t, db)
	equal(t, "head", headOf(t, again), before)
	found := read(t, again, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(store.SessionFilter{}) })
	equal(t, "sessions", len(found), 200)
	checkChain(t, again)
}

// times: a time before 1970, the first second and the zero time are told apart
// as far as milliseconds can.
func times(t *testing.T, db Database) {
	st := open(t, db)
	for i, at := range []time.Time{{}, time.UnixMilli(1).UTC(), someTime, time.UnixMilli(-5).UTC()} {
		id := fmt.Sprint(i)
		s := session(id, "")
		s.Created = at
		update(t, st, func(tx *store.Tx) error { return tx.CreateSession(s) })
		got := read(t, st, func(tx *store.Tx) (store.Session, error) { return tx.Session(id) })
		equal(t, "time", got.Created, at)
	}
}
