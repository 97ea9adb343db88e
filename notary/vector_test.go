package notary_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/notary"
)

const (
	feedDoc   = "../docs/feed.md"
	seenBegin = "<!-- seen: written by go test ./notary -run TestSeenVector -update -->\n"
	seenEnd   = "<!-- end of seen -->\n"
)

// The worked example in docs/feed.md is what the code makes, byte by byte.
func TestSeenVector(t *testing.T) {
	doc, err := os.ReadFile(feedDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), seenBegin)
	old, after, ok2 := strings.Cut(rest, seenEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the example", feedDoc)
	}
	made := seenExample(t)
	if *update {
		if err := os.WriteFile(feedDoc, []byte(before+seenBegin+made+seenEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		old = made
	}
	if old != made {
		t.Errorf("%s is not what the code makes; look at what -update changes", feedDoc)
	}
}

// seenExample is a token with a tag by a known secret, its record, and a report of
// it and of the same payload in the hands of a thief.
func seenExample(t *testing.T) string {
	t.Helper()
	nonce := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	d := notary.Sum(header, rest)
	jti := jtiOf("k1", nonce, d)
	payload := notary.Join(jti, rest)
	forged := strings.Replace(string(payload), "alice", "admin", 1)
	var records []notary.Record
	for _, p := range []string{string(payload), forged} {
		r, err := notary.RecordOf("k1", token(header, []byte(p)))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	right, err := notary.NewLocal(secret).Check(t.Context(), records)
	if err != nil || !right[0] || right[1] {
		t.Fatal(right, err)
	}
	body, err := notary.AppendReport(nil, records)
	if err != nil {
		t.Fatal(err)
	}
	record, size := hex.EncodeToString(body[:]), notary.RecordSize
	var b strings.Builder
	fmt.Fprintf(&b, "The notary's secret is the 32 bytes `%s`. A token, and the same with another `sub`:\n\n```\n", secret[:])
	fmt.Fprintf(&b, "header segment  %s\npayload         %s\nd               %x\npayload         %s\nd               %x\n\n", header, payload, records[0].Digest[:], forged, records[1].Digest[:])
	fmt.Fprintf(&b, "version, kids   %s\n", record[:2*(len(body)-2*size)])
	fmt.Fprintf(&b, "record 0        %s\nrecord 1        %s\n\n", record[2*(len(body)-2*size):2*(len(body)-size)], record[2*(len(body)-size):])
	b.WriteString("answer          {\"wrong\":[1],\"again\":[]}\n```\n")
	return b.String()
}
