package forgery

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// killEvery is how long the issuer gives up no second key by itself.
	killEvery = 24 * time.Hour

	// grace is for requests that left with the old token when the last session had
	// its new one. A drill has no sessions.
	grace      = 30 * time.Second
	drillGrace = 2 * time.Second

	// patience is how long after the quarantine another key waits for connected
	// verifiers to hold it: they fetch a new standby within a second, and say so in
	// another. Then it signs without them.
	patience = 2 * time.Second
	askAgain = 50 * time.Millisecond // while they are waited for
)

// advance takes each step that is due, whichever node took those before.
func (d *Desk) advance(ctx context.Context) error {
	var open []store.Incident
	err := d.cfg.Store.View(ctx, func(tx *store.Tx) (err error) {
		open, err = tx.OpenIncidents()
		return err
	})
	if err != nil || len(open) == 0 {
		return err
	}
	var all []error
	for i := range open {
		all = append(all, d.advanceOne(ctx, &open[i]))
	}
	return errors.Join(all...)
}

func (d *Desk) advanceOne(ctx context.Context, in *store.Incident) error {
	var key store.KeyRow
	var now time.Time
	err := d.cfg.Store.View(ctx, func(tx *store.Tx) (err error) {
		if now, err = tx.Now(); err == nil {
			key, err = tx.Key(in.KeyID)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case key.State == keyring.Killed || key.State == keyring.Retired:
		return d.settle(ctx, in.KeyID, "")
	case now.Sub(in.Quarantined) > d.life():
		if err := d.prolong(ctx, in); err != nil {
			return err
		}
	}
	if in.Held {
		return nil
	}
	if in.State == store.IncidentQuarantined && d.awaits(ctx, in, &key, now) {
		time.AfterFunc(askAgain, d.rouse)
		return nil
	}
	switch err := d.trust(ctx, in.KeyID); {
	case errors.Is(err, errDoubt):
		return nil // alarmed already; the answer goes on when they agree again
	case err != nil:
		return err
	case in.State == store.IncidentQuarantined:
		return d.replace(ctx, &key)
	}
	return d.giveUp(ctx, in, &key)
}

// awaits reports whether connected verifiers are about to fetch the key that would
// sign in place of another: thieves who are quick use up standbys faster than
// verifiers learn of them, and clients would be refused for tokens that no verifier
// knows the key of. Until then the quarantine holds: what the thief signs does not
// pass, and what the issuer signs does. One who says for ever that he has not got
// the key gains the same moment each time.
func (d *Desk) awaits(ctx context.Context, in *store.Incident, key *store.KeyRow, now time.Time) bool {
	if key.State != keyring.Active || !within(now, in.Quarantined, patience) {
		return false
	}
	for _, info := range d.cfg.Keyring.Keys() { // the oldest standby is first
		if info.State == keyring.Standby && info.Use == key.Use && string(info.Algorithm) == key.Alg {
			names, err := d.cfg.Waiting(ctx, info.KeyID)
			return err == nil && len(names) > 0
		}
	}
	return false
}

// prolong puts a key into quarantine again, whose end is not near: the log keeps an
// entry no longer than tokens of its time live. That is an alarm again.
func (d *Desk) prolong(ctx context.Context, in *store.Incident) error {
	return d.change(ctx, in.KeyID, in.State, func(tx *store.Tx, now *store.Incident, s *step) error {
		if now.QuarantineSeq != in.QuarantineSeq {
			return nil
		}
		record, err := tx.Revoke(d.revocation(revocation.Key, revocation.Quarantine, in.KeyID))
		if err != nil {
			return err
		}
		now.QuarantineSeq, now.Quarantined = record.Seq, s.at
		s.alarm(KindQuarantined, "again seq="+formatSeq(record.Seq))
		return nil
	})
}

// replace lets the standby sign in place of a key. Who was faster has rotated from
// that very key, and nobody rotates twice.
func (d *Desk) replace(ctx context.Context, key *store.KeyRow) error {
	if key.State == keyring.Active {
		_, err := d.cfg.Keyring.Rotate(ctx, keyring.RotateOptions{
			Algorithm: jwk.Algorithm(key.Alg), From: key.KID, Force: true, Actor: issuerActor,
		})
		if err != nil && !errors.Is(err, keyring.ErrNotActive) && !errors.Is(err, keyring.ErrConflict) {
			return err
		}
	}
	return d.change(ctx, key.KID, store.IncidentQuarantined, func(tx *store.Tx, in *store.Incident, s *step) error {
		rows, err := tx.Keys()
		if err != nil {
			return err
		}
		rotated := false
		for i := range rows {
			switch row := &rows[i]; {
			case row.Use == key.Use && row.Alg == key.Alg && row.State == keyring.Active:
				in.Successor = row.KID
			case row.KID == in.KeyID:
				rotated = !row.Activated.IsZero() && !row.Retired.Before(in.Found)
			}
		}
		if in.Successor == in.KeyID {
			return store.ErrConflict // a rotation failed half-way: begin again
		}
		in.State, in.Switched = store.IncidentSwitched, s.at
		if rotated { // and not: it never signed, or had ceased to
			s.alarm(KindRotated, "successor="+in.Successor)
		}
		return nil
	})
}

// giveUp kills a key once no honest token needs it.
func (d *Desk) giveUp(ctx context.Context, in *store.Incident, key *store.KeyRow) error {
	due, err := d.drained(ctx, in, key)
	if err != nil || !due {
		return err
	}
	entry := d.revocation(revocation.Key, revocation.Absolute, in.KeyID)
	err = d.change(ctx, in.KeyID, store.IncidentSwitched, func(tx *store.Tx, in *store.Incident, s *step) error {
		if in.Held {
			return nil
		}
		if err := d.cfg.Keyring.Lock(tx); err != nil {
			return err
		}
		// The entry before the count: it locks what two nodes that kill at once would
		// share, so that the second counts the first.
		record, err := tx.Revoke(entry)
		if err != nil {
			return err
		}
		if due, err := d.mayKill(tx, in, key, s.at); err != nil || !due {
			return cmp.Or(err, errHeld)
		}
		if err := d.cfg.Keyring.Withdraw(tx, in.KeyID, issuerActor, record.Seq); err != nil {
			return err
		}
		in.State, in.Automatic, in.Killed, in.KillSeq = store.IncidentKilled, true, s.at, record.Seq
		s.alarm(KindKilled, "seq="+formatSeq(record.Seq))
		return nil
	})
	if errors.Is(err, errHeld) {
		return d.hold(ctx, in.KeyID)
	}
	if err != nil {
		return err
	}
	return d.cfg.Keyring.Reload(ctx)
}

// mayKill reports whether the issuer may give up a key by itself. One that never
// signed has no honest token, and to lose it costs nobody anything; unless it has
// begun to sign since it was read.
func (d *Desk) mayKill(tx *store.Tx, in *store.Incident, read *store.KeyRow, now time.Time) (bool, error) {
	key, err := tx.Key(in.KeyID)
	switch {
	case err != nil:
		return false, err
	case key.State != read.State:
		return false, store.ErrConflict
	case in.Drill || key.Activated.IsZero():
		return true, nil
	}
	killed, err := tx.KeysKilledSince(now.Add(-killEvery))
	return killed == 0, err
}

var errHeld = errors.New("another key was given up within a day")

// hold leaves a key to a person.
func (d *Desk) hold(ctx context.Context, kid string) error {
	return d.change(ctx, kid, store.IncidentSwitched, func(_ *store.Tx, in *store.Incident, s *step) error {
		if !in.Held {
			in.Held = true
			s.alarm(KindHeld, "")
		}
		return nil
	})
}

// drained reports whether a key that does not sign any more can go: it has been idle
// for long enough. One that never signed has no request under way.
func (d *Desk) drained(ctx context.Context, in *store.Incident, key *store.KeyRow) (due bool, err error) {
	idle, now, err := d.idle(ctx, in, key)
	switch {
	case err != nil || !idle:
		return false, err
	case key.Activated.IsZero():
		return true, nil
	case in.Drill:
		return !now.Before(in.Switched.Add(drillGrace)), nil
	case in.Drained.IsZero():
		return false, d.change(ctx, in.KeyID, store.IncidentSwitched, func(_ *store.Tx, in *store.Incident, s *step) error {
			in.Drained = s.at
			return nil
		})
	}
	return !now.Before(in.Drained.Add(grace)), nil
}

// idle reports whether no session has its newest access token under a key, at a
// moment of the store. A store that came back from a backup knows of no token that
// was made after it, nor which key had begun to sign: then it waits until all of them
// have died.
func (d *Desk) idle(ctx context.Context, in *store.Incident, key *store.KeyRow) (idle bool, now time.Time, err error) {
	err = d.cfg.Store.View(ctx, func(tx *store.Tx) (err error) {
		if now, err = tx.Now(); err != nil || in.Drill {
			idle = in.Drill
			return err
		}
		dead := now.Add(-d.tokenLife() - skew) // what was made before
		restored, err := tx.Restored()
		if err != nil || restored.After(dead) {
			return err
		}
		if key.Activated.IsZero() {
			idle = true
			return nil
		}
		busy, err := tx.Undrained(lastMint(in, key), dead)
		idle = !busy
		return err
	})
	return idle, now, err
}

// lastMint is a moment after which no token was made under the key. When it had
// ceased to sign long before the incident, that was when the clock of the node which
// rotated said so.
func lastMint(in *store.Incident, key *store.KeyRow) time.Time {
	if stopped := key.Retired.Add(skew); !key.Retired.IsZero() && stopped.Before(in.Switched) {
		return stopped
	}
	return in.Switched
}

// settle ends an incident whose key is gone: somebody killed it, or it has retired.
func (d *Desk) settle(ctx context.Context, kid, actor string) error {
	return d.transact(ctx, func(tx *store.Tx) (*step, error) {
		in, s, err := d.read(tx, kid)
		if err != nil {
			return nil, err
		}
		key, err := tx.Key(kid)
		if err != nil || over(in.State) {
			return s, err
		}
		s.actor, in.Held = actor, false
		switch key.State {
		case keyring.Killed:
			in.State, in.Killed = store.IncidentKilled, s.at
			s.alarm(KindKilled, "by hand")
		case keyring.Retired:
			in.State, in.Closed = store.IncidentClosed, s.at
			s.alarm(KindClosed, "retired")
		default:
			return s, nil
		}
		s.incident = *in
		return s, tx.UpdateIncident(*in)
	})
}

func over(s store.IncidentState) bool { return s == store.IncidentKilled || s == store.IncidentClosed }

// change runs fn on an incident in a transaction and writes the row, as long as the
// incident is in the given state.
func (d *Desk) change(ctx context.Context, kid string, from store.IncidentState, fn func(*store.Tx, *store.Incident, *step) error) error {
	return d.transact(ctx, func(tx *store.Tx) (*step, error) {
		in, s, err := d.read(tx, kid)
		if err != nil || in.State != from {
			return s, err
		}
		if err := fn(tx, in, s); err != nil {
			return nil, err
		}
		s.incident = *in
		return s, tx.UpdateIncident(*in)
	})
}

func (d *Desk) read(tx *store.Tx, kid string) (*store.Incident, *step, error) {
	now, err := tx.Now()
	if err != nil {
		return nil, nil, err
	}
	in, err := tx.Incident(kid)
	return &in, &step{incident: in, at: now}, err
}
