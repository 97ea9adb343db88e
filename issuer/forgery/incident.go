package forgery

import (
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// maxTries is how often a step begins again because another node was faster.
const maxTries = 8

// beginLimit bounds the first step of an answer.
const beginLimit = 5 * time.Second

// found deals with a token that was forged. When it returns Forged or Canary, the
// token is in the store or counted.
func (d *Desk) found(ctx context.Context, f *finding) (Verdict, error) {
	if d.judged.has(f.mark()) {
		d.crowd.hear(f)
		return f.verdict, nil
	}
	counts := d.crowd.counts(f.keyID, d.cfg.Now()) && !d.doubts()
	if f.verdict == Forged && !counts {
		switch err := d.trust(ctx, f.keyID); {
		case errors.Is(err, errDoubt):
			return Unknown, nil
		case err != nil:
			return "", err
		}
	}
	if !counts {
		if err := d.begin(ctx, f); err != nil {
			return "", err
		}
	}
	switch { // only now: who is told that the token is known does not show it again
	case !d.judged.add(f.mark()): // another request was faster
		return f.verdict, nil
	case counts:
		d.crowd.add(f)
	}
	if f.verdict == Canary {
		d.counts.canaries.Add(1)
	} else {
		d.counts.forged.Add(1)
	}
	return f.verdict, nil
}

// begin takes the first step of the answer, all of it in one transaction: entries for
// token and key, the incident, the audit trail and the alarms. It takes its time even
// if whoever showed the token has gone. Of a token that is in the store already
// nothing is done.
//
// The alarm does not depend on the log: where that takes no entry, it is raised alone.
// The error is the log's nevertheless, so that the token is shown again, and answered
// when the log takes entries.
func (d *Desk) begin(ctx context.Context, f *finding) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beginLimit)
	defer cancel()
	err := d.open(ctx, f, false)
	switch {
	case err == nil, errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return err
	}
	return errors.Join(err, d.open(ctx, f, true))
}

// open writes an opening, without entries where the log takes none.
func (d *Desk) open(ctx context.Context, f *finding, barred bool) error {
	var o *opening
	err := d.transact(ctx, func(tx *store.Tx) (*step, error) {
		o = &opening{desk: d, tx: tx, finding: f, step: new(step), barred: barred}
		err := o.read()
		if err == nil && (!o.known || o.waits()) {
			err = o.write()
		}
		if err == nil {
			err = keepTrace(tx, f.trace(), o.now)
		}
		return o.step, err
	})
	if err == nil && o.known && len(o.listed) >= store.MaxForgeries {
		d.crowd.full(f.keyID, d.cfg.Now())
	}
	return err
}

// transact runs fn in an Update, again as long as other nodes are faster, and says
// what was done.
func (d *Desk) transact(ctx context.Context, fn func(tx *store.Tx) (*step, error)) error {
	var err error
	for range maxTries {
		var done *step
		err = d.cfg.Store.Update(ctx, func(tx *store.Tx) (err error) {
			done, err = fn(tx)
			if err != nil {
				return err
			}
			return d.writeAlarms(tx, done)
		})
		if err == nil {
			d.say(done)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	return err
}

// An opening is the first step of an answer, or one more token in its course.
type opening struct {
	*finding
	desk *Desk
	tx   *store.Tx
	step *step

	now      time.Time
	key      store.KeyRow
	incident store.Incident
	fresh    bool // there is no incident yet
	known    bool // the token is in the store, or counted because there are enough
	barred   bool // the log takes no entry
	listed   []store.Forgery
}

// read reads what the step depends on, and counts what needs no step.
func (o *opening) read() (err error) {
	if o.now, err = o.tx.Now(); err != nil {
		return err
	}
	if o.key, err = o.tx.Key(o.keyID); err != nil {
		return err
	}
	o.incident, err = o.tx.Incident(o.keyID)
	if o.fresh = errors.Is(err, store.ErrNotFound); err != nil && !o.fresh {
		return err
	}
	if o.listed, err = o.tx.Forgeries(o.keyID); err != nil {
		return err
	}
	for i := range o.listed {
		o.known = o.known || o.listed[i].Hash == o.hash
	}
	if !o.known && len(o.listed) >= store.MaxForgeries && !o.quarantines() {
		o.known = true
		return o.tx.CountForgeries(o.keyID, 1, o.now)
	}
	return nil
}

// answers reports whether anything is done beyond the alarm. Nothing is about a
// canary, which signs no good token, nor about a key that nobody accepts any more.
func (o *opening) answers() bool {
	return !o.barred && o.desk.cfg.Answer == Automatic && o.verdict == Forged && o.key.State != keyring.Retired && o.key.State != keyring.Killed
}

// quarantines reports whether the key has to go into quarantine.
func (o *opening) quarantines() bool {
	if !o.answers() {
		return false
	}
	switch o.incident.State {
	case store.IncidentQuarantined, store.IncidentSwitched, store.IncidentKilled:
		return o.fresh
	}
	return true
}

// waits reports whether the token was only noted, and can be answered now.
func (o *opening) waits() bool { return o.incident.State == store.IncidentNoted && o.quarantines() }

// enters reports whether the token gets an entry of its own. One that was given the
// jti of a genuine token does not: the entry would hit that one, and the quarantine
// of the key refuses this one as well.
func (o *opening) enters() bool {
	if !o.answers() || o.known || o.tokenID == "" || len(o.listed) >= store.MaxForgeries || o.desk.proved.has(o.tokenID) {
		return false
	}
	for i := range o.listed {
		if o.listed[i].TokenID == o.tokenID && o.listed[i].Seq != 0 {
			return false
		}
	}
	return true
}

// write appends to the log first, as the store asks for, and then does the rest.
func (o *opening) write() error {
	quarantines, enters := o.quarantines(), o.enters()
	var token, key store.LogRecord
	var err error
	if enters {
		if token, err = o.revoke(revocation.Token, revocation.Absolute, o.tokenID); err != nil {
			return err
		}
	}
	if quarantines {
		if key, err = o.revoke(revocation.Key, revocation.Quarantine, o.keyID); err != nil {
			return err
		}
	}
	if !o.known && len(o.listed) < store.MaxForgeries {
		err := o.tx.InsertForgery(store.Forgery{KeyID: o.keyID, Hash: o.hash, TokenID: o.tokenID, Seq: token.Seq, At: o.now})
		if err != nil {
			return err
		}
		detail := ""
		if o.barred {
			detail = "log=closed"
		}
		o.step.alarm(kindOf(o.verdict), detail)
	}
	if quarantines {
		o.step.alarm(KindQuarantined, "seq="+formatSeq(key.Seq))
	}
	return o.writeIncident(token.Seq, key.Seq)
}

func (o *opening) revoke(kind revocation.Kind, flags revocation.Flags, value string) (store.LogRecord, error) {
	return o.tx.Revoke(o.desk.revocation(kind, flags, value))
}

func (d *Desk) revocation(kind revocation.Kind, flags revocation.Flags, value string) store.Revocation {
	return store.Revocation{Value: value, Entry: revocation.Entry{
		Kind: kind, Flags: flags, Handle: d.cfg.Keyring.HandleKey().Handle(kind, d.cfg.Issuer, value),
	}}
}

func kindOf(v Verdict) Kind {
	if v == Canary {
		return KindCanary
	}
	return KindForged
}

// writeIncident writes the incident's row. entry and quarantine are the numbers of
// what was appended to the log, or 0.
func (o *opening) writeIncident(entry, quarantine uint64) error {
	in := &o.incident
	if o.fresh {
		*in = store.Incident{
			KeyID: o.keyID, State: store.IncidentNoted, Drill: o.key.Use == keyring.UseDrill,
			TokenID: o.tokenID, Level0: o.level0, Reporter: o.reporter, Found: o.now,
		}
	}
	if entry != 0 {
		in.Entries++
	}
	if quarantine != 0 {
		in.State, in.QuarantineSeq, in.Quarantined = store.IncidentQuarantined, quarantine, o.now
		in.Switched, in.Drained, in.Closed, in.Held = time.Time{}, time.Time{}, time.Time{}, false
	}
	o.step.incident, o.step.finding, o.step.at, o.step.barred = *in, o.finding, o.now, o.barred
	if o.fresh {
		in.Tokens, in.Seen = 1, o.now
		return o.tx.InsertIncident(*in)
	}
	if !o.known {
		if err := o.tx.CountForgeries(o.keyID, 1, o.now); err != nil {
			return err
		}
	}
	return o.tx.UpdateIncident(*in)
}
