package keyring

import (
	"context"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// AddCanary makes a key to plant where only a thief finds it: in a backup, in a
// vault, beside the real ones. It looks like one of them, nobody signs with it, and
// it is not in the published set. Only its public half is kept; the private one is
// returned this once. [ErrNoActive] is for an algorithm that no published key has, and
// [ErrTooMany] for one canary too many.
func (k *Keyring) AddCanary(ctx context.Context, alg jwk.Algorithm, actor string) (private *jwk.Key, err error) {
	if alg == "" {
		alg = k.cfg.Algorithms[0]
	}
	if !Signs(alg) {
		return nil, ErrNoActive
	}
	key, err := jwk.Generate(params(alg, newKeyID()))
	if err != nil {
		return nil, err
	}
	err = k.change(ctx, actor, func(c *change) error {
		if err := c.room(maxCanaries, UseCanary); err != nil {
			return err
		}
		if err := c.add(UseCanary, draft{key: key}, jwk.Limits{}); err != nil {
			return err
		}
		return c.note(audit.KeyCanary, key.KeyID(), "alg="+string(alg))
	})
	if err != nil {
		return nil, err
	}
	return key, k.Reload(ctx)
}

// RemoveCanary ends the watch for a canary, because it was taken away from where it
// lay. Its public half stays, so that a late token of it is still recognised as
// evidence. [ErrUnknownKey] is for what is no canary, or no longer.
func (k *Keyring) RemoveCanary(ctx context.Context, kid, actor string) error {
	err := k.change(ctx, actor, func(c *change) error {
		row := c.row(kid)
		if row == nil || row.Use != UseCanary || row.State != Standby {
			return ErrUnknownKey
		}
		return c.move(row, Retired)
	})
	if err != nil {
		return err
	}
	return k.Reload(ctx)
}

// Canaries returns the public halves of the canaries on watch. They are for
// verifiers that have a credential, never for the published set: a plain JOSE
// library would take what they signed.
func (k *Keyring) Canaries() *jwk.Set { return k.ring.Load().canaries }
