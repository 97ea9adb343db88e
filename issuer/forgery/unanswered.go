package forgery

import (
	"context"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

const (
	// settled is for how long this node has to have checked tags before a verifier whose
	// reports are not answered is somebody else's trouble.
	settled = 10 * time.Second
	// cutRest lies between two alarms about one reporter: one whose path comes and goes,
	// or who makes it up, is told of once.
	cutRest = time.Hour
	// maxCut bounds the reporters that are told of at one time. Where there are more,
	// something is broken that is not at a verifier; all are counted and in the fleet view.
	maxCut = 16
)

// A Reporting is how the reports of one connected verifier fare, by its own word. It is
// neither answered nor cut while that is to be seen.
type Reporting struct {
	Reporter string // credential
	Instance string // process, as it calls itself
	Answered bool
	Cut      bool // no answer has reached it for too long
}

// cuts are the reporters that are, or lately were, told of. Each credential is one, so
// that its holder gains nothing by more instances.
type cuts struct {
	mu    sync.Mutex
	since time.Time // that this node has checked tags without a break; zero when it does not
	of    map[string]cut
}

type cut struct {
	at       time.Time // of the alarm
	instance string
	open     bool // and it is not over
}

// checks notes whether this node checks tags.
func (c *cuts) checks(yes bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !yes:
		c.since = time.Time{}
	case c.since.IsZero() || c.since.After(now):
		c.since = now
	}
}

// A change is what there is to say of a reporter.
type change struct {
	kind               Kind
	reporter, instance string
}

// changes returns what there is to say. Nothing is said while, or shortly after, this
// node could not have answered.
func (c *cuts) changes(list []Reporting, now time.Time) (say []change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() || now.Sub(c.since) < settled {
		return nil
	}
	open := c.tidy(now)
	broken, whole := make(map[string]string), make(map[string]bool)
	for _, r := range list {
		if _, known := broken[r.Reporter]; r.Cut && !known {
			broken[r.Reporter] = r.Instance
		}
		whole[r.Reporter] = whole[r.Reporter] || r.Answered
	}
	for _, r := range list {
		instance, cutNow := broken[r.Reporter]
		was, known := c.of[r.Reporter]
		switch {
		case cutNow && !known && open < maxCut && r.Instance == instance:
			say, open = append(say, change{KindBlind, r.Reporter, instance}), open+1
		case !cutNow && was.open && whole[r.Reporter]:
			say = append(say, change{KindSeeing, r.Reporter, was.instance})
			whole[r.Reporter] = false // said once
		}
	}
	return say
}

// tidy forgets those of whom nothing is left to say, and counts those that are open.
// Callers hold c.mu.
func (c *cuts) tidy(now time.Time) (open int) {
	for reporter, was := range c.of {
		switch {
		case was.open:
			open++
		case !within(now, was.at, cutRest):
			delete(c.of, reporter)
		}
	}
	return open
}

// said notes that a change was told.
func (c *cuts) said(ch change, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[string]cut)
	}
	was := c.of[ch.reporter]
	if ch.kind == KindBlind {
		was = cut{at: now, instance: ch.instance}
	}
	was.open = ch.kind == KindBlind
	c.of[ch.reporter] = was
}

// lookForCut alarms about verifiers that are connected and whose reports are not
// answered: somebody who stands between has switched detection off there.
func (d *Desk) lookForCut(ctx context.Context) error {
	now := d.cfg.Now()
	for _, ch := range d.cuts.changes(d.cfg.Reporting(), now) {
		s := &step{incident: store.Incident{KeyID: ProbeKeyID}, reporter: ch.reporter, instance: ch.instance}
		if err := d.cry(ctx, ch.kind, s); err != nil {
			return err
		}
		d.cuts.said(ch, now)
	}
	return nil
}
