//go:build pkcs11 && cgo

package pkcs11

import "context"

// A gate lets one in at a time. A call of a module cannot be interrupted: whoever
// waits for one that hangs goes away when ctx ends, and the gate stays shut until the
// call has come back, so that no second one hangs beside it.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

// pass runs fn behind g. When nobody waits for what fn returns any more, late takes it.
func pass[T any](ctx context.Context, g gate, fn func() (T, error), late func(T)) (none T, err error) {
	select {
	case g <- struct{}{}:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	ended := make(chan answer[T])
	go func() {
		defer func() { <-g }()
		value, err := fn()
		select {
		case ended <- answer[T]{value, err}:
		case <-ctx.Done():
			if err == nil {
				late(value)
			}
		}
	}()
	select {
	case got := <-ended:
		return got.value, got.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}
