package account

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
)

// waitingPerWorker is how many sign-ins may wait for each that is computed. At
// 60 ms each the last of them waits about two seconds.
const waitingPerWorker = 32

// ErrBusy reports that as many passwords wait to be hashed as may wait. It says
// nothing about the password; answer 503 with Retry-After.
var ErrBusy = errors.New("account: too many passwords wait to be hashed")

// HasherConfig says how passwords are hashed; its zero value is right.
type HasherConfig struct {
	Params     Params // cost of new hashes; default: [OpenHasher] calibrates, [NewHasher] takes DefaultParams
	Concurrent int    // computations at a time; default half of the cores, at least 1
	Waiting    int    // callers that may wait for a place; default 32 for each computation
}

// A Hasher computes and checks password hashes. It is safe for concurrent use,
// and there should be one in a process: it is what bounds the work.
type Hasher struct {
	params  Params
	unknown *Hash         // checked in place of an account that does not exist
	places  chan struct{} // one token for each running computation
	queued  atomic.Int64  // callers running or waiting
	room    int64         // most callers running or waiting
	work    atomic.Uint64 // computations begun
}

// NewHasher returns a Hasher that makes hashes with cfg.Params as they are.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	if cfg.Params == (Params{}) {
		cfg.Params = DefaultParams
	}
	if err := cfg.Params.Check(); err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	if cfg.Concurrent <= 0 {
		cfg.Concurrent = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if cfg.Waiting <= 0 {
		cfg.Waiting = waitingPerWorker * cfg.Concurrent
	}
	h := &Hasher{
		params: cfg.Params,
		places: make(chan struct{}, cfg.Concurrent),
		room:   int64(cfg.Concurrent + cfg.Waiting),
	}
	h.unknown = newHash(cfg.Params, randomSalt(), rand.Text())
	return h, nil
}

// Params returns the cost of the hashes that h makes.
func (h *Hasher) Params() Params { return h.params }

// Computations returns how many hashes h has begun to compute.
func (h *Hasher) Computations() uint64 { return h.work.Load() }

// Hash returns a new hash of password as a PHC string, or [ErrBusy], or the
// error of ctx when that ends first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	return newHash(h.params, randomSalt(), password).String(), nil
}

// Verify reports whether password is the one that phc was made from, and
// whether the hash is weaker than what h makes now. An empty phc stands for an
// account that does not exist: the answer is no, after the same work. Errors are
// [ErrBusy], the error of ctx, and [ErrHash] for a broken row, also after the
// same work.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (ok, stale bool, err error) {
	hash, real := h.unknown, false
	if phc != "" {
		parsed, parseErr := ParseHash(phc)
		if parseErr == nil {
			hash, real = parsed, true
		}
		err = parseErr
	}
	if busy := h.enter(ctx); busy != nil {
		return false, false, busy
	}
	defer h.leave()
	ok = hash.matches(password) && real
	return ok, ok && hash.params.weakerThan(h.params), err
}

// enter takes a place, waiting for one if there is room to wait.
func (h *Hasher) enter(ctx context.Context) error {
	if h.queued.Add(1) > h.room {
		h.queued.Add(-1)
		return ErrBusy
	}
	select {
	case h.places <- struct{}{}:
		h.work.Add(1)
		return nil
	case <-ctx.Done():
		h.queued.Add(-1)
		return ctx.Err()
	}
}

func (h *Hasher) leave() {
	<-h.places
	h.queued.Add(-1)
}

func randomSalt() []byte {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return salt
}
