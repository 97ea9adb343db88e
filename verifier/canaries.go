package verifier

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

const (
	// maxCanaries bounds the canary keys that are held.
	maxCanaries = 64
	// canarySpacing lies between two requests for canary keys that are not had yet.
	canarySpacing = 5 * time.Second
)

var errCanaries = errors.New("the canary keys are not those that the feed names")

// canaryKeys are the canary keys as they came, and what the manifest says of them.
// They are guarded by feed.mu.
type canaryKeys struct {
	named string         // by the newest manifest; empty: there are none
	held  string         // name of the set in feed.canaries
	text  jsontext.Value // of that set
	tried time.Time      // when they were last asked for
	err   error          // why they are not had, since then
}

// nameOf is how a manifest names a set of canaries: no relay can put another one in
// its place, since the feed key has signed the name.
func nameOf(text jsontext.Value) string {
	sum := sha256.Sum256(text)
	return wire.Encode(sum[:])
}

// nameCanaries takes from a manifest which canary keys there are. Callers hold f.mu.
func (f *feed) nameCanaries(name string) {
	f.flock.named = name
	if name == "" && f.flock.held != "" {
		f.flock.held, f.flock.text = "", nil
		f.canaries.Store(nil)
		f.dirty.Store(true)
	}
}

// takeCanaries takes a set of canary keys, if it is the one that was named. Callers
// hold f.mu.
func (f *feed) takeCanaries(text jsontext.Value) error {
	name := nameOf(text)
	switch {
	case f.flock.named == "" || name == f.flock.held:
		return nil
	case name != f.flock.named:
		return errCanaries
	}
	set, err := jwk.ParseSet(text)
	if err != nil || set.Len() > maxCanaries {
		return errCanaries
	}
	f.flock.held, f.flock.text = name, text
	f.canaries.Store(set)
	f.dirty.Store(true)
	return nil
}

// wantsCanaries reports whether it is time to ask for the canary keys. While it is
// not, err is why they are still not had.
func (f *feed) wantsCanaries() (due bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flock.named == f.flock.held {
		return false, nil
	}
	if time.Since(f.flock.tried) < canarySpacing {
		return false, f.flock.err
	}
	f.flock.tried = time.Now()
	return true, nil
}

// fetchCanaries gets the canary keys that the manifest names, if they are not had.
func (f *feed) fetchCanaries(ctx context.Context) error {
	due, err := f.wantsCanaries()
	if !due {
		return err
	}
	answer, _, err := f.askForKeys(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		err = f.takeCanaries(answer.Canaries)
	}
	f.flock.err = err
	return err
}
