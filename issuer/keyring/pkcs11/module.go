//go:build pkcs11 && cgo

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// A module is a shared library. A process initializes it once, whoever uses it.
type module struct {
	path  string
	ctx   *pkcs11.Ctx
	users int // guarded by loading

	// calls is held for reading by each call of the module, and for writing while
	// it is initialized anew.
	calls     sync.RWMutex
	epoch     uint64    // counts initializations; guarded by calls
	gone      bool      // it is unloaded; guarded by calls
	restarted time.Time // guarded by calls
}

// restartPause is how long a module is left alone between two initializations.
const restartPause = time.Second

var (
	loading = newGate()            // of whoever loads or unloads a module
	modules = map[string]*module{} // those in use, by path; guarded by loading
)

// openModule loads and initializes a module, or takes the one that is in use.
func openModule(ctx context.Context, path string) (*module, error) {
	return pass(ctx, loading, func() (*module, error) { return loadModule(path) }, func(m *module) { m.leave() })
}

// loadModule is openModule, for whoever is in loading.
func loadModule(path string) (*module, error) {
	if m := modules[path]; m != nil {
		m.users++
		return m, nil
	}
	m := &module{path: path, ctx: pkcs11.New(path), users: 1}
	if m.ctx == nil {
		return nil, fmt.Errorf("pkcs11: %s is no module that can be loaded", path)
	}
	if err := m.ctx.Initialize(); err != nil && !is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		m.ctx.Destroy()
		return nil, trouble("C_Initialize", err)
	}
	modules[path] = m
	return m, nil
}

// close unloads the module when its last user has gone, unless that takes too long.
func (m *module) close(limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, ErrSilent)
	defer cancel()
	_, err := pass(ctx, loading, func() (struct{}, error) { return struct{}{}, m.leave() }, func(struct{}) {})
	return err
}

// leave is close, for whoever is in loading. A module that still has a call under way
// stays, for the next one who wants it: nothing can interrupt the call.
func (m *module) leave() error {
	if m.users--; m.users > 0 {
		return nil
	}
	if !m.calls.TryLock() {
		return errors.New("pkcs11: a call of the module has not come back")
	}
	defer m.calls.Unlock()
	delete(modules, m.path)
	m.epoch++
	m.gone = true
	err := m.ctx.Finalize()
	m.ctx.Destroy()
	return trouble("C_Finalize", err)
}

// restart initializes the module anew, which is how one that looks for tokens only
// then finds those that were put back. It does nothing while a call is under way,
// and soon after the last time.
func (m *module) restart() {
	if !m.calls.TryLock() {
		return
	}
	defer m.calls.Unlock()
	if m.gone || time.Since(m.restarted) < restartPause {
		return
	}
	m.restarted = time.Now()
	m.epoch++
	m.ctx.Finalize()
	m.ctx.Initialize()
}

// trouble says which function of the module failed. What it answers is a number
// with a name, and nothing of what it was given.
func trouble(function string, err error) error {
	if err == nil {
		return nil
	}
	return &unavailableError{fmt.Errorf("pkcs11: %s: %w", function, err)}
}

// is reports whether err is one of the answers of a module.
func is(err error, answers ...pkcs11.Error) bool {
	got, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return false
	}
	for _, a := range answers {
		if got == a {
			return true
		}
	}
	return false
}

// errStale reports that the module was initialized anew since a connection was made.
var errStale = &unavailableError{errors.New("pkcs11: the session is gone")}

// lost reports whether err may be over once the token has been opened anew: the
// token was taken out and put back, its session or its login ended, a handle of a
// key is that of another session's time, or something went wrong in the module.
func lost(err error) bool {
	return errors.Is(err, errStale) || is(err,
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_USER_NOT_LOGGED_IN,
		pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_SLOT_ID_INVALID,
		pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID,
		pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED)
}
