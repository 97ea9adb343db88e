package verifier

import (
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// maxEvidence bounds the frames kept and shown.
	maxEvidence = 4
	// evidenceSpacing lies between two showings.
	evidenceSpacing = 10 * time.Second
)

// evidence is the last that this verifier has applied, as it was signed. An
// issuer whose log does not lead to our head has lost entries, or another node
// has: shown these, it makes the lost revocations again and begins an epoch. It
// is guarded by feed.mu.
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
	e.frames = e.frames[max(0, len(e.frames)-maxEvidence):]
}

// list returns what to show: frames with entries, or else the heartbeat.
func (e *evidence) list() []string {
	if len(e.frames) == 0 && e.beat != "" {
		return []string{e.beat}
	}
	return append([]string(nil), e.frames...)
}

// show sends evidence to an issuer whose manifest does not lead to our head.
func (f *feed) show(ctx context.Context, err error) {
	if !errors.Is(err, revocation.ErrStale) && !errors.Is(err, revocation.ErrFork) {
		return
	}
	f.mu.Lock()
	frames := f.evidence.list()
	due := len(frames) > 0 && time.Since(f.evidence.shown) >= evidenceSpacing
	if due {
		f.evidence.shown = time.Now()
	}
	f.mu.Unlock()
	if !due || f.lookup.Load() == nil {
		return
	}
	f.log.Warn("showing the issuer what its log no longer leads to", "iss", f.cfg.Issuer, "seq", f.table.Head().Seq)
	if err := f.post(ctx, acknowledgement{Frames: frames}); err != nil && ctx.Err() == nil {
		f.counts.ackErrors.Add(1)
	}
}
