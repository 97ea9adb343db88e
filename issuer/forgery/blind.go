package forgery

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

const (
	blindAfter  = time.Minute      // without a tag that was checked, on this node
	unshownFor  = 30 * time.Second // and a token whose tag was called wrong is missed
	unshownRest = time.Hour        // before a reporter is named again

	// maxOwed is how many tokens of one reporter are missed at once. It has reported
	// so many others, or made them up, that it is named in any case.
	maxOwed = 16
)

// sight is what this node knows of its own blindness. A detector that does not work
// looks like one that has nothing to report.
type sight struct {
	mu      sync.Mutex
	checked time.Time            // when a self-test last found a notary that checks, or the first began
	blind   bool                 // and said so
	owed    map[string]*owed     // by reporter
	late    map[string]time.Time // by kid: when a token that came too late was told
}

// An owed is what a reporter was asked for.
type owed struct {
	since map[notary.Record]time.Time // tokens, by their records
	told  time.Time                   // when it was last named
}

// owe notes that a reporter was asked for the token of a record.
func (s *sight) owe(reporter string, r notary.Record, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.owed[reporter]
	if o == nil {
		if len(s.owed) >= maxReporters {
			return
		}
		o = &owed{since: make(map[notary.Record]time.Time)}
		s.owed[reporter] = o
	}
	if _, known := o.since[r]; !known && len(o.since) < maxOwed {
		o.since[r] = now
	}
}

// shown notes that it is known what a token is. That answers whoever was asked for it,
// and for no other.
func (s *sight) shown(r notary.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owed {
		delete(o.since, r)
	}
}

// A missed is a token that did not come.
type missed struct {
	reporter string
	record   notary.Record
	since    time.Time
}

// missing returns the tokens that did not come for too long, one of each reporter that
// was not named lately, and how many more there were. It forgets them, and those of
// whom nothing is left to say.
func (s *sight) missing(now time.Time) (list []missed, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for reporter, o := range s.owed {
		rested := !within(now, o.told, unshownRest)
		for r, since := range o.since {
			if within(now, since, unshownFor) {
				continue
			}
			delete(o.since, r)
			if !rested {
				n++
				continue
			}
			list = append(list, missed{reporter, r, since})
			o.told, rested = now, false
		}
		if rested && len(o.since) == 0 {
			delete(s.owed, reporter)
		}
	}
	return list, n
}

// untold takes back that a token was told to be missing: it is told the next time.
func (s *sight) untold(m missed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.owed[m.reporter]; o != nil {
		o.told, o.since[m.record] = time.Time{}, m.since
	}
}

// tellsLate reports whether a token of a key that came too late is to be told, which is
// so once in a while.
func (s *sight) tellsLate(kid string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if within(now, s.late[kid], unshownRest) {
		return false
	}
	s.late[kid] = now
	return true
}

// untoldLate takes back that one was told.
func (s *sight) untoldLate(kid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.late, kid)
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
	list, n := d.sight.missing(d.cfg.Now())
	d.counts.unshown.Add(uint64(n))
	var all []error
	for _, m := range list {
		if err := d.cryUnshown(ctx, m); err != nil {
			d.sight.untold(m)
			all = append(all, err)
			continue
		}
		d.counts.unshown.Add(1)
	}
	return errors.Join(all...)
}

func (d *Desk) cryUnshown(ctx context.Context, m missed) error {
	kid := m.record.KeyID
	known, err := d.answering(ctx, kid)
	if err != nil || known || d.doubts() {
		return err
	}
	return d.cry(ctx, KindUnshown, &step{incident: store.Incident{KeyID: kid}, reporter: m.reporter})
}

// tooLate deals with a token that has ended, and whose tag is wrong. It proves nothing:
// the secret that made its tag may have been taken out of use since. But whoever held
// its report back, and chose when it ends, may count on that.
func (d *Desk) tooLate(ctx context.Context, key *jwk.Key, reporter string) error {
	switch err := d.trust(ctx, key.KeyID()); {
	case errors.Is(err, errDoubt):
		return nil
	case err != nil:
		return err
	}
	d.counts.late.Add(1)
	if !d.sight.tellsLate(key.KeyID(), d.cfg.Now()) {
		return nil
	}
	err := d.cry(ctx, KindLate, &step{incident: store.Incident{KeyID: key.KeyID()}, reporter: reporter})
	if err != nil {
		d.sight.untoldLate(key.KeyID())
	}
	return err
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
