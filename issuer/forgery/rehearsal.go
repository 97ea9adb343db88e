package forgery

import (
	"context"

	"github.com/counterfoil/counterfoil/issuer/keyring"
)

// Rehearsal returns the kid under which the notary tags what a drill's key is to
// forge: a name that no key has. To every auditor such a tag is wrong, and it tells
// the issuer's own forgery from that of somebody who got hold of the drill's key.
func Rehearsal(kid string) string { return "counterfoil/drill/" + kid }

// rehearsed reports whether this issuer made a forged token in a drill.
func (d *Desk) rehearsed(ctx context.Context, info keyring.Info, token string) (bool, error) {
	if info.Use != keyring.UseDrill {
		return false, nil
	}
	return d.right(ctx, Rehearsal(info.KeyID), token)
}
