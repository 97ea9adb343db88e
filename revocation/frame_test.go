package revocation_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

func signFrame(t testing.TB, key *jwk.Key, f *revocation.Frame) string {
	t.Helper()
	token, err := f.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestFrameRoundTrip(t *testing.T) {
	private, public := feedKey(t)
	l := newLog()
	l.revoke(entry(revocation.Session, 0), absolute(revocation.Key, 1<<63), entry(revocation.Everything, 3))
	l.now = l.now.Add(123 * time.Millisecond)
	for _, f := range []*revocation.Frame{l.frame(l.base, 3), l.frame(l.base+1, 1), l.heartbeat()} {
		got, err := revocation.OpenFrame(public, issuer, signFrame(t, private, f))
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(*got) != fmt.Sprint(*f) {
			t.Errorf("got  %v\nwant %v", *got, *f)
		}
	}
}

func TestFullFrameFits(t *testing.T) {
	private, public := generate(t, jwk.Params{Algorithm: jwk.EdDSA, KeyID: strings.Repeat("k", 64)})
	f := &revocation.Frame{
		Issuer: "https://" + strings.Repeat("i", 504), Epoch: revocation.MaxSeq,
		First: revocation.MaxSeq - revocation.MaxFrameEntries + 1,
		AsOf:  time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), HandleKeyID: strings.Repeat("k", 64),
	}
	for range revocation.MaxFrameEntries {
		f.Entries = append(f.Entries, entry(revocation.Session, revocation.Handle(rand.Uint64())))
	}
	f.C1 = f.C0.Chain(f.First, f.Entries)
	token := signFrame(t, private, f)
	if _, err := revocation.OpenFrame(public, f.Issuer, token); err != nil {
		t.Error(err)
	}
	t.Logf("%d bytes of %d", len(token), jws.MaxToken)
	f.Entries = append(f.Entries, entry(revocation.Session, 1))
	f.First--
	f.C1 = f.C0.Chain(f.First, f.Entries)
	if _, err := f.Sign(private); !errors.Is(err, revocation.ErrFormat) {
		t.Errorf("one entry more: %v", err)
	}
}

func TestThreat71FrameSignature(t *testing.T) {
	private, public := feedKey(t)
	_, stranger := feedKey(t)
	l := newLog()
	l.revoke(entry(revocation.Session, 1))
	good := signFrame(t, private, l.frame(l.base, 1))
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		if _, err := revocation.OpenFrame(public, issuer, string(bad)); err == nil {
			t.Errorf("accepted with byte %d flipped", i)
		}
	}
	if _, err := revocation.OpenFrame(stranger, issuer, good); !errors.Is(err, revocation.ErrFeedKey) || !errors.Is(err, jwk.ErrUnknownKey) {
		t.Errorf("unknown feed key: %v", err)
	}
	for _, iss := range []string{issuer + "/", "https://ID.example", "http://id.example", "", "https://other.example"} {
		if _, err := revocation.OpenFrame(public, iss, good); err == nil {
			t.Errorf("accepted for issuer %q", iss)
		}
	}
}

func TestThreat71TokenKeyAsFeedKey(t *testing.T) {
	l := newLog()
	for name, p := range map[string]jwk.Params{
		"ES256":              {Algorithm: jwk.ES256},
		"Ed25519":            {Algorithm: jwk.Ed25519},
		"EdDSA, tagged":      {Algorithm: jwk.EdDSA, Limits: jwk.Limits{Tagged: true}},
		"EdDSA, at+jwt only": {Algorithm: jwk.EdDSA, Limits: jwk.Limits{Types: []string{"at+jwt"}}},
	} {
		private, public := generate(t, p)
		if _, err := l.heartbeat().Sign(private); !errors.Is(err, revocation.ErrFeedKey) {
			t.Errorf("%s: signs a frame: %v", name, err)
		}
		forged := forge(t, private, revocation.FrameType, framePayload(t))
		if _, err := revocation.OpenFrame(public, issuer, forged); !errors.Is(err, revocation.ErrFeedKey) {
			t.Errorf("%s: its frame is accepted although it is no feed key: %v", name, err)
		}
	}
}

func TestThreat71OtherTypes(t *testing.T) {
	private, public := feedKey(t)
	payload := framePayload(t)
	for _, typ := range []string{"", "JWT", "at+jwt", revocation.ManifestType, revocation.TrustType, "REVOCATIONS+JWT", "application/" + revocation.FrameType} {
		if _, err := revocation.OpenFrame(public, issuer, forge(t, private, typ, payload)); !errors.Is(err, revocation.ErrFormat) {
			t.Errorf("frame of typ %q: %v", typ, err)
		}
	}
}

// framePayload is that of a good frame with three entries.
func framePayload(t testing.TB) string {
	private, _ := feedKey(t)
	l := newLog()
	l.revoke(entry(revocation.Session, 1), entry(revocation.Subject, 2), absolute(revocation.Key, 3))
	u, err := jws.Parse(signFrame(t, private, l.frame(l.base, 3)))
	if err != nil {
		t.Fatal(err)
	}
	return string(u.UnverifiedPayload())
}

// forge signs any payload under any typ, as Sign would not.
func forge(t testing.TB, key *jwk.Key, typ, payload string) string {
	t.Helper()
	token, err := jws.Sign(key, jws.Header{Type: typ}, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestFramePayloadRules(t *testing.T) {
	private, public := feedKey(t)
	good := framePayload(t)
	if _, err := revocation.OpenFrame(public, issuer, forge(t, private, revocation.FrameType, good)); err != nil {
		t.Fatalf("the payload to break is broken: %v", err)
	}
	l := newLog()
	l.revoke(entry(revocation.Session, 1), entry(revocation.Subject, 2), absolute(revocation.Key, 3))
	c0 := l.links[l.base].String()
	for name, swap := range map[string][2]string{
		"n below the entries":    {`"n":3`, `"n":2`},
		"n above the entries":    {`"n":3`, `"n":4`},
		"n enormous":             {`"n":3`, `"n":18446744073709551615`},
		"n negative":             {`"n":3`, `"n":-3`},
		"n a fraction":           {`"n":3`, `"n":3.5`},
		"n a string":             {`"n":3`, `"n":"3"`},
		"first other":            {fmt.Sprintf(`"first":%d`, l.base+1), fmt.Sprintf(`"first":%d`, l.base+2)},
		"first zero":             {fmt.Sprintf(`"first":%d`, l.base+1), `"first":0`},
		"first at the end":       {fmt.Sprintf(`"first":%d`, l.base+1), fmt.Sprintf(`"first":%d`, uint64(revocation.MaxSeq))},
		"first beyond 2^53":      {fmt.Sprintf(`"first":%d`, l.base+1), `"first":9007199254740993`},
		"c0 other":               {c0, l.links[l.base+1].String()},
		"c0 short":               {c0, c0[:40]},
		"c0 padded":              {c0, c0 + "="},
		"c0 null":                {`"` + c0 + `"`, "null"},
		"epoch zero":             {fmt.Sprintf(`"epoch":%d`, l.Epoch), `"epoch":0`},
		"as_of zero":             {fmt.Sprintf(`"as_of":%d`, start.UnixMilli()), `"as_of":0`},
		"as_of in seconds":       {fmt.Sprintf(`"as_of":%d`, start.UnixMilli()), `"as_of":"2026-03-01T12:00:00Z"`},
		"as_of enormous":         {fmt.Sprintf(`"as_of":%d`, start.UnixMilli()), `"as_of":18446744073709551615`},
		"kfid empty":             {`"kfid":"k1"`, `"kfid":""`},
		"iss twice":              {`"iss":`, `"iss":"https://id.example","iss":`},
		"iss in another case":    {`"iss":`, `"ISS":`},
		"unknown kind":           {`"entries":"AgA`, `"entries":"CQA`},
		"kind zero":              {`"entries":"AgA`, `"entries":"AAA`},
		"unknown flag":           {`"entries":"AgA`, `"entries":"AgQ`},
		"another entry":          {`"entries":"AgA`, `"entries":"AwA`},
		"more after the entries": {`"}`, `AAAA"}`},
		"entries not canonical":  {`"entries":"AgA`, `"entries":"\nAgA`},
	} {
		bad := strings.Replace(good, swap[0], swap[1], 1)
		if bad == good {
			t.Errorf("%s: nothing to replace in %s", name, good)
			continue
		}
		if _, err := revocation.OpenFrame(public, issuer, forge(t, private, revocation.FrameType, bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSignRefusesWhatDoesNotChain(t *testing.T) {
	private, _ := feedKey(t)
	l := newLog()
	l.revoke(entry(revocation.Session, 1), entry(revocation.Session, 2))
	f := l.frame(l.base, 2)
	f.Entries[0].Handle = 9
	if _, err := f.Sign(private); !errors.Is(err, revocation.ErrChain) {
		t.Errorf("a log with a changed entry is published: %v", err)
	}
	if err := loaded(t, newLog(), revocation.TableConfig{}).Apply(f); !errors.Is(err, revocation.ErrChain) {
		t.Errorf("Apply of a frame that does not chain: %v", err)
	}
}

// Two nodes cut the same log differently, and a verifier goes from one to the
// other between any two frames.
func TestThreat135FramesCutAnywhere(t *testing.T) {
	const entries = 6
	private, public := feedKey(t)
	l := newLog()
	for i := range revocation.Handle(entries) {
		l.revoke(entry(revocation.Subject, i))
	}
	for cuts := range 1 << (2 * entries) {
		one, two := cutting(l, cuts&(1<<entries-1)), cutting(l, cuts>>entries)
		table := loaded(t, newLog(), revocation.TableConfig{})
		for turn := 0; table.Head() != l.Position; turn++ {
			node := [2][]*revocation.Frame{one, two}[turn%2]
			for _, f := range node {
				if f.Last() > table.Head().Seq {
					apply(t, table, f)
					break
				}
			}
		}
		if n := table.Len(); n != entries {
			t.Fatalf("cuts %b: %d entries", cuts, n)
		}
	}
	// On the wire as well.
	table := loaded(t, newLog(), revocation.TableConfig{})
	for _, f := range cutting(l, 0b010110) {
		got, err := revocation.OpenFrame(public, issuer, signFrame(t, private, f))
		if err != nil {
			t.Fatal(err)
		}
		apply(t, table, got)
	}
}

// cutting returns the whole epoch in frames that end after each entry whose bit
// is set, and at the end.
func cutting(l *log, bits int) (frames []*revocation.Frame) {
	from := l.base
	for seq := l.base + 1; seq <= l.Seq; seq++ {
		if bits>>(seq-l.base-1)&1 == 1 || seq == l.Seq {
			frames = append(frames, l.frame(from, int(seq-from)))
			from = seq
		}
	}
	return frames
}

func FuzzOpenFrame(f *testing.F) {
	private, public := feedKey(f)
	f.Add(framePayload(f))
	f.Add(`{"iss":"https://id.example","epoch":1,"first":1,"n":0}`)
	f.Fuzz(func(t *testing.T, payload string) {
		// Behind a good signature, since no mutation would get past one.
		token, err := jws.Sign(private, jws.Header{Type: revocation.FrameType}, []byte(payload))
		if err != nil {
			return
		}
		frame, err := revocation.OpenFrame(public, issuer, token)
		if err != nil {
			return
		}
		again, err := revocation.OpenFrame(public, issuer, signFrame(t, private, frame))
		if err != nil || fmt.Sprint(*again) != fmt.Sprint(*frame) {
			t.Errorf("what was opened is not what is signed again: %v", err)
		}
	})
}

func FuzzOpenToken(f *testing.F) {
	private, public := feedKey(f)
	f.Add(signFrame(f, private, newLog().heartbeat()))
	f.Fuzz(func(t *testing.T, token string) {
		frame, err := revocation.OpenFrame(public, issuer, token)
		if err == nil && token != signFrame(t, private, frame) {
			t.Error("accepted a second spelling of a frame")
		}
		revocation.UnverifiedTrust(token)
	})
}

func ExampleFrame_Sign() {
	feed, _ := jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA})
	public, _ := feed.Public()

	origin := revocation.Origin("https://id.example", 1, 100)
	revoked := revocation.Entry{Kind: revocation.Session, Handle: 0xd1ce}
	token, err := (&revocation.Frame{
		Issuer: "https://id.example", Epoch: 1, First: 101,
		C0: origin, C1: origin.Next(101, revoked),
		AsOf: start, HandleKeyID: "k1", Entries: []revocation.Entry{revoked},
	}).Sign(feed)
	if err != nil {
		fmt.Println(err)
		return
	}
	frame, err := revocation.OpenFrame(public, "https://id.example", token)
	fmt.Println(err, frame.Last(), frame.Entries)
	// Output: <nil> 101 [{session 0 53710}]
}

func TestEntryPacking(t *testing.T) {
	for _, e := range []revocation.Entry{
		entry(revocation.Token, 0),
		{Kind: revocation.Everything, Flags: revocation.Absolute | revocation.Quarantine, Handle: ^revocation.Handle(0)},
	} {
		b := e.AppendPacked(nil)
		got, err := revocation.UnpackEntry(b)
		if err != nil || got != e || len(b) != revocation.EntrySize {
			t.Errorf("%v came back as %v, %v", e, got, err)
		}
		for i := range b {
			if _, err := revocation.UnpackEntry(b[:i]); err == nil {
				t.Errorf("entry of %d bytes accepted", i)
			}
		}
	}
	for _, bad := range []string{"AAAAAAAAAAAAAA", "CQAAAAAAAAAAAA", "AQQAAAAAAAAAAA", "AYAAAAAAAAAAAA"} {
		b, err := wire.Decode(bad)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := revocation.UnpackEntry(b); err == nil {
			t.Errorf("accepted %v", e)
		}
	}
}

func TestKindNames(t *testing.T) {
	for kind := revocation.Token; kind <= revocation.Everything; kind++ {
		if got, err := revocation.ParseKind(kind.String()); err != nil || got != kind {
			t.Errorf("%v is read as %v, %v", kind, got, err)
		}
	}
	for _, bad := range []string{"", "Session", "kind 0", "tokens"} {
		if _, err := revocation.ParseKind(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
