package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

// A voice is what a node speaks to verifiers with. The key is named in the statement.
type voice struct {
	feed    *jwk.Key // private
	trust   string   // signed by the root
	version uint64   // of it
}

// A FeedRotation tells what [Keyring.RotateFeed] did.
type FeedRotation struct {
	From    string `json:"from"` // kid of the key that signed the feed until now
	To      string `json:"to"`
	Version uint64 `json:"trust_version"` // of the statement that names it
}

// RotateFeed replaces the key that signs frames, manifests and key sets, and has the
// root vouch for the new one alone: whoever has the old one speaks to no verifier that
// has heard of it. Other nodes follow with their next [Keyring.Reload].
func (k *Keyring) RotateFeed(ctx context.Context, actor string) (done FeedRotation, err error) {
	return k.RotateFeedAbove(ctx, actor, 0)
}

// RotateFeedAbove is [Keyring.RotateFeed] where a verifier has heard of a version that the
// store has lost.
func (k *Keyring) RotateFeedAbove(ctx context.Context, actor string, version uint64) (done FeedRotation, err error) {
	key, err := newSigningKey(purposeFeed)
	if err != nil {
		return done, err
	}
	err = k.change(ctx, actor, func(c *change) (err error) {
		done, err = c.rotateFeed(key, version)
		return err
	})
	if err != nil {
		return FeedRotation{}, err
	}
	return done, k.Reload(ctx)
}

func (c *change) rotateFeed(key *jwk.Key, above uint64) (done FeedRotation, err error) {
	old, signed, err := c.k.readTrust(c.tx)
	if err != nil {
		return done, err
	}
	trust, err := revocation.OpenTrust(c.k.fixed.root, c.k.cfg.Issuer, signed)
	if err != nil {
		return done, err
	}
	row, err := firstRow(c.tx, purposeRoot)
	if err != nil {
		return done, err
	}
	root, err := c.k.locker.openFor(purposeRoot, row.Sealed)
	if err != nil {
		return done, err
	}
	done = FeedRotation{From: trust.FeedKeys.Keys()[0].KeyID(), To: key.KeyID()}
	next, err := c.k.statement(key)
	if err != nil {
		return done, err
	}
	// By the clock it is above those that a backup which is put back does not know of.
	trust.FeedKeys, trust.Version = next.FeedKeys, max(trust.Version+1, above+1, uint64(max(c.now.Unix(), 0)))
	done.Version = trust.Version
	if signed, err = trust.Sign(root); err != nil {
		return done, err
	}
	sealed, err := c.k.locker.sealKey(c.kek, key)
	if err != nil {
		return done, err
	}
	if err := c.tx.ResealSecret(old, sealed); err != nil {
		return done, err
	}
	if err := c.tx.SetMeta(trustKey, signed); err != nil {
		return done, err
	}
	return done, c.note(audit.KeyFeed, done.To, fmt.Sprintf("from=%s trust=%d", done.From, done.Version))
}

// Vouched opens a trust statement that somebody shows. newer says that it replaces the one
// in force, as one does that the store has lost. Reload before.
func (k *Keyring) Vouched(signed string) (t *revocation.Trust, newer bool, err error) {
	t, err = revocation.OpenTrust(k.fixed.root, k.cfg.Issuer, signed)
	return t, err == nil && t.Version > k.voice.Load().version, err
}

// readTrust returns the row of the feed key and the statement that goes with it.
func (k *Keyring) readTrust(tx *store.Tx) (feed store.SecretRow, signed string, err error) {
	if signed, err = tx.Meta(trustKey); err == nil {
		feed, err = firstRow(tx, purposeFeed)
	}
	return feed, signed, err
}

// follow speaks as the store says from now on, if that is newer than what this node
// says. What it cannot open, or the root did not sign, it says once that it leaves.
func (k *Keyring) follow(feed store.SecretRow, signed string) {
	now := k.voice.Load()
	if signed == now.trust || signed == k.unheard {
		return
	}
	next, err := k.hear(feed, signed)
	if errors.Is(err, jwk.ErrUnavailable) { // the token comes back, and it is asked again
		k.cfg.Log.Warn("the new trust statement is not followed yet: the key-encryption key is away", "err", err)
		return
	}
	if err == nil && next.version <= now.version {
		err = errors.New("it is older than the one in force")
	}
	if err != nil {
		k.unheard = signed
		k.cfg.Log.Error("the trust statement in the database is not followed; was a backup put back? then: counterfoil keys rotate --feed", "err", err)
		return
	}
	k.voice.Store(next)
}

func (k *Keyring) hear(feed store.SecretRow, signed string) (*voice, error) {
	trust, err := revocation.OpenTrust(k.fixed.root, k.cfg.Issuer, signed)
	if err != nil {
		return nil, err
	}
	key, err := k.locker.openFor(purposeFeed, feed.Sealed)
	if err != nil {
		return nil, err
	}
	named, err := trust.FeedKeys.Find(key.KeyID(), string(jwk.EdDSA))
	if err != nil {
		return nil, err
	}
	return &voice{key, signed, trust.Version}, sameKey(key, named)
}

// trustKey is where the store keeps the trust statement in force.
const trustKey = "keyring.trust"

// openTrust reads the feed key and the statement in force, which is signed anew with the
// next version when what it says has changed. Verifiers keep the old values beside the new.
func (k *Keyring) openTrust(ctx context.Context, root *jwk.Key) error {
	var v *voice
	err := k.st.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.LockMeta(metaKEK); err != nil { // as who rotates the feed key
			return err
		}
		row, err := firstRow(tx, purposeFeed)
		if err != nil {
			return err
		}
		feed, err := k.locker.openFor(purposeFeed, row.Sealed)
		if err != nil {
			return err
		}
		v, err = k.agree(tx, root, feed)
		return err
	})
	if err != nil {
		return err
	}
	k.voice.Store(v)
	return nil
}

// agree returns the statement in force, or makes it say what this node wants.
func (k *Keyring) agree(tx *store.Tx, root, feed *jwk.Key) (*voice, error) {
	want, err := k.statement(feed)
	if err != nil {
		return nil, err
	}
	signed, err := tx.Meta(trustKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		held, err := revocation.OpenTrust(k.fixed.root, k.cfg.Issuer, signed)
		if err != nil {
			return nil, err
		}
		if k.cfg.WitnessKeys == nil {
			want.WitnessKeys = held.WitnessKeys
		}
		want.Version = held.Version
		if sameTrust(held, want) {
			return &voice{feed, signed, held.Version}, nil
		}
	}
	want.Version++
	if signed, err = want.Sign(root); err != nil {
		return nil, err
	}
	return &voice{feed, signed, want.Version}, tx.SetMeta(trustKey, signed)
}

// statement is what the root vouches for today.
func (k *Keyring) statement(feed *jwk.Key) (*revocation.Trust, error) {
	feed, err := feed.Public()
	if err != nil {
		return nil, err
	}
	feeds, err := jwk.NewSet(feed)
	if err != nil {
		return nil, err
	}
	t := &revocation.Trust{
		Issuer:       k.cfg.Issuer,
		FeedKeys:     feeds,
		HandleKeyIDs: []string{k.fixed.handles.ID()},
		MaxLife:      k.cfg.MaxTokenLife.Truncate(time.Second),
	}
	if k.cfg.WitnessKeys != nil && k.cfg.WitnessKeys.Len() > 0 {
		t.WitnessKeys = k.cfg.WitnessKeys
	}
	return t, nil
}

func sameTrust(a, b *revocation.Trust) bool {
	return sameSet(a.FeedKeys, b.FeedKeys) && sameSet(a.WitnessKeys, b.WitnessKeys) &&
		a.MaxLife == b.MaxLife && slices.Equal(a.HandleKeyIDs, b.HandleKeyIDs)
}

func sameSet(a, b *jwk.Set) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && string(x) == string(y)
}
