package revocation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// A Record is a log entry with its number.
type Record struct {
	Seq   uint64
	Entry Entry
}

const recordSize = 8 + EntrySize

func (r Record) append(dst []byte) []byte {
	return r.Entry.AppendPacked(binary.BigEndian.AppendUint64(dst, r.Seq))
}

func readRecord(b []byte) (Record, error) {
	seq := binary.BigEndian.Uint64(b)
	e, err := UnpackEntry(b[8:])
	if err != nil || seq == 0 || seq > MaxSeq {
		return Record{}, errFormat("record")
	}
	return Record{seq, e}, nil
}

// A Snapshot is everything live in an issuer's log up to a position: all
// entries above LowWater, and the absolute ones of any age.
type Snapshot struct {
	Issuer   string
	Position Position
	LowWater uint64
	AsOf     time.Time
	Records  []Record // in order of seq
}

const (
	// MaxShardRecords is how many records a shard holds at most.
	MaxShardRecords = 1 << 16

	// MaxShardSize is the length of the longest shard in bytes: what to read at
	// most of a response.
	MaxShardSize = len(shardMagic) + 4 + MaxShardRecords*recordSize

	shardMagic = "cfrs\x00\x00\x00\x01" // the last byte is the version
)

// EncodeShards returns records, which must be in order of seq, as shards. A
// shard is named by ShardName, and never changes.
func EncodeShards(records []Record) ([][]byte, error) {
	if len(records) > MaxShards*MaxShardRecords {
		return nil, errFormat("too many records for a snapshot")
	}
	var shards [][]byte
	var last uint64
	for len(records) > 0 {
		n := min(len(records), MaxShardRecords)
		shard := append(make([]byte, 0, len(shardMagic)+4+n*recordSize), shardMagic...)
		shard = binary.BigEndian.AppendUint32(shard, uint32(n))
		for _, r := range records[:n] {
			if r.Seq <= last || r.Seq > MaxSeq || r.Entry.check() != nil {
				return nil, errFormat("record")
			}
			shard, last = r.append(shard), r.Seq
		}
		shards, records = append(shards, shard), records[n:]
	}
	return shards, nil
}

// ShardName returns the SHA-256 of a shard in lower-case hex, as it stands in a
// manifest and in the shard's URL.
func ShardName(shard []byte) string {
	sum := sha256.Sum256(shard)
	return hex.EncodeToString(sum[:])
}

// DecodeSnapshot puts together the snapshot that a verified manifest names. The
// shards must be the ones named, in that order: otherwise ErrFormat.
func DecodeSnapshot(m *Manifest, shards [][]byte) (*Snapshot, error) {
	ref := m.Snapshot
	if ref == nil || len(shards) != len(ref.Shards) {
		return nil, errFormat("shards")
	}
	s := &Snapshot{
		Issuer:   m.Issuer,
		Position: Position{ref.Epoch, ref.Seq, ref.C},
		LowWater: ref.LowWater,
		AsOf:     m.AsOf,
	}
	for i, shard := range shards {
		if len(shard) > MaxShardSize || ShardName(shard) != ref.Shards[i] {
			return nil, errFormat("shard does not have its name")
		}
		records, err := decodeShard(shard)
		if err != nil {
			return nil, err
		}
		s.Records = append(s.Records, records...)
	}
	return s, s.check()
}

func decodeShard(shard []byte) ([]Record, error) {
	body, ok := bytes.CutPrefix(shard, []byte(shardMagic))
	if !ok || len(body) < 4 {
		return nil, errFormat("shard")
	}
	n, body := uint64(binary.BigEndian.Uint32(body)), body[4:]
	if n == 0 || n > MaxShardRecords || uint64(len(body)) != n*recordSize {
		return nil, errFormat("shard")
	}
	records := make([]Record, n)
	for i := range records {
		r, err := readRecord(body[i*recordSize:])
		if err != nil {
			return nil, err
		}
		records[i] = r
	}
	return records, nil
}

// check says whether the snapshot could be true.
func (s *Snapshot) check() error {
	p := s.Position
	if p.Epoch == 0 || p.Epoch > MaxSeq || p.Seq == 0 || p.Seq > MaxSeq || s.LowWater > p.Seq {
		return errFormat("snapshot range")
	}
	var last uint64
	for _, r := range s.Records {
		if r.Seq <= last || r.Seq > p.Seq || r.Entry.check() != nil {
			return errFormat("record")
		}
		last = r.Seq
	}
	return nil
}
