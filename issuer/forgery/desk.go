package forgery

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

// An Answer says what is done about a forged token beyond the alarm.
type Answer string

// The answers.
const (
	Automatic Answer = "automatic" // quarantine, another key, and the end of the old one
	AlarmOnly Answer = "alarm"     // nothing: a trial, or a person decides
	Off       Answer = "off"       // not even that: verifiers report nothing
)

// Keyring is what the desk needs of the issuer's keys; [keyring.Keyring] is one.
type Keyring interface {
	// Verification returns the public half of any key that the ring has or had,
	// with its limits.
	Verification(kid string) (*jwk.Key, keyring.Info, bool)
	Keys() []keyring.Info
	Rotate(context.Context, keyring.RotateOptions) (keyring.Rotation, error)
	// Lock makes other changes of the keys wait for the end of a transaction that
	// appends to the log and then calls Withdraw.
	Lock(tx *store.Tx) error
	// Withdraw gives up a key for which the caller has put an absolute entry into
	// the log, in the same transaction.
	Withdraw(tx *store.Tx, kid, actor string, seq uint64) error
	Reload(context.Context) error
	HandleKey() revocation.HandleKey
}

// Config says how a Desk works. Issuer, Store, Keyring and Notary are required.
type Config struct {
	Issuer  string
	Store   *store.Store
	Keyring Keyring
	Notary  notary.Notary   // checks what verifiers have seen
	Each    []notary.Notary // every one that tags or checks, by itself: the probe asks them all; default Notary

	// Waiting names the connected verifiers that do not hold a key yet. For a moment the
	// answer waits for them before that key signs. Default: nobody.
	Waiting keyring.Gate
	// Reporting says how the reports of connected verifiers fare. Default: of nobody.
	Reporting func() []Reporting

	TokenLife time.Duration // of the access tokens that this issuer makes; default 15 min
	Answer    Answer        // default Automatic
	Webhook   *Webhook      // takes every alarm; default none

	Log *slog.Logger     // default slog.Default
	Now func() time.Time // default time.Now; for what this node bounds and repeats. The store's clock decides about tokens and the answer
}

const defaultTokenLife = 15 * time.Minute

func (c *Config) complete() error {
	if c.Issuer == "" || c.Store == nil || c.Keyring == nil || c.Notary == nil {
		return errors.New("forgery: Issuer, Store, Keyring and Notary are required")
	}
	if c.Answer == "" {
		c.Answer = Automatic
	}
	if c.Answer != Automatic && c.Answer != AlarmOnly && c.Answer != Off {
		return errors.New("forgery: the answer is automatic, alarm or off")
	}
	if len(c.Each) == 0 {
		c.Each = []notary.Notary{c.Notary}
	}
	if c.Waiting == nil {
		c.Waiting = func(context.Context, string) ([]string, error) { return nil, nil }
	}
	if c.Reporting == nil {
		c.Reporting = func() []Reporting { return nil }
	}
	if c.TokenLife == 0 {
		c.TokenLife = defaultTokenLife
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// A Desk takes in what verifiers have seen, on one node. It is safe for concurrent
// use.
type Desk struct {
	cfg       Config
	node      string // names this process among the probes
	reporters *reporters
	counts    counts
	judged    judged // forged tokens that this node has dealt with
	crowd     crowd  // and how many there were beyond those in the store
	proved    proved
	probes    probes
	sight     sight
	forgotten time.Time // when old traces were last looked for; forget's own

	cuts cuts

	stepDue, alarmDue chan struct{} // capacity 1: look for a step to take, for an alarm to send
}

// ErrOff reports a desk whose answer is [Off].
var ErrOff = errors.New("forged tokens are not looked for")

// Open returns a desk. It lets the notary make a probe for every key that signs, so
// that no other node can take this one's tokens for forged; a notary that does not
// answer is asked again. [Desk.Run] does what the desk does by itself.
func Open(ctx context.Context, cfg Config) (*Desk, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	d := &Desk{
		cfg: cfg, node: rand.Text(), reporters: newReporters(cfg.Now), crowd: newCrowd(), proved: newProved(),
		sight:   sight{owed: make(map[string]*owed), late: make(map[string]time.Time)},
		stepDue: make(chan struct{}, 1), alarmDue: make(chan struct{}, 1),
	}
	if cfg.Answer == Off {
		return d, nil
	}
	if err := d.keepProbes(ctx); err != nil && !errors.Is(err, notary.ErrUnavailable) {
		return nil, err
	}
	return d, nil
}

func ignore(one, err error) error {
	if errors.Is(err, one) {
		return nil
	}
	return err
}

// Answer returns what the desk does about a forged token.
func (d *Desk) Answer() Answer { return d.cfg.Answer }

// rhythm is how often a node probes, and looks for steps that other nodes left.
const rhythm = time.Second

const forgetting = "the removal of old traces"

// Run probes, answers and alarms until ctx ends.
func (d *Desk) Run(ctx context.Context) {
	if d.cfg.Answer == Off {
		d.every(ctx, nil, forgetting, d.forget)
		return
	}
	var all sync.WaitGroup
	all.Go(func() { d.every(ctx, nil, "the notary's probe", d.probeOnce) })
	all.Go(func() { d.every(ctx, nil, "the look for tokens that do not come", d.lookForUnshown) })
	all.Go(func() { d.every(ctx, nil, "the look for verifiers whose reports are not answered", d.lookForCut) })
	all.Go(func() { d.every(ctx, nil, "the count of forged tokens", d.settleCrowd) })
	all.Go(func() { d.every(ctx, nil, forgetting, d.forget) })
	if d.cfg.Answer == Automatic {
		all.Go(func() { d.every(ctx, d.stepDue, "the answer to a forgery", d.advance) })
	}
	if d.cfg.Webhook != nil {
		all.Go(func() { d.every(ctx, d.alarmDue, "the webhook", d.deliver) })
	}
	all.Wait()
}

// every calls fn once a rhythm, and when wake says so, until ctx ends. The first of
// several errors in a row is logged.
func (d *Desk) every(ctx context.Context, wake <-chan struct{}, what string, fn func(context.Context) error) {
	tick := time.NewTicker(rhythm)
	defer tick.Stop()
	failing := false
	for {
		err := fn(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			d.cfg.Log.Error(what+" is put off", "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
	}
}
