package issuer

import (
	"context"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/oauth"
)

// Bounds on an acknowledgement.
const (
	maxAck     = 208 << 10 // bytes, frames included
	maxShown   = 12        // frames in it
	maxAckText = 128       // bytes of each text in it
)

// An acknowledgement is what a verifier says that it has applied.
type acknowledgement struct {
	Instance string `json:"instance"` // made up by the process, random
	Epoch    uint64 `json:"epoch"`
	Seq      uint64 `json:"seq"`
	C        string `json:"c"`
	KFID     string `json:"kfid"`
	Keys     string `json:"keys"`          // hash of the key set that it holds
	Done     bool   `json:"done,omitzero"` // it signs off

	Seen *reportState `json:"seen,omitempty"` // nil of verifiers that do not tell
}

// A reportState is how a verifier says that its reports of seen tokens fare. It is
// believed of this verifier and means nothing for others.
type reportState struct {
	Records    int     `json:"records"`       // that wait for an answer
	Evidence   int     `json:"evidence"`      // tokens that do
	Unanswered int64   `json:"unanswered_ms"` // how long the first of them has
	Lost       uint64  `json:"lost"`          // that found no room
	Share      float64 `json:"share"`         // of tokens that are reported; 1 for all
	Off        bool    `json:"off,omitzero"`  // we have told it that we do not look
}

// unansweredFor is how long a report may be without an answer: some attempts.
const unansweredFor = 10 * time.Second

func (s *reportState) valid() bool {
	return s.Records >= 0 && s.Evidence >= 0 && s.Unanswered >= 0 && s.Share >= 0 && s.Share <= 1
}

// isUnanswered reports whether a verifier says that its reports do not get through.
func (a *acknowledgement) isUnanswered() bool {
	return a.Seen != nil && a.Seen.Unanswered >= unansweredFor.Milliseconds()
}

// An ackRequest is the body of POST /revocation/ack.
type ackRequest struct {
	acknowledgement
	Frames []string `json:"frames"` // the last ones that it applied, when our log does not lead there
	Trust  string   `json:"trust"`  // the statement that names who signed them
}

func (a *acknowledgement) valid() bool {
	for _, s := range []string{a.Instance, a.C, a.KFID, a.Keys} {
		if len(s) > maxAckText {
			return false
		}
	}
	return a.Instance != "" && (a.Seen == nil || a.Seen.valid())
}

// reached reports whether the verifier holds everything up to seq of epoch.
func (a *acknowledgement) reached(epoch, seq uint64) bool {
	return a.Epoch > epoch || a.Epoch == epoch && a.Seq >= seq
}

// ack serves POST /revocation/ack.
func (i *Issuer) ack(w http.ResponseWriter, r *http.Request) error {
	credential, err := i.door.verifier(r)
	if err != nil {
		return err
	}
	var in ackRequest
	if err := serve.ReadJSON(w, r, maxAck, &in); err != nil {
		return err
	}
	a := in.acknowledgement
	if !a.valid() || len(in.Frames) > maxShown {
		return badRequest("instance is missing, a text is too long, a number is out of bounds, or there are too many frames")
	}
	if len(in.Frames) > 0 {
		if err := i.shown(r.Context(), credential, in.Frames, in.Trust); err != nil {
			return err
		}
	}
	row := holder{Credential: credential, acknowledgement: a, Heard: i.cfg.Now()}
	if row.Fork, err = i.hub.forked(r.Context(), &a); err != nil {
		return unavailable(err)
	}
	known, ok := i.fleet.put(row)
	if !ok {
		return &serve.Error{
			Status: http.StatusTooManyRequests, Code: oauth.TemporarilyUnavailable,
			Description: "too many instances of this verifier", RetryAfter: time.Minute,
		}
	}
	if row.Fork && !known.Fork {
		i.log.Error("a verifier holds another history of the log; if the database was restored: counterfoil restored",
			"verifier", row.name(), "epoch", a.Epoch, "seq", a.Seq)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// forked reports whether a verifier stands where our log does not lead: above a
// head that was read after it said so, or at the head with another chain.
func (h *hub) forked(ctx context.Context, a *acknowledgement) (bool, error) {
	v := h.latest.Load()
	if !a.reached(v.head.Epoch, v.head.Seq) || a.C == "" {
		return false, nil
	}
	if a.Epoch != v.head.Epoch || a.Seq != v.head.Seq {
		var err error
		if v, err = h.fresh(ctx); err != nil {
			return false, err
		}
	}
	if a.Epoch == v.head.Epoch && a.Seq == v.head.Seq {
		return a.C != v.head.C.String(), nil
	}
	return a.reached(v.head.Epoch, v.head.Seq), nil
}
