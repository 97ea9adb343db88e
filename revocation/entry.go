package revocation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Kind says what a handle names. The numbers are on the wire.
type Kind uint8

// The kinds of revocable things, with the claim each takes its value from.
const (
	Token      Kind = 1 + iota // one token, by "jti"
	Session                    // one sign-in of one user on one device, by "sid"
	Subject                    // a user, by "sub"
	Device                     // a bound key, by "cnf.jkt"
	Client                     // a program, by "client_id"
	Tenant                     // a customer, by "tenant"
	Key                        // a signing key, by the header's "kid"
	Everything                 // whatever the issuer signed; its value is empty
)

var kindNames = [...]string{
	Token: "token", Session: "session", Subject: "subject", Device: "device",
	Client: "client", Tenant: "tenant", Key: "key", Everything: "everything",
}

// String returns the name that ParseKind reads.
func (k Kind) String() string {
	if !k.valid() {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// ParseKind reads the name of a kind, such as "session".
func ParseKind(name string) (Kind, error) {
	for k := Token; k <= Everything; k++ {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return 0, errors.New("unknown kind of revocation")
}

func (k Kind) valid() bool { return k >= Token && k <= Everything }

// single reports whether values of this kind name one thing that is never used
// again, so that an entry matches whatever the token's rsq.
func (k Kind) single() bool { return k == Token || k == Session }

// Flags change what an entry means.
type Flags uint8

const (
	// Absolute makes an entry match whatever the token's rsq. It is for stolen
	// keys, where the thief picks rsq.
	Absolute Flags = 1 << iota

	// Quarantine revokes nothing by itself: a token that matches has to be
	// proved before it passes.
	Quarantine
)

const allFlags = Absolute | Quarantine

// An Entry says: no token that was minted without knowledge of this entry, and
// that matches this handle, is good. Its number, seq, is its position in the log.
type Entry struct {
	Kind   Kind
	Flags  Flags
	Handle Handle
}

// EntrySize is the length in bytes of a packed entry: kind, flags, handle.
const EntrySize = 1 + 1 + 8

// MaxSeq is the highest seq. A seq travels as a JSON number, and every JSON
// library reads whole numbers exactly up to here (RFC 8259, Section 6).
const MaxSeq = 1<<53 - 1

var errEntry = errors.New("unknown kind or flag in a revocation entry")

// AppendPacked appends the EntrySize bytes of e to dst.
func (e Entry) AppendPacked(dst []byte) []byte {
	dst = append(dst, byte(e.Kind), byte(e.Flags))
	return binary.BigEndian.AppendUint64(dst, uint64(e.Handle))
}

// UnpackEntry reads an entry from the first EntrySize bytes of b. An unknown
// kind or flag is an error, since an entry that cannot be applied cannot be
// promised to anybody.
func UnpackEntry(b []byte) (Entry, error) {
	if len(b) < EntrySize {
		return Entry{}, errEntry
	}
	e := Entry{
		Kind:   Kind(b[0]),
		Flags:  Flags(b[1]),
		Handle: Handle(binary.BigEndian.Uint64(b[2:])),
	}
	return e, e.check()
}

func (e Entry) check() error {
	if !e.Kind.valid() || e.Flags&^allFlags != 0 {
		return errEntry
	}
	return nil
}

// epochShift leaves room for 2^16 entries a second before an epoch's numbers
// overtake the clock that the next epoch starts from.
const epochShift = 16

// EpochBase returns the head of a new, empty epoch: max(head+1, Unix seconds ·
// 2^16). Its entries are numbered from base+1, so that they exceed the rsq of
// every token minted before, also of those that a restored database has
// forgotten. head is the highest seq known. Beyond MaxSeq it returns MaxSeq.
func EpochBase(head uint64, now time.Time) uint64 {
	clock := uint64(max(now.Unix(), 0))
	if head >= MaxSeq || clock > MaxSeq>>epochShift {
		return MaxSeq
	}
	return max(head+1, clock<<epochShift)
}

// EpochNumber returns the number of a new epoch: max(previous+1, Unix seconds).
// Counting up by one would give two restores of the same backup the same
// number, and verifiers could not tell the second from a fork of the first.
func EpochNumber(previous uint64, now time.Time) uint64 {
	if previous >= MaxSeq {
		return MaxSeq
	}
	return min(max(previous+1, uint64(max(now.Unix(), 0))), MaxSeq)
}

// millis returns t in Unix milliseconds, the unit of every time on this wire.
func millis(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }

func fromMillis(ms uint64) time.Time {
	return time.UnixMilli(int64(min(ms, math.MaxInt64))).UTC()
}
