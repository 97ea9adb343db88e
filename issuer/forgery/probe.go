package forgery

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
)

const (
	// ProbeKeyID is the kid of what concerns a notary or a verifier and no key: one that
	// no key has.
	ProbeKeyID = "counterfoil/notary-probe"

	keepEvery  = 30 * time.Second // a probe of each node is kept for all
	learnEvery = 10 * time.Second // those of the others are read
	probeLimit = 3 * time.Second  // for a self-test
	askLimit   = time.Second      // in it, for each notary to tag, and to check
)

// errDoubt reports notaries that disagree, now or a token's life ago: a wrong tag
// proves nothing.
var errDoubt = errors.New("notaries disagree about their own tags")

// probes are what this node knows of the notary.
type probes struct {
	mu      sync.Mutex
	kept    []notary.Record // of all nodes, of the time of tokens that may be alive
	longest time.Duration   // how long the longest of those is kept
	doubt   store.Incident  // of the key ProbeKeyID
	epoch   uint64          // of the log
	keptAt  time.Time       // when this node kept its last one
	learned time.Time       // when kept and doubt were read
}

// life is how long a token may be accepted after it was tagged, by any node: the
// tokens of before live on when somebody makes their life shorter.
func (d *Desk) life() time.Duration {
	d.probes.mu.Lock()
	defer d.probes.mu.Unlock()
	return max(d.cfg.TokenLife+afterLife, d.probes.longest)
}

// tokenLife is the longest life of a token that may be alive.
func (d *Desk) tokenLife() time.Duration { return d.life() - afterLife }

// probeKeys are the kids that a probe is made for.
func (d *Desk) probeKeys() []string {
	kids := []string{ProbeKeyID}
	for _, info := range d.cfg.Keyring.Keys() {
		if info.State == keyring.Active && info.Use != keyring.UseCanary {
			kids = append(kids, info.KeyID)
		}
	}
	return kids
}

// probeOnce lets every notary tag and every notary check, what was tagged before
// included. It is the self-test of each second.
func (d *Desk) probeOnce(outer context.Context) error {
	ctx, cancel := context.WithTimeout(outer, probeLimit)
	defer cancel()
	err := d.keepProbes(ctx)
	if err == nil {
		err = d.learn(ctx, learnEvery)
	}
	if err == nil {
		err = d.agree(ctx, d.probeKeys(), d.keptProbes())
	}
	if said := d.look(outer, err == nil || errors.Is(err, errDoubt)); said != nil {
		return errors.Join(err, said)
	}
	switch {
	case errors.Is(err, errDoubt):
		d.counts.probesFailed.Add(1)
		return d.misconfigured(ctx)
	case err != nil:
		d.counts.probesFailed.Add(1)
		return err
	}
	d.counts.probesPassed.Add(1)
	return d.recover(ctx)
}

// trust reports whether a wrong tag under a key proves a forgery: nil, [errDoubt], or
// the error of a notary or store that did not answer. Everything is asked anew, unless
// there is doubt already.
func (d *Desk) trust(ctx context.Context, kid string) error {
	if d.doubts() {
		return errDoubt
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	if err := d.learn(ctx, 0); err != nil {
		return err
	}
	if d.doubts() {
		return errDoubt
	}
	err := d.agree(ctx, []string{ProbeKeyID, kid}, d.keptProbes())
	if errors.Is(err, errDoubt) {
		if err := d.misconfigured(ctx); err != nil {
			return err
		}
	}
	return err
}

// doubts reports whether the notaries disagreed lately, as far as this node has heard.
func (d *Desk) doubts() bool {
	d.probes.mu.Lock()
	defer d.probes.mu.Unlock()
	return d.probes.doubt.State == store.IncidentMisconfigured
}

func (d *Desk) keptProbes() []notary.Record {
	d.probes.mu.Lock()
	defer d.probes.mu.Unlock()
	return d.probes.kept
}

// agree lets each notary tag for each of kids, and check what each of them made and
// what was kept. Of several, those that do not answer are left out: they cannot call
// anything wrong.
func (d *Desk) agree(ctx context.Context, kids []string, kept []notary.Record) error {
	var mu sync.Mutex
	records := slices.Clip(kept)
	err := d.askEach(ctx, func(ctx context.Context, one notary.Notary) error {
		fresh, err := tag(ctx, one, kids)
		mu.Lock()
		defer mu.Unlock()
		records = append(fresh, records...)
		return err
	})
	if err != nil {
		return err
	}
	records = records[:min(len(records), notary.MaxRecords)]
	return d.askEach(ctx, func(ctx context.Context, one notary.Notary) error {
		right, err := one.Check(ctx, records)
		if err == nil && slices.Contains(right, false) {
			err = errDoubt
		}
		return err
	})
}

// askEach calls fn for all notaries at once. It succeeds when at least one answered,
// and none of those that did has failed.
func (d *Desk) askEach(ctx context.Context, fn func(context.Context, notary.Notary) error) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	errs := make([]error, len(d.cfg.Each))
	var all sync.WaitGroup
	for i, one := range d.cfg.Each {
		all.Go(func() { errs[i] = fn(ctx, one) })
	}
	all.Wait()
	away := 0
	for _, err := range errs {
		switch {
		case errors.Is(err, notary.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			away++
		case err != nil:
			return err
		}
	}
	if away == len(errs) {
		return errs[0]
	}
	return nil
}

// tag makes a record for each of kids. Its digest is random, as that of a token
// looks: a notary could else answer right for probes alone.
func tag(ctx context.Context, tagger notary.Tagger, kids []string) ([]notary.Record, error) {
	records := make([]notary.Record, 0, len(kids))
	for _, kid := range kids {
		var digest notary.Digest
		rand.Read(digest[:])
		jti, err := tagger.Tag(ctx, kid, digest)
		if err != nil {
			return nil, err
		}
		record, err := notary.NewRecord(kid, jti, digest)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// keepProbes puts a probe for each key into the store now and then, and takes out
// those that no token of their time and node has outlived.
func (d *Desk) keepProbes(ctx context.Context) error {
	d.probes.mu.Lock()
	done := within(d.cfg.Now(), d.probes.keptAt, keepEvery)
	d.probes.mu.Unlock()
	if done {
		return nil
	}
	rows, err := d.newProbes(ctx)
	if err != nil {
		return err
	}
	err = d.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Now()
		if err != nil {
			return err
		}
		for _, row := range rows {
			row.At, row.Dies = now, now.Add(d.cfg.TokenLife+afterLife)
			if err := tx.InsertProbe(row); err != nil {
				return err
			}
		}
		return tx.RemoveProbes(now)
	})
	if err == nil {
		d.probes.mu.Lock()
		d.probes.keptAt = d.cfg.Now()
		d.probes.mu.Unlock()
	}
	return err
}

// newProbes lets the notary that tags this node's tokens make probes.
func (d *Desk) newProbes(ctx context.Context) ([]store.Probe, error) {
	records, err := tag(ctx, d.cfg.Notary, d.probeKeys())
	if err != nil {
		return nil, err
	}
	rows := make([]store.Probe, len(records))
	for i := range records {
		report, err := notary.AppendReport(nil, records[i:i+1])
		if err != nil {
			return nil, err
		}
		rows[i] = store.Probe{KeyID: records[i].KeyID, Node: d.node, Record: report}
	}
	return rows, nil
}

// within reports whether at is at most limit before now, and not after it: a clock that
// went back makes nothing recent.
func within(now, at time.Time, limit time.Duration) bool {
	since := now.Sub(at)
	return since >= 0 && since < limit
}

// learn reads what other nodes have kept, unless that was done within the given time.
func (d *Desk) learn(ctx context.Context, lately time.Duration) error {
	d.probes.mu.Lock()
	known := within(d.cfg.Now(), d.probes.learned, lately)
	d.probes.mu.Unlock()
	if known {
		return nil
	}
	var rows []store.Probe
	var doubt store.Incident
	var head store.Head
	err := d.cfg.Store.View(ctx, func(tx *store.Tx) error {
		now, err := tx.Now()
		if err != nil {
			return err
		}
		if rows, err = tx.Probes(now); err != nil {
			return err
		}
		if head, err = tx.Head(); err != nil {
			return err
		}
		doubt, err = tx.Incident(ProbeKeyID)
		return ignore(store.ErrNotFound, err)
	})
	if err != nil {
		return err
	}
	d.remember(head.Epoch)
	kept, longest := make([]notary.Record, 0, len(rows)), time.Duration(0)
	for _, row := range rows {
		longest = max(longest, row.Dies.Sub(row.At))
		records, err := notary.ParseReport(row.Record)
		if err != nil {
			return err
		}
		kept = append(kept, records...)
	}
	d.probes.mu.Lock()
	defer d.probes.mu.Unlock()
	d.probes.kept, d.probes.longest, d.probes.doubt, d.probes.learned = kept, longest, doubt, d.cfg.Now()
	return nil
}

// remember forgets what was done about forged tokens when a new epoch of the log
// began: the store may have lost it. What is shown again is then dealt with again.
func (d *Desk) remember(epoch uint64) {
	d.probes.mu.Lock()
	old := d.probes.epoch
	d.probes.epoch = epoch
	d.probes.mu.Unlock()
	if old != 0 && old != epoch {
		d.judged.clear()
		d.crowd.clear()
	}
}

// misconfigured writes down that the notaries disagree. The first node to notice
// alarms.
func (d *Desk) misconfigured(ctx context.Context) error {
	return d.aboutNotary(ctx, func(tx *store.Tx, in *store.Incident, now time.Time) (*step, error) {
		if in.State == store.IncidentMisconfigured {
			if now.Sub(in.Seen) < rhythm {
				return new(step), nil
			}
			return new(step), tx.CountForgeries(ProbeKeyID, 0, now)
		}
		in.State, in.Found, in.Closed = store.IncidentMisconfigured, now, time.Time{}
		s := &step{at: now}
		s.alarm(KindMisconfigured, "")
		if in.Version == 0 {
			in.KeyID, in.Seen = ProbeKeyID, now
			s.incident = *in
			return s, tx.InsertIncident(*in)
		}
		if err := tx.CountForgeries(ProbeKeyID, 0, now); err != nil {
			return nil, err
		}
		s.incident = *in
		return s, tx.UpdateIncident(*in)
	})
}

// recover says that the notaries agree again, once every token is gone that was made
// while they did not.
func (d *Desk) recover(ctx context.Context) error {
	if !d.doubts() {
		return nil
	}
	return d.aboutNotary(ctx, func(tx *store.Tx, in *store.Incident, now time.Time) (*step, error) {
		if in.State != store.IncidentMisconfigured || now.Sub(in.Seen) <= d.life() {
			return new(step), nil
		}
		in.State, in.Closed = store.IncidentClosed, now
		s := &step{incident: *in, at: now}
		s.alarm(KindRecovered, "")
		return s, tx.UpdateIncident(*in)
	})
}

// aboutNotary runs fn in a transaction on the incident of the notary, which is all
// zero when there is none, and learns what came of it.
func (d *Desk) aboutNotary(ctx context.Context, fn func(*store.Tx, *store.Incident, time.Time) (*step, error)) error {
	err := d.transact(ctx, func(tx *store.Tx) (*step, error) {
		now, err := tx.Now()
		if err != nil {
			return nil, err
		}
		in, err := tx.Incident(ProbeKeyID)
		if err := ignore(store.ErrNotFound, err); err != nil {
			return nil, err
		}
		return fn(tx, &in, now)
	})
	if err != nil {
		return err
	}
	return d.learn(ctx, 0)
}
