package verifier

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
)

// CatchUp is how long a sensitive route waits for the feed when a token shows
// that this verifier lags.
const CatchUp = 250 * time.Millisecond

// lookup is what a check needs beside the table. It is replaced whole.
type lookup struct {
	keys    []revocation.HandleKey // in force, the one of new entries first
	maxLife time.Duration          // longest life of a token, present or former

	witnesses *jwk.Set // keys of which one made a token's witness; nil if there are none
}

// equal reports whether nothing would change.
func (l *lookup) equal(other *lookup) bool {
	return l.maxLife == other.maxLife && slices.Equal(l.keys, other.keys) &&
		slices.Equal(thumbprints(l.witnesses), thumbprints(other.witnesses))
}

func thumbprints(set *jwk.Set) (names []string) {
	if set == nil {
		return nil
	}
	for _, key := range set.Keys() {
		names = append(names, key.Thumbprint())
	}
	return names
}

// admit says whether a route is open in the present state of the feed.
func (f *feed) admit(route Route) error {
	l := f.lookup.Load()
	if l == nil {
		return ErrNotReady
	}
	switch stateAt(f.age(), l.maxLife) {
	case Fresh:
		return nil
	case Late:
		f.counts.late.Add(1)
		return nil
	case Stale:
		f.counts.stale.Add(1)
		if route.Sensitive {
			return ErrStale
		}
		return nil
	}
	if route.Sensitive || !f.cfg.OpenWhenBlind {
		return ErrBlind
	}
	return nil
}

// check looks a verified token up. It does no I/O. Only a sensitive route waits, at
// most [CatchUp], and only for a token that shows that we lag; and a token of a key
// under quarantine, the first time, at most [ProveWait].
func (f *feed) check(ctx context.Context, tok *checked, route Route) error {
	f.reports.note(tok)
	if err := f.ended(tok.Token); err != nil {
		return err
	}
	access := tok.Claims()
	if access.RSQ == nil {
		return &jwt.ClaimError{Claim: "rsq", Reason: "is missing"}
	}
	if err := f.lookup.Load().lives(tok.Token); err != nil {
		return err
	}
	rsq := *access.RSQ
	if rsq > revocation.MaxSeq {
		return &jwt.ClaimError{Claim: "rsq", Reason: "is out of range"}
	}
	verdict, err := f.judge(ctx, tok, rsq)
	if err != nil || !verdict.Behind {
		return err
	}
	caught, err := f.lag(rsq)
	if err != nil || !route.Sensitive {
		return err
	}
	wait(ctx, caught, CatchUp)
	verdict, err = f.judge(ctx, tok, rsq)
	if err != nil || !verdict.Behind {
		return err
	}
	if _, err := f.lag(rsq); err != nil {
		return err
	}
	return ErrStale // we lag and cannot tell by how much
}

func wait(ctx context.Context, done <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// judge holds a token against the table and, where that or the configuration asks
// for it, against witness and auditor. Of several reasons to refuse it gives the
// revocation.
func (f *feed) judge(ctx context.Context, tok *checked, rsq uint64) (revocation.Verdict, error) {
	verdict, witness := f.ask(tok, rsq)
	if err := refusal(verdict); err != nil {
		return verdict, err
	}
	if f.cfg.Witness == WitnessEnforce && witness.held && witness.err != nil {
		return verdict, witness.err
	}
	if !verdict.Quarantined {
		return verdict, nil
	}
	if err := f.genuine(ctx, tok, witness); err != nil {
		return verdict, err
	}
	verdict, _ = f.ask(tok, rsq) // it may have been revoked while we waited
	return verdict, refusal(verdict)
}

func refusal(v revocation.Verdict) error {
	if v.Revoked {
		return &RevokedError{Kind: v.Kind}
	}
	return nil
}

// ask looks up everything that the token names, under every handle key in force.
// The handles are computed once for a token and set of handle keys.
func (f *feed) ask(tok *checked, rsq uint64) (revocation.Verdict, testimony) {
	now := f.lookup.Load()
	prepared := tok.targets.Load()
	if prepared == nil || prepared.lookup != now {
		prepared = &preparedTargets{lookup: now, list: f.targets(tok.Token, now.keys), witness: f.witness(tok, now)}
		tok.targets.Store(prepared)
	}
	return f.table.Check(revocation.Query{RSQ: rsq, Targets: prepared.list}), prepared.witness
}

func (f *feed) targets(tok *jwt.Token[Access], keys []revocation.HandleKey) []revocation.Target {
	access := tok.Claims()
	named := [...]struct {
		kind  revocation.Kind
		value string
	}{
		{revocation.Token, tok.ID()},
		{revocation.Session, access.SessionID},
		{revocation.Subject, tok.Subject()},
		{revocation.Subject, access.Actor.Subject},
		{revocation.Device, access.Confirmation.Thumbprint},
		{revocation.Client, access.ClientID},
		{revocation.Tenant, access.Tenant},
		{revocation.Key, tok.Key().KeyID()},
	}
	targets := make([]revocation.Target, 0, len(keys)*(len(named)+1))
	for _, key := range keys {
		for _, n := range named {
			if n.value != "" {
				targets = append(targets, key.Target(n.kind, f.cfg.Issuer, n.value))
			}
		}
		targets = append(targets, key.Target(revocation.Everything, f.cfg.Issuer, ""))
	}
	return targets
}

// maxAhead bounds how many different numbers above the head are remembered.
// Beyond it the one seen first is forgotten: a thief gains nothing by that which
// minting with the present head would not give him.
const maxAhead = 1024

// ahead remembers when each rsq above the head was first seen.
type ahead struct {
	mu    sync.Mutex // taken for such tokens only
	seen  map[uint64]time.Time
	order []uint64 // as they came
}

// first returns when rsq was first seen: now, if never before.
func (a *ahead) first(rsq uint64, now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, ok := a.seen[rsq]; ok {
		return at
	}
	if a.seen == nil {
		a.seen = make(map[uint64]time.Time)
	}
	if len(a.order) == maxAhead {
		delete(a.seen, a.order[0])
		a.order = a.order[1:]
	}
	a.seen[rsq] = now
	a.order = append(a.order, rsq)
	return now
}

// forget drops what the head has reached.
func (a *ahead) forget(head uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.order[:0]
	for _, rsq := range a.order {
		if rsq > head {
			kept = append(kept, rsq)
		} else {
			delete(a.seen, rsq)
		}
	}
	a.order = kept
}

// answer is what the origin said when it was asked for the head.
type answer struct {
	sent time.Time
	head uint64
}

// lag deals with an rsq above the head. It shows that we lag, and asks for a
// fetch at once; or that the number is made up, once a head requested after it
// was first seen is still lower. The channel is closed when the fetch is done.
func (f *feed) lag(rsq uint64) (<-chan struct{}, error) {
	first := f.ahead.first(rsq, time.Now())
	if a := f.answered.Load(); a != nil && a.sent.After(first) && a.head < rsq {
		if f.counts.ahead.Add(1) == 1 {
			f.log.Error("token with a revocation number that the issuer has not reached", "iss", f.cfg.Issuer, "rsq", rsq, "head", a.head)
		}
		return nil, ErrAhead
	}
	return f.catchUp(), nil
}
