package revocation_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// yielding are the kinds whose entries yield to a token that knows of them.
var yielding = []revocation.Kind{
	revocation.Subject, revocation.Device, revocation.Client, revocation.Tenant, revocation.Key, revocation.Everything,
}

func TestThreat62EachKindIsRefusedOnceApplied(t *testing.T) {
	for kind := revocation.Token; kind <= revocation.Everything; kind++ {
		l := newLog()
		table := loaded(t, l, revocation.TableConfig{})
		rsq := l.Seq
		if v := check(table, rsq, target(kind, 5)); v.Revoked {
			t.Errorf("%v: refused before anything was revoked: %+v", kind, v)
		}
		l.revoke(entry(kind, 5))
		follow(t, table, l, 10)
		if v := check(table, rsq, target(kind, 5)); !v.Revoked || v.Kind != kind {
			t.Errorf("%v: %+v after its revocation", kind, v)
		}
		if v := check(table, rsq, target(kind, 6)); v.Revoked {
			t.Errorf("%v: another handle is refused: %+v", kind, v)
		}
		for other := revocation.Token; other <= revocation.Everything; other++ {
			if v := check(table, rsq, target(other, 5)); v.Revoked != (other == kind) {
				t.Errorf("handle revoked as %v, looked up as %v: %+v", kind, other, v)
			}
		}
	}
}

func TestThreat62SessionAndTokenWhateverTheRSQ(t *testing.T) {
	for _, kind := range []revocation.Kind{revocation.Token, revocation.Session} {
		l := newLog()
		table := loaded(t, l, revocation.TableConfig{})
		l.revoke(entry(kind, 5))
		follow(t, table, l, 10)
		if v := check(table, l.Seq, target(kind, 5)); !v.Revoked {
			t.Errorf("%v: passed with an rsq that knows of the entry", kind)
		}
	}
}

func TestThreat62AbsoluteWhateverTheRSQ(t *testing.T) {
	for kind := revocation.Token; kind <= revocation.Everything; kind++ {
		l := newLog()
		table := loaded(t, l, revocation.TableConfig{})
		l.revoke(absolute(kind, 5))
		l.revoke(entry(kind, 5)) // a later ordinary entry does not weaken it
		follow(t, table, l, 10)
		for _, rsq := range []uint64{l.Seq - 2, l.Seq, l.Seq + 1000, revocation.MaxSeq} {
			if v := check(table, rsq, target(kind, 5)); !v.Revoked {
				t.Errorf("%v: passed an absolute entry with rsq %d", kind, rsq)
			}
		}
	}
}

func TestThreat63NewTokenPassesAtOnce(t *testing.T) {
	for _, kind := range yielding {
		l := newLog()
		table := loaded(t, l, revocation.TableConfig{})
		old := l.Seq
		for range 5 {
			l.revoke(entry(kind, 5))
			again := l.Seq // the new sign-in reads the head

			// Before the frame arrives, and after it, on clocks five seconds off.
			if v := check(table, again, target(kind, 5)); v.Revoked || !v.Behind {
				t.Fatalf("%v: new token at a verifier that lags: %+v", kind, v)
			}
			f := l.frame(again-1, 1)
			f.AsOf = f.AsOf.Add([]time.Duration{-5 * time.Second, 5 * time.Second}[again%2])
			apply(t, table, f)
			if v := check(table, again, target(kind, 5)); v.Revoked || v.Behind {
				t.Fatalf("%v: new token refused: %+v", kind, v)
			}
			if v := check(table, old, target(kind, 5)); !v.Revoked {
				t.Fatalf("%v: old token passed", kind)
			}
			old = again
		}
	}
}

func TestThreat64TokenOfLaggingNode(t *testing.T) {
	for _, kind := range yielding {
		l := newLog()
		table := loaded(t, l, revocation.TableConfig{})
		stale := l.Seq // a node that has not read the entry mints with this
		l.revoke(entry(kind, 5))
		follow(t, table, l, 10)
		if v := check(table, stale, target(kind, 5)); !v.Revoked || v.Behind {
			t.Errorf("%v: %+v", kind, v)
		}
	}
}

func TestThreat65AboveTheHeadJudgedByWhatIsHeld(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	l.revoke(entry(revocation.Session, 5), entry(revocation.Subject, 6))
	follow(t, table, l, 10)
	above := l.Seq + 1
	if v := check(table, above, target(revocation.Session, 5)); !v.Revoked || !v.Behind {
		t.Errorf("revoked session: %+v", v)
	}
	if v := check(table, above, target(revocation.Subject, 6)); v.Revoked || !v.Behind {
		t.Errorf("subject that signed in again elsewhere: %+v", v)
	}
	if v := check(table, l.Seq, target(revocation.Subject, 6)); v.Revoked || v.Behind {
		t.Errorf("at the head: %+v", v)
	}
	l.revoke(entry(revocation.Subject, 7))
	follow(t, table, l, 10)
	if v := check(table, above, target(revocation.Subject, 6)); v.Revoked || v.Behind {
		t.Errorf("after catching up: %+v", v)
	}
}

func TestThreat66TenTimesTheCap(t *testing.T) {
	l := newLog()
	cfg := revocation.TableConfig{Cap: 256 << 10}
	table := loaded(t, l, cfg)
	n := 10 * cfg.Cap / 16
	old := l.Seq
	l.revoke(absolute(revocation.Key, 1), absolute(revocation.Token, 2), entry(revocation.Subject, 3))
	for i := range n {
		l.revoke(entry(revocation.Session, revocation.Handle(i)<<8))
	}
	for at := l.base; at < l.Seq; {
		step := min(revocation.MaxFrameEntries, int(l.Seq-at))
		apply(t, table, l.frame(at, step))
		at += uint64(step)
		if table.Bytes() > cfg.Cap || table.Peak() > cfg.Cap {
			t.Fatalf("%d bytes, peak %d, above the cap %d", table.Bytes(), table.Peak(), cfg.Cap)
		}
		// No entry is both gone and unmarked: a token from before any of them
		// that names it is refused by one or the other.
		for _, seq := range []uint64{l.base + 4, at - uint64(step)/2, at} {
			h := revocation.Handle(seq-l.base-4) << 8
			if v := check(table, seq-1, target(revocation.Session, h)); !v.Revoked {
				t.Fatalf("entry %d escaped at head %d, low-water %d", seq, at, table.LowWater())
			}
		}
	}
	for _, stolen := range []revocation.Target{target(revocation.Key, 1), target(revocation.Token, 2)} {
		if v := check(table, revocation.MaxSeq, stolen); !v.Revoked || v.BelowLowWater {
			t.Errorf("absolute entry on a %v was evicted: %+v", stolen.Kind, v)
		}
	}
	if v := check(table, old, target(revocation.Subject, 99)); !v.Revoked || !v.BelowLowWater {
		t.Errorf("rsq below the low-water mark: %+v", v)
	}
	if v := check(table, table.LowWater(), target(revocation.Subject, 3)); v.Revoked {
		t.Errorf("rsq at the low-water mark: %+v", v)
	}
	t.Logf("%d entries of %d held in %d bytes, peak %d", table.Len(), n, table.Bytes(), table.Peak())
}

func TestThreat66TooManyAbsoluteEntriesRefuseAll(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{Cap: revocation.MinCap})
	limit := revocation.MinCap / 2 / 16 / 4
	for i := range limit {
		l.revoke(absolute(revocation.Key, revocation.Handle(i)))
	}
	follow(t, table, l, revocation.MaxFrameEntries)
	if v := check(table, l.Seq, target(revocation.Key, 1<<40)); v.Revoked {
		t.Fatalf("as many absolute entries as fit: %+v", v)
	}
	l.revoke(absolute(revocation.Key, 1)) // again: takes no room
	follow(t, table, l, revocation.MaxFrameEntries)
	if v := check(table, l.Seq, target(revocation.Key, 1<<40)); v.Revoked {
		t.Fatalf("a repeated absolute entry: %+v", v)
	}
	l.revoke(absolute(revocation.Key, 1<<41))
	follow(t, table, l, revocation.MaxFrameEntries)
	if v := check(table, l.Seq, target(revocation.Key, 1<<40)); !v.Revoked || !v.Flooded {
		t.Errorf("one more than fit: %+v", v)
	}
	if v := check(restarted(t, table, revocation.TableConfig{}), l.Seq); !v.Flooded {
		t.Errorf("a restart forgot that entries are missing: %+v", v)
	}
}

// pass lets the feed's clock run for d, a heartbeat each 30 seconds.
func pass(t *testing.T, table *revocation.Table, l *log, d time.Duration) {
	t.Helper()
	for end := l.now.Add(d); l.now.Before(end); {
		l.now = l.now.Add(30 * time.Second)
		apply(t, table, l.heartbeat())
	}
}

func TestThreat67EntriesGoAfterRetention(t *testing.T) {
	l := newLog()
	retention := 15*time.Minute + revocation.RetentionSlack
	table := loaded(t, l, revocation.TableConfig{Retention: retention})
	empty := table.Bytes()
	pass(t, table, l, 10*time.Minute)
	l.revoke(absolute(revocation.Key, 1), absolute(revocation.Token, 2))
	for i := range 20_000 {
		l.revoke(entry(revocation.Session, revocation.Handle(i)+10))
	}
	follow(t, table, l, revocation.MaxFrameEntries)
	before, last := l.base, l.Seq

	pass(t, table, l, retention)
	if table.Len() != 20_002 || table.LowWater() > l.base {
		t.Errorf("after the retention exactly: %d entries, low-water mark %d", table.Len(), table.LowWater())
	}
	pass(t, table, l, 30*time.Second)
	if table.Len() != 1 || table.LowWater() != last || table.Bytes() != empty {
		t.Errorf("after the retention: %d entries, low-water %d of %d, %d bytes; want the absolute kid alone", table.Len(), table.LowWater(), last, table.Bytes())
	}
	if v := check(table, revocation.MaxSeq, target(revocation.Key, 1)); !v.Revoked {
		t.Error("the absolute entry on a kid expired")
	}
	if v := check(table, last, target(revocation.Token, 2), target(revocation.Session, 10)); v.Revoked {
		t.Errorf("expired entries still refuse: %+v", v)
	}
	if v := check(table, before, target(revocation.Subject, 5)); !v.BelowLowWater {
		t.Errorf("a token from before expired entries passed: %+v", v)
	}
}

func TestThreat68GapReorderDuplicate(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	base := l.Seq
	for i := range revocation.Handle(6) {
		l.revoke(entry(revocation.Subject, i))
	}
	want := func(err error, f *revocation.Frame, head uint64) {
		t.Helper()
		if got := table.Apply(f); !errors.Is(got, err) {
			t.Errorf("Apply: %v, want %v", got, err)
		}
		if got := table.Head().Seq; got != base+head {
			t.Errorf("head at +%d, want +%d", got-base, head)
		}
	}
	want(nil, l.frame(base, 2), 2)
	want(revocation.ErrGap, l.frame(base+3, 1), 2)   // one is missing
	want(revocation.ErrGap, l.heartbeat(), 2)        // even if it says only where the head is
	want(nil, l.frame(base, 2), 2)                   // the same again
	want(revocation.ErrStale, l.frame(base, 1), 2)   // the past
	want(nil, l.frame(base+1, 3), 4)                 // overlapping: 2 is known, 3 and 4 are new
	want(revocation.ErrStale, l.frame(base+2, 1), 4) // reordered
	want(nil, l.frame(base, 6), 6)                   // everything
	for i := range revocation.Handle(6) {
		if v := check(table, base+uint64(i), target(revocation.Subject, i)); !v.Revoked {
			t.Errorf("entry %d was missed", i)
		}
	}
	next := *l
	next.now = next.now.Add(time.Hour)
	next.newEpoch()
	want(revocation.ErrGap, next.heartbeat(), 6) // another epoch: resync
	old := l.heartbeat()
	load(t, table, &next)
	if err := table.Apply(old); !errors.Is(err, revocation.ErrStale) {
		t.Errorf("frame of the epoch before: %v", err)
	}
}

func TestThreat69LowerPositionRefused(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	first, rsq := l.snapshot(time.Hour), l.Seq
	l.revoke(entry(revocation.Subject, 1))
	second := l.snapshot(time.Hour)
	follow(t, table, l, 1)
	head := table.Head()

	if err := table.Consider(first.Position); !errors.Is(err, revocation.ErrStale) {
		t.Errorf("older manifest: %v", err)
	}
	if err := table.Load(first); !errors.Is(err, revocation.ErrStale) || table.Head() != head {
		t.Errorf("older snapshot: %v", err)
	}
	if err := table.Load(second); err != nil {
		t.Errorf("snapshot of the head: %v", err)
	}
	l.now = l.now.Add(time.Second)
	l.newEpoch()
	load(t, table, l)
	for _, old := range []*revocation.Snapshot{first, second} {
		old.Position.Seq += 1 << 40 // a high seq does not make up for the epoch
		if err := table.Load(old); !errors.Is(err, revocation.ErrStale) {
			t.Errorf("snapshot of the epoch before: %v", err)
		}
	}
	if v := check(table, rsq, target(revocation.Subject, 1)); !v.Revoked {
		t.Error("the entry is gone")
	}
}

func TestThreat70ForkKeepsBothSides(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	other := newLog()
	base := l.Seq
	l.revoke(entry(revocation.Subject, 1))
	other.revoke(entry(revocation.Subject, 2))
	follow(t, table, l, 1)
	head := table.Head()

	if err := table.Consider(other.Position); !errors.Is(err, revocation.ErrFork) {
		t.Errorf("manifest with another c at the head: %v", err)
	}
	if err := table.Apply(other.heartbeat()); !errors.Is(err, revocation.ErrFork) {
		t.Errorf("heartbeat with another c: %v", err)
	}
	other.revoke(entry(revocation.Subject, 3))
	if err := table.Apply(other.frame(base, 2)); !errors.Is(err, revocation.ErrFork) {
		t.Errorf("frame that runs past the head by another way: %v", err)
	}
	other.revoke(entry(revocation.Subject, 4))
	if err := table.Apply(other.frame(base+1, 2)); !errors.Is(err, revocation.ErrFork) {
		t.Errorf("frame that begins at another c: %v", err)
	}
	same := other.snapshot(time.Hour)
	same.Position.Seq, same.Records = head.Seq, same.Records[:1]
	same.Records[0].Entry.Handle = 5
	if err := table.Load(same); !errors.Is(err, revocation.ErrFork) {
		t.Errorf("snapshot with another c: %v", err)
	}
	if table.Head() != head {
		t.Error("a fork moved the head")
	}
	for h := revocation.Handle(1); h <= 5; h++ {
		if v := check(table, base, target(revocation.Subject, h)); !v.Revoked {
			t.Errorf("the rule of entry %d is not kept", h)
		}
	}
	low := *l
	low.newEpoch() // in the same second as its head: numbers above
	bad := low.snapshot(time.Hour)
	bad.Position.Seq, bad.Records = head.Seq, nil
	if err := table.Load(bad); !errors.Is(err, revocation.ErrFork) {
		t.Errorf("epoch that does not number above the old one: %v", err)
	}
}

func TestThreat76NodeClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 1000 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			l := newLog()
			table := loaded(t, l, revocation.TableConfig{Retention: 35 * time.Minute})
			rsq := l.Seq
			l.revoke(entry(revocation.Session, 1), absolute(revocation.Token, 2))
			follow(t, table, l, 1)
			truth := l.now
			for range 100 { // two nodes take turns, one of them is wrong
				truth = truth.Add(250 * time.Millisecond)
				l.now = truth.Add(jump)
				apply(t, table, l.heartbeat())
				l.now = truth
				apply(t, table, l.heartbeat())
			}
			if table.Len() != 2 || table.LowWater() != 0 {
				t.Errorf("a clock jump dropped entries: %d left, low-water mark %d", table.Len(), table.LowWater())
			}
			if v := check(table, rsq, target(revocation.Session, 1)); !v.Revoked || v.BelowLowWater {
				t.Errorf("session: %+v", v)
			}
			if v := check(table, rsq, target(revocation.Session, 3)); v.Revoked {
				t.Errorf("another session is refused after a clock jump: %+v", v)
			}
		})
	}
}

func TestThreat77KeyedByClaims(t *testing.T) {
	// A Query has no place for a token's bytes: two spellings of one signature
	// give one query. All that decides is the claims.
	key, err := revocation.NewHandleKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	claims := []revocation.Target{
		key.Target(revocation.Token, issuer, "jti-1"), key.Target(revocation.Subject, issuer, "alice"),
	}
	rsq := l.Seq
	l.revoke(revocation.Entry{Kind: revocation.Token, Handle: key.Handle(revocation.Token, issuer, "jti-1")})
	follow(t, table, l, 1)
	if v := check(table, rsq, claims...); !v.Revoked || v.Kind != revocation.Token {
		t.Errorf("same claims, any bytes: %+v", v)
	}
}

func TestThreat133EmptySnapshotAndShorterLife(t *testing.T) {
	l := newLog()
	retention := 35 * time.Minute
	table := loaded(t, l, revocation.TableConfig{Retention: retention})
	rsq := l.Seq
	l.revoke(entry(revocation.Session, 1), absolute(revocation.Key, 2))
	follow(t, table, l, 2)

	l.revoke(entry(revocation.Session, 9))
	empty := l.snapshot(time.Hour)
	empty.Records = nil
	if err := table.Load(empty); err != nil {
		t.Fatal(err)
	}
	table.SetRetention(time.Minute)
	revoked := func() {
		t.Helper()
		for _, what := range []revocation.Target{target(revocation.Session, 1), target(revocation.Key, 2)} {
			if v := check(table, rsq, what); !v.Revoked || v.BelowLowWater {
				t.Errorf("%v: %+v", what.Kind, v)
			}
		}
	}
	revoked()
	pass(t, table, l, retention)
	revoked() // for the old retention
	l.revoke(entry(revocation.Session, 3))
	follow(t, table, l, 1)
	pass(t, table, l, 3*time.Minute)
	if v := check(table, l.Seq, target(revocation.Session, 3)); v.Revoked {
		t.Errorf("the shorter retention never came: %+v", v)
	}
}

func TestUnloadedTableRefuses(t *testing.T) {
	table := newTable(t, revocation.TableConfig{})
	for _, rsq := range []uint64{0, 1, revocation.MaxSeq} {
		if v := check(table, rsq); !v.Revoked || !v.BelowLowWater {
			t.Errorf("rsq %d: %+v", rsq, v)
		}
	}
	if err := table.Apply(newLog().heartbeat()); !errors.Is(err, revocation.ErrGap) {
		t.Errorf("frame for an empty table: %v", err)
	}
}

func TestTableIsOfOneIssuer(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	f, s := l.heartbeat(), l.snapshot(time.Hour)
	f.Issuer, s.Issuer = issuer+"/", issuer+"/"
	if err := table.Apply(f); !errors.Is(err, revocation.ErrIssuer) {
		t.Errorf("frame: %v", err)
	}
	if err := table.Load(s); !errors.Is(err, revocation.ErrIssuer) {
		t.Errorf("snapshot: %v", err)
	}
}

func TestHandlesZeroAndColliding(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	for _, h := range []revocation.Handle{0, 1, ^revocation.Handle(0)} {
		if v := check(table, l.Seq, target(revocation.Session, h)); v.Revoked {
			t.Errorf("handle %x refused by an empty table", h)
		}
		l.revoke(entry(revocation.Session, h))
		follow(t, table, l, 1)
		if v := check(table, l.Seq, target(revocation.Session, h)); !v.Revoked {
			t.Errorf("handle %x passed", h)
		}
	}
}

func TestHigherSeqUpdatesLowerDoesNot(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	l.revoke(entry(revocation.Subject, 1), entry(revocation.Subject, 1))
	earlier := l.snapshot(time.Hour)
	follow(t, table, l, 2)
	if n := table.Len(); n != 1 {
		t.Errorf("%d entries for one handle", n)
	}
	earlier.Records = earlier.Records[:1] // says only the lower seq
	if err := table.Load(earlier); err != nil {
		t.Fatal(err)
	}
	if v := check(table, l.Seq-1, target(revocation.Subject, 1)); !v.Revoked {
		t.Error("an older entry took the place of a newer one")
	}
}

func TestQuarantineIsNotRevocation(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	rsq := l.Seq
	l.revoke(revocation.Entry{Kind: revocation.Key, Flags: revocation.Quarantine, Handle: 1})
	follow(t, table, l, 1)
	for _, rsq := range []uint64{rsq, l.Seq, revocation.MaxSeq} {
		if v := check(table, rsq, target(revocation.Key, 1)); v.Revoked || !v.Quarantined {
			t.Errorf("rsq %d: %+v", rsq, v)
		}
	}
	l.revoke(entry(revocation.Key, 1))
	follow(t, table, l, 1)
	if v := check(table, rsq, target(revocation.Key, 1)); !v.Revoked || !v.Quarantined {
		t.Errorf("quarantined, then revoked: %+v", v)
	}
	if v := check(table, l.Seq, target(revocation.Key, 1)); v.Revoked || !v.Quarantined {
		t.Errorf("quarantined, and newer than the revocation: %+v", v)
	}
}

// TestReadersBesideWriter is for the race detector, and holds what readers may
// rely on: what the head includes no check misses, through growth, eviction and
// expiry.
func TestReadersBesideWriter(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{Cap: revocation.MinCap, Retention: time.Minute})
	base := l.Seq
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			q := revocation.Query{Targets: make([]revocation.Target, 1)}
			for n := uint64(r); ; n += 7 {
				select {
				case <-stop:
					return
				default:
				}
				head := table.Head().Seq
				if head == base {
					continue
				}
				seq := head - n%min(head-base, 1000)
				q.RSQ, q.Targets[0] = seq-1, target(revocation.Subject, revocation.Handle(seq-base))
				if v := table.Check(q); !v.Revoked {
					t.Errorf("entry %d escaped at head %d", seq, head)
					return
				}
			}
		})
	}
	for range 60 {
		at, n := l.Seq, 200
		for range n {
			l.revoke(entry(revocation.Subject, revocation.Handle(l.Seq+1-base)))
		}
		l.now = l.now.Add(5 * time.Second)
		apply(t, table, l.frame(at, n))
		restarted(t, table, revocation.TableConfig{Cap: revocation.MinCap})
	}
	close(stop)
	readers.Wait()
}

func ExampleTable() {
	table, err := revocation.NewTable(revocation.TableConfig{Issuer: "https://id.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Verified frames and snapshots come from OpenFrame and DecodeSnapshot.
	at := revocation.Position{Epoch: 1, Seq: 100, C: revocation.Origin("https://id.example", 1, 100)}
	table.Load(&revocation.Snapshot{Issuer: "https://id.example", Position: at, LowWater: 100, AsOf: start})

	key, _ := revocation.NewHandleKey(make([]byte, 32))
	alice := key.Target(revocation.Subject, "https://id.example", "alice")
	revoke := revocation.Entry{Kind: alice.Kind, Handle: alice.Handle}
	table.Apply(&revocation.Frame{
		Issuer: "https://id.example", Epoch: 1, First: 101, Entries: []revocation.Entry{revoke},
		C0: at.C, C1: at.C.Next(101, revoke), AsOf: start, HandleKeyID: key.ID(),
	})

	before := table.Check(revocation.Query{RSQ: 100, Targets: []revocation.Target{alice}})
	after := table.Check(revocation.Query{RSQ: 101, Targets: []revocation.Target{alice}})
	fmt.Println("minted before:", before.Revoked, before.Kind)
	fmt.Println("minted after: ", after.Revoked)
	// Output:
	// minted before: true subject
	// minted after:  false
}

// What another history revokes is in force also where our own has dropped all that
// had those numbers long ago: it is new there.
func TestThreat70ForkBelowTheLowWaterMark(t *testing.T) {
	const iss, base = "https://id.example", 990
	origin, at := revocation.Origin(iss, 1, base), time.Unix(1e9, 0)
	frame := func(first uint64, c revocation.Link, entries []revocation.Entry) *revocation.Frame {
		at = at.Add(30 * time.Second)
		return &revocation.Frame{
			Issuer: iss, Epoch: 1, First: first, C0: c, C1: c.Chain(first, entries), AsOf: at, HandleKeyID: "k", Entries: entries,
		}
	}
	sessions := func(handle revocation.Handle) (entries []revocation.Entry) {
		for n := range revocation.Handle(10) {
			entries = append(entries, revocation.Entry{Kind: revocation.Session, Handle: handle + n})
		}
		return entries
	}
	revoked := func(table *revocation.Table, handle revocation.Handle) bool {
		return table.Check(revocation.Query{RSQ: base + 10, Targets: []revocation.Target{{Kind: revocation.Session, Handle: handle}}}).Revoked
	}
	start := func() *revocation.Table {
		table, err := revocation.NewTable(revocation.TableConfig{Issuer: iss, Retention: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ours := frame(base+1, origin, sessions(100))
		steps := []error{
			table.Load(&revocation.Snapshot{Issuer: iss, Position: revocation.Position{Epoch: 1, Seq: base, C: origin}, AsOf: at}),
			table.Apply(ours),
		}
		for range 10 {
			steps = append(steps, table.Apply(frame(base+11, ours.C1, nil)))
		}
		if err := errors.Join(steps...); err != nil || table.LowWater() != base+10 {
			t.Fatal(err, table.LowWater())
		}
		return table
	}
	other := frame(base+1, origin, sessions(200))
	table := start()
	if err := table.Apply(other); !errors.Is(err, revocation.ErrFork) {
		t.Fatal(err)
	}
	if !revoked(table, 200) || !revoked(table, 209) {
		t.Error("entries of the other history's frame are not in force")
	}
	// The rest of that history comes in a snapshot.
	table = start()
	ahead := frame(base+11, other.C1, sessions(300))
	if err := table.Apply(ahead); !errors.Is(err, revocation.ErrFork) {
		t.Fatal(err)
	}
	whole := &revocation.Snapshot{Issuer: iss, Position: ahead.End(), AsOf: at}
	for n, e := range append(sessions(200), sessions(300)...) {
		whole.Records = append(whole.Records, revocation.Record{Seq: base + 1 + uint64(n), Entry: e})
	}
	if err := table.Load(whole); err != nil {
		t.Fatal(err)
	}
	if !revoked(table, 200) || !revoked(table, 209) || !revoked(table, 305) {
		t.Error("entries of the other history's snapshot are not in force")
	}
	// From here on it is our history, and old is old again.
	if err := table.Load(&revocation.Snapshot{Issuer: iss, Position: whole.Position, AsOf: at, Records: []revocation.Record{
		{Seq: base + 1, Entry: revocation.Entry{Kind: revocation.Session, Handle: 400}},
	}}); err != nil {
		t.Fatal(err)
	}
	if revoked(table, 400) {
		t.Error("an entry below the low-water mark was taken for new")
	}
}
