package revocation_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

var update = flag.Bool("update", false, "write the test vectors in docs/feed.md anew")

const (
	feedDoc      = "../docs/feed.md"
	vectorsBegin = "<!-- vectors: written by go test ./revocation -run TestVectors -update -->\n"
	vectorsEnd   = "<!-- end of vectors -->\n"
)

// TestVectors makes what docs/feed.md shows to other languages. Ed25519 is
// deterministic, so every byte is fixed.
func TestVectors(t *testing.T) {
	doc, err := os.ReadFile(feedDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), vectorsBegin)
	old, after, ok2 := strings.Cut(rest, vectorsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for vectors", feedDoc)
	}
	made := vectors(t)
	if *update {
		if err := os.WriteFile(feedDoc, []byte(before+vectorsBegin+made+vectorsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		old = made
	}
	if old != made {
		t.Errorf("%s is not what the code makes; look at what -update changes", feedDoc)
	}
}

// vectorKey is the key whose seed is 32 times b.
func vectorKey(t *testing.T, b byte, kid string) (private, public *jwk.Key) {
	t.Helper()
	seed := []byte(strings.Repeat(string(rune(b)), ed25519.SeedSize))
	private, err := jwk.New(ed25519.NewKeyFromSeed(seed), jwk.Params{Algorithm: jwk.EdDSA, KeyID: kid})
	if err != nil {
		t.Fatal(err)
	}
	if public, err = private.Public(); err != nil {
		t.Fatal(err)
	}
	return private, public
}

func vectors(t *testing.T) string {
	var b strings.Builder
	section := func(title, format string, args ...any) {
		fmt.Fprintf(&b, "\n### %s\n\n```\n%s\n```\n", title, strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"))
	}
	must := func(token string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	feed, feedPublic := vectorKey(t, 'f', "feed-1")
	root, rootPublic := vectorKey(t, 'r', "root-1")
	feedJWK, err := feedPublic.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	rootJWK, err := rootPublic.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	section("Keys", "root   %s\nfeed   %s", rootJWK, feedJWK)

	secret := []byte("0123456789abcdef0123456789abcdef")
	key, err := revocation.NewHandleKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	var handles strings.Builder
	values := []string{"dBjftJeZ4CVPmB92K27uhg", "s-1", "alice", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "orders", "acme", "key-1", ""}
	for i, value := range values {
		kind := revocation.Kind(i + 1)
		fmt.Fprintf(&handles, "%d %-10v %-45q %016x\n", kind, kind, value, uint64(key.Handle(kind, issuer, value)))
	}
	section("Handles", "K_feed %q\nkfid   %s\niss    %s\n\n%s", secret, key.ID(), issuer, handles.String())

	l := newLog()
	l.now = start.Add(250 * time.Millisecond)
	l.revoke(
		revocation.Entry{Kind: revocation.Subject, Handle: key.Handle(revocation.Subject, issuer, "alice")},
		revocation.Entry{Kind: revocation.Key, Flags: revocation.Absolute, Handle: key.Handle(revocation.Key, issuer, "key-1")},
		revocation.Entry{Kind: revocation.Session, Handle: key.Handle(revocation.Session, issuer, "s-1")},
	)
	var chain strings.Builder
	fmt.Fprintf(&chain, "epoch %d, base %d\n\n%d %20s %s\n", l.Epoch, l.base, l.base, "", hex.EncodeToString(origin(l)))
	for _, r := range l.records {
		c := l.links[r.Seq]
		fmt.Fprintf(&chain, "%d %x %x\n", r.Seq, r.Entry.AppendPacked(nil), c[:])
	}
	section("Entries and chain (seq, entry, c)", "%s", chain.String())

	frame, heartbeat := l.frame(l.base, 3), l.heartbeat()
	frame.HandleKeyID, heartbeat.HandleKeyID = key.ID(), key.ID()
	section("Frame with the three entries", "%s", must(frame.Sign(feed)))
	section("Heartbeat after them", "%s", must(heartbeat.Sign(feed)))

	shards, err := revocation.EncodeShards(l.records)
	if err != nil {
		t.Fatal(err)
	}
	section("Snapshot shard with the three entries", "name   %s\nbytes  %x", revocation.ShardName(shards[0]), shards[0])

	keys, err := jwk.NewSet(feedPublic)
	if err != nil {
		t.Fatal(err)
	}
	trust := must((&revocation.Trust{
		Issuer: issuer, Version: 1, FeedKeys: keys, HandleKeyIDs: []string{key.ID()}, MaxLife: 15 * time.Minute,
	}).Sign(root))
	section("Trust statement", "%s", trust)
	section("Manifest", "%s", must((&revocation.Manifest{
		Issuer: issuer, Epoch: l.Epoch, Base: l.base, Head: l.Seq, C: l.C, AsOf: l.now,
		Snapshot:    &revocation.SnapshotRef{Epoch: l.Epoch, Seq: l.Seq, C: l.C, Shards: []string{revocation.ShardName(shards[0])}},
		HandleKeyID: key.ID(), KeySet: "5qFbZ4hS1qWJt2oTzTNs1qjcmYwMAKvCpyfB4jqC0Aw", Trust: trust, MaxLife: 15 * time.Minute, Heartbeat: 250 * time.Millisecond,
	}).Sign(feed)))
	return b.String() + "\n"
}

func origin(l *log) []byte {
	c := l.links[l.base]
	return c[:]
}
