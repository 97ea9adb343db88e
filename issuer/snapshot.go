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

// snapshots makes and keeps the newest snapshots. One goroutine, run, makes them,
// apart from the first of each epoch.
type snapshots struct {
	st   *store.Store
	log  *slog.Logger
	now  func() time.Time
	todo chan store.Head // capacity 1

	mu   sync.Mutex
	kept []*snapshot // oldest first, at most snapshotsKept
}

func newSnapshots(st *store.Store, log *slog.Logger, now func() time.Time) *snapshots {
	return &snapshots{st: st, log: log, now: now, todo: make(chan store.Head, 1)}
}

func (s *snapshots) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case head := <-s.todo:
			if err := s.build(ctx, head); err != nil && ctx.Err() == nil {
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

// build makes the snapshot at head and keeps it.
func (s *snapshots) build(ctx context.Context, head store.Head) error {
	if cur := s.current(); cur != nil && !s.due(cur, head) {
		return nil
	}
	began := s.now()
	records, low, err := s.collect(ctx, head)
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
	s.keep(snap)
	return nil
}

func (s *snapshots) keep(snap *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, snap)
	if extra := len(s.kept) - snapshotsKept; extra > 0 {
		s.kept = slices.Clone(s.kept[extra:])
	}
}

// collect reads the live entries up to head page by page. The log may be trimmed
// meanwhile: what is then missing lies below the low-water mark, which is read
// last for that reason.
func (s *snapshots) collect(ctx context.Context, head store.Head) (records []revocation.Record, low uint64, err error) {
	for after := uint64(0); after < head.Seq; {
		page, err := readLog(ctx, s.st, after, snapshotPage)
		if err != nil {
			return nil, 0, err
		}
		for _, r := range page {
			if r.Seq <= head.Seq {
				records = append(records, revocation.Record{Seq: r.Seq, Entry: r.Entry})
			}
			after = r.Seq
		}
		if len(page) < snapshotPage {
			break
		}
	}
	err = s.st.View(ctx, func(tx *store.Tx) error {
		now, err := tx.Head()
		low = min(now.LowWater, head.Seq)
		return err
	})
	records, dropped := newest(records)
	return records, max(low, dropped), err
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
