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
	"github.com/counterfoil/counterfoil/oauth"
)

// A State is where a key stands in its life: standby → active → retiring →
// retired, or killed at any time.
type State = store.KeyState

// The states, as the store keeps them.
const (
	Standby  = store.KeyStandby
	Active   = store.KeyActive
	Retiring = store.KeyRetiring
	Retired  = store.KeyRetired
	Killed   = store.KeyKilled
	Refused  = store.KeyRefused // in no life: the row is not from this issuer
)

// What the keys of a ring are for.
const (
	UseAccess = oauth.AccessTokenType // access tokens
	UseDrill  = "drill"               // forgeries of an exercise, see [Keyring.AddDrill]
	UseCanary = "canary"              // nothing: whoever signs with it stole it, see [Keyring.AddCanary]
)

// standbys is how many keys wait for each algorithm.
const standbys = 2

// Bounds on what verifiers are given: a key set of more than 128 keys is refused.
const (
	maxPublished = 112 // standby, active and retiring keys of all algorithms
	maxCanaries  = 64
)

// follows says which states may come after a state. Nothing leads back, and
// nothing leads out of the last one.
var follows = map[State][]State{
	Standby:  {Active, Retired, Killed}, // retired: one that will never sign, such as a canary
	Active:   {Retiring, Killed},
	Retiring: {Retired, Killed},
	Retired:  {Killed},
}

// ErrTooMany reports that no further key can be published, or no further canary kept:
// verifiers take no longer key sets.
var ErrTooMany = errors.New("too many keys: wait until retiring ones are withdrawn, or take canaries away")

// room refuses a key more of those that are in a set together.
func (c *change) room(limit int, uses ...string) error {
	n := 0
	for _, row := range c.rows {
		if slices.Contains(uses, row.Use) && row.State != Retired && row.State != Killed {
			n++
		}
	}
	if n >= limit {
		return ErrTooMany
	}
	return nil
}

// A TransitionError reports a step that no key takes.
type TransitionError struct {
	KeyID    string
	From, To State
}

// Error implements error.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("key %s is %s and cannot become %s", e.KeyID, e.From, e.To)
}

// A change is a transaction on the keys. All nodes make theirs one after another:
// each begins by locking the row that says under which key-encryption key the
// store is sealed.
type change struct {
	k     *Keyring
	tx    *store.Tx
	now   time.Time
	actor string
	kek   string         // id of the key-encryption key that the store is sealed under
	rows  []store.KeyRow // as they are, also after the steps of this change
	gone  []string       // names of keys in a token that the change made worthless

	foreign []store.KeyRow // that the issuer did not write
}

// change runs fn in a transaction. What fn sets outside it sets anew each time.
func (k *Keyring) change(ctx context.Context, actor string, fn func(c *change) error) error {
	var gone []string
	err := k.st.Update(ctx, func(tx *store.Tx) error {
		c, err := k.begin(tx, actor)
		if err != nil {
			return err
		}
		err = fn(c)
		gone = c.gone
		return err
	})
	if err != nil {
		return err
	}
	k.forget(ctx, gone)
	return nil
}

func (k *Keyring) begin(tx *store.Tx, actor string) (*change, error) {
	c := &change{k: k, tx: tx, actor: actor}
	var err error
	if c.kek, err = tx.LockMeta(metaKEK); err != nil {
		return nil, err
	}
	if c.now, err = k.clock(tx); err != nil {
		return nil, err
	}
	rows, err := tx.Keys()
	c.rows, c.foreign = k.sift(rows)
	return c, err
}

// clock returns the time of the store, and keeps for now how far it is from ours. All
// nodes go by it, as tokens do: were the window of a key to open or to close by the
// clock of a node that is wrong, honest tokens would lie outside.
func (k *Keyring) clock(tx *store.Tx) (time.Time, error) {
	if k.cfg.Now != nil {
		return k.cfg.Now(), nil
	}
	at, err := tx.Now()
	if err == nil {
		k.ahead.Store(int64(time.Until(at)))
	}
	return at, err
}

// now returns the time of the store without asking it.
func (k *Keyring) now() time.Time {
	if k.cfg.Now != nil {
		return k.cfg.Now()
	}
	return time.Now().Add(time.Duration(k.ahead.Load()))
}

// move takes the key of a row to another state. It is the only place that does:
// the row must still be what it was when it was read, a tombstone keeps its id
// and its public half and forgets the rest, and each step leaves an audit row.
func (c *change) move(row *store.KeyRow, to State) error {
	from := row.State
	if !slices.Contains(follows[from], to) {
		return &TransitionError{row.KID, from, to}
	}
	next := *row
	next.State = to
	switch to {
	case Active:
		next.Activated = c.now
	case Retiring:
		next.Retired = c.now
	case Retired, Killed:
		next.Sealed = ""
		if next.Retired.IsZero() {
			next.Retired = c.now
		}
	}
	if err := c.write(&next); err != nil {
		return err
	}
	if next.Sealed == "" && inToken(row.Sealed) {
		c.gone = append(c.gone, row.Sealed)
	}
	*row = next
	return c.note(audit.KeyState, row.KID, fmt.Sprintf("use=%s alg=%s from=%s to=%s", row.Use, row.Alg, from, to))
}

// insert adds the row of a key that was just made. [store.ErrExists] means that
// its id was used before.
func (c *change) insert(row store.KeyRow) error {
	row.MAC = rowMAC(c.k.fixed.rows, &row)
	if err := c.tx.InsertKey(row); err != nil {
		return err
	}
	row.Version = 1
	c.rows = append(c.rows, row)
	return c.note(audit.KeyState, row.KID, fmt.Sprintf("use=%s alg=%s to=%s", row.Use, row.Alg, row.State))
}

func (c *change) note(action audit.Action, subject, detail string) error {
	return audit.Record(c.tx, c.now, audit.Event{Actor: c.actor, Action: action, Subject: subject, Detail: detail})
}

// row returns the row of a key, nil if there is none.
func (c *change) row(kid string) *store.KeyRow {
	i := slices.IndexFunc(c.rows, func(r store.KeyRow) bool { return r.KID == kid })
	if i < 0 {
		return nil
	}
	return &c.rows[i]
}

// in returns the rows of a place that are in one of the states.
func (c *change) in(at place, states ...State) []*store.KeyRow { return rowsIn(c.rows, at, states...) }

func rowsIn(rows []store.KeyRow, at place, states ...State) (list []*store.KeyRow) {
	for i := range rows {
		if placeOf(&rows[i]) == at && slices.Contains(states, rows[i].State) {
			list = append(list, &rows[i])
		}
	}
	return list
}

// A place is what one active key at a time signs.
type place struct {
	use string
	alg jwk.Algorithm
}

func placeOf(row *store.KeyRow) place { return place{row.Use, jwk.Algorithm(row.Alg)} }

// pick returns the active row of a place and the standby that was published
// first, nil where there is none.
func pick(rows []store.KeyRow, at place) (active, standby *store.KeyRow) {
	for _, row := range rowsIn(rows, at, Active, Standby) {
		switch {
		case row.State == Active:
			active = row
		case standby == nil || row.Published.Before(standby.Published):
			standby = row
		}
	}
	return active, standby
}

// maxTries is how often a change is begun that another node may get in the way of.
const maxTries = 5

// again runs try until it is not another node that made it fail, at most maxTries
// times, and reads the keys in between and at the end, so that the caller sees what
// the other node did.
func (k *Keyring) again(ctx context.Context, read func(context.Context) error, try func() error) error {
	var err error
	for range maxTries {
		if err = try(); err == nil {
			return read(ctx)
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, ErrConflict) {
			return err
		}
		if err := read(ctx); err != nil {
			return err
		}
	}
	return ErrConflict
}

// reloadSoon is Reload in an emergency: what takes longer than patience, such as to
// find a key in a token that hangs, is left to the next reload.
func (k *Keyring) reloadSoon(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := k.Reload(soon)
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		k.cfg.Log.Warn("a key was killed, and this node will read the keys again later: that takes too long now", "err", err)
		return nil
	}
	return err
}

// tokenScheme begins the name of a key that lives in a token. No JWE has a colon.
const tokenScheme = "pkcs11:"

func inToken(sealed string) bool { return strings.HasPrefix(sealed, tokenScheme) }

// A KeyMaker makes signing keys that never leave their token. It must be safe for
// concurrent use.
type KeyMaker interface {
	// MakeKey makes a pair whose kid is p.KeyID and returns it, opaque and private,
	// and the name by which FindKey finds it: at most 128 printable ASCII
	// characters that begin with "pkcs11:".
	MakeKey(ctx context.Context, p jwk.Params) (key *jwk.Key, name string, err error)
	// FindKey returns the pair that MakeKey gave a name. The error matches
	// [jwk.ErrUnknownKey] when the token has none, and [jwk.ErrUnavailable] when it
	// does not answer.
	FindKey(ctx context.Context, name string, p jwk.Params) (*jwk.Key, error)
	// ForgetKey destroys a pair. It is nil when that is gone already.
	ForgetKey(ctx context.Context, name string) error
}

// awaitEnd keeps the names of keys in a token that a transaction of somebody else made
// worthless, if it commits.
func (k *Keyring) awaitEnd(kid string, names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		k.ending[name] = kid
	}
}

// ended returns those of them whose rows are tombstones by now.
func (k *Keyring) ended(r *ring) (names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, kid := range k.ending {
		if info, _ := r.info(kid); info.State == Retired || info.State == Killed {
			names = append(names, name)
			delete(k.ending, name)
		}
	}
	return names
}

// forgetLimit is how long a token may take to destroy what is of no use any more.
const forgetLimit = 10 * time.Second

// forget destroys keys in a token whose rows are tombstones.
func (k *Keyring) forget(ctx context.Context, names []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetLimit) // nobody comes back for them
	defer cancel()
	for _, name := range names {
		if k.cfg.Maker == nil {
			k.cfg.Log.Warn("a key that is of no use any more stays in its token: this node has none", "key", name)
		} else if err := k.cfg.Maker.ForgetKey(ctx, name); err != nil {
			k.cfg.Log.Warn("a key that is of no use any more stays in its token", "key", name, "err", err)
		}
	}
}
