package verifier

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// DefaultCacheTokens is how many verified tokens a Verifier remembers. One of
	// 600 bytes holds some 2 KiB of memory, together 32 MiB, and one that is longer
	// 2.6 bytes more for each.
	DefaultCacheTokens = 16 << 10

	cacheShards = 32
	// evictionSample is how many tokens are looked at to find the one that goes:
	// the one that expires first.
	evictionSample = 4
)

// A cache remembers tokens that passed verification, so that one that comes
// again costs a hash and a look-up in place of a signature check. It answers for
// form, signature and claims only: whether a token is revoked is looked up each
// time, and its key must still be the key that it was verified with.
//
// It is keyed by an HMAC, under a secret of this process, over the whole token,
// signature included: nobody can aim at an entry, and what was never verified is
// never found. Only verified tokens go in.
type cache struct {
	hashes sync.Pool // of *cacheHash
	now    func() time.Time
	shards [cacheShards]cacheShard
}

type cacheID [sha256.Size]byte

type cacheShard struct {
	limit int

	mu   sync.Mutex
	held map[cacheID]*checked
}

// checked is a token that passed verification, with what later checks need.
type checked struct {
	*jwt.Token[Access]
	at      time.Time // when, by the policy's clock
	targets atomic.Pointer[preparedTargets]
}

// preparedTargets are a token's targets under the handle keys of a lookup.
type preparedTargets struct {
	lookup *lookup
	list   []revocation.Target
}

// cacheHash is a keyed hash and room for its input.
type cacheHash struct {
	hash.Hash
	input []byte
}

// newCache returns a cache of up to limit tokens.
func newCache(limit int, now func() time.Time) *cache {
	c := &cache{now: now}
	var secret [sha256.Size]byte
	rand.Read(secret[:]) // never fails
	c.hashes.New = func() any { return &cacheHash{Hash: hmac.New(sha256.New, secret[:])} }
	for i := range c.shards {
		c.shards[i] = cacheShard{limit: max(1, limit/cacheShards), held: make(map[cacheID]*checked)}
	}
	return c
}

func (c *cache) id(token string) (id cacheID) {
	h := c.hashes.Get().(*cacheHash)
	h.Reset()
	h.input = append(h.input[:0], token...)
	h.Write(h.input)
	h.Sum(id[:0])
	c.hashes.Put(h)
	return id
}

func (c *cache) shard(id cacheID) *cacheShard { return &c.shards[id[0]%cacheShards] }

// find returns a token that was verified before and would be verified again: its
// key is still the one that keys has for it, and neither has it expired nor has
// the clock gone back behind the verification. Whatever is not clear, the leeway
// beyond "exp" included, is left to verification proper, which also knows the
// right error.
func (c *cache) find(id cacheID, keys *keySource) *checked {
	s := c.shard(id)
	s.mu.Lock()
	t := s.held[id]
	s.mu.Unlock()
	if t == nil {
		return nil
	}
	h := t.Header()
	key, err := keys.Find(h.KeyID, string(h.Algorithm))
	now := c.now()
	if err == nil && key == t.Key() && !now.Before(t.at) && now.Before(t.Expiry()) {
		return t
	}
	s.mu.Lock()
	delete(s.held, id)
	s.mu.Unlock()
	return nil
}

// keep remembers a token that was just verified. A full shard gives up the one
// of a few that expires first.
func (c *cache) keep(id cacheID, t *checked) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.held[id]; !ok && len(s.held) >= s.limit {
		s.evict()
	}
	s.held[id] = t
}

func (s *cacheShard) evict() {
	var first cacheID
	var expiry time.Time
	looked := 0
	for id, t := range s.held { // in an order that is different each time
		if looked == 0 || t.Expiry().Before(expiry) {
			first, expiry = id, t.Expiry()
		}
		if looked++; looked == evictionSample {
			break
		}
	}
	delete(s.held, first)
}

// len returns how many tokens are held.
func (c *cache) len() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.held)
		s.mu.Unlock()
	}
	return n
}

// verified returns a token that is good but for revocation: from the cache, or
// by verifying it.
func (v *Verifier) verified(token string) (*checked, error) {
	if v.cache == nil || len(token) > jws.MaxToken {
		return v.verifyAnew(token)
	}
	id := v.cache.id(token)
	if t := v.cache.find(id, &v.keys); t != nil {
		v.cached.Add(1)
		return t, nil
	}
	t, err := v.verifyAnew(token)
	if err == nil {
		v.cache.keep(id, t)
	}
	return t, err
}

func (v *Verifier) verifyAnew(token string) (*checked, error) {
	at := v.policy.Now()
	t, err := jwt.Verify[Access](v.policy, &v.keys, token)
	if err != nil {
		return nil, err
	}
	return &checked{Token: t, at: at}, nil
}
