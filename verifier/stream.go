package verifier

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// streamPatience is how long a stream may bring nothing. The issuer sends a
	// heartbeat each 250 ms.
	streamPatience = 2 * time.Second
	// longPoll is asked for where streams bring nothing, because something on
	// the way gathers them up.
	longPoll     = 25 * time.Second
	pollPatience = longPoll + 5*time.Second
	// shortPoll asks for what is there.
	shortPoll = time.Second
	// dumbStreams is after how many streams without an event in a row polling
	// begins, and pollsBetween after how many polls a stream is tried again.
	dumbStreams  = 2
	pollsBetween = 20
)

// stream applies what the tail brings, reconnecting until ctx ends. It stops the
// session when the table cannot be continued.
func (f *feed) stream(ctx context.Context, stop context.CancelCauseFunc) {
	var dumb, polls, place int
	pause := minPause
	for ctx.Err() == nil {
		polling := dumb >= dumbStreams
		events, err := f.follow(ctx, f.at[place%len(f.at)], polling)
		if ctx.Err() != nil {
			return
		}
		if mustRestart(err) {
			stop(err)
			return
		}
		switch {
		case events > 0 && !polling:
			dumb, polls, pause = 0, 0, minPause
		case events > 0:
			if polls++; polls%pollsBetween == 0 {
				dumb = dumbStreams - 1 // try a stream
			}
			continue // an answered poll is followed by the next at once
		case err == nil || !isAbsent(err) || errors.Is(err, context.Canceled):
			dumb++ // it opened and brought nothing
		}
		place++
		sleep(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, maxPause)
	}
}

// follow reads one stream or poll and counts what it brought.
func (f *feed) follow(ctx context.Context, e endpoint, polling bool) (events int, err error) {
	wait, patience := time.Duration(0), streamPatience
	if polling {
		wait, patience = longPoll, pollPatience
		f.counts.polls.Add(1)
	} else {
		f.counts.streams.Add(1)
	}
	err = e.tail(ctx, f.table.Head(), wait, patience, func(frame string) error {
		events++
		return f.apply(frame)
	})
	f.noteGone(err)
	return events, err
}

// pull applies what there is after the head, without leaving it to the stream.
func (f *feed) pull(ctx context.Context) error {
	err := f.tailAny(ctx, f.table.Head(), f.apply)
	f.noteGone(err)
	return err
}

// noteGone has the table loaded anew where the log no longer goes on from its
// head, because that lies too far back or in another epoch.
func (f *feed) noteGone(err error) {
	if isGone(err) {
		f.reload.Store(true)
	}
}

func isGone(err error) bool {
	var status *fetch.StatusError
	return errors.As(err, &status) && status.Status == http.StatusGone
}

// mustRestart reports whether a stream ended because of what it said.
func mustRestart(err error) bool {
	if isGone(err) {
		return true
	}
	for _, target := range []error{
		revocation.ErrGap, revocation.ErrFork, revocation.ErrChain, revocation.ErrFeedKey, revocation.ErrFormat, revocation.ErrIssuer, errNotKeyed,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
