package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A draft is a key that was made and is in no row yet. It is made before the
// transaction that may take it, since that can take long, and sealed inside it,
// when it is known under what.
type draft struct {
	key     *jwk.Key
	name    string   // in a token; empty: the key is in memory
	release *jwk.Key // the notary's public key that it is to be sealed to; nil: none
}

// draft makes a standby for alg.
func (k *Keyring) draft(ctx context.Context, alg jwk.Algorithm) (draft, error) {
	if k.cfg.Maker != nil { // the token keeps it from a thief as well as a notary does
		return k.pair(ctx, alg)
	}
	release, err := k.releaseKey(ctx)
	if err != nil {
		return draft{}, err
	}
	d, err := k.pair(ctx, alg)
	d.release = release
	return d, err
}

// pair makes a key for alg.
func (k *Keyring) pair(ctx context.Context, alg jwk.Algorithm) (d draft, err error) {
	p := params(alg, newKeyID())
	if k.cfg.Maker == nil {
		d.key, err = jwk.Generate(p)
		return d, err
	}
	d.key, d.name, err = k.cfg.Maker.MakeKey(ctx, p)
	if err == nil && !inToken(d.name) {
		err = errors.New("keyring: the name of a key in a token begins with " + tokenScheme + "NAME")
	}
	return d, err
}

// releaseKey asks the notary for the key to seal standbys to, anew each time: it can
// change.
func (k *Keyring) releaseKey(ctx context.Context) (*jwk.Key, error) {
	if k.cfg.Notary == nil {
		return nil, nil
	}
	key, err := k.cfg.Notary.ReleaseKey(ctx)
	if err == nil && key.IsPrivate() {
		err = errors.New("keyring: the notary's release key is not a public one")
	}
	return key, err
}

// drafts makes n keys.
func (k *Keyring) drafts(ctx context.Context, alg jwk.Algorithm, n int) ([]draft, error) {
	list := make([]draft, 0, n)
	for range n {
		d, err := k.draft(ctx, alg)
		if err != nil {
			k.discard(ctx, list, err)
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// discard destroys what no row took, because of err or because another node was
// faster. A commit that was not confirmed may have taken it.
func (k *Keyring) discard(ctx context.Context, list []draft, err error) {
	if errors.Is(err, store.ErrUncertain) {
		return
	}
	var names []string
	for _, d := range list {
		if d.name != "" {
			names = append(names, d.name)
		}
	}
	k.forget(ctx, names)
}

func params(alg jwk.Algorithm, kid string) jwk.Params {
	p := jwk.Params{Algorithm: alg, KeyID: kid}
	switch alg { // one key under two names
	case jwk.EdDSA:
		p.Also = jwk.Ed25519
	case jwk.Ed25519:
		p.Also = jwk.EdDSA
	}
	return p
}

// add puts a draft into a row of its own, as a standby that is published now.
func (c *change) add(use string, d draft, limits jwk.Limits) error {
	row, err := c.newRow(use, d, limits)
	if err != nil {
		return err
	}
	return c.insert(row)
}

func (c *change) newRow(use string, d draft, limits jwk.Limits) (store.KeyRow, error) {
	public, err := d.key.Public()
	if err != nil {
		return store.KeyRow{}, err
	}
	data, err := public.WithLimits(limits).MarshalJSON()
	if err != nil {
		return store.KeyRow{}, err
	}
	sealed, err := c.sealDraft(use, d)
	return store.KeyRow{
		KID: d.key.KeyID(), Use: use, Alg: string(d.key.Algorithm()), State: Standby, Sealed: sealed, Public: data,
		Published: c.now,
	}, err
}

// sealDraft returns what a row keeps of a private key: nothing of a canary's, a
// name in a token, something sealed to the notary, or something sealed.
func (c *change) sealDraft(use string, d draft) (string, error) {
	switch {
	case use == UseCanary:
		return "", nil
	case d.name != "":
		return d.name, nil
	case d.release != nil:
		return c.k.hold(d.release, d.key)
	}
	return c.k.locker.sealKey(c.kek, d.key)
}

// start lets a standby sign. What is sealed to the notary was opened before, and
// is sealed like the others from here on.
func (c *change) start(row *store.KeyRow, opened *candidate) error {
	if held(row.Sealed) {
		if opened == nil || opened.kid != row.KID || opened.sealed != row.Sealed {
			return ErrHeld
		}
		sealed, err := c.k.locker.sealKey(c.kek, opened.key)
		if err != nil {
			return err
		}
		row.Sealed = sealed
	}
	return c.move(row, Active)
}

// retireUnused ends the keys of algorithms that are not configured any more, as a
// rotation would that has no successor. It is done at the start only: of two nodes
// with different configurations, which run at once while one is rolled out, neither
// undoes each second what the other does.
func (k *Keyring) retireUnused(ctx context.Context) error {
	var retired []string
	err := k.change(ctx, actorSelf, func(c *change) error {
		retired = nil
		for i := range c.rows {
			row := &c.rows[i]
			if row.Use != UseAccess || slices.Contains(k.cfg.Algorithms, jwk.Algorithm(row.Alg)) {
				continue
			}
			to, due := map[State]State{Standby: Retired, Active: Retiring}[row.State]
			if !due {
				continue
			}
			if err := c.move(row, to); err != nil {
				return err
			}
			retired = append(retired, row.KID)
		}
		return nil
	})
	if err == nil && len(retired) > 0 {
		k.cfg.Log.Warn("these keys are for algorithms that are not configured any more: tokens under them are good until they expire", "kids", retired)
	}
	return err
}

// found makes the first keys of an algorithm, or the first ones since it is configured
// again: one active and two standby. Of several nodes the first one does it.
func (k *Keyring) found(ctx context.Context, alg jwk.Algorithm) error {
	at := place{UseAccess, alg}
	there, err := k.has(ctx, at)
	if err != nil || there {
		return err
	}
	made, err := k.drafts(ctx, alg, 1+standbys)
	if err != nil {
		return err
	}
	var taken bool
	err = k.change(ctx, actorSelf, func(c *change) error {
		taken = len(c.in(at, Standby, Active)) == 0
		if !taken {
			return nil // another node was faster
		}
		return c.found(made)
	})
	if err != nil || !taken {
		k.discard(ctx, made, err)
	}
	return err
}

// has reports whether a place has a key that signs or will.
func (k *Keyring) has(ctx context.Context, at place) (there bool, err error) {
	err = k.st.View(ctx, func(tx *store.Tx) error {
		rows, err := k.own(tx)
		there = len(rowsIn(rows, at, Standby, Active)) > 0
		return err
	})
	return there, err
}

// found inserts the first keys. The one that signs at once was never a standby
// whose private half a notary would keep.
func (c *change) found(made []draft) error {
	made[0].release = nil
	first, err := c.newRow(UseAccess, made[0], jwk.Limits{})
	if err != nil {
		return err
	}
	first.State, first.Activated = Active, c.now
	if err := c.insert(first); err != nil {
		return err
	}
	for _, d := range made[1:] {
		if err := c.add(UseAccess, d, jwk.Limits{}); err != nil {
			return err
		}
	}
	return nil
}

// fill makes as many standbys as are missing, and returns their ids.
func (k *Keyring) fill(ctx context.Context, at place) (added []string, err error) {
	missing := standbys - len(k.infosIn(at, Standby))
	if missing <= 0 {
		return nil, nil
	}
	made, err := k.drafts(ctx, at.alg, missing)
	if err != nil {
		return nil, err
	}
	err = k.change(ctx, actorSelf, func(c *change) error {
		added = nil
		for i := len(c.in(at, Standby)); i < standbys && len(added) < len(made); i++ {
			d := made[len(added)]
			if err := c.add(at.use, d, jwk.Limits{}); err != nil {
				return err
			}
			added = append(added, d.key.KeyID())
		}
		return nil
	})
	if err != nil {
		k.discard(ctx, made, err)
		return nil, fmt.Errorf("no new standby was made: %w", err)
	}
	k.discard(ctx, made[len(added):], nil)
	return added, k.Reload(ctx)
}

// holdStandbys seals to the notary the standbys that are not yet: the store was used
// without one before. In a backup of that time they stay.
func (k *Keyring) holdStandbys(ctx context.Context) error {
	if k.cfg.Notary == nil || k.ring.Load().bare == 0 {
		return nil
	}
	release, err := k.releaseKey(ctx)
	if err != nil {
		return err
	}
	err = k.change(ctx, actorSelf, func(c *change) error {
		for i := range c.rows {
			row := &c.rows[i]
			if row.Use != UseAccess || row.State != Standby || !underKEK(row.Sealed) {
				continue
			}
			if err := c.hold(release, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return k.Reload(ctx)
}

func (c *change) hold(release *jwk.Key, row *store.KeyRow) error {
	key, err := c.k.locker.openKey(row.Sealed)
	if err != nil {
		return err
	}
	if row.Sealed, err = c.k.hold(release, key); err != nil {
		return err
	}
	if err := c.write(row); err != nil {
		return err
	}
	return c.note(audit.KeyHold, row.KID, "alg="+row.Alg)
}
