// Package statuslist reads and writes Token Status Lists
// (draft-ietf-oauth-status-list): a few bits per issued token, compressed and
// signed, so that one fetch answers for all of them.
//
//	list, err := statuslist.Verify(policy, keys, token)
//	if err != nil || list.At(index) != statuslist.Valid {
//		return errRevoked
//	}
//
// A list speaks only until [List.Expiry], and only of the tokens whose claim
// "status" names its URI. The package fetches nothing.
package statuslist

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// MaxBytes is the largest list, in bytes after decompression: 33 million statuses
// of one bit, or 4 million of eight.
const MaxBytes = 4 << 20

// ErrMalformed reports what cannot be read as a list, or is above MaxBytes.
var ErrMalformed = errors.New("malformed status list")

// A Status is what a list says of one token (Section 7.1).
type Status int

// The registered statuses. Unknown is none of them: the list says nothing about
// this index, and the token is refused (Section 8.3).
const (
	Unknown   Status = -1
	Valid     Status = 0
	Invalid   Status = 1
	Suspended Status = 2
)

// A Reference is the member "status_list" of the claim "status", by which a token
// says where its own status stands (Section 6.2).
type Reference struct {
	Index int    `json:"idx"`
	URI   string `json:"uri"`
}

// A Claim is the claim "status" of a token.
type Claim struct {
	List *Reference `json:"status_list"` // nil: another mechanism, or none
}

// A List holds the statuses of many tokens. Only Set changes it.
type List struct {
	bits   int
	data   []byte
	expiry time.Time
	ttl    time.Duration
}

// listJSON is the wire form (Section 4.2).
type listJSON struct {
	Bits int    `json:"bits"`
	List string `json:"lst"`
}

// Parse reads a list in JSON: "bits" is 1, 2, 4 or 8, and "lst" the statuses,
// compressed with zlib. What it says is nobody's word; see [Verify]. Errors match
// [ErrMalformed].
func Parse(data []byte) (*List, error) {
	var l listJSON
	if err := wire.Unmarshal(data, &l); err != nil || !validBits(l.Bits) {
		return nil, ErrMalformed
	}
	packed, err := wire.Decode(l.List)
	if err != nil {
		return nil, ErrMalformed
	}
	statuses, err := inflate(packed)
	if err != nil {
		return nil, err
	}
	return &List{bits: l.Bits, data: statuses}, nil
}

func validBits(bits int) bool { return slices.Contains([]int{1, 2, 4, 8}, bits) }

// inflate decompresses one zlib stream with nothing after it.
func inflate(packed []byte) ([]byte, error) {
	source := bytes.NewReader(packed)
	z, err := zlib.NewReader(source)
	if err != nil {
		return nil, ErrMalformed
	}
	statuses, err := io.ReadAll(io.LimitReader(z, MaxBytes+1))
	if err != nil || len(statuses) > MaxBytes || source.Len() > 0 {
		return nil, ErrMalformed
	}
	return statuses, nil
}

// New returns a list of at least n statuses of the given number of bits, all
// Valid.
func New(bits, n int) (*List, error) {
	if !validBits(bits) || n < 0 || n > MaxBytes*8/bits {
		return nil, errors.New("statuslist: bits are 1, 2, 4 or 8, and there are at most MaxBytes")
	}
	return &List{bits: bits, data: make([]byte, (n*bits+7)/8)}, nil
}

// Bits returns how many bits a status has.
func (l *List) Bits() int { return l.bits }

// Len returns the number of statuses, those included that only fill up the last
// byte. The zero List has none.
func (l *List) Len() int { return len(l.data) * 8 / max(1, l.bits) }

// At returns the status at index, or Unknown if there is none.
func (l *List) At(index int) Status {
	if index < 0 || index >= l.Len() {
		return Unknown
	}
	i, shift := l.place(index)
	return Status(l.data[i] >> shift & l.mask())
}

// Set changes the status at index. It refuses what does not fit, and is not for a
// list that others use at the same time.
func (l *List) Set(index int, s Status) error {
	if index < 0 || index >= l.Len() || s < 0 || s > Status(l.mask()) {
		return errors.New("statuslist: no such index, or no such status in so few bits")
	}
	i, shift := l.place(index)
	l.data[i] = l.data[i]&^(l.mask()<<shift) | byte(s)<<shift
	return nil
}

// place says where a status is: from the least significant bit of a byte to the
// most significant one (Section 4.1).
func (l *List) place(index int) (i int, shift uint) {
	perByte := 8 / l.bits
	return index / perByte, uint(index % perByte * l.bits)
}

func (l *List) mask() byte { return byte(1<<l.bits - 1) }

// MarshalJSON implements [json.Marshaler]: the claim "status_list".
func (l *List) MarshalJSON() ([]byte, error) {
	var packed bytes.Buffer
	z, err := zlib.NewWriterLevel(&packed, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(l.data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return wire.Marshal(listJSON{l.bits, wire.Encode(packed.Bytes())})
}

// Expiry returns the moment from which a list that was verified says nothing any
// longer.
func (l *List) Expiry() time.Time { return l.expiry }

// TTL returns how long after it was fetched a list should be fetched anew, or 0
// if the list does not say.
func (l *List) TTL() time.Duration { return l.ttl }
