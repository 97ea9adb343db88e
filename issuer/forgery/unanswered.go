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
	// wholeFor is for how long reports have to be answered before that is told. One whose
	// path comes and goes, or who makes it up, is told of once, and the last word about one
	// that is cut off is never that it is not.
	wholeFor = 10 * time.Minute
	// awayFor is how long a reporter that is not connected is remembered.
	awayFor = time.Hour
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

// cuts are the reporters that were told of. Each credential is one, so
// that its holder gains nothing by more instances.
type cuts struct {
	mu    sync.Mutex
	since time.Time // that this node has checked tags without a break; zero when it does not
	of    map[string]cut
}

type cut struct {
	instance string
	whole    time.Time // since when its reports are answered again; zero while they are not
	heard    time.Time // when it was last connected
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
	broken, whole := make(map[string]string), make(map[string]bool)
	for _, r := range list {
		if _, known := broken[r.Reporter]; r.Cut && !known {
			broken[r.Reporter] = r.Instance
		}
		whole[r.Reporter] = whole[r.Reporter] || r.Answered
	}
	for reporter, was := range c.of {
		_, cutNow := broken[reporter]
		if _, connected := whole[reporter]; connected {
			was.heard = now
		}
		switch {
		case !within(now, was.heard, awayFor):
			delete(c.of, reporter)
			continue
		case cutNow:
			was.whole = time.Time{}
		case whole[reporter] && (was.whole.IsZero() || was.whole.After(now)):
			was.whole = now
		case whole[reporter] && now.Sub(was.whole) >= wholeFor:
			say = append(say, change{KindSeeing, reporter, was.instance})
		}
		c.of[reporter] = was
	}
	for reporter, instance := range broken {
		if _, known := c.of[reporter]; !known && len(c.of)+len(say) < maxCut {
			say = append(say, change{KindBlind, reporter, instance})
		}
	}
	return say
}

// said notes that a change was told.
func (c *cuts) said(ch change, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[string]cut)
	}
	if ch.kind == KindBlind {
		c.of[ch.reporter] = cut{instance: ch.instance, heard: now}
	} else {
		delete(c.of, ch.reporter)
	}
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
