package revocation_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

// manifest is that of l with a snapshot of the head, in shards.
func (l *log) manifest(t testing.TB) (*revocation.Manifest, [][]byte) {
	t.Helper()
	s := l.snapshot(time.Hour)
	shards, err := revocation.EncodeShards(s.Records)
	if err != nil {
		t.Fatal(err)
	}
	ref := &revocation.SnapshotRef{Epoch: l.Epoch, Seq: l.Seq, C: l.C, LowWater: s.LowWater}
	for _, shard := range shards {
		ref.Shards = append(ref.Shards, revocation.ShardName(shard))
	}
	return &revocation.Manifest{
		Issuer: issuer, Epoch: l.Epoch, Base: l.base, Head: l.Seq, C: l.C,
		LowWater: s.LowWater, AsOf: l.now, Snapshot: ref, HandleKeyID: "k1", KeySet: "set-1", KeySetVersion: 9, Canaries: "flock-1", Trust: "x.y.z",
		MaxLife: 15 * time.Minute, Heartbeat: 250 * time.Millisecond,
	}, shards
}

func sampleManifest(t testing.TB) (*log, *revocation.Manifest, [][]byte) {
	l := newLog()
	for i := range revocation.Handle(5) {
		l.revoke(entry(revocation.Session, i))
	}
	m, shards := l.manifest(t)
	return l, m, shards
}

func TestManifestRoundTrip(t *testing.T) {
	private, public := feedKey(t)
	_, m, shards := sampleManifest(t)
	token, err := m.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	got, err := revocation.OpenManifest(public, issuer, token)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.Snapshot) != fmt.Sprint(m.Snapshot) || got.Position() != m.Position() || !got.AsOf.Equal(m.AsOf) ||
		got.MaxLife != m.MaxLife || got.Heartbeat != m.Heartbeat || got.LowWater != m.LowWater || got.KeySet != m.KeySet ||
		got.KeySetVersion != m.KeySetVersion || got.Canaries != m.Canaries || got.Base != m.Base {
		t.Errorf("got  %+v\nwant %+v", got, m)
	}
	if trust, err := revocation.UnverifiedTrust(token); err != nil || trust != m.Trust {
		t.Errorf("trust %q, %v", trust, err)
	}
	if _, err := revocation.DecodeSnapshot(got, shards); err != nil {
		t.Error(err)
	}
	for i := range token {
		bad := []byte(token)
		bad[i] ^= 1
		if _, err := revocation.OpenManifest(public, issuer, string(bad)); err == nil {
			t.Fatalf("accepted with byte %d flipped", i)
		}
	}
	if _, err := revocation.OpenFrame(public, issuer, token); !errors.Is(err, revocation.ErrFormat) {
		t.Errorf("a manifest passes for a frame: %v", err)
	}
}

func TestLargestManifestFits(t *testing.T) {
	private, _ := generate(t, jwk.Params{Algorithm: jwk.EdDSA, KeyID: strings.Repeat("k", 64)})
	_, m, _ := sampleManifest(t)
	m.HandleKeyID, m.KeySet = strings.Repeat("k", 64), strings.Repeat("s", 64)
	m.KeySetVersion, m.Canaries = revocation.MaxSeq, strings.Repeat("c", 64)
	for len(m.Snapshot.Shards) < revocation.MaxShards {
		m.Snapshot.Shards = append(m.Snapshot.Shards, m.Snapshot.Shards[0])
	}
	m.Trust = strings.Repeat("t", 4<<10)
	token, err := m.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of %d", len(token), jws.MaxToken)
}

func TestManifestRules(t *testing.T) {
	private, _ := feedKey(t)
	_, good, _ := sampleManifest(t)
	for name, spoil := range map[string]func(m *revocation.Manifest, s *revocation.SnapshotRef){
		"no issuer":            func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.Issuer = "" },
		"epoch 0":              func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.Epoch, s.Epoch = 0, 0 },
		"head above 2^53":      func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.Head = revocation.MaxSeq + 1 },
		"low-water above head": func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.LowWater = m.Head + 1 },
		"no as_of":             func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.AsOf = time.Time{} },
		"no kfid":              func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.HandleKeyID = "" },
		"long key set":         func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.KeySet = strings.Repeat("k", 65) },
		"key set without name": func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.KeySet, m.KeySetVersion = "", 1 },
		"key set above 2^53":   func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.KeySetVersion = revocation.MaxSeq + 1 },
		"long canaries":        func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.Canaries = strings.Repeat("c", 65) },
		"no trust":             func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.Trust = "" },
		"life 0":               func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.MaxLife = 0 },
		"life of years":        func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.MaxLife = 10_000 * time.Hour },
		"heartbeat 0":          func(m *revocation.Manifest, s *revocation.SnapshotRef) { m.Heartbeat = 0 },
		"head below base": func(m *revocation.Manifest, s *revocation.SnapshotRef) {
			m.Head, m.LowWater, m.Snapshot = m.Base-1, 0, nil
		},
		"other c at base": func(m *revocation.Manifest, s *revocation.SnapshotRef) {
			m.Head, m.LowWater, m.Snapshot = m.Base, 0, nil
		},
		"snapshot of another epoch": func(m *revocation.Manifest, s *revocation.SnapshotRef) { s.Epoch-- },
		"snapshot above head":       func(m *revocation.Manifest, s *revocation.SnapshotRef) { s.Seq++ },
		"snapshot below base":       func(m *revocation.Manifest, s *revocation.SnapshotRef) { s.Seq = m.Base - 1 },
		"snapshot low-water":        func(m *revocation.Manifest, s *revocation.SnapshotRef) { s.LowWater = s.Seq + 1 },
		"snapshot c":                func(m *revocation.Manifest, s *revocation.SnapshotRef) { s.C[0]++ },
		"shard name a path":         func(m *revocation.Manifest, s *revocation.SnapshotRef) { s.Shards = []string{"../../revocation/key"} },
		"shard name upper":          func(m *revocation.Manifest, s *revocation.SnapshotRef) { s.Shards = []string{strings.Repeat("AB", 32)} },
		"too many shards": func(m *revocation.Manifest, s *revocation.SnapshotRef) {
			s.Shards = make([]string, revocation.MaxShards+1)
			for i := range s.Shards {
				s.Shards[i] = strings.Repeat("ab", 32)
			}
		},
	} {
		m, s := *good, *good.Snapshot
		m.Snapshot = &s
		spoil(&m, &s)
		if _, err := m.Sign(private); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestSnapshotLoadsFromShards(t *testing.T) {
	l := newLog()
	table := newTable(t, revocation.TableConfig{})
	for i := range revocation.MaxShardRecords + 3 {
		l.revoke(entry(revocation.Session, revocation.Handle(i)))
	}
	m, shards := l.manifest(t)
	if len(shards) != 2 || len(shards[0]) != revocation.MaxShardSize {
		t.Fatalf("%d shards, the first of %d bytes", len(shards), len(shards[0]))
	}
	s, err := revocation.DecodeSnapshot(m, shards)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Load(s); err != nil {
		t.Fatal(err)
	}
	if table.Len() != len(l.records) || table.Head() != l.Position {
		t.Errorf("%d entries at %v", table.Len(), table.Head())
	}
	swapped := [][]byte{shards[1], shards[0]}
	if _, err := revocation.DecodeSnapshot(m, swapped); !errors.Is(err, revocation.ErrFormat) {
		t.Errorf("shards in another order: %v", err)
	}
	if _, err := revocation.DecodeSnapshot(m, shards[:1]); !errors.Is(err, revocation.ErrFormat) {
		t.Errorf("a shard is missing: %v", err)
	}
	m.Snapshot.Shards = []string{m.Snapshot.Shards[1], m.Snapshot.Shards[0]}
	if _, err := revocation.DecodeSnapshot(m, swapped); !errors.Is(err, revocation.ErrFormat) {
		t.Errorf("records out of order: %v", err)
	}
}

func TestShardEveryByteMatters(t *testing.T) {
	_, m, shards := sampleManifest(t)
	for i := range shards[0] {
		bad := []byte(string(shards[0]))
		bad[i] ^= 1
		if _, err := revocation.DecodeSnapshot(m, [][]byte{bad}); !errors.Is(err, revocation.ErrFormat) {
			t.Errorf("accepted with byte %d changed: %v", i, err)
		}
		if _, err := revocation.DecodeSnapshot(m, [][]byte{shards[0][:i]}); !errors.Is(err, revocation.ErrFormat) {
			t.Errorf("accepted when cut at byte %d: %v", i, err)
		}
	}
}

func TestManifestWithoutSnapshotStartsAtBase(t *testing.T) {
	l := newLog()
	m, _ := l.manifest(t)
	m.Snapshot = nil
	table := newTable(t, revocation.TableConfig{})
	if err := table.Load(m.Start()); err != nil {
		t.Fatal(err)
	}
	l.revoke(entry(revocation.Subject, 1))
	follow(t, table, l, 1)
	if v := check(table, l.base, target(revocation.Subject, 1)); !v.Revoked || v.BelowLowWater {
		t.Errorf("a token of the epoch: %+v", v)
	}
	if v := check(table, l.base-1, target(revocation.Subject, 2)); !v.BelowLowWater {
		t.Errorf("a token of an earlier epoch, of which nothing is known: %+v", v)
	}
}

func FuzzOpenManifest(f *testing.F) {
	private, public := feedKey(f)
	_, m, _ := sampleManifest(f)
	token, err := m.Sign(private)
	if err != nil {
		f.Fatal(err)
	}
	u, _ := jws.Parse(token)
	f.Add(string(u.UnverifiedPayload()))
	f.Fuzz(func(t *testing.T, payload string) {
		token, err := jws.Sign(private, jws.Header{Type: revocation.ManifestType}, []byte(payload))
		if err != nil {
			return
		}
		revocation.UnverifiedTrust(token)
		m, err := revocation.OpenManifest(public, issuer, token)
		if err != nil {
			return
		}
		if _, err := m.Sign(private); err != nil {
			t.Errorf("accepted what may not be signed: %v", err)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	_, m, shards := sampleManifest(f)
	f.Add(shards[0])
	f.Fuzz(func(t *testing.T, shard []byte) {
		ref := *m.Snapshot
		ref.Shards = []string{revocation.ShardName(shard)}
		named := *m
		named.Snapshot = &ref
		s, err := revocation.DecodeSnapshot(&named, [][]byte{shard})
		if err != nil {
			return
		}
		again, err := revocation.EncodeShards(s.Records)
		if err != nil || len(again) != 1 || string(again[0]) != string(shard) {
			t.Errorf("a shard with a second spelling: %v", err)
		}
		table := newTable(t, revocation.TableConfig{Cap: revocation.MinCap})
		if err := table.Load(s); err != nil {
			t.Errorf("decoded, but not loaded: %v", err)
		}
	})
}
