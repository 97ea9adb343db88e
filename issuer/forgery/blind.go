package forgery

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

const (
	blindAfter  = time.Minute      // without a tag that was checked, on this node
	unshownFor  = 30 * time.Second // and a token whose tag was called wrong is missed
	unshownRest = time.Hour        // before a reporter is named again
)

// sight is what this node knows of its own blindness. A detector that does not work
// looks like one that has nothing to report.
type sight struct {
	mu      sync.Mutex
	checked time.Time // when a self-test last found a notary that checks, or the first began
	blind   bool      // and said so
	owed    map[string]owed
}

// An owed is a token that a reporter was asked for.
type owed struct {
	kid   string
	since time.Time // zero: it was shown, or its absence told
	told  time.Time
}

// owe notes that a reporter was asked for a token.
func (s *sight) owe(reporter, kid string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, known := s.owed[reporter]
	if !o.since.IsZero() || !known && len(s.owed) >= maxReporters {
		return
	}
	if s.owed == nil {
		s.owed = make(map[string]owed)
	}
	o.kid, o.since = kid, now
	s.owed[reporter] = o
}

// shown notes that a reporter has shown one.
func (s *sight) shown(reporter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.owed[reporter]; ok {
		o.since = time.Time{}
		s.owed[reporter] = o
	}
}

// missing returns who has owed a token for too long, by reporter, and forgets those of
// whom nothing is left to say.
func (s *sight) missing(now time.Time) map[string]owed {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make(map[string]owed)
	for reporter, o := range s.owed {
		rested := !within(now, o.told, unshownRest)
		switch {
		case o.since.IsZero() && rested:
			delete(s.owed, reporter)
		case !o.since.IsZero() && !within(now, o.since, unshownFor):
			if rested {
				list[reporter] = o
				o.told = now
			}
			o.since = time.Time{}
			s.owed[reporter] = o
		}
	}
	return list
}

// look alarms when this node has become blind, and when it sees again. checked says
// that a notary has just checked tags.
func (d *Desk) look(ctx context.Context, checked bool) error {
	now := d.cfg.Now()
	d.cuts.checks(checked, now)
	d.sight.mu.Lock()
	if checked || d.sight.checked.IsZero() || d.sight.checked.After(now) {
		d.sight.checked = now
	}
	blind := !checked && (d.sight.blind || now.Sub(d.sight.checked) >= blindAfter)
	turned := blind != d.sight.blind
	d.sight.blind = blind
	d.sight.mu.Unlock()
	if !turned {
		return nil
	}
	kind := KindSeeing
	if blind {
		kind = KindBlind
	}
	err := d.cry(ctx, kind, &step{incident: store.Incident{KeyID: ProbeKeyID}})
	if err != nil {
		d.sight.mu.Lock()
		d.sight.blind = !blind // it is said the next time
		d.sight.mu.Unlock()
	}
	return err
}

// lookForUnshown alarms about tokens that were asked for and did not come, to any
// node: one that came to another began the incident of its key.
func (d *Desk) lookForUnshown(ctx context.Context) error {
	for reporter, o := range d.sight.missing(d.cfg.Now()) {
		known, err := d.answering(ctx, o.kid)
		if err != nil {
			return err
		}
		if known || d.doubts() {
			continue
		}
		if err := d.cry(ctx, KindBlind, &step{incident: store.Incident{KeyID: o.kid}, reporter: reporter}); err != nil {
			return err
		}
	}
	return nil
}

// cry raises an alarm that belongs to no incident.
func (d *Desk) cry(ctx context.Context, kind Kind, s *step) error {
	return d.transact(ctx, func(tx *store.Tx) (*step, error) {
		now, err := tx.Now()
		if err != nil {
			return nil, err
		}
		s.at, s.alarms = now, nil
		detail := ""
		if s.reporter != "" {
			detail = "reporter=" + s.reporter
		}
		if s.instance != "" {
			detail += " instance=" + strconv.Quote(s.instance)
		}
		s.alarm(kind, detail)
		return s, nil
	})
}

// answering reports whether a key has an incident that is not over.
func (d *Desk) answering(ctx context.Context, kid string) (open bool, err error) {
	err = d.cfg.Store.View(ctx, func(tx *store.Tx) error {
		in, err := tx.Incident(kid)
		open = err == nil && in.State != store.IncidentClosed
		return ignore(store.ErrNotFound, err)
	})
	return open, err
}
