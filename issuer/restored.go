package issuer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	maxRestored = 32 << 20 // bytes of a request with lost frames
	maxLost     = 1 << 20  // entries in them

	// shownEpochs lies between the beginning of an epoch and that of one for what a
	// verifier shows. Each has all verifiers load the log, and the keys renewed.
	shownEpochs = 10 * time.Minute
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
// revoked after the backup comes back to life.
func (i *Issuer) restored(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Frames []string `json:"frames"` // as the feed sent them, in any order
	}
	if err := serve.ReadJSON(w, r, maxRestored, &in); err != nil {
		return err
	}
	frames, err := i.openFrames(in.Frames)
	if err != nil {
		return err
	}
	out, err := i.recover(r.Context(), frames, byPerson)
	if errors.Is(err, store.ErrAhead) {
		return badRequest("a frame is more than a day ahead of the store's clock: is that clock right?")
	}
	if err != nil {
		return err
	}
	if _, err := i.hub.fresh(r.Context()); err != nil {
		return unavailable(err)
	}
	return serve.WriteJSON(w, http.StatusOK, out)
}

// A reason to believe that the database has gone back.
type reason int

const (
	byFrames reason = iota // if the log does not lead to them
	byTrust                // in any case: a verifier has heard of a statement that it has lost
	byPerson               // in any case, and all frames are true
)

// recover begins an epoch for what frames say that the database has lost, or in any
// case if there is another reason, and makes again in it what was revoked there. Where
// the present epoch lies above all that was lost, none begins for frames alone and the
// answer names none.
func (i *Issuer) recover(ctx context.Context, frames []*revocation.Frame, why reason) (restoredJSON, error) {
	select {
	case i.recovering <- struct{}{}:
		defer func() { <-i.recovering }()
	case <-ctx.Done():
		return restoredJSON{}, ctx.Err()
	}
	if why == byFrames {
		if known, err := i.knows(ctx, frames); err != nil || known {
			return restoredJSON{}, err
		}
	}
	var b *beginning
	err := i.st.Update(ctx, func(tx *store.Tx) error {
		b = &beginning{Issuer: i, tx: tx}
		if err := i.keys.Lock(tx); err != nil {
			return err
		}
		lost, err := lostEntries(tx, frames)
		switch {
		case err != nil || lost.nothing() && why == byFrames:
			return err
		case why == byPerson:
			return b.epoch(ctx, lost)
		}
		return b.forShown(ctx, lost, why == byTrust)
	})
	if err != nil {
		return restoredJSON{}, err
	}
	if b.left > 0 {
		i.log.Error("verifiers show more lost revocations than are believed in a day: keep what their feed had and hand it to counterfoil restored; or somebody has the feed key: counterfoil keys rotate --feed",
			"entries", b.left)
	}
	if b.out == (restoredJSON{}) {
		return restoredJSON{}, nil
	}
	for _, told := range b.told {
		told()
	}
	if err := i.keys.Reload(ctx); err != nil || b.out.Epoch == 0 {
		return b.out, err
	}
	if err := i.renewKeys(ctx, b.out.Epoch); err != nil {
		i.log.Error("a key of before the restore signs for now", "err", err)
	}
	return b.out, nil
}

// knows reports whether the log has all that frames show. Most do, and that is found
// out without a turn to write.
func (i *Issuer) knows(ctx context.Context, frames []*revocation.Frame) (known bool, err error) {
	err = i.st.View(ctx, func(tx *store.Tx) error {
		lost, err := lostEntries(tx, frames)
		if err == nil {
			known = lost.nothing()
		}
		return err
	})
	return known, err
}

// backupKeys are the keys that the database had when an epoch began.
type backupKeys struct {
	epoch uint64
	kids  []string
}

// ofBackup returns the keys that were there when an epoch began. The store is asked once.
func (i *Issuer) ofBackup(ctx context.Context, epoch uint64) (*backupKeys, error) {
	if have := i.backup.Load(); have != nil && have.epoch == epoch {
		return have, nil
	}
	have := &backupKeys{epoch: epoch}
	err := i.st.View(ctx, func(tx *store.Tx) (err error) {
		have.kids, err = tx.KeysOfBackup()
		return err
	})
	if err != nil {
		return nil, err
	}
	i.backup.Store(have)
	return have, nil
}

// renewKeys lets another key sign in place of one that was there when the database
// came back from a backup: it may have been given up since, and verifiers then refuse
// what it signs. So may the standbys of then, and it is called each second until a key
// signs that was made after: verifiers have fetched that one meanwhile.
func (i *Issuer) renewKeys(ctx context.Context, epoch uint64) error {
	old, err := i.ofBackup(ctx, epoch)
	if err != nil || len(old.kids) == 0 {
		return err
	}
	for _, key := range i.keys.Keys() {
		if key.Use != keyring.UseAccess || key.State != keyring.Active || !slices.Contains(old.kids, key.KeyID) {
			continue
		}
		done, err := i.keys.Rotate(ctx, keyring.RotateOptions{From: key.KeyID, Force: true, Actor: "issuer"})
		switch {
		case errors.Is(err, keyring.ErrNotActive), errors.Is(err, keyring.ErrConflict): // another node was faster
		case err != nil:
			return err
		default:
			i.log.Warn("another key signs: one of before the restore may have been given up since", "from", done.From, "kid", done.To)
		}
	}
	return nil
}

// openFrames believes frames that our own feed key signed, and no other.
func (i *Issuer) openFrames(signed []string) ([]*revocation.Frame, error) {
	frames, entries := make([]*revocation.Frame, len(signed)), 0
	for n, s := range signed {
		f, err := revocation.OpenFrame(i.keys.FeedKey(), i.cfg.URL, s)
		if err != nil {
			return nil, badRequest(fmt.Sprintf("frame %d is not one of this issuer's", n))
		}
		if entries += len(f.Entries); entries > maxLost {
			return nil, badRequest("too many entries: send the frames since the backup only")
		}
		frames[n] = f
	}
	return frames, nil
}

// A beginning is the transaction that begins an epoch.
type beginning struct {
	*Issuer
	tx   *store.Tx
	out  restoredJSON
	told []func() // to call when it has committed

	believed *believed // nil: a person vouches for what is lost
	left     int       // entries that are not believed
}

// forShown makes again what a verifier showed, as far as it is believed.
func (b *beginning) forShown(ctx context.Context, lost *lostLog, always bool) (err error) {
	begins := lost.end.Epoch != 0 || always
	if begins {
		if err := b.rested(); err != nil {
			return err
		}
	}
	if b.believed, err = readBelieved(b.tx); err != nil {
		return err
	}
	if begins {
		err = b.epoch(ctx, lost)
	} else {
		err = b.amend(ctx, lost)
	}
	if err != nil {
		return err
	}
	return b.believed.keep(b.tx)
}

// epoch starts an epoch above all that was lost, and makes again in it what was
// revoked there.
func (b *beginning) epoch(ctx context.Context, lost *lostLog) error {
	head, err := b.tx.NewEpochAbove(lost.end.Epoch, lost.end.Seq)
	if err != nil {
		return err
	}
	b.out = restoredJSON{Epoch: head.Epoch, Base: head.Base}
	if err := b.revokeAgain(ctx, lost.entries); err != nil {
		return err
	}
	return b.record(ctx, b.tx, audit.Restored, b.cfg.URL, "epoch="+strconv.FormatUint(head.Epoch, 10)+
		" base="+strconv.FormatUint(head.Base, 10)+" recovered="+strconv.Itoa(b.out.Recovered))
}

// errNoRest refuses an epoch soon after another. Whoever restores a database twice in a
// short time says so by `counterfoil restored`.
var errNoRest = &serve.Error{
	Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable,
	Description: "another epoch has begun a moment ago", RetryAfter: shownEpochs,
}

// rested reports whether an epoch may begin for what a verifier shows.
func (b *beginning) rested() error {
	last, err := b.tx.Restored()
	if err != nil {
		return err
	}
	now, err := b.tx.Now()
	if since := now.Sub(last); err == nil && since >= 0 && since < shownEpochs {
		return errNoRest
	}
	return err
}

// amend makes lost entries again in the epoch that there is. A database that is known to
// have gone back begins one before the last verifier has shown what it knows.
func (b *beginning) amend(ctx context.Context, lost *lostLog) error {
	if err := b.revokeAgain(ctx, lost.entries); err != nil || b.out.Recovered == 0 {
		return err
	}
	return b.record(ctx, b.tx, audit.Restored, b.cfg.URL, "recovered="+strconv.Itoa(b.out.Recovered))
}

// revokeAgain makes lost entries again, with what follows from them. It counts those
// that are about something that the database does not know: verifiers still need
// them.
func (b *beginning) revokeAgain(ctx context.Context, entries map[mark]revocation.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	values, err := b.values(b.tx)
	if err != nil {
		return err
	}
	for _, at := range slices.SortedFunc(maps.Keys(entries), mark.compare) {
		e := entries[at]
		value, known := values[revocation.Target{Kind: e.Kind, Handle: e.Handle}]
		if believed, err := b.believes(e, value); err != nil {
			return err
		} else if !believed {
			b.left++
			continue
		}
		b.out.Recovered++
		if !known {
			b.out.Unknown++
			value = fmt.Sprintf("handle:%016x", uint64(e.Handle))
		}
		record, err := b.tx.Revoke(store.Revocation{Entry: e, Value: value})
		if err == nil && known && e.Kind == revocation.Key {
			err = b.keyAgain(ctx, value, record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// believes reports whether an entry is made again; value is empty for what the database
// does not know.
func (b *beginning) believes(e revocation.Entry, value string) (bool, error) {
	if b.believed == nil {
		return true, nil
	}
	if e.Kind != revocation.Key || value == "" {
		return b.believed.take(e, nil), nil
	}
	key, err := b.tx.Key(value)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && b.believed.take(e, &key), err
}

// keyAgain does what follows from an entry for a key: one that was killed does not
// come back to life, and the answer to a theft goes on.
func (b *beginning) keyAgain(ctx context.Context, kid string, record store.LogRecord) error {
	if record.Entry.Flags&revocation.Absolute != 0 {
		err := b.keys.Withdraw(b.tx, kid, actor(ctx), record.Seq)
		if err != nil && !errors.Is(err, keyring.ErrUnknownKey) {
			return err
		}
	}
	told, err := b.desk.Recall(b.tx, kid, record)
	b.told = append(b.told, told)
	return err
}

// vouchers are the feed keys whose frames are believed.
type vouchers struct {
	keys []jwk.Source
	lost uint64 // version of a statement of ours that the database has lost; 0: none
}

// lostTrust is where the store keeps the newest statement that it had lost, and the one
// that was in force when that was shown: other verifiers show frames by the same feed
// keys when another one signs already. They are believed for as long as believedFor after
// the epoch began.
const lostTrust = "restored.trust"

// vouchers reads a statement that a verifier shows beside its frames. The root does not
// change, so one by it that is newer than ours is ours, and proves that the database has
// gone back. An older one says nothing: its feed key may have been given up as stolen.
func (i *Issuer) vouchers(ctx context.Context, signed string) (v vouchers, err error) {
	if signed == "" {
		return vouchers{keys: []jwk.Source{i.keys.FeedKey()}}, nil
	}
	if err := i.keys.Reload(ctx); err != nil { // another node may have changed it a moment ago
		return v, err
	}
	own, trust := i.keys.Feed()
	v.keys = []jwk.Source{own}
	t, newer, err := i.keys.Vouched(signed)
	if err != nil {
		return v, nil // of nobody
	}
	if newer {
		v.lost, v.keys = t.Version, append(v.keys, t.FeedKeys)
		return v, i.st.Update(ctx, func(tx *store.Tx) error { return tx.SetMeta(lostTrust, signed+" "+trust) })
	}
	known, err := i.lostStatements(ctx)
	if err != nil || !slices.Contains(known, signed) {
		return v, err
	}
	for _, statement := range known {
		if t, _, err := i.keys.Vouched(statement); err == nil {
			v.keys = append(v.keys, t.FeedKeys)
		}
	}
	return v, nil
}

// lostStatements returns what lostTrust keeps, for as long as it counts.
func (i *Issuer) lostStatements(ctx context.Context) (known []string, err error) {
	err = i.st.View(ctx, func(tx *store.Tx) error {
		text, err := tx.Meta(lostTrust)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		began, err := tx.Restored()
		if err != nil {
			return err
		}
		now, err := tx.Now()
		if err == nil && now.Sub(began) < believedFor {
			known = strings.Fields(text)
		}
		return err
	})
	return known, err
}

// openShown opens those frames that one of the keys has signed. A verifier shows older
// ones beside them.
func (i *Issuer) openShown(keys []jwk.Source, signed []string) ([]*revocation.Frame, error) {
	var frames []*revocation.Frame
	for _, s := range signed {
		for _, source := range keys {
			if f, err := revocation.OpenFrame(source, i.cfg.URL, s); err == nil {
				frames = append(frames, f)
				break
			}
		}
	}
	if len(frames) == 0 {
		return nil, badRequest("no frame is one of this issuer's")
	}
	return frames, nil
}

// speakAgain has a feed key sign that verifiers take, who have heard of a newer one than
// the database knows.
func (i *Issuer) speakAgain(ctx context.Context, verifier string, version uint64) error {
	done, err := i.keys.RotateFeedAbove(ctx, actor(ctx), version)
	if err == nil {
		i.log.Error("a verifier knows a feed key that the database has lost: it was restored, and another feed key signs",
			"verifier", verifier, "lost", version, "trust", done.Version)
	}
	return err
}

// shown takes frames that a verifier holds and that our log does not lead to: the
// database was restored, or another server took over that knew less. What they revoke is
// made again, and an epoch begun where there is none for it yet, without waiting for a
// person. Frames that the log does know change nothing, and nobody but the feed key can
// make others.
func (i *Issuer) shown(ctx context.Context, verifier string, signed []string, trust string) error {
	ctx = context.WithValue(ctx, actorKey{}, "client:"+verifier)
	v, err := i.vouchers(ctx, trust)
	if err != nil {
		return unavailable(err)
	}
	frames, err := i.openShown(v.keys, signed)
	if err != nil {
		i.log.Warn("a verifier shows frames that no feed key of this issuer has signed; was a backup put back of before the last keys rotate --feed?", "verifier", verifier)
		return err
	}
	why := byFrames
	if v.lost != 0 {
		why = byTrust
	}
	out, err := i.recover(ctx, frames, why)
	if v.lost != 0 && (err == nil || errors.Is(err, errNoRest)) {
		err = errors.Join(err, i.speakAgain(ctx, verifier, v.lost))
	}
	switch {
	case out.Epoch != 0:
		i.log.Error("a verifier showed a revocation log that the database does not know: a new epoch began",
			"verifier", verifier, "epoch", out.Epoch, "recovered", out.Recovered)
	case out.Recovered != 0:
		i.log.Error("a verifier showed revocations that the database has lost: they are made again",
			"verifier", verifier, "recovered", out.Recovered)
	case errors.Is(err, store.ErrAhead):
		i.log.Error("a verifier shows a revocation log that no issuer can have: somebody has the feed key, or a clock was ahead; for the first: counterfoil keys rotate --feed",
			"verifier", verifier)
		return badRequest("the frames are ahead of every clock")
	case errors.Is(err, errNoRest):
		i.log.Error("a verifier shows another revocation log that the database does not know, soon after an epoch has begun; was the database restored again? then: counterfoil restored",
			"verifier", verifier)
	}
	return err
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
