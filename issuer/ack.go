package issuer

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/oauth"
)

// Bounds on what is remembered about verifiers.
const (
	maxAck          = 80 << 10 // bytes of an acknowledgement, frames included
	maxShown        = 4        // frames in it
	maxAckText      = 128      // bytes of each text in it
	maxPerVerifier  = 256      // instances of one credential
	maxVerifierRows = 4096     // instances in all
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
}

// An ackRequest is the body of POST /revocation/ack.
type ackRequest struct {
	acknowledgement
	Frames []string `json:"frames"` // the last ones that it applied, when our log does not lead there
}

func (a *acknowledgement) valid() bool {
	for _, s := range []string{a.Instance, a.C, a.KFID, a.Keys} {
		if len(s) > maxAckText {
			return false
		}
	}
	return a.Instance != ""
}

// reached reports whether the verifier holds everything up to seq of epoch.
func (a *acknowledgement) reached(epoch, seq uint64) bool {
	return a.Epoch > epoch || a.Epoch == epoch && a.Seq >= seq
}

// A holder is one instance of a verifier, as it was last heard.
type holder struct {
	Credential string `json:"credential"`
	acknowledgement
	Heard time.Time `json:"heard"`
	Fork  bool      `json:"fork,omitzero"` // it stands where our log does not lead: two histories
}

func (h *holder) name() string { return h.Credential + "/" + h.Instance }

type instance struct{ credential, name string }

// holders remembers the instances that this node has heard within the longest
// token life. Other nodes remember theirs.
type holders struct {
	life time.Duration
	now  func() time.Time

	mu      sync.Mutex
	heard   map[instance]holder
	changed chan struct{} // closed and replaced at every acknowledgement
}

func newHolders(life time.Duration, now func() time.Time) *holders {
	return &holders{life: life, now: now, heard: map[instance]holder{}, changed: make(chan struct{})}
}

// put takes an acknowledgement. known is what was heard from the instance before;
// ok is false when its credential has too many instances.
func (h *holders) put(row holder) (known holder, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := instance{row.Credential, row.Instance}
	known, ok = h.heard[key]
	if !ok && !row.Done && !h.room(row.Credential) {
		return known, false
	}
	if row.Done {
		delete(h.heard, key)
	} else {
		h.heard[key] = row
	}
	close(h.changed)
	h.changed = make(chan struct{})
	return known, true
}

// room makes sure that one more instance fits, forgetting silent ones.
func (h *holders) room(credential string) bool {
	h.forget()
	n := 0
	for key := range h.heard {
		if key.credential == credential {
			n++
		}
	}
	return n < maxPerVerifier && len(h.heard) < maxVerifierRows
}

func (h *holders) forget() {
	limit := h.now().Add(-h.life)
	for key, row := range h.heard {
		if row.Heard.Before(limit) {
			delete(h.heard, key)
		}
	}
}

// list returns who was heard, in order of name, and a channel that closes at the
// next acknowledgement.
func (h *holders) list() ([]holder, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget()
	rows := make([]holder, 0, len(h.heard))
	for _, row := range h.heard {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b holder) int { return cmp.Compare(a.name(), b.name()) })
	return rows, h.changed
}

// A Coverage tells which verifiers refuse what an entry revokes.
type Coverage struct {
	Confirmed int      `json:"confirmed"`
	Of        int      `json:"of"`     // instances heard within the longest token life
	Silent    []string `json:"silent"` // those that did not confirm in time, as credential/instance
	SlowestMS int64    `json:"slowest_ms"`
}

// await waits until every instance has confirmed seq, or ctx ends.
func (h *holders) await(ctx context.Context, epoch, seq uint64, began time.Time) Coverage {
	seen := map[string]bool{}
	var slowest time.Duration
	for {
		rows, changed := h.list()
		c := Coverage{Of: len(rows), Silent: []string{}}
		for _, row := range rows {
			switch name := row.name(); {
			case !row.reached(epoch, seq):
				c.Silent = append(c.Silent, name)
			case !seen[name]:
				seen[name] = true
				slowest = max(slowest, row.Heard.Sub(began))
			}
		}
		c.Confirmed, c.SlowestMS = c.Of-len(c.Silent), slowest.Milliseconds()
		if len(c.Silent) == 0 {
			return c
		}
		select {
		case <-changed:
		case <-serve.Draining(ctx):
			return c
		case <-ctx.Done():
			return c
		}
	}
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
		return badRequest("instance is missing, a text is too long, or there are too many frames")
	}
	if len(in.Frames) > 0 {
		if err := i.shown(r.Context(), credential, in.Frames); err != nil {
			return err
		}
	}
	row := holder{Credential: credential, acknowledgement: a, Heard: i.cfg.Now()}
	if row.Fork, err = i.hub.forked(r.Context(), &a); err != nil {
		return unavailable(err)
	}
	known, ok := i.holders.put(row)
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
