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

// closeTimeout is how long Close waits for calls that are under way.
const closeTimeout = 5 * time.Second

// A Token is one token of one module. It may be used by several goroutines at
// once. When it was taken out and put back, or its sessions were lost, the next
// call opens it again.
type Token struct {
	cfg    Config
	module *module

	conn    atomic.Pointer[connection] // nil: to be opened
	opening chan struct{}              // holds one token while somebody opens the connection
	closed  atomic.Bool
	refused [sha256.Size]byte // of the PIN that was refused; guarded by opening
}

// Open loads the module, finds the one token that the URI names and logs in.
// Errors: [ErrNoToken], [ErrPIN], or what the module answers, all but a wrong PIN
// and a module that cannot be loaded a [jwk.ErrUnavailable].
func Open(cfg Config) (*Token, error) {
	if cfg.URI == nil {
		return nil, errors.New("pkcs11: URI is required")
	}
	cfg.Sessions = cmp.Or(cfg.Sessions, DefaultSessions)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	m, err := openModule(cfg.URI.ModulePath)
	if err != nil {
		return nil, err
	}
	t := &Token{cfg: cfg, module: m, opening: make(chan struct{}, 1)}
	if _, err := t.connection(context.Background()); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return t, nil
}

// Close ends the sessions, and unloads the module with its last token.
func (t *Token) Close() error {
	if t.closed.Swap(true) {
		return nil
	}
	if c := t.conn.Swap(nil); c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		c.end(ctx)
	}
	return t.module.close()
}

// use lends fn a session of t. When the trouble may be over once the token was opened
// again, it tries that, once.
func use[T any](ctx context.Context, t *Token, fn func(*connection, pkcs11.SessionHandle) (T, error)) (none T, err error) {
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
			c.drop()
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
	select {
	case t.opening <- struct{}{}:
		defer func() { <-t.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
	return c, nil
}

func (t *Token) connect() (*connection, error) {
	t.module.calls.RLock()
	defer t.module.calls.RUnlock()
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
