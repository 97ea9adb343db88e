package revocation_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

// Sign refuses all of what follows. Whoever has stolen a key does not use Sign.

// Ten times 2^63 is 0 in 64 bits: the product agrees with no entries at all.
func TestThreat71FrameOfImpossibleLength(t *testing.T) {
	private, public := feedKey(t)
	l := newLog()
	u, err := jws.Parse(signFrame(t, private, l.heartbeat()))
	if err != nil {
		t.Fatal(err)
	}
	heartbeat := string(u.UnverifiedPayload())
	for _, n := range []string{"9223372036854775808", "4611686018427387904", "18446744073709551615"} {
		bad := strings.Replace(heartbeat, `"n":0`, `"n":`+n, 1)
		if bad == heartbeat {
			t.Fatal("nothing to replace in " + heartbeat)
		}
		if _, err := revocation.OpenFrame(public, issuer, forge(t, private, revocation.FrameType, bad)); !errors.Is(err, revocation.ErrFormat) {
			t.Errorf("n of %s: %v", n, err)
		}
	}
}

// overflowSeconds is 1.3 s once it has become nanoseconds in 64 bits.
const overflowSeconds = 18446744075

func TestThreat133ManifestThatCannotBeTrue(t *testing.T) {
	private, public := feedKey(t)
	_, m, _ := sampleManifest(t)
	token, err := m.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	number := func(name string, from, to uint64) [2]string {
		return [2]string{fmt.Sprintf(`%s:%d`, name, from), fmt.Sprintf(`%s:%d`, name, to)}
	}
	s := m.Snapshot
	for name, swap := range map[string][2]string{
		"epoch 0":                   number(`"epoch"`, m.Epoch, 0),
		"base 0":                    number(`"base"`, m.Base, 0),
		"base above head":           number(`"base"`, m.Base, m.Head+1),
		"head above the snapshot's": number(`"head"`, m.Head, s.Seq-1),
		"low-water above head":      number(`"low_water"`, m.LowWater, m.Head+1),
		"as_of 0":                   number(`"as_of"`, uint64(m.AsOf.UnixMilli()), 0),
		"no kfid":                   {`"kfid":"k1"`, `"kfid":""`},
		"no trust":                  {`"trust":"x.y.z"`, `"trust":""`},
		"life 0":                    number(`"max_life"`, 900, 0),
		"life of years":             number(`"max_life"`, 900, 1<<40),
		"life that overflows":       number(`"max_life"`, 900, overflowSeconds),
		"heartbeat 0":               number(`"heartbeat_ms"`, 250, 0),
		"heartbeat of an hour":      number(`"heartbeat_ms"`, 250, 3_600_000),
		"heartbeat that overflows":  number(`"heartbeat_ms"`, 250, 18446744073711),
		"snapshot's epoch":          number(`"snapshot":{"epoch"`, s.Epoch, s.Epoch-1),
		"snapshot ahead":            number(`"seq"`, s.Seq, s.Seq+1),
		"snapshot before base":      number(`"seq"`, s.Seq, m.Base-1),
		"snapshot's c":              {`"seq":` + fmt.Sprint(s.Seq) + `,"c":"` + s.C.String(), `"seq":` + fmt.Sprint(s.Seq) + `,"c":"` + revocation.Link{}.String()},
		"shard name a path":         {s.Shards[0], "../../../revocation/key"},
		"shard name in upper case":  {s.Shards[0], strings.Repeat("AB", 32)},
	} {
		refusesPayload(t, private, revocation.ManifestType, token, name, swap, func(bad string) error {
			_, err := revocation.OpenManifest(public, issuer, bad)
			return err
		})
	}
}

func TestThreat133TrustThatCannotBeTrue(t *testing.T) {
	r := newRootedIssuer(t)
	token := r.sign(t, func(*revocation.Trust) {})
	tokenKey, tokenPublic := generate(t, jwk.Params{Algorithm: jwk.ES256})
	_, tagged := generate(t, jwk.Params{Algorithm: jwk.EdDSA, Limits: jwk.Limits{Tagged: true}})
	for name, swap := range map[string][2]string{
		"version 0":           {`"ver":5`, `"ver":0`},
		"version above 2^53":  {`"ver":5`, `"ver":9007199254740993`},
		"no feed keys":        {jsonOf(t, r.feedPublic), ``},
		"a token key":         {jsonOf(t, r.feedPublic), jsonOf(t, tokenPublic)},
		"a tagged token key":  {jsonOf(t, r.feedPublic), jsonOf(t, tagged)},
		"a token key more":    {jsonOf(t, r.feedPublic), jsonOf(t, r.feedPublic) + "," + jsonOf(t, tokenPublic)},
		"a private key more":  {jsonOf(t, r.feedPublic), jsonOf(t, r.feedPublic) + "," + privateJSON(t, tokenKey)},
		"an unknown key":      {jsonOf(t, r.feedPublic), jsonOf(t, r.feedPublic) + `,{"kty":"XYZ"}`},
		"no handle keys":      {`"kfids":["k1"]`, `"kfids":[]`},
		"nameless":            {`"kfids":["k1"]`, `"kfids":["k1",""]`},
		"life 0":              {`"max_life":3600`, `"max_life":0`},
		"life of years":       {`"max_life":3600`, `"max_life":1099511627776`},
		"life that overflows": {`"max_life":3600`, fmt.Sprintf(`"max_life":%d`, uint64(overflowSeconds))},
	} {
		refusesPayload(t, r.root, revocation.TrustType, token, name, swap, func(bad string) error {
			_, err := revocation.OpenTrust(r.rootPublic, issuer, bad)
			return err
		})
	}
}

// refusesPayload signs the payload of good with one thing swapped, and wants
// open to refuse that for what it says.
func refusesPayload(t *testing.T, key *jwk.Key, typ, good, name string, swap [2]string, open func(token string) error) {
	t.Helper()
	u, err := jws.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	payload := string(u.UnverifiedPayload())
	if err := open(forge(t, key, typ, payload)); err != nil {
		t.Fatalf("the payload to break is broken: %v", err)
	}
	bad := strings.Replace(payload, swap[0], swap[1], 1)
	if bad == payload {
		t.Errorf("%s: no %s in %s", name, swap[0], payload)
	}
	switch err := open(forge(t, key, typ, bad)); {
	case errors.Is(err, revocation.ErrFormat), errors.Is(err, revocation.ErrChain):
	case errors.Is(err, revocation.ErrFeedKey) && strings.Contains(name, "token key"):
	default:
		t.Errorf("%s: %v", name, err)
	}
}

func jsonOf(t *testing.T, key *jwk.Key) string {
	t.Helper()
	data, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func privateJSON(t *testing.T, key *jwk.Key) string {
	t.Helper()
	data, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The manifest names each of these shards, so that only what they hold speaks
// against them.
func TestThreat133ShardThatCannotBeTrue(t *testing.T) {
	const header, record = 8 + 4, 8 + revocation.EntrySize
	_, m, shards := sampleManifest(t)
	good := shards[0]
	count := func(shard []byte, n int) []byte {
		binary.BigEndian.PutUint32(shard[8:], uint32(n))
		return shard
	}
	seq := func(i int, n uint64) []byte {
		shard := bytes.Clone(good)
		binary.BigEndian.PutUint64(shard[header+i*record:], n)
		return shard
	}
	second := binary.BigEndian.Uint64(good[header+record:])
	full := append(bytes.Clone(good[:header]), make([]byte, (revocation.MaxShardRecords+1)*record)...)
	for i := range revocation.MaxShardRecords + 1 {
		copy(full[header+i*record:], good[header:header+record])
		binary.BigEndian.PutUint64(full[header+i*record:], uint64(i+1))
	}
	for name, shard := range map[string][]byte{
		"empty":                      nil,
		"without a record":           count(bytes.Clone(good[:header]), 0),
		"other version":              append([]byte("cfrs\x00\x00\x00\x02"), good[8:]...),
		"a record too few":           good[:len(good)-record],
		"half a record more":         append(bytes.Clone(good), good[header:header+record/2]...),
		"a record more than counted": append(bytes.Clone(good), good[header:header+record]...),
		"a record above the head":    seq(4, m.Head+1),
		"a seq twice":                seq(2, second),
		"seq 0":                      seq(0, 0),
		"an unknown kind":            append(append(bytes.Clone(good[:header+8]), 99), good[header+9:]...),
		"one record above the limit": count(full, revocation.MaxShardRecords+1),
	} {
		m.Snapshot.Shards = []string{revocation.ShardName(shard)}
		if _, err := revocation.DecodeSnapshot(m, [][]byte{shard}); !errors.Is(err, revocation.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.Snapshot.Shards = []string{revocation.ShardName(good)}
	if _, err := revocation.DecodeSnapshot(m, [][]byte{good}); err != nil {
		t.Errorf("the shard as it was: %v", err)
	}
}

// A verifier adds frames to a snapshot before it loads it.
func TestThreat133SnapshotThatCannotBeTrue(t *testing.T) {
	for name, spoil := range map[string]func(s *revocation.Snapshot){
		"record above the position": func(s *revocation.Snapshot) { s.Records[4].Seq = s.Position.Seq + 1 },
		"a seq twice":               func(s *revocation.Snapshot) { s.Records[2].Seq = s.Records[1].Seq },
		"out of order":              func(s *revocation.Snapshot) { s.Records[0], s.Records[1] = s.Records[1], s.Records[0] },
		"an unknown kind":           func(s *revocation.Snapshot) { s.Records[0].Entry.Kind = 99 },
		"an unknown flag":           func(s *revocation.Snapshot) { s.Records[0].Entry.Flags = 4 },
		"low-water above position":  func(s *revocation.Snapshot) { s.LowWater = s.Position.Seq + 1 },
		"epoch 0":                   func(s *revocation.Snapshot) { s.Position.Epoch = 0 },
		"position above 2^53":       func(s *revocation.Snapshot) { s.Position.Seq = revocation.MaxSeq + 1 },
	} {
		_, m, shards := sampleManifest(t)
		s, err := revocation.DecodeSnapshot(m, shards)
		if err != nil {
			t.Fatal(err)
		}
		spoil(s)
		table := newTable(t, revocation.TableConfig{})
		if err := table.Load(s); !errors.Is(err, revocation.ErrFormat) || table.Len() != 0 || table.Head() != (revocation.Position{}) {
			t.Errorf("%s: %v, then %d entries at %v", name, err, table.Len(), table.Head())
		}
	}
}
