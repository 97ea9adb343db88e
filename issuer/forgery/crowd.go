package forgery

import (
	"context"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// A crowd counts the forged tokens of a key beyond those that the store keeps one by
// one. It has one number for each such key.
type crowd struct {
	mu      sync.Mutex
	looked  map[string]time.Time // by kid: when the store had enough
	pending map[string]uint64    // by kid: not yet added to the incident
}

// full notes that the store takes no more tokens of a key.
func (c *crowd) full(kid string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looked == nil {
		c.looked, c.pending = make(map[string]time.Time), make(map[string]uint64)
	}
	c.looked[kid] = now
}

// counts reports whether a token of a key is only to be counted. The store is asked
// again now and then: a person may have closed the incident.
func (c *crowd) counts(kid string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return within(now, c.looked[kid], rhythm)
}

// clear forgets of which keys the store has enough.
func (c *crowd) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.looked)
}

// add counts one more token of a key.
func (c *crowd) add(kid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[kid]++
}

// take empties the numbers.
func (c *crowd) take() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		return nil
	}
	taken := c.pending
	c.pending = make(map[string]uint64)
	return taken
}

// giveBack adds numbers again that could not be written.
func (c *crowd) giveBack(numbers map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for kid, n := range numbers {
		c.pending[kid] += n
	}
}

// settleCrowd adds what was counted in memory to the incidents.
func (d *Desk) settleCrowd(ctx context.Context) error {
	numbers := d.crowd.take()
	if numbers == nil {
		return nil
	}
	err := d.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Now()
		for kid, n := range numbers {
			if err == nil {
				err = tx.CountForgeries(kid, n, now)
			}
		}
		return err
	})
	if err != nil {
		d.crowd.giveBack(numbers)
	}
	return err
}
