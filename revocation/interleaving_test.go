package revocation_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// Small models of two rules, tried in every order. Each rule stands here next
// to the ways in which it is easily got wrong, and those must let a revocation
// escape: a model that finds nothing wrong with them would prove nothing.

// The eviction rule: whatever the order of steps, an entry that has been
// dropped is either still found by a check, or its seq lies at or below the
// low-water mark that the check compares.

// shelf is a table with one entry, number 5, that revokes a token with rsq 4.
type shelf struct {
	held bool
	low  uint64
	both struct { // held and low, replaced together
		held bool
		low  uint64
	}
}

type glance struct { // what one check has read so far
	held bool
	low  uint64
}

func (g glance) passes() bool { return !g.held && 4 >= g.low }

func TestEvictionInEveryOrder(t *testing.T) {
	const escapes = true
	drop := func(s *shelf) { s.held = false }
	raise := func(s *shelf) { s.low = 5 }
	swap := func(s *shelf) { s.both.held, s.both.low = false, 5 }
	readMark := func(s *shelf, g *glance) { g.low = s.low }
	readEntry := func(s *shelf, g *glance) { g.held = s.held }
	readBoth := func(s *shelf, g *glance) { g.held, g.low = s.both.held, s.both.low }

	for _, rule := range []struct {
		name   string
		writer []func(*shelf)
		reader []func(*shelf, *glance)
		want   bool
	}{
		{"drop and never raise", []func(*shelf){drop}, []func(*shelf, *glance){readMark, readEntry}, escapes},
		{"drop, then raise", []func(*shelf){drop, raise}, []func(*shelf, *glance){readMark, readEntry}, escapes},
		{"drop, then raise; entry read first", []func(*shelf){drop, raise}, []func(*shelf, *glance){readEntry, readMark}, escapes},
		{"raise, then drop; mark read first", []func(*shelf){raise, drop}, []func(*shelf, *glance){readMark, readEntry}, escapes},
		{"raise, then drop; entry read first", []func(*shelf){raise, drop}, []func(*shelf, *glance){readEntry, readMark}, !escapes},
		{"both together, as Table does", []func(*shelf){swap}, []func(*shelf, *glance){readBoth}, !escapes},
	} {
		got := false
		for _, order := range orders(len(rule.writer), len(rule.reader)) {
			s, g := shelf{held: true}, glance{}
			s.both.held = true
			w, r := 0, 0
			for _, writes := range order {
				if writes {
					rule.writer[w](&s)
					w++
				} else {
					rule.reader[r](&s, &g)
					r++
				}
			}
			got = got || g.passes()
		}
		if got != rule.want {
			t.Errorf("%s: a revocation escapes = %t, want %t", rule.name, got, rule.want)
		}
	}
}

// orders returns every way in which a writer's and a reader's steps can fall;
// true is a step of the writer.
func orders(writer, reader int) (all [][]bool) {
	if writer == 0 && reader == 0 {
		return [][]bool{nil}
	}
	if writer > 0 {
		for _, rest := range orders(writer-1, reader) {
			all = append(all, append([]bool{true}, rest...))
		}
	}
	if reader > 0 {
		for _, rest := range orders(writer, reader-1) {
			all = append(all, append([]bool{false}, rest...))
		}
	}
	return all
}

// The epoch rule: after a database has been restored from a backup, a
// revocation still bites on every live token from before, also on those whose
// rsq the backup does not know; and a new epoch can be told from every other.

// A ledger is what the issuer's database holds.
type ledger struct {
	epoch, head uint64
}

type epochRule struct {
	name   string
	base   func(head uint64, now time.Time) uint64
	number func(epoch uint64, now time.Time) uint64
}

type epochWorld struct {
	now    time.Time
	db     ledger
	backup ledger
	minted []uint64          // rsq of live tokens
	epochs map[uint64]uint64 // base by epoch number

	escaped, confused bool
}

// The steps that a schedule is made of.
const (
	stepMint    = iota // a token with the present head
	stepRevoke         // one entry: everything minted up to now is revoked
	stepBurst          // 2^17 entries: faster than the clock
	stepBackup         // what is in the database is saved
	stepRestore        // what was saved comes back; a second or more has passed
	stepCount
)

func (w *epochWorld) do(step int, rule epochRule) {
	switch step {
	case stepMint:
		w.minted = append(w.minted, w.db.head)
	case stepRevoke:
		w.db.head++
		for _, rsq := range w.minted {
			w.escaped = w.escaped || w.db.head <= rsq // the entry does not bite
		}
		w.minted = nil
	case stepBurst:
		w.db.head += 1 << 17
	case stepBackup:
		w.backup = w.db
	case stepRestore:
		w.now = w.now.Add(time.Second)
		w.db = w.backup
		w.begin(rule)
	}
}

func (w *epochWorld) begin(rule epochRule) {
	w.db = ledger{rule.number(w.db.epoch, w.now), rule.base(w.db.head, w.now)}
	if _, taken := w.epochs[w.db.epoch]; taken {
		w.confused = true // two epochs with one number look like a fork
	}
	w.epochs[w.db.epoch] = w.db.head
}

func TestEpochNumbersOverEverySchedule(t *testing.T) {
	const length = 6
	clock := func(_ uint64, now time.Time) uint64 { return uint64(now.Unix()) << 16 }
	for _, c := range []struct {
		rule              epochRule
		escapes, confuses bool
		burst             bool // with more than 2^16 entries a second, which the rule excludes when they are lost
	}{
		{epochRule{"go on after the restored head",
			func(head uint64, _ time.Time) uint64 { return head + 1 }, revocation.EpochNumber}, true, false, false},
		{epochRule{"the clock alone", clock, revocation.EpochNumber}, true, false, true},
		{epochRule{"seconds without room for entries",
			func(head uint64, now time.Time) uint64 { return max(head+1, uint64(now.Unix())) }, revocation.EpochNumber}, true, false, false},
		{epochRule{"count epochs by one",
			revocation.EpochBase, func(epoch uint64, _ time.Time) uint64 { return epoch + 1 }}, false, true, false},
		{epochRule{"as built", revocation.EpochBase, revocation.EpochNumber}, false, false, false},
	} {
		escapes, confuses := false, false
		for schedule := range pow(stepCount, length) {
			w := epochWorld{now: start, epochs: map[uint64]uint64{}}
			w.begin(c.rule)
			w.backup = w.db
			for n, left := schedule, length; left > 0; n, left = n/stepCount, left-1 {
				step := n % stepCount
				if step == stepBurst && !c.burst {
					step = stepRevoke
				}
				w.do(step, c.rule)
			}
			escapes, confuses = escapes || w.escaped, confuses || w.confused
		}
		if escapes != c.escapes {
			t.Errorf("%s: a revocation escapes = %t, want %t", c.rule.name, escapes, c.escapes)
		}
		if confuses != c.confuses {
			t.Errorf("%s: two epochs share a number = %t, want %t", c.rule.name, confuses, c.confuses)
		}
	}
}

func pow(b, n int) int {
	if n == 0 {
		return 1
	}
	return b * pow(b, n-1)
}

// TestEpochAfterBurst is where the clock alone does not do: a planned epoch
// after more than 2^16 entries a second, nothing lost.
func TestEpochAfterBurst(t *testing.T) {
	head := revocation.EpochBase(0, start) + 1<<20
	if base := revocation.EpochBase(head, start.Add(time.Second)); base <= head {
		t.Errorf("the new epoch begins %d below the head", head-base)
	}
	if base := revocation.EpochBase(head, start.Add(-time.Hour)); base <= head {
		t.Errorf("with the clock set back it begins %d below the head", head-base)
	}
}

func TestThreat75EpochNumbers(t *testing.T) {
	for _, c := range []struct {
		head uint64
		now  time.Time
		want uint64
	}{
		{0, time.Unix(1, 0), 1 << 16},
		{1 << 16, time.Unix(1, 0), 1<<16 + 1},
		{0, time.Unix(-5, 0), 1},
		{revocation.MaxSeq, start, revocation.MaxSeq},
		{7, time.Unix(1<<40, 0), revocation.MaxSeq},
	} {
		if got := revocation.EpochBase(c.head, c.now); got != c.want {
			t.Errorf("EpochBase(%d, %d) = %d, want %d", c.head, c.now.Unix(), got, c.want)
		}
	}
	// The same backup restored twice, a second apart.
	one, two := revocation.EpochNumber(3, start), revocation.EpochNumber(3, start.Add(time.Second))
	if one >= two || one <= 3 {
		t.Errorf("epochs %d and %d after epoch 3", one, two)
	}
}

// A verifier's table after a restore: tokens from the lost part of the old
// epoch are revoked by entries of the new one, and old rules hold.
func TestThreat75TableAcrossRestores(t *testing.T) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{})
	backup := *l
	l.revoke(entry(revocation.Session, 1), entry(revocation.Session, 2))
	lost := l.Seq // minted with this; the backup knows nothing of it
	follow(t, table, l, 1)
	for restores := range 2 {
		again := backup
		again.links = map[uint64]revocation.Link{}
		again.now = start.Add(time.Duration(restores+1) * time.Minute)
		again.newEpoch()
		load(t, table, &again)
		again.revoke(entry(revocation.Subject, revocation.Handle(restores)))
		follow(t, table, &again, 1)
		if v := check(table, lost, target(revocation.Subject, revocation.Handle(restores))); !v.Revoked || v.BelowLowWater {
			t.Errorf("restore %d: a token from the lost part outlives its user: %+v", restores+1, v)
		}
		lost = again.Seq
	}
	for h := revocation.Handle(1); h <= 2; h++ {
		if v := check(table, lost, target(revocation.Session, h)); !v.Revoked {
			t.Errorf("session %d lives again", h)
		}
	}
}
