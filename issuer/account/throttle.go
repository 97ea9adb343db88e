package account

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// ThrottleConfig says how many attempts a Throttle lets through; its zero value
// is right. A successful sign-in gives its attempt back, so that only failures
// count in the long run.
type ThrottleConfig struct {
	Pair    Rate             // one account from one address; default 20, one more each 30 s
	Account Rate             // one account from all addresses it does not know; default 100, one more each 10 s
	Address Rate             // one address, all accounts; default 100, one more each second
	Now     func() time.Time // default time.Now
}

// Defaults of [ThrottleConfig].
var (
	DefaultPairRate    = Rate{Burst: 20, Interval: 30 * time.Second}
	DefaultAccountRate = Rate{Burst: 100, Interval: 10 * time.Second}
	DefaultAddressRate = Rate{Burst: 100, Interval: time.Second}
)

// A LimitedError reports too many attempts; answer 429 with Retry-After.
type LimitedError struct {
	RetryAfter time.Duration // until the next attempt is let through
}

func (e *LimitedError) Error() string {
	return fmt.Sprintf("account: too many attempts, next in %v", e.RetryAfter.Round(time.Second))
}

// A Throttle bounds sign-in attempts per account, per address, and per account
// and address together. It keeps no names: an account that does not exist is
// limited like any other. It is safe for concurrent use.
//
// An address from which an account was entered before is not subject to the
// account's own limit, only to the limit of the pair; so an attacker who uses
// that limit up from elsewhere does not lock the owner out.
type Throttle struct {
	pair, account, address *Limiter

	seed  maphash.Seed
	known []atomic.Uint64 // fingerprints of (account, address) that signed in; a later one may displace an earlier
}

// NewThrottle returns a Throttle with all buckets full.
func NewThrottle(cfg ThrottleConfig) *Throttle {
	return &Throttle{
		pair:    newLimiter(cfg.Pair, DefaultPairRate, cfg.Now),
		account: newLimiter(cfg.Account, DefaultAccountRate, cfg.Now),
		address: newLimiter(cfg.Address, DefaultAddressRate, cfg.Now),
		seed:    maphash.MakeSeed(),
		known:   make([]atomic.Uint64, cells),
	}
}

func newLimiter(rate, standard Rate, now func() time.Time) *Limiter {
	if rate.Burst <= 0 || rate.Interval <= 0 {
		rate = standard
	}
	return NewLimiter(rate, now)
}

// An Attempt is one that was let through.
type Attempt struct {
	t       *Throttle
	pair    uint64
	charged []charge
}

type charge struct {
	limiter *Limiter
	name    string
}

// Take lets an attempt at the account called name from addr through, or returns
// a *[LimitedError]. Addresses count by their [Network]. An invalid addr (a unix
// socket without a proxy's header) has no bucket of its own.
func (t *Throttle) Take(name string, addr netip.Addr) (*Attempt, error) {
	network := Network(addr)
	pair := network + "\x00" + name
	a := &Attempt{t: t, pair: maphash.String(t.seed, pair)}
	due := []charge{{t.pair, pair}}
	if network != "" {
		due = append(due, charge{t.address, network})
	}
	if t.known[a.pair%cells].Load() != a.pair {
		due = append(due, charge{t.account, name})
	}
	for _, c := range due {
		if wait := c.limiter.Take(c.name); wait > 0 {
			a.GiveBack()
			return nil, &LimitedError{RetryAfter: wait}
		}
		a.charged = append(a.charged, c)
	}
	return a, nil
}

// Succeeded gives the attempt back and remembers the address as one from which
// the account is used.
func (a *Attempt) Succeeded() {
	a.t.known[a.pair%cells].Store(a.pair)
	a.GiveBack()
}

// GiveBack undoes the attempt: no password was compared.
func (a *Attempt) GiveBack() {
	for _, c := range a.charged {
		c.limiter.GiveBack(c.name)
	}
	a.charged = nil
}

// Network returns what counts as one address: an IPv4 address, or the /64 of an
// IPv6 address, since a household or a phone changes freely within it. An
// invalid address is the empty string.
func Network(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		return addr.String()
	}
	p, err := addr.Prefix(networkBits)
	if err != nil {
		return ""
	}
	return p.String()
}

// networkBits is the part of an IPv6 address that a subscriber does not choose.
const networkBits = 64
