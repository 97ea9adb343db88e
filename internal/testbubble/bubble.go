// Package testbubble runs tests in bubbles of testing/synctest, also under the race
// detector.
//
// With Go 1.26 the detector now and then kills the whole program there: timers of one
// bubble that fire on two processors at once share what it keeps of a single thread
// (golang.org/issue/78156). On one processor that cannot be, and nothing is hidden from
// the detector: it judges by what happened before what, not by what happened at once.
package testbubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// Test is [synctest.Test], on one processor where the race detector watches.
func Test(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if watched {
		narrow.enter()
		defer narrow.leave()
	}
	synctest.Test(t, test)
}

var narrow processors

// processors are set to one as long as somebody is in.
type processors struct {
	mu     sync.Mutex
	in     int
	before int // how many there were before the first came
}

func (p *processors) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in++; p.in == 1 {
		p.before = runtime.GOMAXPROCS(1)
	}
}

func (p *processors) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in--; p.in == 0 {
		runtime.GOMAXPROCS(p.before)
	}
}
