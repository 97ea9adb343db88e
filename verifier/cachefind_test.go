package verifier

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Two tokens may have one hash. That cannot be brought about from outside, so the
// place of another token is asked for here.
func TestCacheComparesTokens(t *testing.T) {
	keys, now := new(jwk.Set), time.Unix(1_700_000_000, 0)
	c := newCache(64, func() time.Time { return now })
	id := c.id("one")
	c.keep(id, &checked{text: "one", keys: keys, at: now, expiry: now.Add(time.Minute)})
	if c.find(id, "two", keys) != nil {
		t.Error("found by its hash alone")
	}
	if c.find(id, "one", keys) == nil {
		t.Error("not found")
	}
	if c.find(id, "one", new(jwk.Set)) != nil {
		t.Error("found under other keys")
	}
	if c.find(id, "one", keys) != nil {
		t.Error("still there under the keys of then")
	}
}
