package issuer

import "context"

// Trim runs what maintenance does once a minute.
func Trim(i *Issuer, ctx context.Context) error { return i.trim(ctx) }

// WaitingFor is the gate of a rotation.
func (i *Issuer) WaitingFor(ctx context.Context, kid string) ([]string, error) {
	return i.waitingFor(ctx, kid)
}

// Renumber says what a set is numbered after what was published last.
func Renumber(last string, changes uint64, hash string) (next string, number uint64, err error) {
	n, err := renumber(last, changes, hash)
	return n.String(), changes + n.others, err
}

// RenewKeys is what maintenance does each second.
func (i *Issuer) RenewKeys(ctx context.Context) error {
	return i.renewKeys(ctx, i.hub.latest.Load().head.Epoch)
}

// CheckNotary is what maintenance does once a minute.
func (i *Issuer) CheckNotary(ctx context.Context) error { return i.checkNotary(ctx) }

// CheckWitnesses is what maintenance does once a minute.
func (i *Issuer) CheckWitnesses(ctx context.Context) error { return i.checkWitnesses(ctx) }

// ForgetMinting has /readyz ask the notary anew.
func (i *Issuer) ForgetMinting() { i.minting.last.Store(nil) }

// Tagger is the notary that tokens are minted with.
func (i *Issuer) Tagger() Notary { return i.cfg.Tagger }
