package issuer

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

const (
	readyLimit   = 2 * time.Second        // for the store to answer /readyz
	mintingLimit = 500 * time.Millisecond // for the notary: who asks whether we are ready does not wait for long
	mintingFor   = time.Second            // how long its last answer counts: anybody may ask
)

// readiness is the answer of /readyz. Minting is no part of being ready: an issuer
// without a notary serves the feed, revokes and ends sessions, and where all have lost the
// same notary a balancer that took them away would cut every verifier off.
type readiness struct {
	Status  string `json:"status"`
	Minting bool   `json:"minting"`
	Why     string `json:"why,omitempty"` // it is not
}

// readyz says that the store answers, and whether tokens can be had here. Who wants no
// more than that asks for minting=required.
func (i *Issuer) readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), readyLimit)
	defer cancel()
	err := i.st.View(ctx, func(tx *store.Tx) error {
		_, err := tx.Head()
		return err
	})
	if err != nil {
		return unavailable(err)
	}
	why := i.whyNotMinting(ctx)
	if why != "" && r.URL.Query().Get("minting") == "required" {
		return &serve.Error{
			Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable, Description: why, RetryAfter: time.Second,
		}
	}
	return serve.WriteJSON(w, http.StatusOK, readiness{"ready", why == "", why})
}

// whyNotMinting returns "" where tokens can be had.
func (i *Issuer) whyNotMinting(ctx context.Context) string {
	if _, err := i.keys.Signer(""); err != nil {
		return "no key may sign"
	}
	if i.minting.ask(ctx, i.cfg.Now, i.cfg.Tagger) != nil {
		return "the notary does not answer"
	}
	return ""
}

// A mintCheck remembers whether the notary tags, for a moment, and lets one ask at a time.
type mintCheck struct {
	asking chan struct{} // holds one token while somebody asks
	last   atomic.Pointer[mintResult]
}

type mintResult struct {
	at  time.Time
	err error
}

func newMintCheck() *mintCheck { return &mintCheck{asking: make(chan struct{}, 1)} }

func (c *mintCheck) ask(ctx context.Context, now func() time.Time, tagger notary.Tagger) error {
	ctx, cancel := context.WithTimeout(ctx, mintingLimit)
	defer cancel()
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began := now()
	if last := c.last.Load(); last != nil && began.Before(last.at.Add(mintingFor)) {
		return last.err
	}
	_, err := tagger.Tag(ctx, probeKey, notary.Digest{})
	if ctx.Err() != context.Canceled { // that one did not wait says nothing of the notary
		c.last.Store(&mintResult{began, err})
	}
	return err
}
