package testbubble

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Timers of which many are due at once, and looked at by many: without Test the race
// detector of Go 1.26 kills this program in a second.
func TestTimersOfManyGoroutines(t *testing.T) {
	Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				for range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					one, other := time.NewTimer(time.Millisecond), time.NewTimer(time.Millisecond)
					select {
					case <-one.C:
					case <-ctx.Done():
					}
					for _, timer := range []*time.Timer{one, other} {
						select {
						case <-timer.C:
						default:
						}
					}
					cancel()
				}
			})
		}
		all.Wait()
	})
}

func TestProcessorsComeBackWithTheLast(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	runtime.GOMAXPROCS(3)
	var p processors
	p.enter()
	p.enter()
	p.leave()
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d while one is in", n)
	}
	p.leave()
	if n := runtime.GOMAXPROCS(0); n != 3 {
		t.Errorf("%d after the last has left", n)
	}
}
