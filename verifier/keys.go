package verifier

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
)

// errUnsigned reports metadata that lead to plain keys where the feed says that the
// issuer signs them: somebody on the way has left a line out.
var errUnsigned = errors.New("the issuer signs its key set, and its metadata name only a plain one")

// keySource is where the Verifier's keys are: fixed, or one remote set.
type keySource struct {
	fixed  *jwk.Set
	remote atomic.Pointer[followed]
	signed atomic.Bool   // only a signed set counts: the feed has named one
	floor  atomic.Uint64 // the version that the feed has named
}

// followed is a remote set, and whether it is one that the issuer has signed.
type followed struct {
	*jwks.Remote
	signed bool
}

// usable returns the set that may be believed, or nil.
func (k *keySource) usable() *followed {
	if r := k.remote.Load(); r != nil && (r.signed || !k.signed.Load()) {
		return r
	}
	return nil
}

// Find implements [jwk.Source].
func (k *keySource) Find(kid, alg string) (*jwk.Key, error) {
	if k.fixed != nil {
		return k.fixed.Find(kid, alg)
	}
	if r := k.usable(); r != nil {
		return r.Find(kid, alg)
	}
	return nil, jwks.ErrNoKeys
}

// set returns the keys that Find looks among, or nil while there are none. Another
// set is another pointer.
func (k *keySource) set() *jwk.Set {
	if k.fixed != nil {
		return k.fixed
	}
	if r := k.usable(); r != nil {
		return r.Set()
	}
	return nil
}

func (k *keySource) ready() error {
	if k.fixed != nil {
		return nil
	}
	if r := k.usable(); r != nil {
		return r.Ready()
	}
	if k.remote.Load() != nil {
		return errors.Join(jwks.ErrNoKeys, errUnsigned)
	}
	return jwks.ErrNoKeys
}

// digest names the remote set that is held, for acknowledgements.
func (k *keySource) digest() string {
	if r := k.usable(); r != nil {
		return r.Digest()
	}
	return ""
}

// refresh asks for the remote set, because somebody knows that it has changed.
func (k *keySource) refresh() {
	if r := k.usable(); r != nil {
		r.Refresh()
	}
}

// require says that the issuer signs its key set, which is at this version by now.
// From here on nothing else is believed, and no source is to come with less.
func (k *keySource) require(version uint64) {
	if version == 0 {
		return
	}
	k.signed.Store(true)
	for {
		before := k.floor.Load()
		if version <= before || k.floor.CompareAndSwap(before, version) {
			return
		}
	}
}

// distrust forgets the version that was named by a key that is no longer one of the
// feed's, and asks for a set by one that is.
func (k *keySource) distrust() {
	k.floor.Store(0)
	k.refresh()
}

// ahead reports whether the set that is held is a signed one that is newer.
func (k *keySource) ahead(version uint64) bool {
	r := k.usable()
	return r != nil && version > 0 && r.Version() > version
}

// replace takes next in place of what was followed before, which ends.
func (k *keySource) replace(next *followed) {
	if before := k.remote.Swap(next); before != nil {
		before.Close()
	}
}

// A keyPlace is where the metadata say that the keys are.
type keyPlace struct {
	url  string
	feed *feed // whose keys sign the set; nil: it is plain
}

// follow follows the keys at a place, and no longer those at another. A signed set
// is fetched when the keys of the feed are known. Only adopt calls it.
func (v *Verifier) follow(ctx context.Context, p keyPlace) error {
	if v.place == p {
		return nil
	}
	if v.leave != nil {
		v.leave()
	}
	ctx, v.leave = context.WithCancel(ctx)
	v.place = p
	if p.feed == nil || p.feed.isKeyed() {
		return v.open(ctx, p)
	}
	v.work.Go(func() {
		select {
		case <-p.feed.keyed:
			if err := v.open(ctx, p); err != nil {
				v.noteDiscovery(err)
			}
		case <-ctx.Done():
		}
	})
	return nil
}

// open opens the set at a place. Where another one is in use it stays so until the
// new one is there.
func (v *Verifier) open(ctx context.Context, p keyPlace) error {
	next, err := v.remote(p)
	if err != nil {
		return err
	}
	if before := v.keys.remote.Load(); before == nil || before.Set() == nil || isLoaded(next) {
		v.keys.replace(next)
		return nil
	}
	v.work.Go(func() {
		select {
		case <-next.Loaded():
			v.keys.replace(next)
		case <-ctx.Done():
			next.Close()
		}
	})
	return nil
}

func isLoaded(f *followed) bool {
	select {
	case <-f.Loaded():
		return true
	default:
		return false
	}
}

// remote begins to follow the set at a place.
func (v *Verifier) remote(p keyPlace) (*followed, error) {
	cfg := jwks.Config{
		URL: p.url, AllowPrivate: v.cfg.AllowPrivate, HTTPClient: v.cfg.HTTPClient,
		Algorithm: v.cfg.keyAlgorithm(), StateFile: v.state.file(keysFile), Log: v.cfg.Log,
	}
	if p.feed != nil {
		cfg.Signers, cfg.Issuer, cfg.MinVersion = p.feed, v.cfg.Issuer, v.keys.floor.Load
		cfg.StateFile = v.state.file(signedKeysFile)
	}
	r, err := jwks.Open(cfg)
	if err != nil {
		return nil, err
	}
	return &followed{r, p.feed != nil}, nil
}

// Find finds a feed key, for a set that it has signed. It implements [jwk.Source].
func (f *feed) Find(kid, alg string) (*jwk.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.anchor == nil || f.anchor.FeedKeys() == nil {
		return nil, jwks.ErrNoKeys
	}
	return f.anchor.FeedKeys().Find(kid, alg)
}

// isKeyed reports whether it is known who signs the feed.
func (f *feed) isKeyed() bool {
	select {
	case <-f.keyed:
		return true
	default:
		return false
	}
}

// nowKeyed lets those go on who wait for the keys of the feed. Callers hold f.mu.
func (f *feed) nowKeyed() {
	if f.anchor.FeedKeys() != nil && !f.isKeyed() {
		close(f.keyed)
	}
}
