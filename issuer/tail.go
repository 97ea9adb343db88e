package issuer

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// Bounds on those who listen to the feed. Places and turns of verifiers are apart
// from those of everybody else: the feed is public, and whoever takes all there is
// of both must not keep a revocation from those that it is for.
const (
	maxSubscribers = 4096             // of either sort in one process
	maxFromOne     = 512              // with one credential, or from one client network
	maxCatchUp     = 64 << 10         // entries behind the head; further back a snapshot is cheaper
	maxCatchingUp  = 8                // subscribers of either sort for whom the log is read at the same time
	maxBehind      = 64               // links that a subscriber may be behind
	writeLimit     = 5 * time.Second  // for one write to a subscriber
	maxWait        = 60 * time.Second // of a long poll
)

var errGone = &serve.Error{
	Status: http.StatusGone, Code: oauth.Gone,
	Description: "the log no longer goes on from that position; start from the manifest",
}

// subscribers are the places of one sort of those who listen.
type subscribers struct {
	catchUp chan struct{} // capacity maxCatchingUp

	mu    sync.Mutex
	total int
	by    map[string]int // credential, or network
}

func newSubscribers() *subscribers {
	return &subscribers{catchUp: make(chan struct{}, maxCatchingUp), by: map[string]int{}}
}

// join takes a place; false when there is none. Who got one must leave.
func (s *subscribers) join(who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxSubscribers || s.by[who] >= maxFromOne {
		return false
	}
	s.total++
	s.by[who]++
	return true
}

func (s *subscribers) leave(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.by[who]--; s.by[who] == 0 {
		delete(s.by, who)
	}
}

func (s *subscribers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// A tail serves GET /revocation/tail.
type tail struct {
	hub     *hub
	door    *doorkeeper
	trusted []netip.Prefix

	verifiers, others *subscribers
}

func newTail(h *hub, door *doorkeeper, trusted []netip.Prefix) *tail {
	return &tail{hub: h, door: door, trusted: trusted, verifiers: newSubscribers(), others: newSubscribers()}
}

func (t *tail) count() int { return t.verifiers.count() + t.others.count() }

// admit finds a place for who sent r: among the verifiers if a credential shows
// that it is one, and otherwise, or when those are full, among all others.
func (t *tail) admit(r *http.Request) (place *subscribers, leave func(), ok bool) {
	if name, err := t.door.verifier(r); err == nil && t.verifiers.join(name) {
		return t.verifiers, func() { t.verifiers.leave(name) }, true
	}
	network := account.Network(serve.ClientAddr(r, t.trusted))
	return t.others, func() { t.others.leave(network) }, t.others.join(network)
}

func (t *tail) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return badRequest("the tail is for GET only") // a HEAD would wait for ever
	}
	from, wait, err := tailParams(r)
	if err != nil {
		return err
	}
	place, leave, ok := t.admit(r)
	if !ok {
		return &serve.Error{
			Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable,
			Description: "too many subscribers", RetryAfter: 5 * time.Second,
		}
	}
	defer leave()
	v, missed, err := t.start(r.Context(), place, from)
	if err != nil {
		return err
	}
	s := &stream{w: w, rc: http.NewResponseController(w), at: v.last, hub: t.hub, polling: wait >= 0}
	s.begin()
	if done, err := s.first(v, missed); done || err != nil {
		return nil // he left or was too slow: that is how streams end
	}
	if s.follow(r.Context(), wait) == nil && s.polling {
		_ = s.rc.SetWriteDeadline(time.Time{}) // the connection goes on with another request
	}
	return nil
}

// mark is the position that a subscriber names.
type mark struct{ epoch, seq uint64 }

func (m mark) compare(o mark) int {
	return cmp.Or(cmp.Compare(m.epoch, o.epoch), cmp.Compare(m.seq, o.seq))
}

// tailParams reads ?after=E.N, which Last-Event-ID beats, and ?wait=SECONDS, which
// is negative for a stream.
func tailParams(r *http.Request) (from mark, wait time.Duration, err error) {
	q := r.URL.Query()
	pos := q.Get("after")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		pos = id
	}
	from, ok := parseMark(pos)
	if !ok {
		return from, 0, badRequest("after, or Last-Event-ID, must be EPOCH.SEQ")
	}
	s := q.Get("wait")
	if s == "" {
		return from, -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > int(maxWait/time.Second) {
		return from, 0, badRequest("wait must be 0 to 60 seconds")
	}
	return from, time.Duration(n) * time.Second, nil
}

// parseMark reads "EPOCH.SEQ", decimal and without leading zeros.
func parseMark(s string) (m mark, ok bool) {
	epoch, seq, found := strings.Cut(s, ".")
	if !found {
		return mark{}, false
	}
	e, errE := strconv.ParseUint(epoch, 10, 64)
	n, errN := strconv.ParseUint(seq, 10, 64)
	if errE != nil || errN != nil || strconv.FormatUint(e, 10)+"."+strconv.FormatUint(n, 10) != s {
		return mark{}, false
	}
	return mark{e, n}, true
}

func badRequest(description string) error {
	return &serve.Error{Status: http.StatusBadRequest, Code: oauth.InvalidRequest, Description: description}
}

// start finds the view from which a subscriber goes on live, and the links that
// bring him there.
func (t *tail) start(ctx context.Context, place *subscribers, from mark) (*view, []*link, error) {
	v := t.hub.latest.Load()
	// Another node may have told him of entries that this one has not read yet.
	if v == nil || from.epoch != v.head.Epoch || from.seq > v.head.Seq {
		var err error
		if v, err = t.hub.fresh(ctx); err != nil {
			return nil, nil, unavailable(err)
		}
	}
	h := v.head
	if from.epoch != h.Epoch || from.seq > h.Seq || from.seq < h.Base || from.seq < h.LowWater || h.Seq-from.seq > maxCatchUp {
		return nil, nil, errGone
	}
	if from.seq == h.Seq {
		return v, nil, nil
	}
	missed, err := t.missed(ctx, place, v, from)
	return v, missed, err
}

// missed signs what lies between a subscriber's position and the end of v.
func (t *tail) missed(ctx context.Context, place *subscribers, v *view, from mark) ([]*link, error) {
	select {
	case place.catchUp <- struct{}{}:
		defer func() { <-place.catchUp }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := t.chainAt(ctx, from.seq)
	if err != nil {
		return nil, err
	}
	links, err := t.hub.cutRange(ctx, revocation.Position{Epoch: from.epoch, Seq: from.seq, C: c}, v.head, v.asOf)
	if errors.Is(err, errGap) {
		return nil, errGone
	}
	return links, unavailable(err)
}

// chainAt reads the value of the chain at a position.
func (t *tail) chainAt(ctx context.Context, seq uint64) (c revocation.Link, err error) {
	err = t.hub.st.View(ctx, func(tx *store.Tx) error {
		c, err = tx.Link(seq)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return c, errGone
	}
	return c, unavailable(err)
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &serve.Error{
		Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable,
		Description: "the store cannot be read", RetryAfter: time.Second, Err: err,
	}
}

// A stream writes the feed to one subscriber.
type stream struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	at      *link // the last one sent
	hub     *hub
	polling bool // a long poll: ends after the first entries
}

func (s *stream) begin() {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	s.w.WriteHeader(http.StatusOK)
}

// first brings a subscriber to the end of v. Whoever missed nothing gets a
// heartbeat, so that he knows at once where he is; in a long poll only the headers.
func (s *stream) first(v *view, missed []*link) (done bool, err error) {
	for _, l := range missed {
		if err := s.write(l.event); err != nil {
			return true, err
		}
	}
	if s.polling {
		return len(missed) > 0, s.rc.Flush()
	}
	return false, s.beat(v)
}

// beat writes a heartbeat for the end of v.
func (s *stream) beat(v *view) error {
	l, err := v.beat()
	if err != nil {
		return err
	}
	return s.write(l.event)
}

// errSlow drops a reader who does not keep up.
var errSlow = errors.New("subscriber too slow")

// follow sends each next link until the request, the server or the epoch ends. A
// long poll ends after the first entries, or with a heartbeat when its time is up.
func (s *stream) follow(ctx context.Context, wait time.Duration) error {
	var timeUp <-chan time.Time
	if s.polling {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		timeUp = timer.C
	}
	for {
		select {
		case <-s.at.ready:
		case <-timeUp:
			return s.lastBeat()
		case <-serve.Draining(ctx):
			return nil
		case <-ctx.Done():
			return nil
		}
		if s.at.next == nil {
			return nil // the epoch is over: reconnecting gives 410
		}
		if done, err := s.send(s.at.next); done || err != nil {
			return err
		}
	}
}

// lastBeat ends a long poll in which nothing came. A heartbeat of a later epoch, or
// from beyond entries that were not sent, would say that something is missing.
func (s *stream) lastBeat() error {
	v := s.hub.latest.Load()
	for l := s.at; l != v.last; l = l.next {
		select {
		case <-l.ready:
		default:
			return nil
		}
		if l.next == nil {
			return nil
		}
		if l.next.count > 0 {
			return s.write(l.next.event)
		}
	}
	return s.beat(v)
}

// send writes one link. A heartbeat that is no longer the newest link is left out.
func (s *stream) send(l *link) (done bool, err error) {
	s.at = l
	// A link is in the chain a moment before the view that it belongs to is published.
	behind := s.hub.latest.Load().last.index - l.index
	if behind > maxBehind {
		return true, errSlow
	}
	if l.count == 0 && (s.polling || behind > 0) {
		return false, nil
	}
	return s.polling, s.write(l.event)
}

// write sends an event, and gives the reader writeLimit to take it.
func (s *stream) write(event []byte) error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(event); err != nil {
		return err
	}
	return s.rc.Flush()
}
