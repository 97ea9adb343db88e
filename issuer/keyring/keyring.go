package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

// Defaults of [Config].
const (
	DefaultMaxTokenLife = time.Hour
	DefaultJWKSMaxAge   = 5 * time.Minute
)

// skew is how far the clocks of nodes and verifiers may disagree. A key's window
// opens that much before it is published and closes that much after it stopped.
const skew = time.Minute

var (
	// ErrKEK reports that the key-encryption key does not open what the store holds.
	ErrKEK = errors.New("the key-encryption key does not open the keyring")
	// ErrNoActive reports that no key of the algorithm may sign.
	ErrNoActive = errors.New("no active key for the algorithm")
	// ErrUnknownKey reports a key id that the keyring never had.
	ErrUnknownKey = errors.New("the keyring has no such key")
	// ErrConflict reports that another node changed the same keys at the same time.
	ErrConflict = errors.New("another node changed the keys at the same time")
)

// Config says what a keyring holds. Issuer and KEK are required.
type Config struct {
	Issuer       string
	KEK          *jwk.Key         // an A256GCMKW key; seals every other key
	Algorithms   []jwk.Algorithm  // the first is the default one; default ES256
	MaxTokenLife time.Duration    // longest life of a token that a verifier takes; default 1 h
	JWKSMaxAge   time.Duration    // how long a published key set may be cached; default 5 min
	Now          func() time.Time // default time.Now
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
	if c.MaxTokenLife == 0 {
		c.MaxTokenLife = DefaultMaxTokenLife
	}
	if c.JWKSMaxAge == 0 {
		c.JWKSMaxAge = DefaultJWKSMaxAge
	}
	if c.Now == nil {
		c.Now = time.Now
	}
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
	st    *store.Store
	cfg   Config
	fixed fixed // the secrets that do not change while the process lives

	ring    atomic.Pointer[ring] // replaced whole by reload; readers never wait
	reading chan struct{}        // holds one token while a reload runs, so that the newest read wins
}

// Open reads the keyring from the store, and makes it first if it is not there.
// It fails with [ErrKEK] if it was sealed under another key.
func Open(ctx context.Context, st *store.Store, cfg Config) (*Keyring, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	k := &Keyring{st: st, cfg: cfg, reading: make(chan struct{}, 1)}
	if err := k.openFixed(ctx); err != nil {
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
	return k, nil
}

// Signer returns the signer of the active key for alg, or for the default
// algorithm when alg is empty. It signs access tokens. The caller asks for it
// again for each token and never keeps it; whether the key may still sign is
// decided by the store, in the read that the mint rule asks for.
func (k *Keyring) Signer(alg jwk.Algorithm) (*jws.Signer, error) {
	if alg == "" {
		alg = k.cfg.Algorithms[0]
	}
	s, ok := k.ring.Load().signers[alg]
	if !ok {
		return nil, ErrNoActive
	}
	return s, nil
}

// Public returns the keys to publish: standby, active and retiring ones, with
// their limits. It never holds a private member.
func (k *Keyring) Public() *jwk.Set { return k.ring.Load().public }

// Keys lists every key that the ring has or had, oldest first.
func (k *Keyring) Keys() []Info { return append([]Info(nil), k.ring.Load().infos...) }

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

// FeedKey returns the private key that signs frames and manifests, and nothing else.
func (k *Keyring) FeedKey() *jwk.Key { return k.fixed.feed }

// Root returns the public half of the root, which vouches for the feed keys. Its
// private half signs the trust statement in [Open] and is not kept in memory.
func (k *Keyring) Root() *jwk.Key { return k.fixed.root }

// Trust returns the trust statement signed by the root.
func (k *Keyring) Trust() string { return k.fixed.trust }

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
