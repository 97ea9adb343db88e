package issuer

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	jwkset "github.com/counterfoil/counterfoil/jose/jwks"
)

const (
	// maxPublished is how many of the sets published last are remembered, to know what
	// a verifier holds that names one.
	maxPublished = 64
	// epochShift makes room for the changes of one epoch in a version: the sets of a
	// new epoch, after a restore, are above all of those before.
	epochShift  = 20
	maxVersion  = 1<<53 - 1
	renderLimit = 2 * time.Second
	// manifestPatience is how long a manifest waits for the number of a new set.
	manifestPatience = 500 * time.Millisecond
)

// jwks publishes the keys, plainly and signed, and the canaries among verifiers.
type jwks struct {
	st   *store.Store
	keys *keyring.Keyring
	now  func() time.Time

	latest atomic.Pointer[keySet]

	rendering chan struct{} // holds one token while a set is rendered: the others take that one

	mu        sync.Mutex
	published []publishedSet // the oldest first
}

func newJWKS(st *store.Store, keys *keyring.Keyring, now func() time.Time) *jwks {
	return &jwks{st: st, keys: keys, now: now, rendering: make(chan struct{}, 1)}
}

// A keySet is one reading of the keyring, rendered once.
type keySet struct {
	set     *jwk.Set
	feed    *jwk.Key // that signed it
	epoch   uint64
	plain   *document
	signed  *document
	version uint64

	canaries   jsontext.Value // a JWK Set; nil: there are none
	canariesID string
}

// publishedSet tells which keys were in a set that was published.
type publishedSet struct {
	hash string
	set  *jwk.Set
}

// current returns the present key set, rendered for an epoch of the log.
func (j *jwks) current(ctx context.Context, epoch uint64) (*keySet, error) {
	if have := j.rendered(epoch); have != nil {
		return have, nil
	}
	ctx, cancel := context.WithTimeout(ctx, renderLimit)
	defer cancel()
	select {
	case j.rendering <- struct{}{}:
		defer func() { <-j.rendering }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		if have := j.rendered(epoch); have != nil {
			return have, nil
		}
		set, changes := j.read()
		next, err := j.render(ctx, set, epoch, changes)
		if err == nil {
			j.latest.Store(next)
			j.remember(next)
			return next, nil
		}
		if err != errOlder {
			return nil, err
		}
		if err := j.keys.Reload(ctx); err != nil {
			return nil, err
		}
	}
}

// forManifest returns the present key set, or the last one of the epoch while the store
// gives the present one no number: revocations do not wait for a write about keys.
func (j *jwks) forManifest(epoch uint64) (*keySet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), manifestPatience)
	defer cancel()
	keys, err := j.current(ctx, epoch)
	if err == nil {
		return keys, nil
	}
	if last := j.latest.Load(); last != nil && last.epoch == epoch {
		return last, nil
	}
	return nil, err
}

// rendered returns the present key set if somebody has rendered it.
func (j *jwks) rendered(epoch uint64) *keySet {
	if have := j.latest.Load(); have != nil && have.set == j.keys.Public() && have.feed == j.keys.FeedKey() && have.epoch == epoch {
		return have
	}
	return nil
}

// read returns the published keys and how often they had changed by then. A number
// that is the same before and after is that of the set in between.
func (j *jwks) read() (*jwk.Set, uint64) {
	for {
		before, set := j.keys.Version(), j.keys.Public()
		if j.keys.Version() == before {
			return set, before
		}
	}
}

// render writes the set plainly and signed. jwk.Set refuses to render private members.
func (j *jwks) render(ctx context.Context, set *jwk.Set, epoch, changes uint64) (*keySet, error) {
	body, err := set.MarshalJSON()
	if err != nil {
		return nil, err
	}
	k := &keySet{set: set, feed: j.keys.FeedKey(), epoch: epoch, plain: newDocument(body, j.keys.JWKSMaxAge())}
	n, err := j.number(ctx, changes, k.plain.hash)
	if err != nil {
		return nil, err
	}
	k.version = min(epoch<<epochShift+n, maxVersion)
	statement := jwkset.Signed{
		Issuer: j.keys.Issuer(), IssuedAt: j.now(), Version: k.version, KeySet: k.plain.hash, Keys: set,
	}
	signed, err := statement.Sign(k.feed)
	if err != nil {
		return nil, err
	}
	k.signed = newDocument([]byte(signed), j.keys.JWKSMaxAge())
	return k, k.renderCanaries(j.keys.Canaries())
}

func (k *keySet) renderCanaries(set *jwk.Set) error {
	if set == nil || set.Len() == 0 {
		return nil
	}
	body, err := set.MarshalJSON()
	if err != nil {
		return err
	}
	k.canaries, k.canariesID = body, newDocument(body, 0).hash
	return nil
}

// numberKey is where the store keeps what was published last: how often the keys had
// changed, what they were rendered as, and how often the same keys were rendered
// otherwise, since the configuration or this program was another.
const numberKey = "jwks.number"

// number returns the number of a rendered set within its epoch. All nodes agree on
// it, it grows with each change, and it is never that of another set: verifiers
// refuse to go back, and to hold two sets under one version.
func (j *jwks) number(ctx context.Context, changes uint64, hash string) (n uint64, err error) {
	err = j.st.Update(ctx, func(tx *store.Tx) error {
		if err := j.keys.Lock(tx); err != nil { // first: a batch may hold changes of the keys, too
			return err
		}
		if _, err := tx.KeepMeta(numberKey, "0 0 -"); err != nil {
			return err
		}
		last, err := tx.LockMeta(numberKey)
		if err != nil {
			return err
		}
		next, err := renumber(last, changes, hash)
		if err != nil {
			return err
		}
		n = next.changes + next.others
		if next.String() == last {
			return nil
		}
		return tx.SetMeta(numberKey, next.String())
	})
	return n, err
}

type numbered struct {
	changes, others uint64
	hash            string
}

func (n numbered) String() string {
	return strconv.FormatUint(n.changes, 10) + " " + strconv.FormatUint(n.others, 10) + " " + n.hash
}

var (
	errNumber = errors.New("the number of the key set in the store cannot be read")
	errOlder  = errors.New("another node has published newer keys")
)

// renumber says what follows last. The error is errOlder for a node that has read the
// keys before another one changed them.
func renumber(last string, changes uint64, hash string) (numbered, error) {
	fields := strings.Fields(last)
	if len(fields) != 3 {
		return numbered{}, errNumber
	}
	held, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return numbered{}, errNumber
	}
	others, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return numbered{}, errNumber
	}
	switch {
	case changes < held:
		return numbered{}, errOlder
	case changes == held && hash != fields[2]:
		others++
	}
	return numbered{changes, others, hash}, nil
}

func (j *jwks) remember(k *keySet) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.published); n > 0 && j.published[n-1].hash == k.plain.hash {
		return // the same for another epoch
	}
	j.published = append(j.published, publishedSet{k.plain.hash, k.set})
	j.published = j.published[max(0, len(j.published)-maxPublished):]
}

// has reports whether the set with a hash was published lately and holds a key.
func (j *jwks) has(hash, kid string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range j.published {
		if p.hash == hash {
			return holds(p.set, kid)
		}
	}
	return false
}

func holds(set *jwk.Set, kid string) bool {
	for _, key := range set.Keys() {
		if key.KeyID() == kid {
			return true
		}
	}
	return false
}

// jwks serves GET /jwks.
func (i *Issuer) jwks(w http.ResponseWriter, r *http.Request) error {
	keys, err := i.keySet(r.Context())
	if err != nil {
		return err
	}
	return keys.plain.serve(w, r, "application/jwk-set+json")
}

// signedJWKS serves GET /jwks.jwt: the same keys, signed by the feed key.
func (i *Issuer) signedJWKS(w http.ResponseWriter, r *http.Request) error {
	keys, err := i.keySet(r.Context())
	if err != nil {
		return err
	}
	return keys.signed.serve(w, r, jwkset.SignedMediaType)
}

func (i *Issuer) keySet(ctx context.Context) (*keySet, error) {
	keys, err := i.hub.jwks.current(ctx, i.hub.latest.Load().head.Epoch)
	if err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}
