package revocation_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

const issuer = "https://id.example"

// start is a moment on which logs of tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A log is an issuer's: the real chain, without a database.
type log struct {
	revocation.Position
	base    uint64
	records []revocation.Record // of all epochs
	times   []time.Time         // when each was committed
	links   map[uint64]revocation.Link
	now     time.Time
}

func newLog() *log {
	l := &log{links: map[uint64]revocation.Link{}, now: start}
	l.newEpoch()
	return l
}

func (l *log) newEpoch() {
	l.Epoch = revocation.EpochNumber(l.Epoch, l.now)
	l.base = revocation.EpochBase(l.Seq, l.now)
	l.Seq, l.C = l.base, revocation.Origin(issuer, l.Epoch, l.base)
	l.links[l.Seq] = l.C
}

func (l *log) revoke(entries ...revocation.Entry) {
	for _, e := range entries {
		l.Seq++
		l.C = l.C.Next(l.Seq, e)
		l.links[l.Seq] = l.C
		l.records = append(l.records, revocation.Record{Seq: l.Seq, Entry: e})
		l.times = append(l.times, l.now)
	}
}

// frame cuts the entries (after, after+n] of the present epoch; n may be 0.
func (l *log) frame(after uint64, n int) *revocation.Frame {
	f := &revocation.Frame{
		Issuer: issuer, Epoch: l.Epoch, First: after + 1,
		C0: l.links[after], C1: l.links[after+uint64(n)], AsOf: l.now, HandleKeyID: "k1",
	}
	at := len(l.records) - int(l.Seq-after)
	for _, r := range l.records[at : at+n] {
		f.Entries = append(f.Entries, r.Entry)
	}
	return f
}

// heartbeat is the frame without entries at the head.
func (l *log) heartbeat() *revocation.Frame { return l.frame(l.Seq, 0) }

// snapshot returns all entries not older than keep, and the absolute ones on
// signing keys.
func (l *log) snapshot(keep time.Duration) *revocation.Snapshot {
	s := &revocation.Snapshot{Issuer: issuer, Position: l.Position, AsOf: l.now}
	for i, r := range l.records {
		stolen := r.Entry.Kind == revocation.Key && r.Entry.Flags&revocation.Absolute != 0
		if old := l.now.Sub(l.times[i]) > keep; old {
			s.LowWater = r.Seq
		} else {
			stolen = true
		}
		if stolen {
			s.Records = append(s.Records, r)
		}
	}
	return s
}

func newTable(t testing.TB, cfg revocation.TableConfig) *revocation.Table {
	t.Helper()
	cfg.Issuer = issuer
	table, err := revocation.NewTable(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// loaded returns a table that stands at the log's head.
func loaded(t testing.TB, l *log, cfg revocation.TableConfig) *revocation.Table {
	t.Helper()
	table := newTable(t, cfg)
	load(t, table, l)
	return table
}

func load(t testing.TB, table *revocation.Table, l *log) {
	t.Helper()
	if err := table.Load(l.snapshot(1000 * time.Hour)); err != nil {
		t.Fatal(err)
	}
}

// follow applies what the table lacks of the present epoch, in frames of at
// most size entries, and a heartbeat.
func follow(t testing.TB, table *revocation.Table, l *log, size int) {
	t.Helper()
	for at := table.Head().Seq; at < l.Seq; {
		n := min(size, int(l.Seq-at))
		apply(t, table, l.frame(at, n))
		at += uint64(n)
	}
	apply(t, table, l.heartbeat())
}

func apply(t testing.TB, table *revocation.Table, f *revocation.Frame) {
	t.Helper()
	if err := table.Apply(f); err != nil {
		t.Fatalf("Apply(first %d, n %d): %v", f.First, len(f.Entries), err)
	}
}

func entry(kind revocation.Kind, h revocation.Handle) revocation.Entry {
	return revocation.Entry{Kind: kind, Handle: h}
}

func absolute(kind revocation.Kind, h revocation.Handle) revocation.Entry {
	return revocation.Entry{Kind: kind, Flags: revocation.Absolute, Handle: h}
}

func check(table *revocation.Table, rsq uint64, targets ...revocation.Target) revocation.Verdict {
	return table.Check(revocation.Query{RSQ: rsq, Targets: targets})
}

func target(kind revocation.Kind, h revocation.Handle) revocation.Target {
	return revocation.Target{Kind: kind, Handle: h}
}

// generate returns a key and, for a verifier, its public half.
func generate(t testing.TB, p jwk.Params) (private, public *jwk.Key) {
	t.Helper()
	private, err := jwk.Generate(p)
	if err != nil {
		t.Fatal(err)
	}
	if public, err = private.Public(); err != nil {
		t.Fatal(err)
	}
	return private, public
}

func feedKey(t testing.TB) (private, public *jwk.Key) {
	return generate(t, jwk.Params{Algorithm: jwk.EdDSA})
}
