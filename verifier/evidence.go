package verifier

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
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
	// evidenceSpacing lies between two showings.
	evidenceSpacing = 10 * time.Second

	maxEvidenceFile = (maxEvidence+1)*jws.MaxToken + 1<<10
)

// evidence is the last that this verifier has applied, as it was signed. An
// issuer whose log does not lead to our head has lost entries, or another node
// has: shown these, it makes the lost revocations again and begins an epoch. It
// is guarded by feed.mu, and is on disk no later than the table that it speaks of.
type evidence struct {
	frames []string // with entries
	keys   []string // those of them that answer a theft
	beat   string   // the last heartbeat
	trust  string   // the statement in force when the last of them came
	shown  time.Time
}

func (e *evidence) keep(token string, frame *revocation.Frame, trust string) {
	e.trust = trust
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
}

// list returns what to show: frames with entries, and the heartbeat, which may
// stand where no frame leads. The issuer refuses all for one that it did not
// sign, so that what came from disk is verified here. An issuer of before the statement
// knows by it who signed them.
func (e *evidence) list(a *anchor, iss string) (frames []string, trust string) {
	if a == nil || a.FeedKeys() == nil {
		return nil, ""
	}
	keys := a.FeedKeys()
	if t, err := revocation.OpenTrust(a.root, iss, e.trust); err == nil {
		keys, trust = t.FeedKeys, e.trust
	}
	for _, token := range slices.Concat(e.keys, e.frames, []string{e.beat}) {
		if slices.Contains(frames, token) {
			continue
		}
		if _, err := revocation.OpenFrame(keys, iss, token); err == nil {
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
	Trust  string   `json:"trust"`
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
	s := savedEvidence{slices.Clone(f.evidence.frames), slices.Clone(f.evidence.keys), f.evidence.beat, f.evidence.trust}
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
		f.showLast(ctx)
	}
}

func (f *feed) showLast(ctx context.Context) {
	f.mu.Lock()
	var frames []string
	var trust string
	if time.Since(f.evidence.shown) >= evidenceSpacing {
		frames, trust = f.evidence.list(f.anchor, f.cfg.Issuer)
	}
	if len(frames) > 0 {
		f.evidence.shown = time.Now()
	}
	f.mu.Unlock()
	if len(frames) == 0 || f.lookup.Load() == nil {
		return
	}
	f.log.Warn("showing the issuer the last of its log that was applied here", "iss", f.cfg.Issuer, "seq", f.table.Head().Seq)
	if err := f.post(ctx, acknowledgement{Frames: frames, Trust: trust}); err != nil && ctx.Err() == nil {
		f.counts.ackErrors.Add(1)
	}
}
