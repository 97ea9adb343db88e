package verifier

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil/notary"
)

const (
	// ProveWait is how long a request waits at most for the auditor to prove a token
	// of a key under quarantine.
	ProveWait = 500 * time.Millisecond
	// maxPlaces bounds the tokens that are waited for at once: as many as one report
	// holds. All have a signature that verifies; nothing else tells those of a thief from
	// those of others before the auditor does.
	maxPlaces = notary.MaxRecords
	// maxProving bounds the requests that wait at once, and maxProvingToken those with
	// one token, which has one place.
	maxProving      = 4 * maxPlaces
	maxProvingToken = 1024
)

// prove returns nil for a token whose tag the notary made. The first time it asks
// the auditor and waits for the answer, up to ProveWait.
func (r *reporter) prove(ctx context.Context, t *checked) error {
	if p := t.proof.Load(); p != nil {
		switch p.is() { // of a forged one that comes again, nothing new is to be learned
		case proved:
			return nil
		case disproved, exhibited:
			r.counts.forged.Add(1)
			return ErrForged
		}
	}
	if !isTagged(t.Key()) {
		return r.unproved()
	}
	rep, p := r.press(t)
	if rep != nil {
		if err := r.await(ctx, rep); err != nil {
			return err
		}
		p = rep.proof
	}
	if p == nil {
		return r.unproved()
	}
	t.proof.Store(p.settle())
	switch p.is() {
	case proved:
		return nil
	case disproved, exhibited:
		r.counts.forged.Add(1)
		return ErrForged
	}
	return r.unproved()
}

func (r *reporter) unproved() error {
	r.counts.unproved.Add(1)
	return ErrUnproved
}

// press makes the report of a token an urgent one, and counts the caller as waiting
// for it. Where nobody needs to wait it returns the token's proof instead, or nil if
// too many do.
func (r *reporter) press(t *checked) (*report, *proof) {
	id, _ := r.name(t.SigningInput())
	if state := r.seen.find(id); state != unreported {
		return nil, finalProofs[state]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.exhibits.find(id); e != nil {
		return nil, e.proof
	}
	if r.proving >= maxProving || !r.hasPlace(id) {
		return nil, nil
	}
	rep := r.add(report{id: id, kid: t.Key().KeyID(), text: t.text, expiry: r.until(t.expiry)}, &r.urgent)
	if rep == nil {
		return nil, nil
	}
	if rep.done == nil {
		rep.done = make(chan struct{})
	}
	if rep.list == &r.ordinary || rep.list == &r.later {
		rep.list.remove(rep)
		r.schedule(rep, &r.urgent)
	}
	if rep.waiters++; rep.waiters == 1 {
		r.places++
	}
	if r.proving++; r.proving == 1 {
		signal(r.wake) // urgent reports that nobody waited for are urgent again
	}
	r.peaks.proving = max(r.peaks.proving, r.proving)
	return rep, nil
}

// hasPlace reports whether one more request may wait for a token. Callers hold r.mu.
func (r *reporter) hasPlace(id seenID) bool {
	if rep := r.open[id]; rep != nil && rep.waiters > 0 {
		return rep.waiters < maxProvingToken
	}
	return r.places < maxPlaces
}

// await waits for the verdict.
func (r *reporter) await(ctx context.Context, rep *report) error {
	timer := time.NewTimer(ProveWait)
	defer timer.Stop()
	var err error
	select {
	case <-rep.done:
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.mu.Lock()
	if rep.waiters--; rep.waiters == 0 {
		r.places--
	}
	r.proving--
	r.mu.Unlock()
	return err
}
