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
)

// standbys is how many keys wait for each algorithm.
const standbys = 2

// Info describes a key without its material.
type Info struct {
	KeyID     string        `json:"kid"`
	Algorithm jwk.Algorithm `json:"alg"`
	State     State         `json:"state"`
	Published time.Time     `json:"published"`
	Activated time.Time     `json:"activated,omitzero"` // when it began to sign
	Stopped   time.Time     `json:"stopped,omitzero"`   // when it ceased to
}

// ring is one reading of the signing keys.
type ring struct {
	rows    []version
	infos   []Info
	public  *jwk.Set
	signers map[jwk.Algorithm]*jws.Signer
	opened  map[string]*jwk.Key // private keys of the active ones by kid, kept over reloads
}

// A version tells whether a row has changed since it was read.
type version struct {
	kid string
	n   int64
}

// reads reports whether the ring was made of just these rows.
func (r *ring) reads(rows []store.KeyRow) bool {
	return slices.EqualFunc(r.rows, rows, func(v version, row store.KeyRow) bool {
		return v == version{row.KID, row.Version}
	})
}

// found makes the first keys of an algorithm: one active and two standby. The
// secret row is the lock: of several nodes one inserts it, in the transaction that
// inserts the keys.
func (k *Keyring) found(ctx context.Context, alg jwk.Algorithm) error {
	founded, err := k.readSecret(ctx, foundedBy(alg))
	if err != nil || founded != "" {
		return err
	}
	now := k.cfg.Now()
	rows := make([]store.KeyRow, 1+standbys)
	for i := range rows {
		if rows[i], err = k.newRow(alg, now); err != nil {
			return err
		}
	}
	rows[0].State, rows[0].Activated = Active, now
	claim := store.SecretRow{Name: foundedBy(alg), ID: firstSlot, Sealed: "-", Created: now}
	return k.st.Update(ctx, func(tx *store.Tx) error {
		err := tx.InsertSecret(claim)
		if errors.Is(err, store.ErrExists) {
			return nil // another node was faster
		}
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := tx.InsertKey(row); err != nil {
				return err
			}
		}
		return nil
	})
}

func foundedBy(alg jwk.Algorithm) string { return "keys." + string(alg) }

// newRow makes a standby key, published now.
func (k *Keyring) newRow(alg jwk.Algorithm, now time.Time) (store.KeyRow, error) {
	params := jwk.Params{Algorithm: alg, KeyID: newKeyID()}
	switch alg { // one key under two names
	case jwk.EdDSA:
		params.Also = jwk.Ed25519
	case jwk.Ed25519:
		params.Also = jwk.EdDSA
	}
	key, err := jwk.Generate(params)
	if err != nil {
		return store.KeyRow{}, err
	}
	sealed, err := k.seal(key)
	if err != nil {
		return store.KeyRow{}, err
	}
	public, err := key.Public()
	if err != nil {
		return store.KeyRow{}, err
	}
	data, err := public.MarshalJSON()
	if err != nil {
		return store.KeyRow{}, err
	}
	return store.KeyRow{
		KID: key.KeyID(), Use: oauth.AccessTokenType, Alg: string(alg), State: Standby, Sealed: sealed, Public: data,
		Published: now,
	}, nil
}

// limits are the Level 0 limits of a key: who it speaks for, what it signs, and
// when. A key that was never replaced has no end yet.
func (k *Keyring) limits(row store.KeyRow) jwk.Limits {
	l := jwk.Limits{
		From:    row.Published.Add(-skew).Truncate(time.Second),
		MaxLife: k.cfg.MaxTokenLife,
		Issuer:  k.cfg.Issuer,
		Types:   []string{oauth.AccessTokenType},
		Tagged:  true,
	}
	if !row.Retired.IsZero() {
		l.Until = row.Retired.Add(skew).Truncate(time.Second)
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
// been read after.
func (k *Keyring) Reload(ctx context.Context) error {
	select {
	case k.reading <- struct{}{}:
		defer func() { <-k.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var rows []store.KeyRow
	err := k.st.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.Keys()
		return err
	})
	if err != nil {
		return err
	}
	if old := k.ring.Load(); old != nil && old.reads(rows) {
		return nil
	}
	next, err := k.build(rows)
	if err != nil {
		return err
	}
	k.ring.Store(next)
	return nil
}

func (k *Keyring) build(rows []store.KeyRow) (*ring, error) {
	r := &ring{signers: map[jwk.Algorithm]*jws.Signer{}, opened: map[string]*jwk.Key{}}
	var public []*jwk.Key
	for _, row := range rows {
		r.rows = append(r.rows, version{row.KID, row.Version})
		if row.Use != oauth.AccessTokenType {
			continue
		}
		r.infos = append(r.infos, Info{
			KeyID: row.KID, Algorithm: jwk.Algorithm(row.Alg), State: row.State,
			Published: row.Published.UTC(), Activated: utc(row.Activated), Stopped: utc(row.Retired),
		})
		if row.State == Retired || row.State == Killed {
			continue
		}
		key, err := jwk.Parse(row.Public)
		if err != nil {
			return nil, fmt.Errorf("public key %q: %w", row.KID, err)
		}
		if key.KeyID() != row.KID || key.IsPrivate() {
			return nil, fmt.Errorf("the row of key %q holds another key", row.KID)
		}
		public = append(public, key.WithLimits(k.limits(row)))
		if row.State == Active {
			if err := k.activate(r, row, key); err != nil {
				return nil, err
			}
		}
	}
	var err error
	r.public, err = jwk.NewSet(public...)
	return r, err
}

// activate gives the ring a signer for an active row. The sealed key must be the
// private half of the published one, or every token would be refused.
func (k *Keyring) activate(r *ring, row store.KeyRow, public *jwk.Key) error {
	key, err := k.private(row)
	if err != nil {
		return err
	}
	if key.Thumbprint() != public.Thumbprint() {
		return fmt.Errorf("the sealed key %q is not the published one", row.KID)
	}
	alg := jwk.Algorithm(row.Alg)
	if _, two := r.signers[alg]; two {
		return fmt.Errorf("two active keys for %s", alg)
	}
	signer, err := jws.NewSigner(key, jws.Header{Algorithm: alg, KeyID: row.KID, Type: oauth.AccessTokenType})
	if err != nil {
		return err
	}
	r.signers[alg], r.opened[row.KID] = signer, key
	return nil
}

// private opens the sealed key of a row, or takes it from the ring before.
func (k *Keyring) private(row store.KeyRow) (*jwk.Key, error) {
	if old := k.ring.Load(); old != nil {
		if key, ok := old.opened[row.KID]; ok {
			return key, nil
		}
	}
	key, err := k.unseal(row.Sealed)
	if err != nil {
		return nil, err
	}
	if key.KeyID() != row.KID {
		return nil, errors.New("a sealed key lies in the row of another")
	}
	return key.WithLimits(k.limits(row)), nil
}
