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
	// maxEvidence bounds the frames kept and shown, a heartbeat among them.
	maxEvidence = 4
	// evidenceSpacing lies between two showings.
	evidenceSpacing = 10 * time.Second

	maxEvidenceFile = maxEvidence*jws.MaxToken + 1<<10
)

// evidence is the last that this verifier has applied, as it was signed. An
// issuer whose log does not lead to our head has lost entries, or another node
// has: shown these, it makes the lost revocations again and begins an epoch. It
// is guarded by feed.mu, and is on disk no later than the table that it speaks of.
type evidence struct {
	frames []string // with entries
	beat   string   // the last heartbeat
	shown  time.Time
}

func (e *evidence) keep(token string, frame *revocation.Frame) {
	if len(frame.Entries) == 0 {
		e.beat = token
		return
	}
	e.frames = append(e.frames, token)
	e.bound()
}

// bound leaves room for the heartbeat.
func (e *evidence) bound() {
	e.frames = e.frames[max(0, len(e.frames)-(maxEvidence-1)):]
}

// list returns what to show: frames with entries, and the heartbeat, which may
// stand where no frame leads. The issuer refuses all for one that it did not
// sign, so that what came from disk is verified here.
func (e *evidence) list(a *anchor, iss string) (frames []string) {
	if a == nil || a.FeedKeys() == nil {
		return nil
	}
	for _, token := range append(slices.Clone(e.frames), e.beat) {
		if _, err := revocation.OpenFrame(a.FeedKeys(), iss, token); err == nil {
			frames = append(frames, token)
		}
	}
	return frames
}

// savedEvidence is evidence.json.
type savedEvidence struct {
	Frames []string `json:"frames"`
	Beat   string   `json:"beat"`
}

// restoreEvidence reads what an earlier process held. Without it, or with less,
// the verifier works all the same.
func (f *feed) restoreEvidence() {
	data, err := f.state.read(evidenceFile, maxEvidenceFile)
	if err == nil && data != nil {
		var s savedEvidence
		if err = wire.Unmarshal(data, &s); err == nil {
			f.evidence.frames, f.evidence.beat = s.Frames, s.Beat
			f.evidence.bound()
		}
	}
	if err != nil {
		f.log.Warn("saved frames not used", "iss", f.cfg.Issuer, "err", err)
	}
}

func (f *feed) saveEvidence() error {
	f.mu.Lock()
	s := savedEvidence{slices.Clone(f.evidence.frames), f.evidence.beat}
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
	if !errors.Is(err, revocation.ErrStale) && !errors.Is(err, revocation.ErrFork) {
		return
	}
	f.mu.Lock()
	var frames []string
	if time.Since(f.evidence.shown) >= evidenceSpacing {
		frames = f.evidence.list(f.anchor, f.cfg.Issuer)
	}
	if len(frames) > 0 {
		f.evidence.shown = time.Now()
	}
	f.mu.Unlock()
	if len(frames) == 0 || f.lookup.Load() == nil {
		return
	}
	f.log.Warn("showing the issuer what its log no longer leads to", "iss", f.cfg.Issuer, "seq", f.table.Head().Seq)
	if err := f.post(ctx, acknowledgement{Frames: frames}); err != nil && ctx.Err() == nil {
		f.counts.ackErrors.Add(1)
	}
}
