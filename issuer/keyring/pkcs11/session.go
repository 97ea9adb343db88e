//go:build pkcs11 && cgo

package pkcs11

import (
	"context"
	"errors"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A connection is a token opened once: its sessions, and the handles of its keys.
// When it is lost another takes its place.
type connection struct {
	module *module
	epoch  uint64 // of the module
	slot   uint
	state  uint // of its sessions, once logged in

	// sessions holds the sessions that are idle; 0, which is no session's handle,
	// stands for one that was not opened yet.
	sessions chan pkcs11.SessionHandle

	mu      sync.Mutex
	dead    bool
	handles map[keyName]pkcs11.ObjectHandle // of private keys
}

// connect opens the slot in a first session and logs in there, which logs in all.
// The caller holds module.calls for reading.
func connect(m *module, slot uint, sessions int, login func(pkcs11.SessionHandle) error) (*connection, error) {
	c := &connection{
		module: m, epoch: m.epoch, slot: slot,
		sessions: make(chan pkcs11.SessionHandle, sessions), handles: map[keyName]pkcs11.ObjectHandle{},
	}
	first, err := c.open()
	if err != nil {
		return nil, err
	}
	if err := login(first); err != nil {
		m.ctx.CloseSession(first)
		return nil, err
	}
	info, err := m.ctx.GetSessionInfo(first)
	if err != nil {
		return nil, trouble("C_GetSessionInfo", err)
	}
	c.state = info.State
	c.sessions <- first
	for range sessions - 1 {
		c.sessions <- 0
	}
	return c, nil
}

func (c *connection) open() (pkcs11.SessionHandle, error) {
	s, err := c.module.ctx.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	return s, trouble("C_OpenSession", err)
}

// An answer is what a call of the module came to.
type answer[T any] struct {
	value T
	err   error
}

// lend lends fn an idle session, as soon as there is one. A call of a module cannot
// be interrupted: when ctx ends it is left to itself, and its session with it.
func lend[T any](ctx context.Context, c *connection, fn func(pkcs11.SessionHandle) (T, error)) (none T, err error) {
	var s pkcs11.SessionHandle
	select {
	case s = <-c.sessions:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	ended := make(chan answer[T], 1)
	go func() {
		var got answer[T]
		s, got.err = c.call(s, func(s pkcs11.SessionHandle) (err error) {
			got.value, err = fn(s)
			return err
		})
		c.giveBack(s)
		ended <- got
	}()
	select {
	case got := <-ended:
		return got.value, got.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// call runs fn in the session s, and returns the session to keep.
func (c *connection) call(s pkcs11.SessionHandle, fn func(pkcs11.SessionHandle) error) (pkcs11.SessionHandle, error) {
	c.module.calls.RLock()
	defer c.module.calls.RUnlock()
	if c.module.epoch != c.epoch {
		return 0, errStale // the number may be another's session by now
	}
	if s == 0 {
		var err error
		if s, err = c.another(); err != nil {
			return 0, err
		}
	}
	err := fn(s)
	if errors.Is(err, jwk.ErrUnknownKey) && !c.loggedIn(s) {
		err = errStale // without a login no private key is seen
	}
	// The module's own fault may have left an operation half done in the session. The
	// last one that is closed takes the login with it, so that others stay open.
	if _, fault := errors.AsType[pkcs11.Error](err); fault || errors.Is(err, errStale) {
		c.module.ctx.CloseSession(s)
		return 0, err
	}
	return s, err
}

// another opens one more session, which must be logged in as the first one is.
func (c *connection) another() (pkcs11.SessionHandle, error) {
	s, err := c.open()
	if err != nil {
		return 0, err
	}
	if !c.loggedIn(s) {
		c.module.ctx.CloseSession(s)
		return 0, errStale
	}
	return s, nil
}

func (c *connection) loggedIn(s pkcs11.SessionHandle) bool {
	info, err := c.module.ctx.GetSessionInfo(s)
	return err == nil && info.State == c.state
}

func (c *connection) giveBack(s pkcs11.SessionHandle) {
	c.sessions <- s
	c.mu.Lock()
	dead := c.dead
	c.mu.Unlock()
	if dead {
		c.drain()
	}
}

// drop closes the sessions that are idle, and has the others closed when they are.
func (c *connection) drop() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.drain()
}

// drain leaves numbers that stand for no session: somebody may still wait for one.
func (c *connection) drain() {
	for range cap(c.sessions) {
		select {
		case s := <-c.sessions:
			c.close(s)
			c.sessions <- 0
		default:
			return
		}
	}
}

func (c *connection) close(s pkcs11.SessionHandle) {
	c.module.calls.RLock()
	defer c.module.calls.RUnlock()
	if s != 0 && c.module.epoch == c.epoch {
		c.module.ctx.CloseSession(s)
	}
}

// handle returns the handle of a private key, which holds in all sessions of c.
func (c *connection) handle(s pkcs11.SessionHandle, name keyName) (pkcs11.ObjectHandle, error) {
	c.mu.Lock()
	h, ok := c.handles[name]
	c.mu.Unlock()
	if ok {
		return h, nil
	}
	h, err := c.module.findOne(s, name, pkcs11.CKO_PRIVATE_KEY)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handles[name] = h
	return h, nil
}

// forget drops the handle of a key that is no more.
func (c *connection) forget(name keyName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.handles, name)
}

// end closes every session, those under way when they have come back or, at the
// latest, when ctx ends.
func (c *connection) end(ctx context.Context) {
	for range cap(c.sessions) {
		select {
		case s := <-c.sessions:
			c.close(s)
		case <-ctx.Done():
			return
		}
	}
}
