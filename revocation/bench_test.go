package revocation_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/revocation"
)

// filled returns a table with n entries of one kind, and their handles.
var filled = sync.OnceValues(func() (*revocation.Table, []revocation.Handle) {
	const n = 1_000_000
	cfg := revocation.TableConfig{Issuer: issuer}
	table, err := revocation.NewTable(cfg)
	if err != nil {
		panic(err)
	}
	l := newLog()
	rng := rand.New(rand.NewPCG(1, 2))
	handles := make([]revocation.Handle, n)
	s := &revocation.Snapshot{Issuer: issuer, AsOf: l.now, LowWater: l.base}
	for i := range handles {
		handles[i] = revocation.Handle(rng.Uint64())
		s.Records = append(s.Records, revocation.Record{Seq: l.base + 1 + uint64(i), Entry: entry(revocation.Session, handles[i])})
	}
	s.Position = revocation.Position{Epoch: l.Epoch, Seq: l.base + n, C: l.C}
	if err := table.Load(s); err != nil {
		panic(err)
	}
	rng.Shuffle(n, func(i, j int) { handles[i], handles[j] = handles[j], handles[i] })
	return table, handles
})

func BenchmarkCheckMillion(b *testing.B) {
	table, handles := filled()
	perEntry := float64(table.Bytes()) / float64(table.Len())
	for _, bench := range []struct {
		name  string
		kinds []revocation.Kind
		mix   revocation.Handle
	}{
		{"hit", []revocation.Kind{revocation.Session}, 1},
		{"miss", []revocation.Kind{revocation.Session}, 3},
		// A token names eight things, and mostly none of them is revoked.
		{"token", []revocation.Kind{1, 2, 3, 4, 5, 6, 7, 8}, 3},
	} {
		b.Run(bench.name, func(b *testing.B) {
			q := revocation.Query{RSQ: table.Head().Seq}
			for _, kind := range bench.kinds {
				q.Targets = append(q.Targets, target(kind, 0))
			}
			b.ReportAllocs()
			n := 0
			for i := 0; b.Loop(); i++ {
				for j := range q.Targets {
					q.Targets[j].Handle = handles[(i+j*1000)%len(handles)] * bench.mix
				}
				if table.Check(q).Revoked {
					n++
				}
			}
			b.ReportMetric(perEntry, "B/entry")
			runtime.KeepAlive(n)
		})
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{0, 1, revocation.MaxFrameEntries} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := newLog()
			var table *revocation.Table
			const frames = 512
			for range frames * n {
				l.revoke(entry(revocation.Session, revocation.Handle(rand.Uint64())))
			}
			var prepared []*revocation.Frame
			for i := range frames {
				prepared = append(prepared, l.frame(l.base+uint64(i*n), n))
			}
			table = loaded(b, newLog(), revocation.TableConfig{})
			for i := 0; b.Loop(); i++ {
				if i == frames {
					i, table = 0, loaded(b, newLog(), revocation.TableConfig{})
				}
				apply(b, table, prepared[i])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*max(n, 1)), "ns/entry")
		})
	}
}

func BenchmarkHandle(b *testing.B) {
	key, _ := revocation.NewHandleKey(make([]byte, 32))
	b.ReportAllocs()
	for b.Loop() {
		key.Handle(revocation.Subject, issuer, "0b9f2c51-2f0e-4c3b-9d43-7a3f5a0c1f11")
	}
}

func BenchmarkFrame(b *testing.B) {
	private, public := feedKey(b)
	l := newLog()
	for i := range revocation.MaxFrameEntries {
		l.revoke(entry(revocation.Session, revocation.Handle(i)))
	}
	for name, f := range map[string]*revocation.Frame{"heartbeat": l.heartbeat(), "full": l.frame(l.base, revocation.MaxFrameEntries)} {
		token, err := f.Sign(private)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("sign/"+name, func(b *testing.B) {
			for b.Loop() {
				f.Sign(private)
			}
			b.ReportMetric(float64(len(token)), "B")
		})
		b.Run("open/"+name, func(b *testing.B) {
			for b.Loop() {
				revocation.OpenFrame(public, issuer, token)
			}
		})
	}
}
