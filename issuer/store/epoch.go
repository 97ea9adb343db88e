package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// Names in meta that the store itself uses.
const (
	metaIssuer   = "issuer"
	metaIdentity = "identity"
	metaRestored = "restored"
	metaKeys     = "keys.of_backup"
)

// NewEpoch starts a new epoch of the revocation log, numbered above everything
// that can have been issued under an earlier one: from max(head+1, Unix seconds
// · 2^16) on, by the database's clock. It is what makes live tokens revocable
// again after the database was restored from a copy that knew less. PostgreSQL
// stores do it by themselves when the server's identity or timeline has changed;
// a restored SQLite file looks like any other, and the operator has to say so.
func (tx *Tx) NewEpoch() (Head, error) { return tx.NewEpochAbove(0, 0) }

// maxAhead is how far ahead of the store's clock a position may be that somebody shows.
// Epochs and numbers start from that clock, and only more than 65,536 revocations a
// second overtake it.
const maxAhead = 24 * time.Hour

// NewEpochAbove is [Tx.NewEpoch] with a position that somebody has shown, such
// as a verifier with a signed frame above our head: the new epoch numbers above
// that, too. It is [ErrAhead] if no log can have come so far: to believe it would use
// up the numbers that there are.
func (tx *Tx) NewEpochAbove(epoch, seq uint64) (Head, error) {
	h, err := tx.lockHead()
	if err != nil {
		return Head{}, err
	}
	latest := tx.t.headAt.Add(maxAhead)
	if epoch > revocation.EpochNumber(h.Epoch, latest) || seq > revocation.EpochBase(h.Seq, latest) {
		return Head{}, ErrAhead
	}
	next := Head{
		Epoch:    revocation.EpochNumber(max(h.Epoch, epoch), tx.t.headAt),
		Base:     revocation.EpochBase(max(h.Seq, seq), tx.t.headAt),
		LowWater: h.LowWater,
		LowC:     h.LowC,
	}
	if next.Base >= revocation.MaxSeq {
		return Head{}, errNumbers
	}
	next.Seq, next.C = next.Base, revocation.Origin(tx.t.s.issuer, next.Epoch, next.Base)
	_, err = tx.exec("UPDATE log_head SET epoch = $1, base = $2, seq = $2, c = $3 WHERE id = 1",
		int64(next.Epoch), int64(next.Base), next.C[:])
	if err != nil {
		return Head{}, err
	}
	*h = next
	tx.t.appended = true
	if err := tx.nameKeys(); err != nil {
		return Head{}, err
	}
	return next, tx.SetMeta(metaRestored, strconv.FormatInt(toMillis(tx.t.headAt), 10))
}

// nameKeys keeps the kids of the keys that may sign. They are names and no times, since
// a clock may go back.
func (tx *Tx) nameKeys() error {
	rows, err := tx.Keys()
	if err != nil {
		return err
	}
	var kids []string
	for _, row := range rows {
		signs := row.State == KeyActive || row.State == KeyStandby
		if signs && tx.admit([]any{row.KID}) == nil { // another one is nobody's who made a key
			kids = append(kids, row.KID)
		}
	}
	return tx.SetMeta(metaKeys, strings.Join(kids, " "))
}

// KeysOfBackup returns the kids of the keys that could sign when the last new epoch
// began: what became of them in what the database has lost, nobody knows.
func (tx *Tx) KeysOfBackup() ([]string, error) {
	kids, err := tx.Meta(metaKeys)
	return strings.Fields(kids), ignore(ErrNotFound, err)
}

// Restored returns when the last new epoch began: the database may have lost what
// was done before that. It is zero where none ever did.
func (tx *Tx) Restored() (time.Time, error) {
	v, err := tx.Meta(metaRestored)
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("store: the time of the last restore cannot be read")
	}
	return time.UnixMilli(ms), nil
}

// claim writes down whose store this is, or checks it, and makes the first
// epoch of a new one. Several nodes may do it at once.
func (s *Store) claim(ctx context.Context, c *conn, issuer string) error {
	return s.once(ctx, c, func(tx *Tx) error {
		if err := tx.found(issuer); err != nil {
			return err
		}
		owner, err := tx.Meta(metaIssuer)
		if errors.Is(err, ErrNotFound) {
			return errors.New("store: a new store needs an issuer")
		}
		if err == nil && issuer != "" && issuer != owner {
			return fmt.Errorf("%w: %s, not %s", ErrIssuer, owner, issuer)
		}
		s.issuer = owner
		return err
	})
}

// found makes a new store the issuer's. It does nothing to one that is claimed.
func (tx *Tx) found(issuer string) error {
	if issuer == "" {
		return nil
	}
	n, err := tx.exec("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", metaIssuer, issuer)
	if err != nil || n == 0 {
		return err
	}
	now, err := tx.Now()
	if err != nil {
		return err
	}
	epoch, base := revocation.EpochNumber(0, now), revocation.EpochBase(0, now)
	c := revocation.Origin(issuer, epoch, base)
	_, err = tx.exec("INSERT INTO log_head (id, epoch, base, seq, c, low_water, low_c) VALUES (1, $1, $2, $2, $3, 0, $3)",
		int64(epoch), int64(base), c[:])
	return err
}

// recognise compares the history behind a connection with the one the store
// was last written in. Another one means that rows may have been lost, and the
// numbers of this log with them: a new epoch begins before anything is minted.
func (s *Store) recognise(ctx context.Context, c *conn) error {
	if s.dialect.Identity == nil {
		return nil
	}
	id, err := s.dialect.Identity(ctx, c.db)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if seen := s.identity.Load(); seen != nil && *seen == id {
		return nil
	}
	err = s.once(ctx, c, func(tx *Tx) error { return tx.adopt(id) })
	if err == nil {
		s.identity.Store(&id)
	}
	return err
}

// adopt makes id the history of the store.
func (tx *Tx) adopt(id string) error {
	if _, err := tx.lockHead(); err != nil {
		return err
	}
	was, err := tx.Meta(metaIdentity)
	if errors.Is(err, ErrNotFound) {
		return tx.SetMeta(metaIdentity, id)
	}
	if err != nil || was == id {
		return err
	}
	if _, err := tx.NewEpoch(); err != nil {
		return err
	}
	return tx.SetMeta(metaIdentity, id)
}

// once runs fn in a transaction of its own on c, outside the lanes.
func (s *Store) once(ctx context.Context, c *conn, fn func(tx *Tx) error) error {
	t, err := s.start(ctx, c, true)
	if err != nil {
		return err
	}
	defer t.rollback()
	if err := fn(&Tx{t: t}); err != nil {
		return err
	}
	if err := t.commit(); err != nil {
		return err
	}
	if t.appended {
		s.signal()
	}
	return nil
}
