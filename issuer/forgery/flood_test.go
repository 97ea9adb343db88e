package forgery_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
)

// heap is what is in use after a collection, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const million = 1_000_000

// A reporter that makes up a million records, and junk for evidence, raises no alarm
// and is slowed down. Nobody else is.
func TestThreat87MillionMadeUpRecords(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	honest := f.mint()
	good, err := notary.RecordOf(kid, honest)
	f.check(err)
	records := make([]notary.Record, notary.MaxRecords)
	before := heap()
	var sent, refused, next int
	var limited *forgery.LimitedError
	for sent+refused < million {
		for i := range records {
			next++
			records[i] = notary.Record{KeyID: []string{kid, fmt.Sprint("junk", i%200)}[i%2]}
			binary.BigEndian.PutUint64(records[i].Nonce[:], uint64(next))
		}
		seen, err := f.desk.Records(t.Context(), "thief", records)
		switch {
		case errors.As(err, &limited):
			refused += len(records)
			if limited.RetryAfter <= 0 || limited.RetryAfter > time.Second {
				t.Fatal(limited.RetryAfter)
			}
			f.clock.advance(limited.RetryAfter)
		case err != nil:
			t.Fatal(err)
		default:
			sent += len(records)
			if len(seen.Wrong) != forgery.MaxWrong || len(seen.Wrong)+len(seen.Again) != len(records) {
				t.Fatalf("%d wrong, %d again", len(seen.Wrong), len(seen.Again))
			}
		}
		if seen, err := f.desk.Records(t.Context(), "guard", []notary.Record{good}); err != nil || len(seen.Wrong)+len(seen.Again) != 0 {
			t.Fatalf("another reporter: %+v %v", seen, err)
		}
	}
	t.Logf("records: %d answered, %d refused; heap grew by %d KiB", sent, refused, (heap()-before)>>10)
	if refused == 0 {
		t.Error("nothing was refused")
	}
	if got := f.trail(); len(got) != 0 || len(f.entries()) != 0 {
		t.Errorf("trail %v", got)
	}
}

func TestThreat87MillionBadSignatures(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	genuine := f.mint()
	signed, _, _ := cutLast(genuine)
	_, _, foreign := cutLast(f.mint())
	bad := signed + "." + foreign
	before := heap()
	verdicts := map[forgery.Verdict]int{}
	var limited *forgery.LimitedError
	refused := 0
	for i := range million {
		verdict, err := f.desk.Evidence(t.Context(), "thief", netip.Addr{}, bad)
		if errors.As(err, &limited) {
			refused++
		} else {
			f.check(err)
			verdicts[verdict]++
		}
		f.clock.advance(time.Millisecond)
		if i%100_000 == 0 { // the desk takes what another one shows
			f.evidence(forgery.Genuine, genuine)
		}
	}
	b := f.desk.Bounds()
	t.Logf("evidence: %v, %d refused; heap grew by %d KiB; reporters %d of at most %d, forged tokens %d of at most %d",
		verdicts, refused, (heap()-before)>>10, b.PeakReporters, b.MaxReporters, b.PeakJudged, b.MaxJudged)
	// A thousand seconds: 16 at once, then silence for a minute, and so on.
	if n := verdicts[forgery.Unsigned]; n+refused != million || n != 16*17 {
		t.Errorf("%d judged, %d refused", n, refused)
	}
	if got := f.trail(); len(got) != 0 || len(f.entries()) != 0 {
		t.Errorf("trail %v", got)
	}
	f.evidence(forgery.Forged, f.forge(1)) // the door is open for the others
}

// Evidence that proves something is limited as well, a second later no more.
func TestEvidenceIsLimited(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	honest := f.mint()
	var limited *forgery.LimitedError
	n := 0
	for ; ; n++ {
		if _, err := f.desk.Evidence(t.Context(), "guard", netip.Addr{}, honest); errors.As(err, &limited) {
			break
		}
	}
	if n != 64 || limited.RetryAfter > 50*time.Millisecond {
		t.Errorf("%d at once, next in %v", n, limited.RetryAfter)
	}
	f.clock.advance(limited.RetryAfter)
	f.evidence(forgery.Genuine, honest)
}

// Who has taken a guard's credential does not crowd out the guard itself, which sends
// from elsewhere; nor does he get more by sending from many places.
func TestThreat87TakenCredentialCrowdsNobodyOut(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	junk := f.mint() + "A"
	judged := 0
	for i := range 100_000 {
		// Other hosts of one /64 are one place.
		from := netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 6: byte(i >> 8), 7: byte(i % 40), 15: byte(i)})
		if _, err := f.desk.Evidence(t.Context(), "guard", from, junk); err == nil {
			judged++
		}
	}
	// 16 places and what the others share, 16 pieces each.
	if want := 17 * 16; judged > want {
		t.Errorf("%d pieces of junk judged, want at most %d", judged, want)
	}
	guard := netip.MustParseAddr("192.0.2.7")
	f2 := newFixture(t, forgery.Config{})
	for range 1000 {
		f2.desk.Evidence(t.Context(), "guard", netip.MustParseAddr("192.0.2.8"), junk)
	}
	if v, err := f2.desk.Evidence(t.Context(), "guard", guard, f2.forge(1)); v != forgery.Forged || err != nil {
		t.Errorf("the guard at its own address: %v %v", v, err)
	}
}

// More reporters than are remembered do not use memory, nor shut out those who come.
func TestThreat87ReportersAreBounded(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	var limited *forgery.LimitedError
	refused := 0
	for i := range 20_000 {
		if _, err := f.desk.Records(t.Context(), fmt.Sprint("reporter", i), make([]notary.Record, 8)); errors.As(err, &limited) {
			refused++
			f.clock.advance(limited.RetryAfter)
		}
	}
	b := f.desk.Bounds()
	t.Logf("%d refused, at most %d of %d remembered", refused, b.PeakReporters, b.MaxReporters)
	if b.PeakReporters > b.MaxReporters || refused > 10 {
		t.Errorf("%+v, %d refused", b, refused)
	}
}

// A million forgeries are sixteen entries and one quarantine. The rest is counted.
func TestThreat138MillionForgeries(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	for i := range 200 { // the whole way, signature and all
		f.evidenceTo(f.desk, fmt.Sprint("guard", i%10), forgery.Forged, f.forge(i))
	}
	before := heap()
	for i := uint64(200); i < million; i++ { // behind the signature
		if v, err := f.desk.Found(t.Context(), kid, i); err != nil || v != forgery.Forged {
			t.Fatal(v, err)
		}
		if i%10_000 == 0 {
			f.clock.advance(time.Second)
			f.check(f.desk.CountRound(t.Context()))
		}
	}
	f.check(f.desk.CountRound(t.Context()))
	in, b := f.incident(kid), f.desk.Bounds()
	t.Logf("%d forged tokens: %d entries, %d rows, heap grew by %d KiB, %d of at most %d remembered",
		in.Tokens, in.Entries, len(in.Forgeries), (heap()-before)>>10, b.PeakJudged, b.MaxJudged)
	if in.Tokens != million || in.Entries != store.MaxForgeries || len(in.Forgeries) != store.MaxForgeries {
		t.Errorf("%+v", in)
	}
	if got := f.entries(); count(got, "token absolute") != 16 || count(got, "key quarantine") != 1 || len(got) != 17 {
		t.Errorf("log %v", got)
	}
	if got := f.trail(); len(got) != 17 {
		t.Errorf("trail %v", got)
	}
	if b.PeakJudged > b.MaxJudged {
		t.Errorf("%+v", b)
	}
}
