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

// Scheduled does what is due: it rotates each key that has signed for its time,
// when the standby has been published for its time and the gate names nobody; it
// lets a standby sign where no key does, because one was killed while none could be
// opened; and it makes the standbys that are missing. The issuer calls it each
// second; it touches the store only when something is due.
//
// All that it goes by is in the store, so that any number of nodes may call it: of
// two that rotate at once one does, and one that was restarted forgets nothing.
func (k *Keyring) Scheduled(ctx context.Context, gate Gate) error {
	all := []error{k.holdStandbys(ctx)}
	for _, alg := range k.cfg.Algorithms {
		if err := k.scheduled(ctx, alg, gate); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

func (k *Keyring) scheduled(ctx context.Context, alg jwk.Algorithm, gate Gate) error {
	at, p := place{UseAccess, alg}, k.plan(alg)
	if len(k.infosIn(at, Standby)) < standbys {
		if _, err := k.fill(ctx, at); err != nil {
			return err
		}
	}
	opt := RotateOptions{Algorithm: alg, From: p.From, Gate: gate, Actor: actorSelf}
	switch {
	case p.From == "":
		opt.Force, opt.vacant = true, true
	case p.Due.IsZero() || k.now().Before(p.Due):
		return nil
	}
	done, err := k.Rotate(ctx, opt)
	k.tellWaiting(at, err)
	switch {
	case err == nil:
		k.cfg.Log.Info("another key signs", "alg", alg, "from", done.From, "kid", done.To)
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

// tellWaiting says in the log that verifiers hold a rotation up, when that begins.
func (k *Keyring) tellWaiting(at place, err error) {
	waiting, is := errors.AsType[*WaitingError](err)
	k.mu.Lock()
	before := k.told[at]
	k.told[at] = is
	k.mu.Unlock()
	if is && !before {
		k.cfg.Log.Warn("a rotation waits for verifiers that do not hold the next key; keys rotate --force waits for nobody",
			"kid", waiting.KeyID, "verifiers", waiting.Verifiers)
	}
}
