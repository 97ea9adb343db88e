package verifier

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
)

const (
	// maxWaiting and maxWaitingBytes bound the reports about which the auditor has
	// not spoken: how many, and the memory of them with their tokens. A token
	// that finds no room is reported at its next use.
	maxWaiting      = 32 << 10
	maxWaitingBytes = 24 << 20
	// reportSize is what a report takes beside its token, in bytes: the struct,
	// its proof and its share of the map.
	reportSize = 256

	// seenLife bounds how long a token is remembered, whatever it says of its end.
	seenLife = 24 * time.Hour
)

// A reporter tells the issuer's auditor of each distinct token that it sees under a
// tagged key, once, and learns whether the notary made its tag. Requests leave a
// token and go on; goroutines of run do the rest.
type reporter struct {
	issuer  string
	log     *slog.Logger
	at      endpoint
	keys    func() *jwk.Set  // that sign the issuer's answers; nil while none are known
	now     func() time.Time // the clock that tokens are held against
	shareOf float64          // Config.SeenShare
	share   uint64           // a token is reported whose MAC lies below; 0 for all
	macs    sync.Pool        // *naming
	seen    *seenSet
	counts  reportCounts

	off      atomic.Bool   // nothing is collected: the issuer has no auditor, or we are closed
	wake     chan struct{} // run has something to decide
	wakeShow chan struct{} // there is evidence to send

	mu       sync.Mutex         // never held across I/O or for more than settleChunk reports
	open     map[seenID]*report // about which the auditor has not spoken
	bytes    int                // of open
	urgent   reportList         // somebody waits, or has waited, for them
	ordinary reportList         // the others that are to be sent
	later    reportList         // about which the auditor could not speak
	unheard  unheardList        // of open, but for those in later
	proving  int                // requests that wait
	places   int                // tokens that they wait for
	flights  int                // requests to the auditor under way
	pace     pace
	exhibits exhibits
	peaks    reportPeaks
}

// reportCounts are for Status. Each only grows.
type reportCounts struct {
	reports, reported, proved, wrong, again, dropped, errors atomic.Uint64
	evidence, evidenceDropped, forged, unproved, canaries    atomic.Uint64
	witnessMissing, witnessWrong                             atomic.Uint64
}

type reportPeaks struct{ waiting, bytes, proving, exhibits int }

// A report is one token on its way to the auditor. It is guarded by reporter.mu,
// but for what never changes.
type report struct {
	id     seenID
	kid    string
	text   string // the token: evidence, should its tag be wrong
	expiry uint32
	proof  *proof

	list       *reportList // where it is; nil while it is under way
	prev, next *report
	waiters    int
	done       chan struct{} // closed when waiting is over; nil if nobody has waited
	tries      uint8         // answers without a verdict
	due        time.Time     // when it is sent again; of one in reporter.later

	since        time.Time // without an answer that the issuer signed; zero while it waits in reporter.later
	older, newer *report   // in reporter.unheard
}

func (r *report) size() int { return reportSize + len(r.text) }

// A reportList is a list of reports from which any may be taken out.
type reportList struct {
	first, last *report
	n           int
}

func (l *reportList) push(r *report) {
	r.list, r.prev, r.next = l, l.last, nil
	if l.last == nil {
		l.first = r
	} else {
		l.last.next = r
	}
	l.last = r
	l.n++
}

func (l *reportList) remove(r *report) {
	if r.prev == nil {
		l.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		l.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.list, r.prev, r.next = nil, nil, nil
	l.n--
}

// An unheardList holds the reports to which the issuer has not answered, in the order
// of time.
type unheardList struct{ oldest, newest *report }

// push adds a report, unless it is there.
func (l *unheardList) push(r *report, now time.Time) {
	if !r.since.IsZero() {
		return
	}
	r.since, r.older = now, l.newest
	if l.newest == nil {
		l.oldest = r
	} else {
		l.newest.newer = r
	}
	l.newest = r
}

// remove takes a report out, if it is there.
func (l *unheardList) remove(r *report) {
	if r.since.IsZero() {
		return
	}
	if r.older == nil {
		l.oldest = r.newer
	} else {
		r.older.newer = r.newer
	}
	if r.newer == nil {
		l.newest = r.older
	} else {
		r.newer.older = r.older
	}
	r.since, r.older, r.newer = time.Time{}, nil, nil
}

// A naming makes the id of a token.
type naming struct {
	mac hash.Hash
	buf []byte
}

func newReporter(cfg *Config, at endpoint, keys func() *jwk.Set) *reporter {
	r := &reporter{
		issuer: cfg.Issuer, log: cfg.Log, at: at, keys: keys, now: cfg.Now,
		seen: newSeenSet(cfg.SeenBytes), open: make(map[seenID]*report),
		wake: make(chan struct{}, 1), wakeShow: make(chan struct{}, 1),
	}
	secret := make([]byte, sha256.Size)
	rand.Read(secret)
	r.key(secret, cfg.SeenShare)
	return r
}

// key sets the secret of this process, and the share of tokens that is reported.
func (r *reporter) key(secret []byte, share float64) {
	r.shareOf, r.share = share, 0
	if share < 1 {
		r.share = max(uint64(math.Ldexp(share, 64)), 1)
	}
	r.macs.New = func() any { return &naming{mac: hmac.New(sha256.New, secret)} }
}

// name returns the id of what a token's signature covers, and whether it belongs
// to the share that is reported. Both are by the secret of this process.
func (r *reporter) name(input string) (id seenID, sampled bool) {
	n := r.macs.Get().(*naming)
	defer r.macs.Put(n)
	n.mac.Reset()
	n.buf = append(n.buf[:0], input...)
	n.mac.Write(n.buf)
	n.buf = n.mac.Sum(n.buf[:0])
	id = seenID(n.buf)
	return id, r.share == 0 || binary.BigEndian.Uint64(n.buf[len(id):]) < r.share
}

// isTagged reports whether a key makes tagged tokens only.
func isTagged(key *jwk.Key) bool { return key.Limited() && key.Limits().Tagged }

// note reports a token unless that has been done. It neither waits nor, for a token
// that is remembered, does more than look.
func (r *reporter) note(t *checked) {
	if p := t.proof.Load(); p != nil && p.final {
		return
	}
	r.look(t)
}

// look is note for a token whose proof may change.
func (r *reporter) look(t *checked) {
	p := t.proof.Load()
	switch {
	case p == nil && !isTagged(t.Key()):
		t.proof.Store(finalProofs[exempt])
	case r.off.Load():
	case p == nil || p.is() == unreported:
		t.proof.Store(r.report(t))
	case p.is() == disproved:
		id, _ := r.name(t.SigningInput())
		r.show(exhibit{id: id, kid: t.Key().KeyID(), text: t.text, expiry: r.until(t.expiry), proof: p})
	default:
		t.proof.Store(p.settle())
	}
}

// report returns the proof of a token that is reported now or was before; nil where
// there is no room.
func (r *reporter) report(t *checked) *proof {
	id, sampled := r.name(t.SigningInput())
	if state := r.seen.find(id); state != unreported {
		return finalProofs[state]
	}
	if !sampled {
		return finalProofs[unsampled]
	}
	return r.enter(report{id: id, kid: t.Key().KeyID(), text: t.text, expiry: r.until(t.expiry)})
}

// until returns when a token need no longer be remembered.
func (r *reporter) until(expiry time.Time) uint32 {
	end := expiry.Add(jwt.MaxLeeway)
	if latest := r.now().Add(seenLife); end.After(latest) {
		end = latest
	}
	return uint32(max(min(end.Unix(), math.MaxUint32), 1))
}

// enter makes a report one of those that go out next, unless the token is on its
// way already. It returns the proof that then is the token's, or nil if there is no
// room.
func (r *reporter) enter(new report) *proof {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.exhibits.find(new.id); e != nil {
		return e.proof
	}
	if rep := r.add(new, &r.ordinary); rep != nil {
		return rep.proof
	}
	return nil
}

// add puts a report on a list, or returns the one that there is about its token; nil
// if there is no room. An urgent one takes the room of another. Callers hold r.mu.
func (r *reporter) add(new report, to *reportList) *report {
	if rep := r.open[new.id]; rep != nil || r.pace.closed {
		return rep
	}
	for len(r.open) >= maxWaiting || r.bytes+new.size() > maxWaitingBytes {
		r.counts.dropped.Add(1)
		if to != &r.urgent || r.ordinary.n == 0 {
			return nil
		}
		r.close(r.ordinary.last, unreported)
	}
	rep := &new
	rep.proof = &proof{}
	rep.proof.set(reported)
	r.open[rep.id] = rep
	r.bytes += rep.size()
	r.peaks.waiting, r.peaks.bytes = max(r.peaks.waiting, len(r.open)), max(r.peaks.bytes, r.bytes)
	r.schedule(rep, to)
	return rep
}

// schedule puts a report on a list from which it is sent. Callers hold r.mu.
func (r *reporter) schedule(rep *report, to *reportList) {
	now := time.Now()
	to.push(rep)
	r.unheard.push(rep, now)
	switch {
	case to == &r.urgent && to.n == 1:
		r.pace.urgentAt = now.Add(gather)
	case to == &r.ordinary && to.n == 1:
		r.pace.ordinaryAt = now.Add(reportEvery)
	case to == &r.ordinary && to.n == notary.MaxRecords:
	default:
		return
	}
	signal(r.wake)
}

// close ends a report that is open. Callers hold r.mu.
func (r *reporter) close(rep *report, state proofState) {
	if rep.list != nil {
		rep.list.remove(rep)
	}
	delete(r.open, rep.id)
	r.unheard.remove(rep)
	r.bytes -= rep.size()
	rep.proof.set(state)
	if rep.done != nil {
		close(rep.done)
	}
}
