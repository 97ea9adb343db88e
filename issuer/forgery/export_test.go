package forgery

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// What Run does, a round at a time, so that a test is the only clock.

// ProbeRound is one self-test.
func (d *Desk) ProbeRound(ctx context.Context) error { return d.probeOnce(ctx) }

// AnswerRound takes the steps that are due.
func (d *Desk) AnswerRound(ctx context.Context) error { return d.advance(ctx) }

// AnswerFor takes the step that is due for one key.
func (d *Desk) AnswerFor(ctx context.Context, kid string) error {
	var in store.Incident
	err := d.cfg.Store.View(ctx, func(tx *store.Tx) (err error) {
		in, err = tx.Incident(kid)
		return err
	})
	if err != nil {
		return err
	}
	return d.advanceOne(ctx, &in)
}

// LookRound alarms about tokens that were asked for and did not come.
func (d *Desk) LookRound(ctx context.Context) error { return d.lookForUnshown(ctx) }

// CutRound alarms about connected verifiers whose reports are not answered.
func (d *Desk) CutRound(ctx context.Context) error { return d.lookForCut(ctx) }

// Advice returns what is said about an alarm on a key.
func (d *Desk) Advice(k Kind, kid string) (what, next string) {
	a := d.adviceOn(k, &step{incident: store.Incident{KeyID: kid}})
	return a.what, a.next
}

// Kinds are the kinds of alarms, as the audit trail has them.
func Kinds() (list []Kind) {
	for k := range actions {
		list = append(list, k)
	}
	return list
}

// CountRound writes down what was counted in memory.
func (d *Desk) CountRound(ctx context.Context) error { return d.settleCrowd(ctx) }

// ForgetRound removes what is too old to be known.
func (d *Desk) ForgetRound(ctx context.Context) error { return d.forget(ctx) }

// AlarmRound makes the attempts at the webhook that are due.
func (d *Desk) AlarmRound(ctx context.Context) error { return d.deliver(ctx) }

// Found is Evidence behind the check of signature and tag, for the n-th of many
// forged tokens.
func (d *Desk) Found(ctx context.Context, kid string, n uint64) (Verdict, error) {
	hash := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kid), n))
	return d.found(ctx, &finding{verdict: Forged, keyID: kid, hash: hash, reporter: "test"})
}

// Times that tests wait for.
const (
	Grace     = grace
	Patience  = patience
	AfterLife = afterLife
	KillEvery = killEvery
	TraceLife = traceLife
	MaxSaid   = maxSaid
	MaxListed = maxListed
)

// Life is how long the notaries must have agreed.
func (d *Desk) Life() time.Duration { return d.life() }
