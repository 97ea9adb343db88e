package issuer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// The rhythm of the feed.
const (
	heartbeat = 250 * time.Millisecond // a sign of life at least that often
	pollEvery = 50 * time.Millisecond  // other nodes' commits are seen within that time
	batchTime = 50 * time.Millisecond  // entries that come within it after a frame share the next one
	minRead   = 2 * time.Millisecond   // between two reads of the head, however many ask
	readLimit = 2 * time.Second        // for the head of the log, and for one frame of what is new in it
)

// A hub reads the log, cuts it into signed frames and keeps the newest reading for
// all subscribers. One goroutine, run, writes; everybody else reads what it last
// published.
type hub struct {
	st   *store.Store
	keys *keyring.Keyring
	jwks *jwks
	log  *slog.Logger
	now  func() time.Time

	limit  time.Duration        // readLimit
	links  int64                // how many there were; step's own
	first  pages                // of the snapshot with which a chain begins; step's own
	latest atomic.Pointer[view] // replaced whole by step; readers never wait
	snaps  *snapshots
	moved  chan struct{} // capacity 1: the head is another than before

	mu      sync.Mutex
	pending *reading      // the next read, which has not begun; nil when nobody asked
	wake    chan struct{} // capacity 1: somebody asked
	ended   chan struct{} // closed when run has ended: nobody reads any more
}

// A view is one successful reading of the head of the log.
type view struct {
	head store.Head
	asOf time.Time // the moment before the head was read, by the clock of the store
	last *link     // the newest link of the chain; it ends at head
	sent time.Time // when last was cut, by the clock of the process

	// Signed when somebody first asks, and then once for all.
	beat     func() (*link, error)
	manifest func() (string, error)
}

// A link is one signed frame, rendered once for all subscribers. Links form a
// chain in the order of the log. A subscriber holds the last link that it sent
// and waits for the next; what nobody holds is garbage.
type link struct {
	event []byte // the Server-Sent Event
	count int    // entries in it; 0 for a heartbeat
	index int64  // position in the chain of links

	ready chan struct{} // closed when next is set or the chain has ended
	next  *link         // nil after ready: the epoch is over
}

// A reading is a promise of a view that was read after the promise was made.
type reading struct {
	done chan struct{}
	view *view
	err  error
}

func newHub(st *store.Store, keys *keyring.Keyring, log *slog.Logger, now func() time.Time) *hub {
	return &hub{
		st: st, keys: keys, jwks: newJWKS(st, keys, now), log: log, now: now, limit: readLimit,
		wake: make(chan struct{}, 1), ended: make(chan struct{}), moved: make(chan struct{}, 1), snaps: newSnapshots(st, log, now),
	}
}

// run reads until ctx ends. A read is made when this node has committed, when
// somebody asks for one, and at every poll.
func (h *hub) run(ctx context.Context) {
	defer h.end()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	var failing bool
	for {
		began := time.Now()
		err := h.read(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing {
			failing = err != nil
			h.logTurn(err)
		}
		if !h.rest(ctx, began, poll.C) {
			return
		}
	}
}

func (h *hub) logTurn(err error) {
	if err != nil {
		h.log.Error("the feed cannot read the store: no heartbeat until it can", "err", err)
		return
	}
	h.log.Info("the feed reads the store again")
}

// rest waits for the next reason to read; false when ctx has ended.
func (h *hub) rest(ctx context.Context, began time.Time, poll <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-h.wake:
		return pause(ctx, time.Until(began.Add(minRead)))
	case <-h.st.Changed():
		return pause(ctx, h.untilNextFrame())
	case <-poll:
		return true
	}
}

// untilNextFrame is zero on an idle feed, so that a lone revocation leaves at once.
func (h *hub) untilNextFrame() time.Duration {
	v := h.latest.Load()
	if v == nil || v.last.count == 0 {
		return 0
	}
	return min(v.sent.Add(batchTime).Sub(h.now()), batchTime)
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// fresh returns a view whose read of the store began after the call. Calls that
// wait at the same time share one read.
func (h *hub) fresh(ctx context.Context) (*view, error) {
	h.mu.Lock()
	if h.pending == nil {
		h.pending = &reading{done: make(chan struct{})}
	}
	r := h.pending
	h.mu.Unlock()
	signal(h.wake)
	select {
	case <-r.done:
		return r.view, r.err
	case <-h.ended:
		return nil, errEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errEnded = errors.New("the issuer is closed")

// read makes one step and keeps the promise made by fresh.
func (h *hub) read(ctx context.Context) error {
	h.mu.Lock()
	r := h.pending
	h.pending = nil
	h.mu.Unlock()
	v, err := h.step(ctx)
	if r != nil {
		r.view, r.err = v, err
		close(r.done)
	}
	return err
}

// end lets go of those who wait for a read, and ends the chain of links and with it
// every stream.
func (h *hub) end() {
	close(h.ended)
	if v := h.latest.Load(); v != nil {
		close(v.last.ready)
	}
}

// step reads the head and what is new in the log, appends frames to the chain, or
// a heartbeat when one is due, and publishes the view. It fails without having
// published anything: no heartbeat without a new read, so that a node cut off from
// its database does not look fresh.
func (h *hub) step(ctx context.Context) (*view, error) {
	began := h.now()
	old := h.latest.Load()
	head, asOf, err := h.readHead(ctx)
	if err != nil {
		return nil, err
	}
	if err := wentBack(old, head); err != nil {
		return nil, err
	}
	if begins(old, head) {
		// Without a limit: verifiers need it, or refuse all older tokens, and of a
		// large log it takes its time.
		if err := h.snaps.build(ctx, head, &h.first); err != nil {
			return nil, err
		}
	}
	links, err := h.cut(ctx, old, head, asOf, began)
	if err != nil {
		return nil, err
	}
	h.snaps.want(head)
	return h.publish(old, head, asOf, began, links), nil
}

// begins reports whether a new chain of links begins at head: at the start, in a
// new epoch, and when so much is new that a snapshot is the shorter way for all.
func begins(old *view, head store.Head) bool {
	return old == nil || old.head.Epoch != head.Epoch || head.Seq-old.head.Seq > maxCatchUp
}

// wentBack refuses a log that is not the one that was read before.
func wentBack(old *view, head store.Head) error {
	if old == nil || old.head.Epoch != head.Epoch {
		return nil
	}
	if head.Seq < old.head.Seq || head.Seq == old.head.Seq && head.C != old.head.C {
		return fmt.Errorf("the log was at %d and is now at %d in the same epoch: it was restored; run `counterfoil restored`",
			old.head.Seq, head.Seq)
	}
	return nil
}

// readHead returns the head, and the time of the store just before it was read: the
// one clock of all nodes, as verifiers hold their own against it.
func (h *hub) readHead(ctx context.Context) (head store.Head, asOf time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	began := time.Now()
	err = h.st.View(ctx, func(tx *store.Tx) error {
		if asOf, err = tx.Now(); err != nil {
			return err
		}
		asOf = asOf.Add(-time.Since(began)) // before the snapshot in which we are
		head, err = tx.Head()
		return err
	})
	return head, asOf, err
}

// cut signs what follows the old view. Nothing new and no heartbeat due: no links.
func (h *hub) cut(ctx context.Context, old *view, head store.Head, asOf, began time.Time) ([]*link, error) {
	if !begins(old, head) {
		if head.Seq > old.head.Seq {
			return h.cutRange(ctx, position(old.head), head, asOf)
		}
		if began.Sub(old.sent) < heartbeat-pollEvery/2 {
			return nil, nil
		}
	}
	beat, err := h.sign(position(head), head, asOf, nil)
	return []*link{beat}, err
}

// errGap reports that the log does not hold every entry of a range any more.
var errGap = errors.New("the log has a gap")

// cutRange signs the entries after from, up to head, as frames.
func (h *hub) cutRange(ctx context.Context, from revocation.Position, head store.Head, asOf time.Time) ([]*link, error) {
	var links []*link
	for from.Seq < head.Seq {
		records, err := h.readLog(ctx, from.Seq, int(min(head.Seq-from.Seq, revocation.MaxFrameEntries)))
		if err != nil {
			return nil, err
		}
		if len(records) == 0 || records[0].Seq != from.Seq+1 || records[0].Epoch != from.Epoch {
			return nil, errGap
		}
		l, err := h.sign(from, head, asOf, records)
		if err != nil {
			return nil, err
		}
		links = append(links, l)
		end := records[len(records)-1]
		from.Seq, from.C = end.Seq, end.C
	}
	return links, nil
}

func (h *hub) readLog(ctx context.Context, after uint64, limit int) ([]store.LogRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	return readLog(ctx, h.st, after, limit)
}

func readLog(ctx context.Context, st *store.Store, after uint64, limit int) (records []store.LogRecord, err error) {
	err = st.View(ctx, func(tx *store.Tx) error {
		records, err = tx.Log(after, limit)
		return err
	})
	return records, err
}

// sign makes the link for the records that follow from, a heartbeat when there are none.
func (h *hub) sign(from revocation.Position, head store.Head, asOf time.Time, records []store.LogRecord) (*link, error) {
	f := revocation.Frame{
		Issuer: h.keys.Issuer(), Epoch: head.Epoch, First: from.Seq + 1, C0: from.C, C1: from.C,
		AsOf: asOf, HandleKeyID: h.keys.HandleKey().ID(),
	}
	last := from.Seq
	for _, r := range records {
		if r.Seq != last+1 || r.Epoch != head.Epoch {
			return nil, errGap
		}
		f.Entries = append(f.Entries, r.Entry)
		f.C1, last = r.C, r.Seq
	}
	signed, err := f.Sign(h.keys.FeedKey())
	if err != nil {
		return nil, err
	}
	return &link{event: event(head.Epoch, last, signed), count: len(records), ready: make(chan struct{})}, nil
}

// event renders a frame as a Server-Sent Event whose id is the position after it.
func event(epoch, seq uint64, signed string) []byte {
	b := make([]byte, 0, len(signed)+64)
	b = append(b, "id: "...)
	b = strconv.AppendUint(b, epoch, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, "\ndata: "...)
	b = append(b, signed...)
	return append(b, "\n\n"...)
}

func position(h store.Head) revocation.Position {
	return revocation.Position{Epoch: h.Epoch, Seq: h.Seq, C: h.C}
}

// publish hangs the links to the chain and replaces the view. Where a chain begins,
// the subscribers to the one before must come back.
func (h *hub) publish(old *view, head store.Head, asOf, began time.Time, links []*link) *view {
	v := &view{head: head, asOf: asOf}
	if old != nil {
		v.last, v.sent = old.last, old.sent
	}
	if old != nil && begins(old, head) {
		close(v.last.ready)
		v.last = nil
	}
	for _, l := range links {
		h.links++
		l.index = h.links
		if v.last != nil {
			v.last.next = l
			close(v.last.ready)
		}
		v.last, v.sent = l, began
	}
	v.beat = sync.OnceValues(func() (*link, error) { return h.sign(position(head), head, asOf, nil) })
	v.manifest = sync.OnceValues(func() (string, error) { return h.signManifest(v) })
	h.latest.Store(v)
	if old == nil || head.Epoch != old.head.Epoch || head.Seq != old.head.Seq {
		signal(h.moved)
	}
	return v
}
