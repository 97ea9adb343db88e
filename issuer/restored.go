package issuer

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	maxRestored = 32 << 20 // bytes of a request with lost frames
	maxLost     = 1 << 20  // entries in them
)

// restoredJSON is the answer of POST /admin/restored.
type restoredJSON struct {
	Epoch     uint64 `json:"epoch"`
	Base      uint64 `json:"base"`
	Recovered int    `json:"recovered"` // entries that the database had lost
	Unknown   int    `json:"unknown"`   // those of them about something that it does not know
}

// restored serves POST /admin/restored: the database came back from a backup. A
// new epoch begins above everything that was issued since, and the revocations in
// the frames that somebody kept are made again in it, so that no session that was
// revoked after the backup comes back to life (DESIGN 4.3, epochs).
func (i *Issuer) restored(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Frames []string `json:"frames"` // as the feed sent them, in any order
	}
	if err := serve.ReadJSON(w, r, maxRestored, &in); err != nil {
		return err
	}
	kept, err := i.openFrames(in.Frames)
	if err != nil {
		return err
	}
	var out restoredJSON
	err = i.st.Update(r.Context(), func(tx *store.Tx) error {
		out, err = i.beginEpoch(tx, kept)
		if err != nil {
			return err
		}
		return i.record(r.Context(), tx, audit.Restored, i.cfg.URL, "epoch="+strconv.FormatUint(out.Epoch, 10)+
			" base="+strconv.FormatUint(out.Base, 10)+" recovered="+strconv.Itoa(out.Recovered))
	})
	if err != nil {
		return err
	}
	if _, err := i.hub.fresh(r.Context()); err != nil {
		return unavailable(err)
	}
	return serve.WriteJSON(w, http.StatusOK, out)
}

// A keptLog is what signed frames say that the log held.
type keptLog struct {
	entries    map[uint64]revocation.Entry // by seq, which no two epochs share
	epoch, seq uint64                      // the highest seen
}

// openFrames believes frames that our own feed key signed, and no other.
func (i *Issuer) openFrames(frames []string) (*keptLog, error) {
	kept := &keptLog{entries: map[uint64]revocation.Entry{}}
	for n, signed := range frames {
		f, err := revocation.OpenFrame(i.keys.FeedKey(), i.cfg.URL, signed)
		if err != nil {
			return nil, badRequest(fmt.Sprintf("frame %d is not one of this issuer's", n))
		}
		kept.epoch, kept.seq = max(kept.epoch, f.Epoch), max(kept.seq, f.Last())
		for k, e := range f.Entries {
			kept.entries[f.First+uint64(k)] = e
		}
		if len(kept.entries) > maxLost {
			return nil, badRequest("too many entries: send the frames since the backup only")
		}
	}
	return kept, nil
}

// beginEpoch starts the epoch and makes again in it what the log has lost.
func (i *Issuer) beginEpoch(tx *store.Tx, kept *keptLog) (restoredJSON, error) {
	held, err := tx.Head()
	if err != nil {
		return restoredJSON{}, err
	}
	maps.DeleteFunc(kept.entries, func(seq uint64, _ revocation.Entry) bool { return seq <= held.Seq })
	head, err := tx.NewEpochAbove(kept.epoch, kept.seq)
	if err != nil {
		return restoredJSON{}, err
	}
	out := restoredJSON{Epoch: head.Epoch, Base: head.Base, Recovered: len(kept.entries)}
	if len(kept.entries) == 0 {
		return out, nil
	}
	values, err := i.values(tx)
	if err != nil {
		return restoredJSON{}, err
	}
	for _, seq := range slices.SortedFunc(maps.Keys(kept.entries), cmp.Compare) {
		e := kept.entries[seq]
		value, known := values[revocation.Target{Kind: e.Kind, Handle: e.Handle}]
		if !known {
			out.Unknown++ // verifiers still need the entry
			value = fmt.Sprintf("handle:%016x", uint64(e.Handle))
		}
		if _, err := tx.Revoke(store.Revocation{Entry: e, Value: value}); err != nil {
			return restoredJSON{}, err
		}
	}
	return out, nil
}

// values maps the handles of everything that the database knows by name, since an
// entry has only the handle.
func (i *Issuer) values(tx *store.Tx) (map[revocation.Target]string, error) {
	values := map[revocation.Target]string{}
	add := func(kind revocation.Kind, value string) {
		if value != "" || kind == revocation.Everything {
			values[i.keys.HandleKey().Target(kind, i.cfg.URL, value)] = value
		}
	}
	add(revocation.Everything, "")
	for _, key := range i.keys.Keys() {
		add(revocation.Key, key.KeyID)
	}
	users, err := tx.Users("", 0)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		add(revocation.Subject, u.ID)
		add(revocation.Tenant, u.Tenant)
	}
	clients, err := tx.Clients()
	if err != nil {
		return nil, err
	}
	for _, c := range clients {
		add(revocation.Client, c.ID)
	}
	sessions, err := tx.Sessions(store.SessionFilter{})
	for _, s := range sessions {
		add(revocation.Session, s.ID)
		add(revocation.Tenant, s.Tenant)
		add(revocation.Device, s.Device)
	}
	return values, err
}
