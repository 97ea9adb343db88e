package notary_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/notary"
)

func token(header string, payload []byte) string {
	return header + "." + base64.RawURLEncoding.EncodeToString(payload) + ".c2lnbmF0dXJl"
}

// recordsOf makes n records under kids in turn.
func recordsOf(t testing.TB, l *notary.Local, n int, kids ...string) []notary.Record {
	t.Helper()
	var records []notary.Record
	for i := range n {
		kid, rest := kids[i%len(kids)], fmt.Appendf(nil, `,"n":%d}`, i)
		jti, err := l.Tag(t.Context(), kid, notary.Sum(header, rest))
		if err != nil {
			t.Fatal(err)
		}
		r, err := notary.RecordOf(kid, token(header, notary.Join(jti, rest)))
		if err != nil || r.ID() != jti || r.KeyID != kid {
			t.Fatalf("%+v %v", r, err)
		}
		records = append(records, r)
	}
	return records
}

func TestReportAndBack(t *testing.T) {
	local := notary.NewLocal(secret)
	for _, n := range []int{0, 1, 5, notary.MaxRecords} {
		want := recordsOf(t, local, n, "k1", "2026-03-01", strings.Repeat("k", 255))
		body, err := notary.AppendReport([]byte("before"), want)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.TrimPrefix(body, []byte("before"))
		if len(body) > notary.MaxReport {
			t.Errorf("%d bytes for %d records", len(body), n)
		}
		got, err := notary.ParseReport(body)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d records come back as %d, %v", n, len(got), err)
		}
		right, err := local.Check(t.Context(), got)
		if err != nil || len(right) != n || slices.Contains(right, false) {
			t.Errorf("%d records: %v", n, err)
		}
	}
}

func TestReportIsBounded(t *testing.T) {
	many := make([]notary.Record, 256)
	for i := range many {
		many[i].KeyID = fmt.Sprint(i)
	}
	if _, err := notary.AppendReport(nil, many[:255]); err != nil {
		t.Errorf("255 kids: %v", err)
	}
	for name, records := range map[string][]notary.Record{
		"256 kids":           many,
		"no kid":             {{}},
		"a kid of 256 bytes": {{KeyID: strings.Repeat("k", 256)}},
		"too many":           make([]notary.Record, notary.MaxRecords+1),
	} {
		if _, err := notary.AppendReport(nil, records); !errors.Is(err, notary.ErrReport) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := notary.NewLocal(secret).Check(t.Context(), make([]notary.Record, notary.MaxRecords+1)); err == nil {
		t.Error("more records than fit into a report are checked")
	}
}

func TestParseReportIsStrict(t *testing.T) {
	record := string(make([]byte, notary.RecordSize-1))
	for name, bad := range map[string]string{
		"empty":               "",
		"version alone":       "\x01",
		"version 0":           "\x00\x01\x01k\x00" + record,
		"version 2":           "\x02\x01\x01k\x00" + record,
		"kid without bytes":   "\x01\x01\x00\x00" + record,
		"kid cut off":         "\x01\x01\x05k",
		"the same kid twice":  "\x01\x02\x01k\x01k\x00" + record + "\x01" + record,
		"a kid without use":   "\x01\x02\x01k\x01l\x00" + record,
		"kids out of order":   "\x01\x02\x01k\x01l\x01" + record + "\x00" + record,
		"index past the end":  "\x01\x01\x01k\x01" + record,
		"half a record":       "\x01\x01\x01k\x00" + record[1:],
		"a byte after":        "\x01\x01\x01k\x00" + record + "\x00",
		"records and no kid":  "\x01\x00\x00" + record,
		"one record too many": "\x01\x01\x01k" + strings.Repeat("\x00"+record, notary.MaxRecords+1),
	} {
		if records, err := notary.ParseReport([]byte(bad)); !errors.Is(err, notary.ErrReport) {
			t.Errorf("%s: %d records, %v", name, len(records), err)
		}
	}
}

func TestRecordOfWhatHasNoTag(t *testing.T) {
	_, _, _, payload := tagged(t)
	good := token(header, payload)
	for name, bad := range map[string]string{
		"empty":         "",
		"one segment":   header,
		"two segments":  strings.TrimSuffix(good, ".c2lnbmF0dXJl"),
		"not base64":    header + ".!.c2ln",
		"a claim first": token(header, []byte(`{"iss":"x",`+string(payload[1:]))),
	} {
		if _, err := notary.RecordOf("k1", bad); !errors.Is(err, notary.ErrPayload) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	body, err := notary.AppendReport(nil, recordsOf(f, notary.NewLocal(secret), 3, "k1", "k2"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		records, err := notary.ParseReport(body)
		if err != nil {
			return
		}
		if again, err := notary.AppendReport(nil, records); err != nil || !bytes.Equal(again, body) {
			t.Errorf("%x is read and written as %x, %v", body, again, err)
		}
	})
}
