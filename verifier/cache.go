package verifier

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// DefaultCacheTokens is how many verified tokens a Verifier remembers, together
	// 32 MiB. One that is longer than usual takes the place of several.
	DefaultCacheTokens = 16 << 10

	// What a token holds of memory: so much when it is of the usual length, and for
	// each byte beyond that so many tenths of a byte (BenchmarkCacheMemory).
	usualToken   = 600
	usualHolds   = 2 << 10
	tenthsBeyond = 26

	cacheShards = 32
	// evictionSample is how many tokens are looked at to find the one that goes:
	// the one that expires first.
	evictionSample = 4
)

// A cache remembers tokens that passed verification, so that one that comes
// again costs a hash and a look-up in place of a signature check. It answers for
// form, signature and claims only: whether a token is revoked is looked up each
// time, and the keys must still be those that it was verified with.
//
// A token is found by a hash of all of it, signature included, under a secret of
// this process, so that nobody can aim at an entry. It is the same token if it has
// the same bytes: the hash alone decides nothing. Only verified tokens go in.
type cache struct {
	seed   maphash.Seed // the secret
	now    func() time.Time
	shards [cacheShards]cacheShard
}

type cacheID uint64

type cacheShard struct {
	limit int // tokens of the usual length

	mu   sync.Mutex
	held map[cacheID]*checked
	used int // bytes of memory
}

// checked is a token that passed verification, with what later checks need: what
// they all look at stands close together.
type checked struct {
	*jwt.Token[Access]
	text    string    // as it came
	keys    *jwk.Set  // that it was verified with
	at      time.Time // when, by the policy's clock
	expiry  time.Time
	targets atomic.Pointer[preparedTargets]
	proof   atomic.Pointer[proof] // nil until the token is noted
}

// preparedTargets are a token's targets under the handle keys of a lookup, and what
// its witness is worth under the witness keys of it.
type preparedTargets struct {
	lookup  *lookup
	list    []revocation.Target
	witness testimony
}

// holds is how many bytes of memory a remembered token takes.
func (t *checked) holds() int {
	return usualHolds + max(0, len(t.text)-usualToken)*tenthsBeyond/10
}

// newCache returns a cache of up to limit tokens.
func newCache(limit int, now func() time.Time) *cache {
	c := &cache{seed: maphash.MakeSeed(), now: now}
	for i := range c.shards {
		c.shards[i] = cacheShard{limit: max(1, limit/cacheShards), held: make(map[cacheID]*checked)}
	}
	return c
}

func (c *cache) id(token string) cacheID { return cacheID(maphash.String(c.seed, token)) }

func (c *cache) shard(id cacheID) *cacheShard { return &c.shards[id%cacheShards] }

// find returns a token that was verified before and would be verified again: the
// keys are still those of then, and neither has it expired nor has the clock gone
// back behind the verification. Whatever is not clear, the leeway beyond "exp"
// included, is left to verification proper, which also knows the right error.
func (c *cache) find(id cacheID, token string, keys *jwk.Set) *checked {
	s := c.shard(id)
	s.mu.Lock()
	t := s.held[id]
	s.mu.Unlock()
	if t == nil || t.text != token {
		return nil
	}
	now := c.now()
	if keys != nil && t.keys == keys && !now.Before(t.at) && now.Before(t.expiry) {
		return t
	}
	s.mu.Lock()
	s.forget(id)
	s.mu.Unlock()
	return nil
}

// keep remembers a token that was just verified. A full shard gives up those of a
// few that expire first.
func (c *cache) keep(id cacheID, t *checked) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(id)
	for len(s.held) > 0 && s.used+t.holds() > s.limit*usualHolds {
		s.evict()
	}
	s.held[id] = t
	s.used += t.holds()
}

// forget gives a token up, if it is there.
func (s *cacheShard) forget(id cacheID) {
	if t, ok := s.held[id]; ok {
		s.used -= t.holds()
		delete(s.held, id)
	}
}

func (s *cacheShard) evict() {
	var first cacheID
	var expiry time.Time
	looked := 0
	for id, t := range s.held { // in an order that is different each time
		if looked == 0 || t.expiry.Before(expiry) {
			first, expiry = id, t.expiry
		}
		if looked++; looked == evictionSample {
			break
		}
	}
	s.forget(first)
}

// size returns how many tokens are held, and in how many bytes of memory.
func (c *cache) size() (tokens, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		tokens, bytes = tokens+len(s.held), bytes+s.used
		s.mu.Unlock()
	}
	return tokens, bytes
}

// verified returns a token that is good but for revocation: from the cache, or
// by verifying it.
func (v *Verifier) verified(token string) (*checked, error) {
	if v.cache == nil || len(token) > jws.MaxToken {
		return v.verifyAnew(token)
	}
	id := v.cache.id(token)
	if t := v.cache.find(id, token, v.keys.set()); t != nil {
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
	// Before the verification: if the set is replaced meanwhile, the token is
	// not found again, instead of found under keys that it was not verified with.
	keys, at := v.keys.set(), v.policy.Now()
	token = strings.Clone(token) // which may be a little of something long, that we would keep
	t, err := jwt.Verify[Access](v.policy, &v.keys, token)
	if err != nil {
		return nil, v.suspect(token, err)
	}
	return &checked{Token: t, text: token, keys: keys, at: at, expiry: t.Expiry()}, nil
}
