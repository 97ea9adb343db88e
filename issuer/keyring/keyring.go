package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

// Defaults of [Config].
const (
	DefaultMaxTokenLife = time.Hour
	DefaultJWKSMaxAge   = 5 * time.Minute
	DefaultRotateEvery  = 30 * 24 * time.Hour
	DefaultStandbyFor   = 24 * time.Hour
)

// actorSelf stands in the audit trail for what nobody asked for.
const actorSelf = "issuer"

// skew is how far the clocks of nodes and verifiers may disagree. A key's window
// opens that much before it is published and closes that much after it stopped.
const skew = time.Minute

var (
	// ErrKEK reports that the key-encryption key does not open what the store holds.
	ErrKEK = errors.New("the key-encryption key does not open the keyring")
	// ErrNotFounded reports a store without a root key where there has to be one.
	ErrNotFounded = errors.New("the store is empty: it is of no issuer yet")
	// ErrNoActive reports that no key of the algorithm may sign.
	ErrNoActive = errors.New("no active key for the algorithm")
	// ErrNotActive reports that a key which was to be replaced does not sign.
	ErrNotActive = errors.New("the key does not sign, or not any more")
	// ErrUnknownKey reports a key id that the keyring never had.
	ErrUnknownKey = errors.New("the keyring has no such key")
	// ErrCanary reports that a key which was to be killed is a canary on watch.
	ErrCanary = errors.New("the key is a canary, and to kill it would end the watch for it")
	// ErrConflict reports that another node changed the same keys at the same time.
	ErrConflict = errors.New("another node changed the keys at the same time")
)

// Config says what a keyring holds. Issuer and KEK are required.
type Config struct {
	Issuer       string
	KEK          *jwk.Key         // seals every other key: for A256GCMKW, or a private one for ECDH-ES+A256KW or RSA-OAEP-256
	NextKEK      *jwk.Key         // the one that KEK is about to be changed for, see [Reseal]; default: none
	Maker        KeyMaker         // of signing keys that live in a token; default: they are made in memory and sealed
	Notary       notary.Releaser  // a notary in a process of its own, to which standbys are sealed; default: none
	WitnessKeys  *jwk.Set         // of the notary, for the trust statement; default: those that are in it; none if empty
	Algorithms   []jwk.Algorithm  // the first is the default one; keys of others retire; default ES256
	MaxTokenLife time.Duration    // longest life of a token that a verifier takes; default 1 h
	JWKSMaxAge   time.Duration    // how long a published key set may be cached; default 5 min
	NoFounding   bool             // an empty store is an error, [ErrNotFounded], and not a new issuer
	RotateEvery  time.Duration    // how long a key signs before [Keyring.Scheduled] replaces it; default 30 days; negative: for ever
	StandbyFor   time.Duration    // how long a key is published before Scheduled lets it sign; default 24 h
	Now          func() time.Time // default: the clock of the store, by which tokens are issued
	Log          *slog.Logger     // default slog.Default
}

func (c *Config) complete() error {
	if c.Issuer == "" || c.KEK == nil {
		return errors.New("keyring: Issuer and KEK are required")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []jwk.Algorithm{jwk.ES256}
	}
	for _, alg := range c.Algorithms {
		if !Signs(alg) {
			return fmt.Errorf("keyring: %q is not an algorithm for a published key", alg)
		}
	}
	c.MaxTokenLife = cmp.Or(c.MaxTokenLife, DefaultMaxTokenLife)
	c.JWKSMaxAge = cmp.Or(c.JWKSMaxAge, DefaultJWKSMaxAge)
	c.RotateEvery = cmp.Or(c.RotateEvery, DefaultRotateEvery)
	c.StandbyFor = cmp.Or(c.StandbyFor, DefaultStandbyFor)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

// Signs reports whether a ring can hold keys for alg: a signature whose public
// half can be published.
func Signs(alg jwk.Algorithm) bool {
	switch alg {
	case jwk.RS256, jwk.RS384, jwk.RS512, jwk.PS256, jwk.PS384, jwk.PS512,
		jwk.ES256, jwk.ES384, jwk.ES512, jwk.Ed25519, jwk.EdDSA:
		return true
	}
	return false
}

// A Keyring is safe for concurrent use. Its reading methods never touch the
// store: they answer from what [Open], [Keyring.Reload] and the changing methods
// read last.
type Keyring struct {
	st     *store.Store
	cfg    Config
	locker *locker
	fixed  *fixed // the secrets that do not change while the process lives

	ring    atomic.Pointer[ring] // replaced whole by reload; readers never wait
	voice   atomic.Pointer[voice]
	reading chan struct{} // holds one token while a reload runs, so that the newest read wins
	unheard string        // a statement that was not followed; whoever reads owns it
	ahead   atomic.Int64  // by how many nanoseconds the clock of the store was ahead of ours when it was last read

	mu     sync.Mutex
	told   map[place]time.Time // when it was last said that its rotation waits for verifiers
	ending map[string]string   // kids by the names of keys in a token that may be of no use any more
}

// Open reads the keyring from the store, and makes it first if it is not there.
// It fails with [ErrKEK] if it was sealed under another key.
func Open(ctx context.Context, st *store.Store, cfg Config) (*Keyring, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	k := &Keyring{st: st, cfg: cfg, reading: make(chan struct{}, 1), told: map[place]time.Time{}, ending: map[string]string{}}
	var err error
	if k.locker, err = newLocker(&cfg); err != nil {
		return nil, err
	}
	founding, err := k.lacksRoot(ctx)
	if err != nil {
		return nil, err
	}
	if founding && cfg.NoFounding {
		return nil, ErrNotFounded
	}
	if err := k.claimKEK(ctx); err != nil {
		return nil, err
	}
	if err := k.openFixed(ctx); err != nil {
		return nil, err
	}
	if founding { // no verifier of an issuer of before would follow it
		cfg.Log.Warn("founded a new issuer", "iss", cfg.Issuer, "root", k.fixed.root.Thumbprint())
	}
	if err := k.adopt(ctx); err != nil {
		return nil, err
	}
	if err := k.refuse(ctx); err != nil {
		return nil, err
	}
	if err := k.retireUnused(ctx); err != nil {
		return nil, err
	}
	for _, alg := range cfg.Algorithms {
		if err := k.found(ctx, alg); err != nil {
			return nil, err
		}
	}
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	if err := k.holdStandbys(ctx); err != nil && !errors.Is(err, notary.ErrUnavailable) {
		return nil, err
	}
	for at, err := range k.ring.Load().closed {
		if !errors.Is(err, jwk.ErrUnknownKey) {
			return nil, err
		}
		// A backup names it, and it was given up since: verifiers tell a node that runs.
		cfg.Log.Error("the key that signs is not in the token; was a backup put back? then: counterfoil restored", "alg", at.alg, "err", err)
	}
	return k, nil
}

// Signer returns the signer of the active key for alg, or for the default
// algorithm when alg is empty. It signs access tokens. The caller asks for it
// again for each token and never keeps it; whether the key may still sign is
// decided by the store, in the read that the mint rule asks for. The error matches
// [ErrNoActive]; if a key is active that this node cannot open, it says why.
func (k *Keyring) Signer(alg jwk.Algorithm) (*jws.Signer, error) {
	if alg == "" {
		alg = k.cfg.Algorithms[0]
	}
	r, at := k.ring.Load(), place{UseAccess, alg}
	if s, ok := r.signers[at]; ok {
		return s, nil
	}
	if why, ok := r.closed[at]; ok {
		return nil, fmt.Errorf("%w: %w", ErrNoActive, why)
	}
	return nil, ErrNoActive
}

// Public returns the keys to publish: standby, active and retiring ones, with
// their limits. It never holds a private member.
func (k *Keyring) Public() *jwk.Set { return k.ring.Load().public }

// Keys lists every key that the ring has or had, oldest first, those of drills and
// canaries too: look at [Info.Use]. At the end are rows that somebody else wrote, the
// [Refused] ones, at most 64.
func (k *Keyring) Keys() []Info { return append([]Info(nil), k.ring.Load().infos...) }

// Verification returns the public half, with its limits, of any key that the ring
// has or had: also of one that was withdrawn, of a drill and of a canary. It is for
// looking at evidence; a token is accepted by what [Keyring.Public] holds.
func (k *Keyring) Verification(kid string) (*jwk.Key, Info, bool) {
	r := k.ring.Load()
	key, ok := r.known[kid] // none of a refused row
	if !ok {
		return nil, Info{}, false
	}
	info, _ := r.info(kid)
	return key, info, true
}

// Version returns a number that grows with each change of the keys in the store,
// and is the same on all nodes that have read the same.
func (k *Keyring) Version() uint64 { return k.ring.Load().changes }

func (k *Keyring) info(kid string) (Info, bool) { return k.ring.Load().info(kid) }

func (r *ring) info(kid string) (Info, bool) {
	i := slices.IndexFunc(r.infos, func(i Info) bool { return i.KeyID == kid })
	if i < 0 {
		return Info{}, false
	}
	return r.infos[i], true
}

// infosIn lists the keys of a place in one state, the oldest first.
func (k *Keyring) infosIn(at place, state State) (list []Info) {
	for _, i := range k.ring.Load().infos {
		if i.Use == at.use && i.Algorithm == at.alg && i.State == state {
			list = append(list, i)
		}
	}
	return list
}

// Algorithms returns the algorithms that the ring signs with, the default first.
func (k *Keyring) Algorithms() []jwk.Algorithm {
	return append([]jwk.Algorithm(nil), k.cfg.Algorithms...)
}

// Algorithm returns the algorithm called name, the default one for an empty name,
// and [ErrNoActive] when the ring does not sign with it.
func (k *Keyring) Algorithm(name string) (jwk.Algorithm, error) {
	if name == "" {
		return k.cfg.Algorithms[0], nil
	}
	if alg := jwk.Algorithm(name); slices.Contains(k.cfg.Algorithms, alg) {
		return alg, nil
	}
	return "", ErrNoActive
}

// Issuer returns the issuer that the ring belongs to.
func (k *Keyring) Issuer() string { return k.cfg.Issuer }

// MaxTokenLife returns the longest life of a token under the keys of the ring.
func (k *Keyring) MaxTokenLife() time.Duration { return k.cfg.MaxTokenLife }

// JWKSMaxAge returns how long the published set may be cached.
func (k *Keyring) JWKSMaxAge() time.Duration { return k.cfg.JWKSMaxAge }

// FeedKey returns the private key that signs what verifiers are told, and nothing else.
// The caller asks for it again each time.
func (k *Keyring) FeedKey() *jwk.Key { return k.voice.Load().feed }

// Feed returns the feed key and the trust statement that names it.
func (k *Keyring) Feed() (key *jwk.Key, trust string) {
	v := k.voice.Load()
	return v.feed, v.trust
}

// Root returns the public half of the root, which vouches for the feed keys. Its
// private half signs the trust statement in [Open] and is not kept in memory.
func (k *Keyring) Root() *jwk.Key { return k.fixed.root }

// Trust returns the trust statement signed by the root.
func (k *Keyring) Trust() string { return k.voice.Load().trust }

// HandleKey returns the key that turns values into handles.
func (k *Keyring) HandleKey() revocation.HandleKey { return k.fixed.handles }

// HandleSecret returns a copy of the secret behind [Keyring.HandleKey], which the
// feed gives to verifiers and to nobody else.
func (k *Keyring) HandleSecret() []byte { return append([]byte(nil), k.fixed.handleSecret...) }

// CurrentRefreshKey returns the key for the MAC of new refresh tokens and its id.
func (k *Keyring) CurrentRefreshKey() (id byte, key []byte) {
	return refreshSlot, k.fixed.refresh
}

// RefreshKey returns the MAC key with an id.
func (k *Keyring) RefreshKey(id byte) ([]byte, bool) {
	if id != refreshSlot {
		return nil, false
	}
	return k.fixed.refresh, true
}

// Reseal changes the key-encryption key of the store as the function [Reseal] does.
// This ring notices nothing only if to is its NextKEK.
func (k *Keyring) Reseal(ctx context.Context, to *jwk.Key, actor string) (Resealed, error) {
	kek, err := k.locker.find(k.ring.Load().kek)
	if err != nil {
		return Resealed{}, err
	}
	done, err := Reseal(ctx, k.st, kek, to, actor)
	if err != nil {
		return done, err
	}
	return done, k.Reload(ctx)
}
