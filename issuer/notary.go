package issuer

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
)

const (
	// notaryProbe is where the store keeps a jti that this issuer's notary made.
	notaryProbe = "notary_probe"
	// probeKey is the kid of the probe: one that no key has.
	probeKey = "counterfoil/notary-probe"
)

// ErrNotary reports a notary whose secret is not the one that makes the tags of
// this store's tokens. Under two secrets every token of one node would look
// forged to the other.
var ErrNotary = errors.New("this is not the notary's secret that belongs to the store: " +
	"every issuer on it needs the same notary.key")

// checkNotary holds the notary against a tag that the store keeps, made at the
// first start.
func (i *Issuer) checkNotary(ctx context.Context) error {
	fresh, err := i.cfg.Tagger.Tag(ctx, probeKey, notary.Digest{})
	if err != nil {
		return err
	}
	var probe string
	err = i.st.Update(ctx, func(tx *store.Tx) (err error) {
		if probe, err = tx.Meta(notaryProbe); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		probe = fresh
		return tx.SetMeta(notaryProbe, fresh)
	})
	if err != nil {
		return err
	}
	record, err := notary.NewRecord(probeKey, probe, notary.Digest{})
	if err != nil {
		return err
	}
	right, err := i.cfg.Tagger.Check(ctx, []notary.Record{record})
	if err == nil && !right[0] {
		err = ErrNotary
	}
	return err
}
