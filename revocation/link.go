package revocation

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// A Link is the value of the hash chain after an entry. Whoever holds the same
// link at the same seq holds the same log.
type Link [sha256.Size]byte

// originLabel keeps the start of a chain apart from every other hash.
const originLabel = "counterfoil/revocation/origin/v1"

// Origin returns the link at the head of a new, empty epoch:
// SHA-256("counterfoil/revocation/origin/v1" ‖ 0 ‖ epoch ‖ base ‖ iss), numbers
// as 8 bytes, big-endian. base is the seq before the epoch's first entry.
func Origin(iss string, epoch, base uint64) Link {
	b := append(make([]byte, 0, 128), originLabel...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = binary.BigEndian.AppendUint64(b, base)
	return sha256.Sum256(append(b, iss...))
}

// Next returns the link after entry e with number seq, where l is the link
// before: SHA-256(l ‖ seq (8 bytes, big-endian) ‖ e (packed)).
func (l Link) Next(seq uint64, e Entry) Link {
	b := append(make([]byte, 0, sha256.Size+8+EntrySize), l[:]...)
	b = binary.BigEndian.AppendUint64(b, seq)
	return sha256.Sum256(e.AppendPacked(b))
}

// Chain returns the link after all of entries, the first of which has number
// first.
func (l Link) Chain(first uint64, entries []Entry) Link {
	for i, e := range entries {
		l = l.Next(first+uint64(i), e)
	}
	return l
}

// String returns the link in base64url, as it travels.
func (l Link) String() string { return wire.Encode(l[:]) }

// ParseLink reads what String writes.
func ParseLink(s string) (Link, error) {
	b, err := wire.Decode(s)
	if err != nil || len(b) != len(Link{}) {
		return Link{}, errFormat("link")
	}
	return Link(b), nil
}

// A Position is a place in an issuer's log: the entry with number Seq of an
// epoch, and the chain after it.
type Position struct {
	Epoch uint64
	Seq   uint64
	C     Link
}

// Before reports whether p lies before q: a lower epoch, or a lower seq in the
// same one.
func (p Position) Before(q Position) bool {
	if p.Epoch != q.Epoch {
		return p.Epoch < q.Epoch
	}
	return p.Seq < q.Seq
}
