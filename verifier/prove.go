package verifier

import (
	"context"
	"time"
)

const (
	// ProveWait is how long a request waits at most for the auditor to prove a token
	// of a key under quarantine.
	ProveWait = 500 * time.Millisecond
	// maxProving bounds the requests that wait at once.
	maxProving = 1024
)

// prove returns nil for a token whose tag the notary made. The first time it asks
// the auditor and waits for the answer, up to ProveWait.
func (r *reporter) prove(ctx context.Context, t *checked) error {
	if p := t.proof.Load(); p != nil && p.is() == proved {
		return nil
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
	if r.proving >= maxProving {
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
	rep.waiters++
	if r.proving++; r.proving == 1 {
		signal(r.wake) // urgent reports that nobody waited for are urgent again
	}
	r.peaks.proving = max(r.peaks.proving, r.proving)
	return rep, nil
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
	rep.waiters--
	r.proving--
	r.mu.Unlock()
	return err
}
