package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// notaryProbe is where the store keeps a jti that this issuer's notary made.
	notaryProbe = "notary_probe"
	// probeKey is the kid of the probe: one that no key has.
	probeKey = forgery.ProbeKeyID
)

// ErrNotary reports a notary whose secret is not the one that makes the tags of
// this store's tokens. Under two secrets every token of one node would look
// forged to the other.
var ErrNotary = errors.New("this is not the notary's secret that belongs to the store: " +
	"every issuer on it needs the same notary.key")

// openNotary checks the notary against the store. One that does not answer is
// waited for, and nothing is minted until then: an issuer starts without it,
// since revocations and keys do not need it.
func (i *Issuer) openNotary(ctx context.Context) error {
	err := i.checkNotary(ctx)
	if err == nil {
		err = i.checkWitnesses(ctx)
	}
	if !errors.Is(err, notary.ErrUnavailable) {
		return err
	}
	i.log.Warn("no tokens are minted until the notary answers", "err", err)
	i.cfg.Tagger = await(i.cfg.Tagger, i.checkNotary)
	return nil
}

// checkNotary holds the notary against a tag that the store keeps. If that is
// right it is replaced by a new one: so it is always of a secret that makes tags
// by now, and outlives the change of it.
func (i *Issuer) checkNotary(ctx context.Context) error {
	by := i.cfg.Tagger
	if a, ok := by.(interface{ unwrap() Notary }); ok {
		by = a.unwrap()
	}
	fresh, err := by.Tag(ctx, probeKey, notary.Digest{})
	if err != nil {
		return err
	}
	held, err := i.probe(ctx)
	if err == nil && held != "" {
		err = isOwnTag(ctx, by, held)
	}
	if err != nil {
		return err
	}
	return i.st.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Meta(notaryProbe)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if now != held {
			return nil // another node's, who checked as well
		}
		return tx.SetMeta(notaryProbe, fresh)
	})
}

// ErrWitnessKeys reports a notary that makes witnesses which verifiers would not
// accept: the trust statement does not name its keys. The keyring puts them there
// when it is opened.
var ErrWitnessKeys = errors.New("verifiers do not know all witness keys of the notary: start the issuer again to tell them, " +
	"before the notary uses another secret")

// checkWitnesses holds the keys of the notary against those that verifiers know.
func (i *Issuer) checkWitnesses(ctx context.Context) error {
	witnesser, ok := i.cfg.Tagger.(notary.Witnesser)
	if !i.cfg.Witness || !ok {
		return nil
	}
	keys, err := witnesser.WitnessKeys(ctx)
	if err != nil {
		return err
	}
	trust, err := revocation.OpenTrust(i.keys.Root(), i.cfg.URL, i.keys.Trust())
	if err != nil {
		return err
	}
	for _, key := range keys.Keys() {
		if trust.WitnessKeys == nil {
			return ErrWitnessKeys
		}
		if _, err := trust.WitnessKeys.Find(key.KeyID(), string(key.Algorithm())); err != nil {
			return ErrWitnessKeys
		}
	}
	return nil
}

// probe returns the tag that the store keeps, "" before the first start.
func (i *Issuer) probe(ctx context.Context) (jti string, err error) {
	err = i.st.View(ctx, func(tx *store.Tx) error {
		jti, err = tx.Meta(notaryProbe)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return jti, err
}

// isOwnTag returns ErrNotary for a probe that another notary made.
func isOwnTag(ctx context.Context, by Notary, jti string) error {
	record, err := notary.NewRecord(probeKey, jti, notary.Digest{})
	if err != nil {
		return err
	}
	right, err := by.Check(ctx, []notary.Record{record})
	if err == nil && !right[0] {
		return ErrNotary
	}
	return err
}

// An awaited is a notary that did not answer when the issuer started. It is asked for
// nothing until it has proved that its secret is the one of the store's tokens.
type awaited struct {
	notary Notary
	prove  func(context.Context) error
	proved atomic.Bool
}

// await returns by, which is a [notary.Witnesser] if it was one.
func await(by Notary, prove func(context.Context) error) Notary {
	a := &awaited{notary: by, prove: prove}
	if w, ok := by.(notary.Witnesser); ok {
		return &awaitedWitnesser{a, w}
	}
	return a
}

func (a *awaited) unwrap() Notary { return a.notary }

func (a *awaited) wait(ctx context.Context) error {
	if a.proved.Load() {
		return nil
	}
	err := a.prove(ctx)
	if err == nil {
		a.proved.Store(true)
		return nil
	}
	if errors.Is(err, notary.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", notary.ErrUnavailable, err)
}

// Tag is part of [notary.Tagger].
func (a *awaited) Tag(ctx context.Context, kid string, d notary.Digest) (string, error) {
	if err := a.wait(ctx); err != nil {
		return "", err
	}
	return a.notary.Tag(ctx, kid, d)
}

// Check is part of [notary.Checker].
func (a *awaited) Check(ctx context.Context, records []notary.Record) ([]bool, error) {
	if err := a.wait(ctx); err != nil {
		return nil, err
	}
	return a.notary.Check(ctx, records)
}

// An awaitedWitnesser is an awaited that makes witnesses too.
type awaitedWitnesser struct {
	*awaited
	witnesser notary.Witnesser
}

// TagWitness is part of [notary.Witnesser].
func (a *awaitedWitnesser) TagWitness(ctx context.Context, kid, header string, rest []byte) (jti, witness string, err error) {
	if err := a.wait(ctx); err != nil {
		return "", "", err
	}
	return a.witnesser.TagWitness(ctx, kid, header, rest)
}

// WitnessKeys is part of [notary.Witnesser].
func (a *awaitedWitnesser) WitnessKeys(ctx context.Context) (*jwk.Set, error) {
	if err := a.wait(ctx); err != nil {
		return nil, err
	}
	return a.witnesser.WitnessKeys(ctx)
}
