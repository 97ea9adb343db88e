package keyring

import (
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A Plan says what [Keyring.Scheduled] does next for an algorithm.
type Plan struct {
	Algorithm jwk.Algorithm `json:"alg"`
	From      string        `json:"from,omitempty"` // the kid that signs
	To        string        `json:"to,omitempty"`   // the kid that will; empty: no standby is there
	Ready     time.Time     `json:"ready,omitzero"` // from when on To may be told to sign
	Due       time.Time     `json:"due,omitzero"`   // when To signs if nobody has to be waited for; zero: when told
}

// Plans returns what is next for each algorithm of the ring.
func (k *Keyring) Plans() []Plan {
	var plans []Plan
	for _, alg := range k.cfg.Algorithms {
		plans = append(plans, k.plan(alg))
	}
	return plans
}

func (k *Keyring) plan(alg jwk.Algorithm) Plan {
	p := Plan{Algorithm: alg}
	at := place{UseAccess, alg}
	active, waiting := k.infosIn(at, Active), k.infosIn(at, Standby)
	if len(waiting) > 0 {
		p.To, p.Ready = waiting[0].KeyID, k.ready(waiting[0].Published)
	}
	switch {
	case len(active) == 0:
		p.Due = p.Ready
	case k.cfg.RotateEvery > 0 && p.To != "":
		p.Due = active[0].Activated.Add(k.cfg.RotateEvery)
		for _, t := range []time.Time{p.Ready, waiting[0].Published.Add(k.cfg.StandbyFor)} {
			if p.Due.Before(t) {
				p.Due = t
			}
		}
	}
	if len(active) > 0 {
		p.From = active[0].KeyID
	}
	return p
}

// maxGateWait is how long after it is due a rotation waits for verifiers that do not
// hold the next key. Then it is made without them: one that is broken, or that lies,
// must not keep a key signing for ever.
const maxGateWait = 7 * 24 * time.Hour

// tellWaitingEvery is how often the log says that a rotation waits.
const tellWaitingEvery = 24 * time.Hour

// Scheduled does what is due: it rotates each key that has signed for its time,
// when the standby has been published for its time and the gate names nobody, or has
// named somebody for a week; it
// lets a standby sign where no key does, because one was killed while none could be
// opened; and it makes the standbys that are missing. Where none can be made, those
// that are there take over all the same. The issuer calls it each
// second; it touches the store only when something is due.
//
// All that it goes by is in the store, so that any number of nodes may call it: of
// two that rotate at once one does, and one that was restarted forgets nothing.
func (k *Keyring) Scheduled(ctx context.Context, gate Gate) error {
	all := []error{k.refuseNew(ctx), k.holdStandbys(ctx)}
	for _, alg := range k.cfg.Algorithms {
		if err := k.scheduled(ctx, alg, gate); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

func (k *Keyring) scheduled(ctx context.Context, alg jwk.Algorithm, gate Gate) error {
	at, p := place{UseAccess, alg}, k.plan(alg)
	_, err := k.fill(ctx, at)
	return errors.Join(err, k.rotateDue(ctx, at, p, gate))
}

// rotateDue does what a plan says, if it is time.
func (k *Keyring) rotateDue(ctx context.Context, at place, p Plan, gate Gate) error {
	opt := RotateOptions{Algorithm: at.alg, From: p.From, Gate: gate, Actor: actorSelf}
	switch {
	case p.From == "":
		opt.Force, opt.vacant = true, true
	case p.Due.IsZero() || k.now().Before(p.Due):
		return nil
	default:
		opt.overdue = !k.now().Before(p.Due.Add(maxGateWait))
	}
	done, err := k.Rotate(ctx, opt)
	k.tellWaiting(at, err)
	switch {
	case err == nil && len(done.Left) > 0:
		k.cfg.Log.Warn("another key signs, though verifiers that were waited for do not hold it",
			"alg", at.alg, "from", done.From, "kid", done.To, "verifiers", done.Left)
	case err == nil:
		k.cfg.Log.Info("another key signs", "alg", at.alg, "from", done.From, "kid", done.To)
	case errors.Is(err, ErrNotActive), errors.Is(err, ErrConflict), err == ErrNoActive, isWaiting(err):
		return nil // another node was faster, or the next second will do
	}
	return err
}

func isWaiting(err error) bool {
	if _, ok := errors.AsType[*WaitingError](err); ok {
		return true
	}
	_, ok := errors.AsType[*TooSoonError](err)
	return ok
}

// tellWaiting says in the log that verifiers hold a rotation up: when that
// begins, and once a day while it lasts.
func (k *Keyring) tellWaiting(at place, err error) {
	waiting, is := errors.AsType[*WaitingError](err)
	now := k.now()
	k.mu.Lock()
	tell := is && now.Sub(k.told[at]).Abs() >= tellWaitingEvery
	switch {
	case tell:
		k.told[at] = now
	case !is:
		delete(k.told, at)
	}
	k.mu.Unlock()
	if tell {
		k.cfg.Log.Warn("a rotation waits for verifiers that do not hold the next key; keys rotate --force waits for nobody",
			"kid", waiting.KeyID, "verifiers", waiting.Verifiers, "at_most", maxGateWait)
	}
}
