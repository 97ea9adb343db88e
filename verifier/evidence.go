package verifier

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// What is kept and shown: the last frames with entries; the last ones that answer
	// a theft, which sign-outs must not push out; and a heartbeat. The issuer takes no
	// more at once.
	maxLastFrames = 3
	maxKeyFrames  = 8
	maxEvidence   = maxLastFrames + maxKeyFrames + 1
	// evidenceSpacing lies between two showings, and evidencePatience after which one is
	// given up that the issuer never took.
	evidenceSpacing  = 10 * time.Second
	evidencePatience = time.Hour

	// maxEvidenceTrust is how many statements are kept, to know frames by that were
	// signed before the feed key was changed.
	maxEvidenceTrust = 4

	maxEvidenceFile = (maxEvidence+maxEvidenceTrust)*jws.MaxToken + 1<<10
)

// evidence is the last that this verifier has applied, as it was signed. An
// issuer whose log does not lead to our head has lost entries, or another node
// has: shown these, it makes the lost revocations again and begins an epoch. It
// is guarded by feed.mu, and is on disk no later than the table that it speaks of.
type evidence struct {
	frames []string // with entries
	keys   []string // those of them that answer a theft
	beat   string   // the last heartbeat
	trust  []string // statements in force when they came, the newest last
	shown  time.Time

	owed  acknowledgement // frames to show until the issuer takes them; none: nothing is owed
	since time.Time       // when it began to be
}

func (e *evidence) keep(token string, frame *revocation.Frame, trust string) {
	if n := len(e.trust); n == 0 || e.trust[n-1] != trust {
		e.trust = append(e.trust, trust)
		e.bound()
	}
	if len(frame.Entries) == 0 {
		e.beat = token
		return
	}
	e.frames = append(e.frames, token)
	if slices.ContainsFunc(frame.Entries, answersTheft) {
		e.keys = append(e.keys, token)
	}
	e.bound()
}

// answersTheft reports whether an entry is about a key that was stolen.
func answersTheft(entry revocation.Entry) bool {
	return entry.Kind == revocation.Key && entry.Flags&(revocation.Absolute|revocation.Quarantine) != 0
}

func (e *evidence) bound() {
	e.frames = e.frames[max(0, len(e.frames)-maxLastFrames):]
	e.keys = e.keys[max(0, len(e.keys)-maxKeyFrames):]
	e.trust = e.trust[max(0, len(e.trust)-maxEvidenceTrust):]
}

// list returns what to show: frames with entries, and the heartbeat, which may
// stand where no frame leads. What came from disk is verified here. An issuer of before
// the newest statement, which is shown beside them, knows by it who signed them.
func (e *evidence) list(a *anchor, iss string) (frames []string, trust string) {
	if a == nil || a.FeedKeys() == nil {
		return nil, ""
	}
	signers := []*jwk.Set{a.FeedKeys()}
	for _, statement := range e.trust {
		if t, err := revocation.OpenTrust(a.root, iss, statement); err == nil {
			signers, trust = append(signers, t.FeedKeys), statement
		}
	}
	for _, token := range slices.Concat(e.keys, e.frames, []string{e.beat}) {
		signs := func(keys *jwk.Set) bool {
			_, err := revocation.OpenFrame(keys, iss, token)
			return err == nil
		}
		if !slices.Contains(frames, token) && slices.ContainsFunc(signers, signs) {
			frames = append(frames, token)
		}
	}
	return frames, trust
}

// savedEvidence is evidence.json.
type savedEvidence struct {
	Frames []string `json:"frames"`
	Keys   []string `json:"keys"`
	Beat   string   `json:"beat"`
	Trust  []string `json:"trust"`
}

// restoreEvidence reads what an earlier process held. Without it, or with less,
// the verifier works all the same.
func (f *feed) restoreEvidence() {
	data, err := f.state.read(evidenceFile, maxEvidenceFile)
	if err == nil && data != nil {
		var s savedEvidence
		if err = wire.Unmarshal(data, &s); err == nil {
			f.evidence.frames, f.evidence.keys, f.evidence.beat, f.evidence.trust = s.Frames, s.Keys, s.Beat, s.Trust
			f.evidence.bound()
		}
	}
	if err != nil {
		f.log.Warn("saved frames not used", "iss", f.cfg.Issuer, "err", err)
	}
}

func (f *feed) saveEvidence() error {
	f.mu.Lock()
	s := savedEvidence{slices.Clone(f.evidence.frames), slices.Clone(f.evidence.keys), f.evidence.beat, slices.Clone(f.evidence.trust)}
	f.mu.Unlock()
	data, err := wire.Marshal(s)
	if err != nil {
		return err
	}
	return f.state.write(evidenceFile, data)
}

// show sends evidence to an issuer whose log does not lead to our head, as err
// says.
func (f *feed) show(ctx context.Context, err error) {
	if errors.Is(err, revocation.ErrStale) || errors.Is(err, revocation.ErrFork) {
		f.owe(false)
		f.showOwed(ctx)
	}
}

// showLast sends evidence to an issuer that has begun an epoch, which may not know of
// what was applied in the one before.
func (f *feed) showLast(ctx context.Context) {
	f.owe(true)
	f.showOwed(ctx)
}

// owe makes what is held now the evidence to show, at once or when it may be.
func (f *feed) owe(atOnce bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &f.evidence
	if frames, trust := e.list(f.anchor, f.cfg.Issuer); len(frames) > 0 {
		e.owed, e.since = acknowledgement{Frames: frames, Trust: trust}, time.Now()
	}
	if atOnce {
		e.shown = time.Time{}
	}
}

// showOwed shows what the issuer has not taken yet, unless that was tried lately.
func (f *feed) showOwed(ctx context.Context) {
	if f.lookup.Load() == nil {
		return
	}
	due, since := f.evidenceDue()
	if len(due.Frames) == 0 {
		return
	}
	f.log.Warn("showing the issuer the last of its log that was applied here", "iss", f.cfg.Issuer, "seq", f.table.Head().Seq)
	if err := f.post(ctx, due); err != nil {
		if ctx.Err() == nil {
			f.counts.ackErrors.Add(1)
		}
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.evidence.since.Equal(since) { // or more is owed by now
		f.evidence.owed = acknowledgement{}
	}
}

// evidenceDue returns what is to be shown now, and since when it is owed.
func (f *feed) evidenceDue() (due acknowledgement, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &f.evidence
	if time.Since(e.since) > evidencePatience {
		e.owed = acknowledgement{}
	}
	if len(e.owed.Frames) == 0 || time.Since(e.shown) < evidenceSpacing {
		return acknowledgement{}, e.since
	}
	e.shown = time.Now()
	return e.owed, e.since
}
