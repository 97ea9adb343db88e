package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// SignInAfterRevocation (threat 63): a sign-in right after a revocation is good
// on every node, whatever their clocks say.
func SignInAfterRevocation(t *testing.T, db Database) {
	nodes := []*store.Store{open(t, db), open(t, db)}
	people(t, nodes[0])
	for i := range 20 {
		entry := revokeIn(t, nodes[i%2], of(revocation.Subject, "u"))
		for n, st := range nodes {
			begin := standingOf(t, st, store.StandingQuery{UserName: "ann", ClientID: "app"})
			var minted *store.Standing
			update(t, st, func(tx *store.Tx) (err error) {
				minted, err = tx.Standing(store.StandingQuery{UserID: "u", ClientID: "app"})
				if err != nil {
					return err
				}
				return minted.Permits(begin.Head)
			})
			if !escapes(minted.Head, entry) {
				t.Fatalf("node %d: a new token with rsq %d is refused by the old entry %d", n, minted.Head, entry.Seq)
			}
		}
	}
}

// MintedBehind (threat 64): what is minted from an older state of the log is
// refused by what that state does not know.
func MintedBehind(t *testing.T, db Database) {
	st := open(t, db)
	people(t, st)
	err := st.View(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Head(); err != nil { // from here on the view stands still
			return err
		}
		entry := revokeIn(t, st, of(revocation.Subject, "u"))
		seen, err := tx.Standing(store.StandingQuery{Session: "s"})
		if err != nil {
			return err
		}
		if err := seen.Permits(seen.Session.Born); err != nil {
			t.Errorf("the view has seen the revocation: %v", err)
		}
		if escapes(seen.Head, entry) {
			t.Errorf("entry %d escapes a token with rsq %d from before it", entry.Seq, seen.Head)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// RestoredTwice (threat 75): the same backup is restored twice. Each time the
// new epoch exceeds every number given out before, nothing that was revoked
// before the backup revives, and a later revocation bites on every live token.
func RestoredTwice(t *testing.T, db Database) {
	st, err := db.Open(t, Issuer)
	if err != nil {
		t.Fatal(err)
	}
	people(t, st)
	dead := session("dead", "u")
	update(t, st, func(tx *store.Tx) error { return tx.CreateSession(dead) })
	revokeIn(t, st, of(revocation.Session, "dead"))
	revokeIn(t, st, of(revocation.Device, "stolen"))
	known := headOf(t, st)
	closeStore(t, st)
	backup := db.Copy(t)

	newest, epoch := live(t, db), known.Epoch
	for range 2 {
		restored := backup.Copy(t)
		db.Tick(t)
		st := open(t, restored)
		var h store.Head
		update(t, st, func(tx *store.Tx) (err error) { h, err = tx.NewEpoch(); return err })
		if h.Seq <= newest || h.Epoch <= epoch {
			t.Fatalf("the new epoch %v does not exceed rsq %d of epoch %d", h, newest, epoch)
		}
		for _, q := range []store.StandingQuery{{Session: "dead"}, {Session: "s", Device: "stolen"}} {
			seen := standingOf(t, st, q)
			if err := seen.Permits(seen.Session.Born); !errors.Is(err, store.ErrRevoked) {
				t.Errorf("%+v revives: %v", q, err)
			}
		}
		if entry := revokeIn(t, st, of(revocation.Subject, "u")); escapes(newest, entry) {
			t.Errorf("entry %d escapes a token with rsq %d from before the restore", entry.Seq, newest)
		}
		closeStore(t, st)
		newest, epoch = live(t, restored), h.Epoch
	}
}

// RolledBack (threat 110, the store's part): after a restore a refresh token
// is ahead of its row. One holder makes its counter the row's, and no second.
func RolledBack(t *testing.T, db Database) {
	st, err := db.Open(t, Issuer)
	if err != nil {
		t.Fatal(err)
	}
	people(t, st)
	closeStore(t, st)
	backup := db.Copy(t)
	st = open(t, db)
	var presented *store.Standing // what the holder's token says
	for range 3 {
		if err := refresh(t, st, "s"); err != nil {
			t.Fatal(err)
		}
		presented = standingOf(t, st, store.StandingQuery{Session: "s"})
	}

	db.Tick(t)
	nodes := []*store.Store{open(t, backup), open(t, backup)}
	update(t, nodes[0], func(tx *store.Tx) error { _, err := tx.NewEpoch(); return err })
	row := standingOf(t, nodes[0], store.StandingQuery{Session: "s"})
	if presented.Session.Counter <= row.Session.Counter || presented.Session.Epoch >= row.Epoch {
		t.Fatalf("token %d of epoch %d, row %d in epoch %d", presented.Session.Counter, presented.Session.Epoch, row.Session.Counter, row.Epoch)
	}
	ahead := store.Rotation{
		ID: "s", From: row.Session.Counter, FromEpoch: row.Session.Epoch,
		To: presented.Session.Counter + 1, Epoch: row.Epoch, At: row.Now,
	}
	var won atomic.Int32
	var both sync.WaitGroup
	for _, st := range nodes {
		both.Go(func() {
			err := st.Update(t.Context(), func(tx *store.Tx) error { return tx.RotateSession(ahead) })
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		})
	}
	both.Wait()
	equal(t, "holders accepted", won.Load(), int32(1))
	after := standingOf(t, nodes[1], store.StandingQuery{Session: "s"}).Session
	equal(t, "row", []uint64{after.Counter, after.Epoch}, []uint64{ahead.To, row.Epoch})
}

// BornBefore (threat 132, the store's part): a session, a code-like grant and a
// sign-in under way that were born before a revocation mint nothing after it.
func BornBefore(t *testing.T, db Database) {
	st := open(t, db)
	people(t, st)
	for kind, value := range map[revocation.Kind]string{
		revocation.Subject: "u", revocation.Client: "app", revocation.Tenant: "acme",
		revocation.Device: "jkt", revocation.Everything: "",
	} {
		born := headOf(t, st).Seq // of all three
		setBorn(t, db, born)
		grant := store.StandingQuery{UserID: "u", ClientID: "app", Tenant: "acme", Device: "jkt"}
		signIn := store.StandingQuery{UserName: "ann", ClientID: "app", Device: "jkt"}
		queries := []store.StandingQuery{{Session: "s"}, grant, signIn}
		for _, q := range queries {
			if err := standingOf(t, st, q).Permits(born); err != nil {
				t.Fatalf("before: %+v: %v", q, err)
			}
		}
		entry := revokeIn(t, st, of(kind, value))
		for _, q := range queries {
			var why *store.RevokedError
			err := standingOf(t, st, q).Permits(born)
			if !errors.As(err, &why) || why.Kind != kind || why.Seq != entry.Seq {
				t.Errorf("%v revoked, then %+v: %v", kind, q, err)
			}
		}
		if err := standingOf(t, st, grant).Permits(entry.Seq); err != nil {
			t.Errorf("%v revoked, then a new grant: %v", kind, err)
		}
	}
}
