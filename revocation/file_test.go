package revocation_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

func file(t testing.TB, table *revocation.Table) []byte {
	t.Helper()
	var b bytes.Buffer
	if n, err := table.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo: %d of %d bytes, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

// restarted returns the table as the next process reads it from its file.
func restarted(t testing.TB, table *revocation.Table, cfg revocation.TableConfig) *revocation.Table {
	t.Helper()
	cfg.Issuer = issuer
	again, err := revocation.ReadTable(cfg, bytes.NewReader(file(t, table)))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func sampleTable(t testing.TB) (*log, *revocation.Table) {
	l := newLog()
	table := loaded(t, l, revocation.TableConfig{Retention: time.Hour})
	for i := range revocation.Handle(20) {
		l.revoke(entry(revocation.Session, i))
		l.now = l.now.Add(2 * time.Second)
		apply(t, table, l.frame(l.Seq-1, 1))
	}
	return l, table
}

func TestTableFileRoundTrip(t *testing.T) {
	l, table := sampleTable(t)
	again := restarted(t, table, revocation.TableConfig{Retention: time.Hour})
	if again.Head() != table.Head() || again.LowWater() != table.LowWater() || again.Len() != table.Len() || !again.AsOf().Equal(table.AsOf()) {
		t.Errorf("head %v, low-water %d, %d entries, as of %v", again.Head(), again.LowWater(), again.Len(), again.AsOf())
	}
	for i := range revocation.Handle(20) {
		if v := check(again, l.Seq, target(revocation.Session, i)); !v.Revoked {
			t.Errorf("session %d is not revoked any more", i)
		}
	}
	follow(t, again, l, 1) // and it goes on
	if never := restarted(t, newTable(t, revocation.TableConfig{}), revocation.TableConfig{}); !check(never, l.Seq).Revoked {
		t.Error("the file of an unloaded table is taken for a loaded one")
	}
}

func TestTableFileKeepsTime(t *testing.T) {
	l, table := sampleTable(t)
	pass(t, table, l, 50*time.Minute)
	again := restarted(t, table, revocation.TableConfig{Retention: time.Hour})
	pass(t, again, l, 15*time.Minute)
	if n := again.Len(); n != 0 {
		t.Errorf("%d entries left: the restart began their retention anew", n)
	}
}

// What the file says holds for what is in it, and what the configuration says from
// now on: whichever is longer.
func TestThreat67RetentionAcrossARestart(t *testing.T) {
	for _, wanted := range []time.Duration{10 * time.Minute, 3 * time.Hour} {
		l, table := sampleTable(t)
		again := restarted(t, table, revocation.TableConfig{Retention: wanted})
		pass(t, again, l, max(wanted, time.Hour)-5*time.Minute)
		if n := again.Len(); n != 20 {
			t.Errorf("an hour in the file, %v wanted: %d entries of 20 at the end of that", wanted, n)
		}
		pass(t, again, l, time.Hour)
		if n := again.Len(); n != 0 {
			t.Errorf("an hour in the file, %v wanted: %d entries left afterwards", wanted, n)
		}
	}
}

func TestTableFileDamaged(t *testing.T) {
	_, table := sampleTable(t)
	good := file(t, table)
	cfg := revocation.TableConfig{Issuer: issuer}
	refused := func(what string, i int, b []byte) {
		t.Helper()
		if _, err := revocation.ReadTable(cfg, bytes.NewReader(b)); err == nil {
			t.Errorf("%s %d: accepted", what, i)
		} else if !errors.Is(err, revocation.ErrFormat) && !errors.Is(err, revocation.ErrIssuer) {
			t.Errorf("%s %d: %v", what, i, err)
		}
	}
	for i := range good {
		refused("cut at", i, good[:i])
		bad := bytes.Clone(good)
		bad[i] ^= 1
		refused("bit in", i, bad)
	}
	refused("longer by", 1, append(bytes.Clone(good), 0))
	cfg.Issuer = issuer + ".evil"
	if _, err := revocation.ReadTable(cfg, bytes.NewReader(good)); !errors.Is(err, revocation.ErrIssuer) {
		t.Errorf("file of another issuer: %v", err)
	}
}

func FuzzReadTable(f *testing.F) {
	_, table := sampleTable(f)
	f.Add(file(f, table))
	f.Add(file(f, newTable(f, revocation.TableConfig{})))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The sum would stop nearly all mutations, so it is put right.
		cfg := revocation.TableConfig{Issuer: issuer, Cap: revocation.MinCap}
		table, err := revocation.ReadTable(cfg, bytes.NewReader(resum(data)))
		if err != nil {
			return
		}
		if table.Peak() > revocation.MinCap {
			t.Errorf("%d bytes at the peak", table.Peak())
		}
		if again := restarted(t, table, cfg); again.Head() != table.Head() {
			t.Error("a table that was read is not written back")
		}
	})
}

// resum replaces the last 32 bytes by the sum of those before.
func resum(data []byte) []byte {
	if len(data) < sha256.Size {
		return data
	}
	body := data[:len(data)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}
