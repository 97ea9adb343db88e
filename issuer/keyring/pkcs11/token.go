//go:build pkcs11 && cgo

package pkcs11

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// maxCloseTimeout is how long Close waits for calls that are under way, and then for the
// module to go.
const maxCloseTimeout = 5 * time.Second

func (c *Config) closeTimeout() time.Duration { return min(maxCloseTimeout, c.Timeout) }

// A Token is one token of one module. It may be used by several goroutines at
// once. When it was taken out and put back, or its sessions were lost, the next
// call opens it again.
type Token struct {
	cfg    Config
	module *module

	conn    atomic.Pointer[connection] // nil: to be opened
	opening gate                       // of whoever opens or drops a connection
	closed  atomic.Bool
	refused [sha256.Size]byte // of the PIN that was refused; guarded by opening
}

// Open loads the module, finds the one token that the URI names and logs in.
// Errors: [ErrNoToken], [ErrPIN], or what the module answers, all but a wrong PIN
// and a module that cannot be loaded a [jwk.ErrUnavailable]. When ctx ends, or the
// module does not answer in time, a call of the module that hangs is left to itself.
func Open(ctx context.Context, cfg Config) (*Token, error) {
	if cfg.URI == nil {
		return nil, errors.New("pkcs11: URI is required")
	}
	cfg.Sessions, cfg.Timeout = cmp.Or(cfg.Sessions, DefaultSessions), cmp.Or(cfg.Timeout, DefaultTimeout)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	ctx, cancel := cfg.limit(ctx)
	defer cancel()
	m, err := openModule(ctx, cfg.URI.ModulePath)
	if err != nil {
		return nil, err
	}
	t := &Token{cfg: cfg, module: m, opening: newGate()}
	if _, err := t.connection(ctx); err != nil {
		t.closed.Store(true)
		m.close(cfg.closeTimeout()) // of the two errors err is the reason
		return nil, err
	}
	return t, nil
}

// Close ends the sessions, and unloads the module with its last token.
func (t *Token) Close() error {
	if t.closed.Swap(true) {
		return nil
	}
	limit := t.cfg.closeTimeout()
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, ErrSilent)
	defer cancel()
	t.alone(ctx, func() {
		if c := t.conn.Swap(nil); c != nil {
			c.end(ctx)
		}
	})
	return t.module.close(limit)
}

// limit bounds what is asked of the module.
func (c *Config) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.Timeout, ErrSilent)
}

// alone runs fn while nobody opens or drops a connection.
func (t *Token) alone(ctx context.Context, fn func()) {
	pass(ctx, t.opening, func() (struct{}, error) { fn(); return struct{}{}, nil }, func(struct{}) {})
}

// use lends fn a session of t, for as long as the module may take. When the trouble may
// be over once the token was opened again, it tries that, once.
func use[T any](ctx context.Context, t *Token, fn func(*connection, pkcs11.SessionHandle) (T, error)) (T, error) {
	ctx, cancel := t.cfg.limit(ctx)
	defer cancel()
	return useUntil(ctx, t, fn)
}

func useUntil[T any](ctx context.Context, t *Token, fn func(*connection, pkcs11.SessionHandle) (T, error)) (none T, err error) {
	for again := false; ; again = true {
		c, err := t.connection(ctx)
		if err != nil {
			return none, err
		}
		value, err := lend(ctx, c, func(s pkcs11.SessionHandle) (T, error) { return fn(c, s) })
		if !lost(err) {
			return value, err
		}
		if t.conn.CompareAndSwap(c, nil) {
			t.alone(ctx, c.drop)
			t.cfg.Log.Warn("the PKCS #11 token is opened again", "token", t.cfg.URI.Token, "err", err)
		}
		if again {
			return none, err
		}
	}
}

// connection returns the one that is open, or opens one.
func (t *Token) connection(ctx context.Context) (*connection, error) {
	if c := t.conn.Load(); c != nil {
		return c, nil
	}
	return pass(ctx, t.opening, t.reconnect, func(*connection) {}) // one that comes late is there for the next caller
}

// reconnect is connection, for whoever is in opening.
func (t *Token) reconnect() (*connection, error) {
	if t.closed.Load() {
		return nil, ErrClosed
	}
	if c := t.conn.Load(); c != nil {
		return c, nil
	}
	c, err := t.connect()
	if err != nil && !errors.Is(err, ErrPIN) {
		t.module.restart()
		c, err = t.connect()
	}
	if err != nil {
		return nil, err
	}
	t.conn.Store(c)
	if t.closed.Load() && t.conn.CompareAndSwap(c, nil) {
		c.drop() // closed since, by somebody who did not wait
		return nil, ErrClosed
	}
	return c, nil
}

func (t *Token) connect() (*connection, error) {
	t.module.calls.RLock()
	defer t.module.calls.RUnlock()
	if t.module.gone {
		return nil, ErrClosed
	}
	slot, err := t.slot()
	if err != nil {
		return nil, err
	}
	return connect(t.module, slot, t.cfg.Sessions, t.login)
}

// slot finds the one slot whose token the URI names.
func (t *Token) slot() (uint, error) {
	slots, err := t.module.ctx.GetSlotList(true)
	if err != nil {
		return 0, trouble("C_GetSlotList", err)
	}
	var fits []uint
	for _, slot := range slots {
		info, err := t.module.ctx.GetTokenInfo(slot)
		if err != nil {
			continue // taken out since
		}
		if info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 && t.cfg.URI.fits(slot, info) {
			fits = append(fits, slot)
		}
	}
	if len(fits) != 1 {
		return 0, ErrNoToken
	}
	return fits[0], nil
}

// fits reports whether each attribute that was said is that of the token.
func (u *URI) fits(slot uint, info pkcs11.TokenInfo) bool {
	for said, is := range map[*string]string{
		&u.Token: info.Label, &u.Manufacturer: info.ManufacturerID, &u.Serial: info.SerialNumber, &u.Model: info.Model,
		&u.SlotID: strconv.FormatUint(uint64(slot), 10),
	} {
		if *said != "" && *said != is {
			return false
		}
	}
	return true
}

// login does it once for each PIN that the token refused: after a few more it
// would lock itself, and only its security officer can open it.
func (t *Token) login(s pkcs11.SessionHandle) error {
	if t.cfg.PIN == nil {
		return nil
	}
	pin, err := t.cfg.PIN()
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(pin))
	if sum == t.refused {
		return ErrPIN
	}
	err = t.module.ctx.Login(s, pkcs11.CKU_USER, pin)
	switch {
	case is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		return nil
	case is(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED):
		t.refused = sum
		return fmt.Errorf("%w: %w", ErrPIN, err)
	}
	return trouble("C_Login", err)
}
