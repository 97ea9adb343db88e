package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

// A TooSoonError reports that no standby key has been published long enough for
// every cached key set to hold it.
type TooSoonError struct{ At time.Time }

// Error implements error.
func (e *TooSoonError) Error() string {
	return "no standby key has been published long enough; the next is ready at " + e.At.Format(time.RFC3339)
}

// A WaitingError reports connected verifiers that do not hold the next key yet.
type WaitingError struct {
	KeyID     string
	Verifiers []string // credential/instance, as in [Gate]
}

// Error implements error.
func (e *WaitingError) Error() string {
	return fmt.Sprintf("%d connected verifiers do not hold key %s yet: %s", len(e.Verifiers), e.KeyID, named(e.Verifiers))
}

func named(verifiers []string) string {
	more := ""
	if n := len(verifiers) - maxNamed; n > 0 {
		verifiers, more = verifiers[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(verifiers, ", ") + more
}

// maxNamed is how many verifiers the text of an error, or of an audit row, names.
const maxNamed = 16

// A Gate names the connected verifiers that do not hold a key yet. An error means
// that nobody knows, and then no key begins to sign.
type Gate func(ctx context.Context, kid string) (waiting []string, err error)

// A Rotation tells what a rotation did.
type Rotation struct {
	Algorithm jwk.Algorithm `json:"alg"`
	From      string        `json:"from,omitempty"`  // the kid that signed until now
	To        string        `json:"to"`              // the kid that signs from now on
	Added     string        `json:"added,omitempty"` // the new standby; empty: it is made later
	Left      []string      `json:"left,omitempty"`  // connected verifiers without To that were waited for long enough
}

// RotateOptions say how to rotate.
type RotateOptions struct {
	Algorithm jwk.Algorithm // default: the default algorithm of the ring
	From      string        // rotate only if this key is the one that signs; it says the algorithm, too
	Gate      Gate          // who has to hold the standby before it signs; default: nobody
	Force     bool          // wait for nobody: neither for the gate nor until every cached key set is old
	Actor     string        // who asked, for the audit trail

	vacant  bool // rotate only if no key signs
	overdue bool // wait no longer for whom the gate names
}

// Rotate lets the oldest standby key sign and adds a fresh standby. The key that
// signed before stays published until the last token under it has died. Errors:
//
//   - [*TooSoonError]: the standby has been published for less than the key set's
//     max-age, so that a cached set may be without it.
//   - [*WaitingError]: the gate names verifiers without it.
//   - [ErrNotActive]: From does not sign, or no longer.
//   - [ErrConflict]: another node rotated just now.
//   - [ErrHeld]: the notary did not release a standby.
//   - [ErrTooMany]: there were so many rotations that the key set is full.
func (k *Keyring) Rotate(ctx context.Context, opt RotateOptions) (done Rotation, err error) {
	if opt.From == "" {
		if done, err = k.rotate(ctx, opt); err == nil {
			return done, k.Reload(ctx)
		}
		if errors.Is(err, store.ErrConflict) || errors.Is(err, ErrConflict) {
			if err = k.Reload(ctx); err == nil {
				err = ErrConflict
			}
		}
		return done, err
	}
	err = k.again(ctx, k.Reload, func() (err error) {
		done, err = k.rotate(ctx, opt)
		return err
	})
	return done, err
}

func (k *Keyring) rotate(ctx context.Context, opt RotateOptions) (Rotation, error) {
	if err := k.Reload(ctx); err != nil {
		return Rotation{}, err
	}
	at, err := k.place(opt)
	if err != nil {
		return Rotation{}, err
	}
	next, err := k.successor(ctx, at, opt)
	if err != nil {
		return Rotation{}, err
	}
	done := Rotation{Algorithm: at.alg, To: next.kid, Left: next.left}
	err = k.change(ctx, opt.Actor, func(c *change) (err error) {
		done.From, err = c.advance(at, opt, next)
		if err != nil {
			return err
		}
		detail := fmt.Sprintf("alg=%s from=%s forced=%t", at.alg, done.From, opt.Force)
		if len(next.left) > 0 {
			detail += fmt.Sprintf(" left=%q", named(next.left))
		}
		return c.note(audit.KeyRotate, next.kid, detail)
	})
	if err != nil {
		k.drop(ctx, next, err)
		return Rotation{}, err
	}
	if at.use == UseAccess {
		done.Added = k.refill(ctx, at)
	}
	return done, nil
}

// place says what a rotation is about.
func (k *Keyring) place(opt RotateOptions) (place, error) {
	if opt.From == "" {
		alg, err := k.Algorithm(string(opt.Algorithm))
		return place{UseAccess, alg}, err
	}
	info, ok := k.info(opt.From)
	if !ok {
		return place{}, ErrUnknownKey
	}
	if info.State != Active {
		return place{}, ErrNotActive
	}
	return place{info.Use, info.Algorithm}, nil
}

// successor opens the standby that is next, when it may sign.
func (k *Keyring) successor(ctx context.Context, at place, opt RotateOptions) (*candidate, error) {
	if opt.Force {
		return k.heir(ctx, at)
	}
	waiting := k.infosIn(at, Standby)
	if len(waiting) == 0 {
		return nil, ErrNoActive
	}
	next := waiting[0]
	if ready := k.ready(next.Published); k.now().Before(ready) {
		return nil, &TooSoonError{At: ready}
	}
	var names []string
	if opt.Gate != nil {
		var err error
		if names, err = opt.Gate(ctx, next.KeyID); err != nil {
			return nil, err
		}
		if len(names) > 0 && !opt.overdue {
			return nil, &WaitingError{next.KeyID, names}
		}
	}
	c, err := k.candidate(ctx, at, next.KeyID)
	if err == nil {
		c.left = names
	}
	return c, err
}

// ready says when a key that was published at a time is in every cached key set,
// by the clock of whatever node.
func (k *Keyring) ready(published time.Time) time.Time { return published.Add(k.cfg.JWKSMaxAge + skew) }

// advance lets a candidate sign. The key before it stops first: the store allows
// one active key.
func (c *change) advance(at place, opt RotateOptions, next *candidate) (from string, err error) {
	active, _ := pick(c.rows, at)
	if opt.From != "" && (active == nil || active.KID != opt.From) || opt.vacant && active != nil {
		return "", ErrNotActive
	}
	if err := c.room(maxPublished, UseAccess, UseDrill); err != nil {
		return "", err
	}
	if active != nil {
		from = active.KID
		if err := c.move(active, Retiring); err != nil {
			return "", err
		}
	}
	return from, c.succeed(at, next)
}

// succeed lets a candidate sign in a place that is empty.
func (c *change) succeed(at place, next *candidate) error {
	if next.fresh != nil {
		if err := c.add(at.use, *next.fresh, jwk.Limits{}); err != nil {
			return err
		}
		return c.move(c.row(next.kid), Active)
	}
	row := c.row(next.kid)
	if row == nil || row.State != Standby || row.Sealed != next.sealed {
		return ErrConflict
	}
	return c.start(row, next)
}

// refill makes the standbys that are missing, and returns the last of them. It is
// no error when that does not work now: Scheduled makes them later.
func (k *Keyring) refill(ctx context.Context, at place) string {
	err := k.Reload(ctx)
	var added []string
	if err == nil {
		added, err = k.fill(ctx, at)
	}
	if err != nil {
		k.cfg.Log.Error("a standby key is missing", "alg", at.alg, "err", err)
	}
	if len(added) == 0 {
		return ""
	}
	return added[len(added)-1]
}

// patience is how long an emergency waits for a standby to be opened. Then a new key
// signs, which verifiers have to fetch first, and for which it waits as long.
const patience = 2 * time.Second

// heir opens the standby that takes over at once, or makes a key that does.
func (k *Keyring) heir(ctx context.Context, at place) (*candidate, error) {
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	next, err := k.candidate(soon, at, "")
	if err == nil || at.use != UseAccess {
		return next, err
	}
	short, stop := context.WithTimeout(ctx, patience)
	defer stop()
	d, newErr := k.pair(short, at.alg)
	if newErr != nil {
		return nil, errors.Join(err, newErr)
	}
	k.cfg.Log.Error("no standby could be opened, and a new key has to sign at once", "kid", d.key.KeyID(), "err", err)
	return &candidate{kid: d.key.KeyID(), key: d.key, fresh: &d}, nil
}

// drop destroys a key that was made for a change which was not made.
func (k *Keyring) drop(ctx context.Context, next *candidate, err error) {
	if next != nil && next.fresh != nil {
		k.discard(ctx, []draft{*next.fresh}, err)
	}
}

// Kill ends a key at once: it is withdrawn, an absolute entry for it goes into the
// revocation log, and if it was the one that signs, a standby takes over without
// waiting, or a new key when no standby can be opened. All of that is one
// transaction. It returns the entry. Killing a key again makes another entry and
// changes nothing else. [ErrCanary] is for a canary on watch: nobody signs with it,
// and [Keyring.RemoveCanary] is how the watch ends.
func (k *Keyring) Kill(ctx context.Context, kid, actor string) (record store.LogRecord, err error) {
	if _, ok := k.info(kid); !ok {
		if err := k.Reload(ctx); err != nil {
			return record, err
		}
	}
	info, ok := k.info(kid)
	if !ok {
		return record, ErrUnknownKey
	}
	if info.Use == UseCanary && info.State == Standby {
		return record, ErrCanary
	}
	at := place{info.Use, info.Algorithm}
	signs := false
	err = k.again(ctx, k.reloadSoon, func() error {
		var next *candidate
		if info, _ := k.info(kid); signs || info.State == Active {
			signs = true
			next, _ = k.heir(ctx, at) // whatever comes of it, the key dies
		}
		var taken bool
		err := k.change(ctx, actor, func(c *change) (err error) {
			if row := c.row(kid); !signs && row != nil && row.State == Active {
				signs = true // since another node made it so, and nobody looked for an heir
				return ErrConflict
			}
			record, err = c.kill(kid, next)
			taken = next != nil && c.row(next.kid) != nil
			return err
		})
		if err != nil || !taken {
			k.drop(ctx, next, err)
		}
		return err
	})
	if err == nil && info.State != Refused && at.use == UseAccess && slices.Contains(k.cfg.Algorithms, at.alg) {
		soon, cancel := context.WithTimeout(ctx, patience) // what is missing then, Scheduled makes
		defer cancel()
		k.refill(soon, at)
	}
	return record, err
}

// kill appends to the log first: the store then runs it last in its batch.
func (c *change) kill(kid string, next *candidate) (store.LogRecord, error) {
	k := c.k
	record, err := c.tx.Revoke(store.Revocation{Value: kid, Entry: revocation.Entry{
		Kind: revocation.Key, Flags: revocation.Absolute,
		Handle: k.fixed.handles.Handle(revocation.Key, k.cfg.Issuer, kid),
	}})
	if err != nil {
		return record, err
	}
	return record, c.withdraw(kid, record.Seq, next)
}

// Lock makes other changes of the keys wait for the end of a transaction. Call it
// before the transaction appends to the log, if it may call [Keyring.Withdraw]: every
// change locks keys and log in this order, or two of them would wait for each other.
func (k *Keyring) Lock(tx *store.Tx) error {
	_, err := tx.LockMeta(metaKEK)
	return err
}

// Withdraw does what [Keyring.Kill] does to the keys, for an entry that is in the
// log already: the database had lost the kill, and learnt of it again. Reload when
// the transaction has committed. See [Keyring.Lock].
func (k *Keyring) Withdraw(tx *store.Tx, kid, actor string, seq uint64) error {
	c, err := k.begin(tx, actor)
	if err != nil {
		return err
	}
	if err := c.withdraw(kid, seq, nil); err != nil {
		return err
	}
	k.awaitEnd(kid, c.gone)
	return nil
}

// withdraw moves a key to killed and puts another one in its place.
func (c *change) withdraw(kid string, seq uint64, next *candidate) error {
	row := c.row(kid)
	if row == nil {
		if slices.ContainsFunc(c.foreign, func(r store.KeyRow) bool { return r.KID == kid }) {
			return c.note(audit.KeyKill, kid, fmt.Sprintf("seq=%d", seq)) // nothing else is left to do about it
		}
		return ErrUnknownKey
	}
	was := row.State
	if was != Killed {
		if err := c.move(row, Killed); err != nil {
			return err
		}
	}
	if was == Active {
		if err := c.replace(placeOf(row), next); err != nil {
			return err
		}
	}
	return c.note(audit.KeyKill, kid, fmt.Sprintf("seq=%d", seq))
}

// replace puts another key in the place of one that was killed. A node that could
// open none, and cannot seal one either, lets the oldest standby sign that needs no
// notary, for others to open. If there is none, the place stays empty until
// [Keyring.Scheduled] finds one.
func (c *change) replace(at place, next *candidate) error {
	if _, err := c.k.locker.find(c.kek); err == nil && next != nil {
		return c.succeed(at, next)
	}
	for _, row := range c.in(at, Standby) {
		if !held(row.Sealed) {
			return c.start(row, nil)
		}
	}
	return nil
}

// graceAfterLife is added to the longest token life before a key is withdrawn: the
// largest leeway that a verifier may be told to give (10 min), and the skew of the
// clocks at both ends.
const graceAfterLife = 10*time.Minute + 2*skew

// expired reports whether the last token under a key that ceased to sign is dead.
func (k *Keyring) expired(state State, stopped time.Time) bool {
	return state == Retiring && k.now().After(stopped.Add(k.cfg.MaxTokenLife+graceAfterLife))
}

// Expire withdraws the keys whose last token has died and forgets their private
// halves, and ends drills whose time is over. Their ids stay. The issuer calls it
// now and then.
func (k *Keyring) Expire(ctx context.Context) error {
	due := slices.ContainsFunc(k.Keys(), func(i Info) bool { return k.expired(i.State, i.Stopped) || k.drillIsOver(i) })
	if !due {
		return nil
	}
	err := k.change(ctx, actorSelf, func(c *change) error {
		if err := c.endDrills(); err != nil {
			return err
		}
		for i := range c.rows {
			if row := &c.rows[i]; k.expired(row.State, row.Retired) {
				if err := c.move(row, Retired); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	return k.Reload(ctx)
}
