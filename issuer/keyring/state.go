package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/oauth"
)

// Info describes a key without its material.
type Info struct {
	KeyID     string        `json:"kid"`
	Use       string        `json:"use"` // [UseAccess], [UseDrill] or [UseCanary]
	Algorithm jwk.Algorithm `json:"alg"`
	State     State         `json:"state"`
	Published time.Time     `json:"published"`
	Activated time.Time     `json:"activated,omitzero"` // when it began to sign
	Stopped   time.Time     `json:"stopped,omitzero"`   // when it ceased to
}

// ring is one reading of the keys.
type ring struct {
	rows    []version
	kek     string // id of the key-encryption key that the store is sealed under
	changes uint64 // see Keyring.Version

	infos    []Info
	public   *jwk.Set
	canaries *jwk.Set
	bare     int                 // standbys that are not sealed to the notary
	unmarked bool                // there are foreign rows to refuse
	known    map[string]*jwk.Key // the public half of every key that is or was, by kid

	signers map[place]*jws.Signer
	opened  map[string]*jwk.Key // private keys of the active ones by kid, kept over reloads
	closed  map[place]error     // why an active key does not sign on this node
}

// A version tells whether a row has changed since it was read.
type version struct {
	kid string
	n   int64
}

// reads reports whether the ring was made of just these rows, and wholly.
func (r *ring) reads(rows []store.KeyRow, kek string) bool {
	return len(r.closed) == 0 && r.kek == kek && slices.EqualFunc(r.rows, rows, func(v version, row store.KeyRow) bool {
		return v == version{row.KID, row.Version}
	})
}

// limits are the Level 0 limits of a key: who it speaks for, what it signs, and
// when. A key that was never replaced has no end yet. Those of a drill are narrower,
// and lie in its row.
func (k *Keyring) limits(row *store.KeyRow, own jwk.Limits) jwk.Limits {
	from := row.Published
	if !row.Activated.IsZero() && row.Activated.Before(from) {
		from = row.Activated // the clock was ahead when it was published, and has been put right
	}
	l := jwk.Limits{
		From:    from.Add(-skew).Truncate(time.Second),
		MaxLife: k.cfg.MaxTokenLife,
		Issuer:  k.cfg.Issuer,
		Types:   []string{oauth.AccessTokenType},
		Tagged:  true,
	}
	if row.Use == UseDrill {
		l.Audiences, l.MaxLife, l.Until, l.Subject, l.Claims = own.Audiences, own.MaxLife, own.Until, own.Subject, own.Claims
	}
	if stopped := row.Retired.Add(skew).Truncate(time.Second); !row.Retired.IsZero() && (l.Until.IsZero() || stopped.Before(l.Until)) {
		l.Until = stopped
	}
	return l
}

// utc leaves the zero time alone.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// Reload reads the keys again, for the case that another node has changed them. A
// reload under way when it is called does not count: what it returns after has
// been read after. A key that signs and that this node cannot open is no error: what
// is published and what is withdrawn is followed all the same, and [Keyring.Signer]
// says why.
func (k *Keyring) Reload(ctx context.Context) error {
	if err := k.reload(ctx); err != nil {
		return err
	}
	k.forget(ctx, k.ended(k.ring.Load()))
	return nil
}

func (k *Keyring) reload(ctx context.Context) error {
	select {
	case k.reading <- struct{}{}:
		defer func() { <-k.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var rows []store.KeyRow
	var kek, trust string
	var feed store.SecretRow
	err := k.st.View(ctx, func(tx *store.Tx) (err error) {
		if _, err = k.clock(tx); err != nil {
			return err
		}
		if kek, err = tx.Meta(metaKEK); err != nil {
			return err
		}
		if feed, trust, err = k.readTrust(tx); err != nil {
			return err
		}
		rows, err = tx.Keys()
		return err
	})
	if err != nil {
		return err
	}
	k.follow(feed, trust)
	old := k.ring.Load()
	if old != nil && old.reads(rows, kek) {
		return nil
	}
	next, err := k.build(ctx, rows, kek)
	if err != nil {
		return err
	}
	k.ring.Store(next)
	k.complain(old, next)
	return nil
}

// complain says in the log what somebody has to do about, when it begins.
func (k *Keyring) complain(old, next *ring) {
	if old == nil {
		return
	}
	if _, err := k.locker.find(next.kek); err != nil && next.kek != old.kek {
		k.cfg.Log.Error("the keys were sealed anew and this node cannot open them: it goes on with what it has in memory, "+
			"and makes no new key; start it again with the new key-encryption key", "err", err)
	}
	for at, err := range next.closed {
		if _, before := old.closed[at]; !before {
			k.cfg.Log.Error("this node cannot open the key that signs", "use", at.use, "alg", at.alg, "err", err)
		}
	}
}

func (k *Keyring) build(ctx context.Context, rows []store.KeyRow, kek string) (*ring, error) {
	r := &ring{
		kek: kek, known: map[string]*jwk.Key{}, signers: map[place]*jws.Signer{},
		opened: map[string]*jwk.Key{}, closed: map[place]error{},
	}
	for i := range rows {
		r.count(&rows[i])
	}
	own, foreign := k.sift(rows)
	var public, canaries []*jwk.Key
	for i := range own {
		row := &own[i]
		r.add(row)
		key, err := k.publicHalf(row)
		if err != nil {
			return nil, err
		}
		r.known[row.KID] = key
		if row.Use == UseAccess && row.State == Standby && underKEK(row.Sealed) {
			r.bare++
		}
		switch {
		case row.State == Retired || row.State == Killed:
		case row.Use == UseCanary:
			canaries = append(canaries, key)
		case row.Use == UseAccess || row.Use == UseDrill:
			public = append(public, key)
		}
		if err := k.activate(ctx, r, row, key); err != nil {
			return nil, err
		}
	}
	r.leaveOut(k, foreign)
	var err error
	if r.public, err = jwk.NewSet(public...); err != nil {
		return nil, err
	}
	r.canaries, err = jwk.NewSet(canaries...)
	return r, err
}

func (r *ring) count(row *store.KeyRow) {
	r.rows = append(r.rows, version{row.KID, row.Version})
	r.changes += counted(row)
}

func (r *ring) add(row *store.KeyRow) {
	r.infos = append(r.infos, Info{
		KeyID: row.KID, Use: row.Use, Algorithm: jwk.Algorithm(row.Alg), State: row.State,
		Published: row.Published.UTC(), Activated: utc(row.Activated), Stopped: utc(row.Retired),
	})
}

// publicHalf reads the published half of a row and gives it its limits.
func (k *Keyring) publicHalf(row *store.KeyRow) (*jwk.Key, error) {
	key, err := jwk.Parse(row.Public)
	if err != nil {
		return nil, fmt.Errorf("public key %q: %w", row.KID, err)
	}
	if key.KeyID() != row.KID || key.IsPrivate() {
		return nil, fmt.Errorf("the row of key %q holds another key", row.KID)
	}
	return key.WithLimits(k.limits(row, key.Limits())), nil
}

// activate gives the ring a signer for an active row. The sealed key must be the
// private half of the published one, or every token would be refused. A key that
// cannot be opened is noted.
func (k *Keyring) activate(ctx context.Context, r *ring, row *store.KeyRow, public *jwk.Key) error {
	if row.State != Active {
		return nil
	}
	at := placeOf(row)
	if _, two := r.signers[at]; two {
		return fmt.Errorf("two active keys for %s", at.alg)
	}
	key, err := k.private(ctx, row)
	if err == nil {
		err = sameKey(key, public)
	}
	if err != nil {
		r.closed[at] = err
		return nil
	}
	key = key.WithLimits(public.Limits())
	signer, err := jws.NewSigner(key, jws.Header{Algorithm: at.alg, KeyID: row.KID, Type: oauth.AccessTokenType})
	if err != nil {
		return err
	}
	r.signers[at], r.opened[row.KID] = signer, key
	return nil
}

// private opens the sealed key of a row, or takes it from the ring before.
func (k *Keyring) private(ctx context.Context, row *store.KeyRow) (*jwk.Key, error) {
	if old := k.ring.Load(); old != nil {
		if key, ok := old.opened[row.KID]; ok {
			return key, nil
		}
	}
	return k.openRow(ctx, row)
}

// openRow opens what a row keeps of a private key.
func (k *Keyring) openRow(ctx context.Context, row *store.KeyRow) (key *jwk.Key, err error) {
	switch {
	case held(row.Sealed):
		key, err = k.openHeld(ctx, row)
	case !inToken(row.Sealed):
		key, err = k.locker.openKey(row.Sealed)
	case k.cfg.Maker == nil:
		err = errNoToken
	default:
		key, err = k.cfg.Maker.FindKey(ctx, row.Sealed, params(jwk.Algorithm(row.Alg), row.KID))
	}
	if err == nil && key.KeyID() != row.KID {
		err = errOtherRow
	}
	return key, err
}

var (
	errNoToken   = errors.New("the key lives in a token, and this node was started without one")
	errOtherRow  = errors.New("a sealed key lies in the row of another")
	errOtherHalf = errors.New("the sealed key is not the published one")
)

// sameKey refuses a private key that is not the other half of public.
func sameKey(private, public *jwk.Key) error {
	if private.Thumbprint() != public.Thumbprint() {
		return errOtherHalf
	}
	return nil
}
