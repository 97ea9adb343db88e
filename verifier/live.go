package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// Whoever stands where TLS ends can answer with what he recorded: metadata, key set,
// manifest and frames of a day before a key was killed are as well signed as those of
// today, and a process that remembers nothing would start on that day. So the first
// manifest counts only with an answer that the feed's key signed for a nonce of ours.
// From then on the order of the log, and delay, keep us from going back.

// firstAnswer is how long the origin has for that answer before a mirror is asked.
const firstAnswer = 2 * time.Second

var (
	errNoAnswer = errors.New("the issuer has not signed its manifest for this request: bring it up to this version, and let what stands in front of it pass the headers " +
		revocation.NonceHeader + " and " + revocation.AnswerHeader + " and cache nothing that has them")
	errOtherAnswer = errors.New("the signature is not for this request: somebody on the way repeats an answer of before")
)

// asked is a question for a manifest, and what came with it.
type asked struct {
	sent, received time.Time
	cached         bool   // it came over a cache or a mirror
	nonce, answer  string // no nonce: a signed answer was not asked for
}

// isNew reports whether there is no table yet that tokens are held against.
func (f *feed) isNew() bool { return f.lookup.Load() == nil }

// wantsWord reports whether the feed's key has to sign the next manifest for us. Until
// the table is there one answer is not enough: the table must reach that head.
func (f *feed) wantsWord() bool { return !f.live.Load() || f.isNew() }

// patience is how long the origin may take to state its head.
func (f *feed) patience() time.Duration {
	switch {
	case len(f.at) == 1:
		return probeTimeout
	case f.wantsWord():
		return firstAnswer
	}
	return hedgeAfter
}

// hear finds out whether a manifest was signed for us. A table that is there goes on
// with one that was not, which revokes and makes nothing fresh. Callers hold f.mu.
func (f *feed) hear(token string, q asked) error {
	if !f.wantsWord() {
		return nil
	}
	err := f.answers(token, q)
	switch {
	case err == nil:
		f.unheard = nil
		f.live.Store(true)
	case q.nonce != "":
		f.unheard = fmt.Errorf("manifest: %w", err)
	}
	if f.isNew() {
		return err
	}
	return nil
}

func (f *feed) answers(token string, q asked) error {
	if q.nonce == "" || q.answer == "" {
		return errNoAnswer
	}
	e := revocation.Exchange{Issuer: f.cfg.Issuer, Path: revocation.ManifestPath, Nonce: q.nonce, Answer: []byte(token)}
	if err := e.Verify(f.anchor.FeedKeys(), q.answer); err != nil {
		f.counts.refused.Add(1)
		return errOtherAnswer
	}
	return nil
}

// hearsay measures a manifest that may be of the past: at its best it leaves a table
// stale, and it opens none that is blind. Callers hold f.mu.
func (f *feed) hearsay(m *revocation.Manifest, q asked) {
	if stateAt(f.age(), f.lookup.Load().maxLife) == Blind {
		return
	}
	at := f.delay.cached(q.sent, q.received, m.AsOf)
	if stale := q.received.Add(-LateFor - time.Millisecond); at.After(stale) {
		at = stale
	}
	f.expect(probe{m.Position(), at})
}

// distrust forgets what a key has said that is no longer one of the feed's: the
// version of the key set, by how far its clock is from ours, and that it is now.
// Callers hold f.mu.
func (f *feed) distrust() {
	f.keys.distrust()
	f.live.Store(false)
	f.delay = delay{}
}

// lacking returns what is missing where the feed is followed.
func (f *feed) lacking(ctx context.Context) error {
	if err := f.fetchCanaries(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unheard
}
