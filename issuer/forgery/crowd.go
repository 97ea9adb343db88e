package forgery

import (
	"context"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// A crowd counts the forged tokens of a key beyond those that the store keeps one by
// one, and has what they say, and who has shown which, until that is in the store.
type crowd struct {
	mu      sync.Mutex
	looked  map[string]time.Time // by kid: when the store had enough
	pending map[string]uint64    // by kid: not yet added to the incident
	heard   map[sighting]store.Trace
}

// A sighting is that a reporter has shown a token.
type sighting struct {
	token    mark
	reporter string
}

// maxHeard is how many sightings wait for the store. Further ones are left out.
const maxHeard = store.MaxTraces

func newCrowd() crowd {
	return crowd{looked: make(map[string]time.Time), pending: make(map[string]uint64), heard: make(map[sighting]store.Trace)}
}

// full notes that the store takes no more tokens of a key.
func (c *crowd) full(kid string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
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
func (c *crowd) add(f *finding) {
	c.hear(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[f.keyID]++
}

// hear notes who has shown a token.
func (c *crowd) hear(f *finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := sighting{f.mark(), f.reporter}
	if _, known := c.heard[s]; known || len(c.heard) >= maxHeard {
		return
	}
	c.heard[s] = f.trace()
}

// take empties the crowd.
func (c *crowd) take() (numbers map[string]uint64, heard map[sighting]store.Trace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	numbers, heard = c.pending, c.heard
	c.pending, c.heard = make(map[string]uint64), make(map[sighting]store.Trace)
	return numbers, heard
}

// giveBack adds numbers again that could not be written, and what there is room for of
// the rest.
func (c *crowd) giveBack(numbers map[string]uint64, heard map[sighting]store.Trace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for kid, n := range c.pending {
		numbers[kid] += n
	}
	for s, trace := range c.heard {
		if len(heard) < maxHeard {
			heard[s] = trace
		}
	}
	c.pending, c.heard = numbers, heard
}

// settleCrowd adds what was counted in memory to the incidents.
func (d *Desk) settleCrowd(ctx context.Context) error {
	numbers, heard := d.crowd.take()
	if len(numbers)+len(heard) == 0 {
		return nil
	}
	err := d.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Now()
		for kid, n := range numbers {
			if err == nil {
				err = tx.CountForgeries(kid, n, now)
			}
		}
		for _, trace := range heard {
			if err == nil {
				err = keepTrace(tx, trace, now)
			}
		}
		return err
	})
	if err != nil {
		d.crowd.giveBack(numbers, heard)
	}
	return err
}
