package issuer

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// When a snapshot is made anew, and how long an old one is kept.
const (
	snapshotEntries    = 1024             // at that many entries behind the head
	snapshotAge        = 10 * time.Second // or when there is anything new after that time
	snapshotShare      = 20               // making snapshots takes at most one part in so many of the time
	snapshotsKept      = 4                // a reader of an older manifest still finds its shards
	snapshotPage       = 4096             // entries read at once
	snapshotEntriesMax = 2 << 20          // entries in it; a table of the default size holds no more
)

// A snapshot is every live entry up to a position, cut into shards.
type snapshot struct {
	ref    revocation.SnapshotRef
	shards map[string][]byte // by name
	made   time.Time
	cost   time.Duration // how long it took
}

// pages are what was read of the log for a snapshot that is not made yet. A try that
// follows one that failed goes on from there: of a large log it would not end otherwise
// where the store goes away now and then.
type pages struct {
	epoch   uint64 // in another one the log may have lost what was read
	after   uint64 // seq of the last record
	records []revocation.Record
}

// snapshots makes and keeps the newest snapshots. One goroutine, run, makes them,
// apart from the first of each chain of links.
type snapshots struct {
	st   *store.Store
	log  *slog.Logger
	now  func() time.Time
	page int             // entries read at once
	todo chan store.Head // capacity 1

	mu   sync.Mutex
	kept []*snapshot // oldest first, at most snapshotsKept
}

func newSnapshots(st *store.Store, log *slog.Logger, now func() time.Time) *snapshots {
	return &snapshots{st: st, log: log, now: now, page: snapshotPage, todo: make(chan store.Head, 1)}
}

func (s *snapshots) run(ctx context.Context) {
	var had pages
	for {
		select {
		case <-ctx.Done():
			return
		case head := <-s.todo:
			if err := s.build(ctx, head, &had); err != nil && ctx.Err() == nil {
				s.log.Error("snapshot not made", "err", err)
			}
		}
	}
}

func (s *snapshots) current() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return nil
	}
	return s.kept[len(s.kept)-1]
}

// before returns the newest snapshot from which the tail leads to head. One that was
// made after head was read may be ahead of it.
func (s *snapshots) before(head store.Head) *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, snap := range slices.Backward(s.kept) {
		if snap.ref.Epoch == head.Epoch && snap.ref.Seq <= head.Seq {
			return snap
		}
	}
	return nil
}

// want asks for a snapshot at head if the newest one is behind far enough.
func (s *snapshots) want(head store.Head) {
	if cur := s.current(); cur != nil && !s.due(cur, head) {
		return
	}
	select {
	case s.todo <- head:
	default: // one is being made
	}
}

func (s *snapshots) due(cur *snapshot, head store.Head) bool {
	if cur.ref.Epoch != head.Epoch {
		return true
	}
	if cur.ref.Seq == head.Seq && cur.ref.LowWater == head.LowWater {
		return false
	}
	if head.Seq-cur.ref.Seq > maxCatchUp/2 {
		return true // before the tail no longer reaches back to it
	}
	age := s.now().Sub(cur.made)
	if age < cur.cost*snapshotShare {
		return false
	}
	return age >= snapshotAge || head.Seq-cur.ref.Seq >= snapshotEntries
}

// build makes the snapshot at head and keeps it. had is what the try before has read.
func (s *snapshots) build(ctx context.Context, head store.Head, had *pages) error {
	cur := s.current()
	if cur != nil && !s.due(cur, head) {
		return nil
	}
	began := s.now()
	records, low, err := s.collect(ctx, head, had)
	if err != nil {
		return err
	}
	snap := &snapshot{made: began, shards: map[string][]byte{}}
	snap.ref = revocation.SnapshotRef{Epoch: head.Epoch, Seq: head.Seq, C: head.C, LowWater: low}
	shards, err := revocation.EncodeShards(records)
	if err != nil {
		return err
	}
	for _, shard := range shards {
		name := revocation.ShardName(shard)
		snap.shards[name] = shard
		snap.ref.Shards = append(snap.ref.Shards, name)
	}
	snap.cost = s.now().Sub(began)
	s.keep(cur, snap)
	return nil
}

// keep makes snap the newest one, which was cur when snap was begun. Of two that were
// made at once the older is of no use: it may be of an epoch that is over.
func (s *snapshots) keep(cur, snap *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.kept); n > 0 && s.kept[n-1] != cur && place(snap).Before(place(s.kept[n-1])) {
		return
	}
	s.kept = append(s.kept, snap)
	if extra := len(s.kept) - snapshotsKept; extra > 0 {
		s.kept = slices.Clone(s.kept[extra:])
	}
}

func place(s *snapshot) revocation.Position {
	return revocation.Position{Epoch: s.ref.Epoch, Seq: s.ref.Seq, C: s.ref.C}
}

// collect reads the live entries up to head. The log may be trimmed meanwhile: what is
// then missing lies below the low-water mark, which is read last for that reason.
func (s *snapshots) collect(ctx context.Context, head store.Head, had *pages) (records []revocation.Record, low uint64, err error) {
	if had.epoch != head.Epoch {
		*had = pages{epoch: head.Epoch}
	}
	for more := true; more; {
		if more, err = s.readPage(ctx, head, had); err != nil {
			return nil, 0, err
		}
	}
	err = s.st.View(ctx, func(tx *store.Tx) error {
		now, err := tx.Head()
		low = min(now.LowWater, head.Seq)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	records, dropped := newest(had.records)
	*had = pages{}
	return records, max(low, dropped), nil
}

// readPage adds the next entries up to head to had. more is false at the end.
func (s *snapshots) readPage(ctx context.Context, head store.Head, had *pages) (more bool, err error) {
	page, err := readLog(ctx, s.st, had.after, s.page)
	if err != nil {
		return false, err
	}
	for _, r := range page {
		if r.Seq > head.Seq {
			return false, nil
		}
		had.records = append(had.records, revocation.Record{Seq: r.Seq, Entry: r.Entry})
		had.after = r.Seq
	}
	return len(page) == s.page, nil
}

// newest leaves out the oldest entries when there are too many for a snapshot, and
// says up to which seq: a superset is then revoked, never less. Absolute entries stay.
func newest(records []revocation.Record) (kept []revocation.Record, dropped uint64) {
	extra := len(records) - snapshotEntriesMax
	if extra <= 0 {
		return records, 0
	}
	kept = records[:0]
	for _, r := range records {
		if extra > 0 && r.Entry.Flags&revocation.Absolute == 0 {
			extra, dropped = extra-1, r.Seq
			continue
		}
		kept = append(kept, r)
	}
	return kept, dropped
}

func (s *snapshots) shard(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, snap := range s.kept {
		if data, ok := snap.shards[name]; ok {
			return data, true
		}
	}
	return nil, false
}

// serveShard answers GET /revocation/snapshot/{sha256}: public, never changing.
func (s *snapshots) serveShard(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("sha256")
	data, ok := s.shard(name)
	if !ok {
		return &serve.Error{Status: http.StatusNotFound, Code: oauth.NotFound, Description: "no such shard; fetch the manifest again"}
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", `"`+name+`"`)
	_, err := w.Write(data)
	return err
}
