package revocation_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// Every order of a few steps, on a real table with room for three entries: what
// it has been told of is refused, whatever it evicts, expires, loads or restarts
// from. docs/model/eviction.pml makes the same claim of the rules.

const (
	tinySlots     = 4
	tinyLife      = 30 * time.Second // of a token; two minutes are beyond the retention
	tinyRetention = 90 * time.Second
)

const (
	jtiOfThief = 3
	kidOfThief = 4
)

// A bench is an issuer's log, a table, the tokens about, and all that the table
// has been told.
type bench struct {
	log    *log
	table  *revocation.Table
	told   []modelRecord
	minted []uint64 // rsq of the honest user's tokens
	fresh  revocation.Handle
	did    []string
}

var honestTargets = []revocation.Target{target(revocation.Subject, 1), target(revocation.Everything, 7)}

var thiefTargets = []revocation.Target{target(revocation.Token, jtiOfThief), target(revocation.Key, kidOfThief)}

// tinySteps are what may happen, in any order.
var tinySteps = []struct {
	name string
	do   func(t *testing.T, b *bench)
}{
	{"mint", func(_ *testing.T, b *bench) { b.minted = append(b.minted, b.log.Seq) }},
	{"revoke the user", func(_ *testing.T, b *bench) { b.log.revoke(entry(revocation.Subject, 1)) }},
	{"revoke another", func(_ *testing.T, b *bench) { b.fresh++; b.log.revoke(entry(revocation.Subject, b.fresh)) }},
	{"absolute jti", func(_ *testing.T, b *bench) { b.log.revoke(absolute(revocation.Token, jtiOfThief)) }},
	{"absolute kid", func(_ *testing.T, b *bench) { b.log.revoke(absolute(revocation.Key, kidOfThief)) }},
	{"quarantine", func(_ *testing.T, b *bench) {
		b.log.revoke(revocation.Entry{Kind: revocation.Key, Flags: revocation.Quarantine, Handle: kidOfThief})
	}},
	{"follow", func(t *testing.T, b *bench) { b.follow(t) }},
	{"load a snapshot", func(t *testing.T, b *bench) { b.load(t) }},
	{"restart", func(t *testing.T, b *bench) { b.restart(t) }},
	{"two minutes", func(t *testing.T, b *bench) { b.pass(t) }},
	{"restore a backup", func(_ *testing.T, b *bench) { b.restore() }},
}

func TestEveryOrderOfSteps(t *testing.T) {
	for _, start := range [][]int{{}, {2, 2, 6}, {1, 2, 2, 3, 6}} {
		order := make([]int, tinyLength)
		checked := 0
		for more := true; more; more = nextOrder(order, len(tinySteps)) {
			b := newBench(t)
			for _, step := range append(append([]int{0}, start...), order...) {
				tinySteps[step].do(t, b)
				b.did = append(b.did, tinySteps[step].name)
				b.check(t)
				checked++
			}
		}
		t.Logf("measured: after %d steps in every order from %v, nothing that was told passed", checked, start)
	}
}

// nextOrder counts: order is a number of that base, the last digit first.
func nextOrder(order []int, base int) bool {
	for i := range order {
		if order[i]++; order[i] < base {
			return true
		}
		order[i] = 0
	}
	return false
}

func newBench(t *testing.T) *bench {
	b := &bench{log: newLog(), fresh: 100}
	b.table = loaded(t, b.log, revocation.TableConfig{Cap: revocation.MinCap, Retention: tinyRetention})
	b.table.Shrink(tinySlots)
	return b
}

// tell notes the entries of the present log after some seq.
func (b *bench) tell(after uint64) {
	for i, r := range b.log.records {
		if r.Seq > after {
			b.told = append(b.told, modelRecord{r, b.log.times[i]})
		}
	}
}

// follow applies what is missing in one frame, which overlaps what is held by one.
func (b *bench) follow(t *testing.T) {
	head := b.table.Head()
	if head.Epoch != b.log.Epoch {
		return // the next epoch is entered by its snapshot
	}
	from := head.Seq
	if from > b.log.base {
		from--
	}
	apply(t, b.table, b.log.frame(from, int(b.log.Seq-from)))
	b.tell(head.Seq)
}

func (b *bench) load(t *testing.T) {
	if err := b.table.Load(b.log.snapshot(tinyRetention)); err != nil {
		t.Fatalf("%q: %v", b.did, err)
	}
	b.tell(0)
}

func (b *bench) restart(t *testing.T) {
	var file bytes.Buffer
	if _, err := b.table.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	table, err := revocation.ReadTable(revocation.TableConfig{Issuer: issuer, Cap: revocation.MinCap, Retention: tinyRetention}, &file)
	if err != nil {
		t.Fatal(err)
	}
	b.table = table
	b.table.Shrink(tinySlots)
}

// pass lets time go by: the table hears of it if it follows.
func (b *bench) pass(t *testing.T) {
	for range 2 {
		b.log.now = b.log.now.Add(time.Minute)
		if b.table.Head() == b.log.Position {
			apply(t, b.table, b.log.heartbeat())
		}
	}
}

// restore loses the last entry of the database, and begins an epoch.
func (b *bench) restore() {
	if n := len(b.log.records); n > 0 {
		b.log.records, b.log.times = b.log.records[:n-1], b.log.times[:n-1]
	}
	b.log.now = b.log.now.Add(time.Second)
	b.log.newEpoch()
}

func (b *bench) check(t *testing.T) {
	for _, rsq := range b.minted {
		b.judge(t, rsq, honestTargets)
	}
	b.judge(t, b.log.Seq, thiefTargets) // the thief writes the highest number that is believed
}

// judge compares with the rule over all that was told, without bounds.
func (b *bench) judge(t *testing.T, rsq uint64, targets []revocation.Target) {
	var want judgement
	for _, r := range b.told {
		if slices.Contains(targets, target(r.Entry.Kind, r.Entry.Handle)) {
			want.add(r, rsq, b.log.now.Sub(r.at) <= tinyLife)
		}
	}
	got := check(b.table, rsq, targets...)
	if want.must && !got.Revoked || want.proof && !got.Revoked && !got.Quarantined {
		t.Fatalf("told of it and passed: rsq %d, %+v, %+v, low-water mark %d\nafter %q", rsq, targets, got, b.table.LowWater(), b.did)
	}
}
