package verifier

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/revocation"
)

// pulse asks for the head once a second, and at once when somebody lags, until
// ctx ends. It measures freshness: the stream may be held up on its way by
// anybody, and a heartbeat says only when it was sent.
func (f *feed) pulse(ctx context.Context, stop context.CancelCauseFunc) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	free := make(chan struct{}, maxInFlight)
	for {
		var r *round
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-f.wanted:
			r = f.takeRound()
		}
		select {
		case free <- struct{}{}:
		default:
			r.end()
			continue // enough are under way
		}
		behind := f.isBehind()
		wg.Go(func() {
			defer func() { <-free }()
			defer r.end()
			f.question(ctx, r != nil || behind, stop)
		})
		if r != nil {
			sleep(ctx, urgentSpacing)
		}
	}
}

func (f *feed) takeRound() *round {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.next
	f.next = nil
	return r
}

func (r *round) end() {
	if r != nil {
		close(r.done)
	}
}

// catchUp asks for a fetch that begins after now, and returns a channel that is
// closed when it is done.
func (f *feed) catchUp() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = &round{make(chan struct{})}
		signal(f.wanted)
	}
	return f.next.done
}

// isBehind reports whether a head that was stated earlier has not been reached.
func (f *feed) isBehind() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.probes) > 0
}

// question asks once for the head, and with pull also for the entries up to it
// without leaving them to the stream.
func (f *feed) question(ctx context.Context, pull bool, stop context.CancelCauseFunc) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	m, err := f.probe(ctx)
	switch {
	case errors.Is(err, errNotKeyed), errors.Is(err, revocation.ErrFork):
		stop(err) // the next session gets new keys, or the other history
	case err != nil:
		f.note(err)
		f.show(ctx, err)
		return
	case f.mustRestart(m):
		stop(errResync)
	case pull && f.table.Head().Before(m.Position()):
		if err := f.pull(ctx); err != nil {
			f.note(err)
			f.show(ctx, err)
			return
		}
	}
	f.note(f.lacking(ctx))
}

func (f *feed) mustRestart(m *revocation.Manifest) bool {
	return f.reload.Load() || f.table.Head().Epoch != m.Epoch
}

// probe asks for a manifest and draws its conclusions. A newcomer asks nobody but the
// origin: nobody else can answer for now.
func (f *feed) probe(ctx context.Context) (*revocation.Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	origin, cancel := context.WithTimeout(ctx, f.patience())
	defer cancel()
	m, err := f.probeAt(origin, f.at[0])
	for _, mirror := range f.at[1:] {
		if err == nil || ctx.Err() != nil || !isAbsent(err) || f.isNew() {
			return m, err
		}
		m, err = f.probeAt(ctx, mirror)
	}
	return m, err
}

func (f *feed) probeAt(ctx context.Context, e endpoint) (*revocation.Manifest, error) {
	header := noCache
	q := asked{sent: time.Now()}
	if !e.mirror && f.wantsWord() {
		q.nonce, header = rand.Text(), noCache.Clone()
		header.Set(revocation.NonceHeader, q.nonce)
	}
	resp, err := e.get(ctx, revocation.ManifestPath, header)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	defer resp.Body.Close()
	body, err := fetch.Body(resp.Body, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", &transportError{err})
	}
	q.received, q.cached = time.Now(), e.mirror || resp.Header.Get("Age") != ""
	q.answer = resp.Header.Get(revocation.AnswerHeader)
	m, err := f.observe(string(body), q)
	if err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// observe verifies a manifest and takes from it trust, head and freshness.
func (f *feed) observe(token string, q asked) (*revocation.Manifest, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.anchor == nil {
		return nil, errNotKeyed
	}
	signers := thumbprints(f.anchor.FeedKeys())
	m, err := f.anchor.openManifest(f.cfg.Issuer, token)
	if f.anchor.misses(signers) {
		f.distrust()
	}
	if err != nil {
		f.counts.refused.Add(1)
		return nil, err
	}
	if err := f.hear(token, q); err != nil {
		return nil, err // before anything else of it is believed, or fetched
	}
	if err := f.trusted(); err != nil {
		return nil, err
	}
	if err := f.table.Consider(m.Position()); err != nil {
		f.alarm(err)
		return m, err // a fork is to be loaded too
	}
	f.measure(m, q)
	f.compareClocks(m.AsOf)
	f.nameCanaries(m.Canaries)
	f.keys.require(m.KeySetVersion)
	f.compareKeys(m)
	return m, nil
}

// compareKeys has the issuer's key set fetched when the feed names another than
// the one held, so that a new key is known before its first token comes. A set
// that still is another afterwards is fetched again at the pace of unknown kids:
// a cache on the way may be behind. Callers hold f.mu.
func (f *feed) compareKeys(m *revocation.Manifest) {
	named := m.KeySet
	if named == "" || named == f.keys.digest() || f.keys.ahead(m.KeySetVersion) {
		return
	}
	if named == f.keySet && time.Since(f.keysAt) < jwks.Cooldown {
		return
	}
	f.keySet, f.keysAt = named, time.Now()
	f.keys.refresh()
}

// measure draws freshness from a manifest. Callers hold f.mu.
func (f *feed) measure(m *revocation.Manifest, q asked) {
	switch {
	case !f.live.Load():
		f.hearsay(m, q)
		return
	case q.cached:
		f.expect(probe{m.Position(), f.delay.cached(q.sent, q.received, m.AsOf)})
		return
	}
	at := f.delay.origin(q.sent, q.received, m.AsOf)
	if a := f.answered.Load(); a == nil || at.After(a.sent) {
		f.answered.Store(&answer{at, m.Head})
	}
	f.expect(probe{m.Position(), at})
}
