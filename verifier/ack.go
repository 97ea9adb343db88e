package verifier

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
)

const (
	// ackEvery is how often a verifier says that it is still there when nothing
	// moves. The issuer takes one that it has not heard for five seconds for gone.
	ackEvery = 2 * time.Second
	// ackCheck is how often it looks whether its key set has changed.
	ackCheck = time.Second
	// ackSpacing gathers what is applied in quick succession.
	ackSpacing = 20 * time.Millisecond
	// farewellTimeout bounds what Close still tells the issuer.
	farewellTimeout = time.Second

	maxInstance = 64
)

// defaultInstance names this process among the others with its credential.
func defaultInstance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "verifier"
	}
	suffix := "-" + rand.Text()[:8]
	return host[:min(len(host), maxInstance-len(suffix))] + suffix
}

// acknowledgement says what this verifier holds.
type acknowledgement struct {
	Instance string `json:"instance"`
	Epoch    uint64 `json:"epoch"`
	Seq      uint64 `json:"seq"`
	C        string `json:"c"`
	KFID     string `json:"kfid"`
	Keys     string `json:"keys"`
	Done     bool   `json:"done,omitzero"`

	Seen   *seenState `json:"seen"`
	Frames []string   `json:"frames,omitempty"` // evidence
	Trust  string     `json:"trust,omitempty"`  // the statement that names who signed them
}

// acknowledge tells the issuer what has been applied, after it has been, until
// ctx ends.
func (f *feed) acknowledge(ctx context.Context) {
	ticker := time.NewTicker(ackCheck)
	defer ticker.Stop()
	var keys string
	var last time.Time
	for {
		now := f.keys.digest()
		due := now != keys || time.Since(last) >= ackEvery
		if f.lookup.Load() != nil && (f.moving.Swap(false) || due) {
			keys, last = now, time.Now()
			if err := f.post(ctx, acknowledgement{}); err != nil && ctx.Err() == nil {
				f.counts.ackErrors.Add(1)
			}
		}
		f.showOwed(ctx)
		sleep(ctx, ackSpacing)
		select {
		case <-ctx.Done():
			return
		case <-f.applied:
		case <-ticker.C:
		}
	}
}

// takeLeave tells the issuer the last that there is to tell, as far as there is time:
// tokens that were seen, and that nobody needs to wait for this verifier.
func (f *feed) takeLeave() {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() { f.reports.farewell(ctx) })
	work.Go(func() { f.farewell(ctx) })
	work.Wait()
}

// farewell signs off.
func (f *feed) farewell(ctx context.Context) {
	if f.lookup.Load() == nil {
		return
	}
	if err := f.post(ctx, acknowledgement{Done: true}); err != nil {
		f.log.Info("not signed off from the revocation feed", "iss", f.cfg.Issuer, "err", err)
	}
}

// post sends an acknowledgement of what is held.
func (f *feed) post(ctx context.Context, ack acknowledgement) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	head := f.table.Head()
	ack.Instance, ack.Epoch, ack.Seq, ack.C = f.cfg.Instance, head.Epoch, head.Seq, head.C.String()
	ack.KFID, ack.Keys, ack.Seen = f.lookup.Load().keys[0].ID(), f.keys.digest(), f.reports.state()
	body, err := wire.Marshal(ack)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.at[0].base+"/ack", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if err := f.authorize(req); err != nil {
		return err
	}
	resp, err := f.at[0].do(req, http.StatusNoContent)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxLine))
	return resp.Body.Close()
}
