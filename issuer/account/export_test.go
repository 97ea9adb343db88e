package account

import (
	"runtime"
	"testing"
	"time"
)

// Occupy takes a place of h as a computation does, until the returned function
// is called.
func Occupy(t *testing.T, h *Hasher) (leave func()) {
	if err := h.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h.leave
}

// AwaitQueue returns when n callers run or wait.
func AwaitQueue(h *Hasher, n int64) {
	for h.queued.Load() != n {
		runtime.Gosched()
	}
}

// Stretched is the arithmetic of Calibrate.
func Stretched(took time.Duration) Params { return DefaultParams.stretched(took) }
