package notary

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
)

const (
	// MaxRecords is how many records one report or one check has at most.
	MaxRecords = 8192
	// RecordSize is the length of a record in a report, in bytes.
	RecordSize = 1 + nonceSize + tagSize + digestSize
	// ReportType is the media type of a report.
	ReportType = "application/vnd.counterfoil.seen"

	reportVersion = 1
	maxReportKeys = 255 // their number and their index are one byte each
	maxReportKey  = 255 // so is the length of a kid

	// MaxReport is the longest report, in bytes.
	MaxReport = 2 + maxReportKeys*(1+maxReportKey) + MaxRecords*RecordSize
)

// ErrReport reports bytes that are not a report, or records that do not fit into
// one: too many, of too many keys, or of a kid of no or of more than 255 bytes.
var ErrReport = errors.New("not a report of seen tokens")

// A Record is what the auditor needs of a token in order to check its tag. It is
// no secret, and nobody can make a token of it.
type Record struct {
	KeyID  string
	Nonce  [nonceSize]byte
	Tag    [tagSize]byte
	Digest Digest
}

// RecordOf returns the record of a token in the compact serialization under the
// key named kid. It checks neither the signature nor that header and payload are
// JSON. [ErrPayload] means that the payload does not begin as a tagged one must,
// or that there are not three segments: such a token has no tag.
func RecordOf(kid, token string) (Record, error) {
	header, after, _ := strings.Cut(token, ".")
	segment, _, ok := strings.Cut(after, ".")
	payload, err := wire.Decode(segment)
	if !ok || err != nil {
		return Record{}, ErrPayload
	}
	jti, rest, err := SplitPayload(payload)
	if err != nil {
		return Record{}, err
	}
	return NewRecord(kid, jti, Sum(header, rest))
}

// NewRecord returns the record of a token whose parts are known, or [ErrPayload]
// for a jti that is not 27 characters of base64url.
func NewRecord(kid, jti string, d Digest) (Record, error) {
	b, err := decodeID(jti)
	if err != nil {
		return Record{}, err
	}
	return Record{KeyID: kid, Nonce: [nonceSize]byte(b), Tag: [tagSize]byte(b[nonceSize:]), Digest: d}, nil
}

// ID returns the jti of the token.
func (r Record) ID() string {
	return wire.Encode(append(append(make([]byte, 0, nonceSize+tagSize), r.Nonce[:]...), r.Tag[:]...))
}

// A Checker tells of tokens seen in use whether the notary made their tags: the
// auditor, in this process or in one of its own. Check answers for at most
// MaxRecords records, in their order. After an error nothing is known about any
// of them; it is [ErrUnavailable] when asking again may help. A Checker must be
// safe for concurrent use.
type Checker interface {
	Check(ctx context.Context, records []Record) (right []bool, err error)
}

// A Notary does both halves; [Local] is one.
type Notary interface {
	Tagger
	Checker
}

// ErrUnavailable reports a notary that could not be asked.
var ErrUnavailable = errors.New("the notary does not answer")

// AppendReport appends the report of records to dst:
//
//	1 ‖ number of kids ‖ each (length, kid) ‖ each (index of the kid, nonce 8, tag 12, digest 16)
//
// Numbers are one byte; the kids stand in the order of their first records. The
// error is [ErrReport].
func AppendReport(dst []byte, records []Record) ([]byte, error) {
	if len(records) > MaxRecords {
		return nil, ErrReport
	}
	kids := make(map[string]byte)
	dst = append(dst, reportVersion, 0)
	count := len(dst) - 1
	for i := range records {
		kid := records[i].KeyID
		if _, ok := kids[kid]; ok {
			continue
		}
		if kid == "" || len(kid) > maxReportKey || len(kids) == maxReportKeys {
			return nil, ErrReport
		}
		kids[kid] = byte(len(kids))
		dst = append(append(dst, byte(len(kid))), kid...)
	}
	dst[count] = byte(len(kids))
	for i := range records {
		r := &records[i]
		dst = append(append(dst, kids[r.KeyID]), r.Nonce[:]...)
		dst = append(append(dst, r.Tag[:]...), r.Digest[:]...)
	}
	return dst, nil
}

// ParseReport is the opposite of [AppendReport], which returns for what ParseReport
// accepts the same bytes again. The error is [ErrReport].
func ParseReport(body []byte) ([]Record, error) {
	kids, rest, ok := parseKeys(body)
	if !ok || len(rest)%RecordSize != 0 || len(rest)/RecordSize > MaxRecords {
		return nil, ErrReport
	}
	records := make([]Record, 0, len(rest)/RecordSize)
	used := 0 // kids that have a record
	for ; len(rest) > 0; rest = rest[RecordSize:] {
		index := int(rest[0])
		if index > used || index >= len(kids) {
			return nil, ErrReport
		}
		used = max(used, index+1)
		b := rest[1:RecordSize]
		records = append(records, Record{
			KeyID: kids[index], Nonce: [nonceSize]byte(b), Tag: [tagSize]byte(b[nonceSize:]), Digest: Digest(b[nonceSize+tagSize:]),
		})
	}
	if used != len(kids) {
		return nil, ErrReport
	}
	return records, nil
}

// parseKeys reads the kids at the front of a report. No two are equal.
func parseKeys(body []byte) (kids []string, rest []byte, ok bool) {
	if len(body) < 2 || body[0] != reportVersion {
		return nil, nil, false
	}
	n, rest := int(body[1]), body[2:]
	seen := make(map[string]bool, n)
	for range n {
		if len(rest) == 0 {
			return nil, nil, false
		}
		size := int(rest[0])
		if rest = rest[1:]; size == 0 || size > len(rest) || seen[string(rest[:size])] {
			return nil, nil, false
		}
		kid := string(rest[:size])
		seen[kid] = true
		kids, rest = append(kids, kid), rest[size:]
	}
	return kids, rest, true
}

// appendKeyID appends the length of kid, as two bytes, and kid.
func appendKeyID(b []byte, kid string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(kid))), kid...)
}
