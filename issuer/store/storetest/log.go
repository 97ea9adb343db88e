package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

func logOf(t testing.TB, st *store.Store) []store.LogRecord {
	t.Helper()
	return read(t, st, func(tx *store.Tx) ([]store.LogRecord, error) { return tx.Log(0, 1<<20) })
}

// checkChain recomputes the chain of the present epoch from its origin. It
// needs a log that was not trimmed.
func checkChain(t testing.TB, st *store.Store) {
	t.Helper()
	h := headOf(t, st)
	seq, c := h.Base, revocation.Origin(Issuer, h.Epoch, h.Base)
	for _, rec := range logOf(t, st) {
		if rec.Epoch != h.Epoch {
			continue
		}
		seq, c = seq+1, c.Next(seq+1, rec.Entry)
		if rec.Seq != seq || rec.C != c {
			t.Fatalf("entry %d with chain %v, want %d with %v", rec.Seq, rec.C, seq, c)
		}
	}
	if h.Seq != seq || h.C != c {
		t.Fatalf("head %d with chain %v, want %d with %v", h.Seq, h.C, seq, c)
	}
}

func revoke(t *testing.T, db Database) {
	st := open(t, db)
	base := headOf(t, st)
	all := []store.Revocation{
		of(revocation.Token, "jti"), of(revocation.Session, "sid"), of(revocation.Subject, "sub"), of(revocation.Device, "jkt"),
		of(revocation.Client, "app"), of(revocation.Tenant, "acme"), of(revocation.Key, "kid"), of(revocation.Everything, ""),
	}
	all[6].Entry.Flags = revocation.Absolute
	all[6].Entry.Handle = 1<<64 - 1 // all 64 bits survive
	for i, r := range all {
		rec := revokeIn(t, st, r)
		equal(t, "what was written", []any{rec.Seq, rec.Epoch, rec.Entry}, []any{base.Seq + uint64(i) + 1, base.Epoch, r.Entry})
		equal(t, "head", []any{headOf(t, st).Seq, headOf(t, st).C}, []any{rec.Seq, rec.C})
		at := read(t, st, (*store.Tx).Now)
		if d := at.Sub(rec.At); d < 0 && d > -time.Second || d > time.Minute {
			t.Errorf("appended at %v, now %v", rec.At, at)
		}
	}
	records := logOf(t, st)
	for i, r := range all {
		equal(t, "entry in the log", records[i].Entry, r.Entry)
	}
	equal(t, "records", len(records), len(all))
	checkChain(t, st)
	part := read(t, st, func(tx *store.Tx) ([]store.LogRecord, error) { return tx.Log(base.Seq+2, 3) })
	equal(t, "part of the log", part, records[2:5])

	for name, r := range map[string]store.Revocation{
		"no kind":                {Value: "x"},
		"unknown kind":           {Entry: revocation.Entry{Kind: 9}, Value: "x"},
		"no value":               {Entry: revocation.Entry{Kind: revocation.Subject}},
		"value of everything":    {Entry: revocation.Entry{Kind: revocation.Everything}, Value: "x"},
		"no entry for a session": {Entry: revocation.Entry{Kind: revocation.Token}, Value: "x", Session: "s"},
	} {
		if err := st.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Revoke(r); return err }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	equal(t, "head after refusals", headOf(t, st).Seq, records[7].Seq)
}

// revokeTwice: revoking a session again is no second entry, or whoever holds an
// old refresh token could fill the log by showing it again and again.
func revokeTwice(t *testing.T, db Database) {
	st := open(t, db)
	update(t, st, func(tx *store.Tx) error { return tx.CreateSession(session("s", "u")) })
	first := revokeIn(t, st, of(revocation.Session, "s"))
	equal(t, "second revocation", revokeIn(t, st, of(revocation.Session, "s")), first)
	equal(t, "a token of it", revokeIn(t, st, ofToken("jti", "s")), first)
	equal(t, "head", headOf(t, st).Seq, first.Seq)
	equal(t, "mark", read(t, st, func(tx *store.Tx) (store.Session, error) { return tx.Session("s") }).RevokedSeq, first.Seq)

	user := revokeIn(t, st, of(revocation.Subject, "u"))
	again := revokeIn(t, st, of(revocation.Subject, "u"))
	if again.Seq <= user.Seq {
		t.Errorf("a user is revoked anew each time, got %d after %d", again.Seq, user.Seq)
	}
}

func tokensOfASession(t *testing.T, db Database) {
	st := open(t, db)
	update(t, st, func(tx *store.Tx) error {
		return errors.Join(tx.CreateSession(session("s", "u")), tx.CreateSession(session("other", "u")))
	})
	base := headOf(t, st).Seq
	for range 3 { // the same tokens again are not counted again
		for i := range store.MaxSessionTokenEntries {
			rec := revokeIn(t, st, ofToken(fmt.Sprint("jti", i), "s"))
			equal(t, "token", []any{rec.Seq, rec.Entry.Kind}, []any{base + uint64(i) + 1, revocation.Token})
		}
	}
	revokeIn(t, st, ofToken("x", "other"))
	revokeIn(t, st, of(revocation.Token, "no session"))
	last := revokeIn(t, st, ofToken("one more", "s"))
	equal(t, "one too many", last.Entry, handle(revocation.Session, "s"))
	equal(t, "session", read(t, st, func(tx *store.Tx) (store.Session, error) { return tx.Session("s") }).RevokedSeq, last.Seq)
	equal(t, "other session", read(t, st, func(tx *store.Tx) (store.Session, error) { return tx.Session("other") }).RevokedSeq, uint64(0))

	for _, test := range []struct {
		jti, sid string
		want     bool
	}{{"jti3", "", true}, {"never", "", false}, {"never", "s", true}, {"never", "other", false}, {"no session", "other", true}} {
		got := read(t, st, func(tx *store.Tx) (bool, error) { return tx.TokenRevoked(handle(revocation.Token, test.jti), test.sid) })
		equal(t, fmt.Sprint("revoked ", test), got, test.want)
	}

	// Entries that were dropped from the log do not count.
	for i := range store.MaxSessionTokenEntries {
		revokeIn(t, st, ofToken(fmt.Sprint("old", i), "other"))
	}
	db.Tick(t)
	update(t, st, func(tx *store.Tx) error {
		now, err := tx.Now()
		if err != nil {
			return err
		}
		_, err = tx.TrimLog(now)
		return err
	})
	equal(t, "after trimming", revokeIn(t, st, ofToken("new", "other")).Entry.Kind, revocation.Token)
}

func chain(t *testing.T, db Database) {
	st := open(t, db)
	h := headOf(t, st)
	at := func(seq uint64) revocation.Link {
		t.Helper()
		return read(t, st, func(tx *store.Tx) (revocation.Link, error) { return tx.Link(seq) })
	}
	equal(t, "link of an empty log", at(h.Base), revocation.Origin(Issuer, h.Epoch, h.Base))
	var entries []revocation.Entry
	var records []store.LogRecord
	for i := range 10 {
		records = append(records, revokeIn(t, st, of(revocation.Token, fmt.Sprint(i))))
		entries = append(entries, records[i].Entry)
	}
	equal(t, "chain", headOf(t, st).C, revocation.Origin(Issuer, h.Epoch, h.Base).Chain(h.Base+1, entries))
	equal(t, "origin", at(h.Base), revocation.Origin(Issuer, h.Epoch, h.Base))
	for _, rec := range records {
		equal(t, "link", at(rec.Seq), rec.C)
	}
	for _, seq := range []uint64{0, h.Base - 1, records[9].Seq + 1} {
		err := st.View(t.Context(), func(tx *store.Tx) error { _, err := tx.Link(seq); return err })
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("link at %d: %v", seq, err)
		}
	}
}

// concurrentRevocations: two nodes revoke at once, and readers never see a
// number before all lower ones.
func concurrentRevocations(t *testing.T, db Database) {
	nodes := []*store.Store{open(t, db), open(t, db)}
	const each, writers = 25, 16
	base := headOf(t, nodes[0]).Seq
	done := make(chan struct{})
	var readers, revokers sync.WaitGroup
	for _, st := range nodes {
		readers.Go(func() { follow(t, st, base, done) })
	}
	for w := range writers {
		revokers.Go(func() {
			for i := range each {
				r := of(revocation.Kind(1+i%8), fmt.Sprint(w, "-", i))
				if r.Entry.Kind == revocation.Everything {
					r.Value = ""
				}
				err := nodes[w%2].Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Revoke(r); return err })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	revokers.Wait()
	close(done)
	readers.Wait()
	equal(t, "head", headOf(t, nodes[1]).Seq, base+each*writers)
	checkChain(t, nodes[0])
}

// follow reads the log as the feed does and fails on a gap.
func follow(t testing.TB, st *store.Store, after uint64, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		err := st.View(t.Context(), func(tx *store.Tx) error {
			h, err := tx.Head()
			if err != nil {
				return err
			}
			records, err := tx.Log(after, 100)
			for _, rec := range records {
				if rec.Seq != after+1 {
					t.Errorf("entry %d follows %d", rec.Seq, after)
				}
				after = rec.Seq
			}
			if h.Seq < after {
				t.Errorf("entry %d beyond the head %d of the same snapshot", after, h.Seq)
			}
			return err
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func trimLog(t *testing.T, db Database) {
	st := open(t, db)
	trim := func(before time.Time) (n int) {
		t.Helper()
		update(t, st, func(tx *store.Tx) (err error) { n, err = tx.TrimLog(before); return err })
		return n
	}
	killed := of(revocation.Key, "stolen")
	killed.Entry.Flags = revocation.Absolute
	replaced := of(revocation.Key, "replaced")
	var old []store.LogRecord
	for _, r := range []store.Revocation{of(revocation.Token, "1"), killed, of(revocation.Subject, "u"), replaced} {
		old = append(old, revokeIn(t, st, r))
	}
	db.Tick(t)
	cut := read(t, st, (*store.Tx).Now)
	db.Tick(t)
	young := revokeIn(t, st, of(revocation.Token, "2"))
	before := headOf(t, st)

	equal(t, "dropped before anything is old", trim(old[0].At), 0)
	equal(t, "low water", headOf(t, st).LowWater, uint64(0))
	equal(t, "dropped", trim(cut), 3)
	want := before
	want.LowWater, want.LowC = old[3].Seq, old[3].C
	equal(t, "head", headOf(t, st), want)
	equal(t, "log", logOf(t, st), []store.LogRecord{old[1], young})
	equal(t, "link at low water", read(t, st, func(tx *store.Tx) (revocation.Link, error) { return tx.Link(old[3].Seq) }), old[3].C)
	equal(t, "dropped again", trim(cut), 0)

	// The mark on the rows stays when the entry is gone.
	seen := standingOf(t, st, store.StandingQuery{Device: "x"})
	update(t, st, func(tx *store.Tx) error { return tx.CreateUser(store.User{ID: "u", Name: "ann"}) })
	user := standingOf(t, st, store.StandingQuery{UserID: "u"}).User
	equal(t, "valid from", user.ValidFrom, old[2].Seq)
	equal(t, "head in a standing", seen.Head, young.Seq)
	next := revokeIn(t, st, of(revocation.Token, "3"))
	equal(t, "chain goes on", next.C, young.C.Next(next.Seq, next.Entry))

	// Trimming and a new epoch in one transaction: the mark goes along.
	db.Tick(t)
	cut = read(t, st, (*store.Tx).Now)
	db.Tick(t)
	revokeIn(t, st, of(revocation.Token, "4"))
	var begun store.Head
	update(t, st, func(tx *store.Tx) error {
		if _, err := tx.TrimLog(cut); err != nil {
			return err
		}
		var err error
		begun, err = tx.NewEpoch()
		return err
	})
	equal(t, "head that was returned", headOf(t, st), begun)
	equal(t, "low water", []any{begun.LowWater, begun.LowC}, []any{next.Seq, next.C})
}

func epochs(t *testing.T, db Database) {
	st := open(t, db)
	user := revokeIn(t, st, of(revocation.Subject, "u"))
	last := headOf(t, st)
	start := func(epoch, seq uint64) (h store.Head) {
		t.Helper()
		update(t, st, func(tx *store.Tx) (err error) { h, err = tx.NewEpochAbove(epoch, seq); return err })
		equal(t, "head", headOf(t, st), h)
		if h.Epoch <= last.Epoch || h.Epoch <= epoch || h.Seq <= last.Seq || h.Seq <= seq {
			t.Fatalf("%v does not exceed %v and %d.%d", h, last, epoch, seq)
		}
		equal(t, "an empty epoch", []any{h.Seq, h.C}, []any{h.Base, revocation.Origin(Issuer, h.Epoch, h.Base)})
		last = h
		return h
	}
	start(0, 0)
	start(0, 0) // in the same second
	start(last.Epoch+1000, last.Seq+1_000_000)
	start(1, 1)
	rec := revokeIn(t, st, of(revocation.Subject, "u"))
	equal(t, "first of its epoch", []uint64{rec.Seq, rec.Epoch}, []uint64{last.Base + 1, last.Epoch})
	checkChain(t, st)
	equal(t, "log of all epochs", logOf(t, st), []store.LogRecord{user, rec})
	wantUpdate(t, st, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Link(user.Seq); return err })
	day := uint64(24*time.Hour/time.Second) + 2 // a second may have passed since
	for _, ahead := range []store.Head{{Seq: revocation.MaxSeq}, {Seq: last.Base + day<<16}, {Epoch: last.Epoch + 2000 + day}, {Epoch: revocation.MaxSeq}} {
		wantUpdate(t, st, store.ErrAhead, func(tx *store.Tx) error { _, err := tx.NewEpochAbove(ahead.Epoch, ahead.Seq); return err })
	}
	equal(t, "head", headOf(t, st).Seq, rec.Seq)
}
