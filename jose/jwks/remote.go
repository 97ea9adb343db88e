// Package jwks keeps a copy of somebody else's key set (RFC 7517, Section 5)
// and keeps it current, without ever making the one who looks a key up wait.
//
//	keys, err := jwks.Open(jwks.Config{URL: "https://id.example/jwks"})
//	defer keys.Close()
//	<-keys.Loaded() // or go on: until then the answer is ErrNoKeys
//	message, err := jws.Verify(keys, token)
//
// A background goroutine fetches the set ahead of its expiry. A token whose
// kid is unknown asks for a fetch, at most one in [Cooldown], and is refused in
// the meantime; a bad signature asks for nothing. When the source is down the
// set stays in use until [Config.MaxStale] has passed, and is then withdrawn until
// the source, which whoever looks asks again, answers.
// What a source sends that is not a set leaves the old set in use and shows up
// in [Remote.Status].
//
// With [Config.Signers] the set is one that its issuer has signed, so that nobody in
// between can add a key or bring back one that was withdrawn.
package jwks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

const (
	// MaxBody is the largest set that is read, in bytes.
	MaxBody = 256 << 10
	// Timeout bounds a whole fetch, body included.
	Timeout = 5 * time.Second
	// Cooldown lies between two fetches that unknown key ids, or a set that was
	// withdrawn, asked for.
	Cooldown = 30 * time.Second
	// DefaultMaxAge is how old a set may become if its source does not say.
	DefaultMaxAge = 10 * time.Minute
	// MinMaxAge and MaxMaxAge bound what a source may say in Cache-Control.
	MinMaxAge = 30 * time.Second
	MaxMaxAge = time.Hour
	// DefaultMaxStale is how long a set outlives the last answer of its source.
	// It is the longest life that jose/jwt allows a token by default: later
	// there is nothing left that the set could be good for.
	DefaultMaxStale = 24 * time.Hour

	// refreshSpacing keeps calls of Refresh from becoming a storm.
	refreshSpacing = time.Second
	// Failed fetches are repeated after these pauses, doubling.
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
)

// Both match [jwk.ErrUnavailable].
var (
	// ErrNoKeys reports that no set has been loaded yet.
	ErrNoKeys error = unavailable("the key set has not been loaded yet")
	// ErrWithdrawn reports that the source has been silent for longer than
	// [Config.MaxStale], so that its last set is no longer used.
	ErrWithdrawn error = unavailable("the key set is too old and its source does not answer")
)

// An unavailable says why there are no keys to find.
type unavailable string

func (u unavailable) Error() string { return string(u) }

func (u unavailable) Is(target error) bool { return target == jwk.ErrUnavailable }

// Config says where a set is and how long it may be used. URL is required.
type Config struct {
	URL          string         // https, or http on loopback
	AllowPrivate []netip.Prefix // inner addresses that URL may resolve to
	// HTTPClient replaces the guarded client, for a proxy or a private CA; its
	// own Transport then decides which addresses are reached. Redirects are
	// not followed even then.
	HTTPClient *http.Client
	// Algorithm is that of the keys which do not say theirs, where the type
	// fits; Microsoft Entra publishes RSA keys so. Default none: they are left
	// out, but for those whose curve implies one.
	Algorithm jwk.Algorithm
	// Issuer is the only one whose tokens the keys may sign, whatever they say
	// themselves: jose/jwt enforces it. Default: any.
	Issuer string
	// Certificates say which chain is trusted, where that is what URL has: see
	// [Directory]. Default nil: URL has a JWK Set.
	Certificates *jws.Certificates
	// Signers are the keys of which one signs the set at URL, which is then a [Signed]
	// of Issuer and is followed upward only, over restarts too where there is a
	// StateFile. Default nil: URL has a plain JWK Set.
	Signers jwk.Source
	// MinVersion tells, at each fetch, the lowest version of a signed set that is
	// believed: somebody knows that a lower one is not the present one. A set that is
	// held stays in use meanwhile. Default: any.
	MinVersion func() uint64
	// Extensions are algorithms that keys may have beside those of package jwk.
	Extensions []jwk.Extension
	MaxAge     time.Duration // used when the source names none; default 10 min
	MaxStale   time.Duration // use beyond the last answer; default 24 h
	StateFile  string        // a copy on disk, to start from when the source is down; default none
	Log        *slog.Logger  // changes of state; default none
}

// Remote is a key set somewhere else. It is safe for concurrent use.
type Remote struct {
	cfg    Config
	url    *url.URL
	client *http.Client
	log    *slog.Logger
	stop   context.CancelFunc
	done   chan struct{}
	loaded chan struct{} // closed once there is a set

	held   atomic.Pointer[held] // replaced whole by the fetching goroutine; nil until loaded
	missed chan struct{}        // a kid was unknown, or the set too old
	asked  chan struct{}        // Refresh was called

	mu       sync.Mutex
	fetches  uint64
	failures uint64
	lastTry  time.Time
	lastErr  error
}

// held is what the source has, and what is known about it.
type held struct {
	resource
	body    []byte
	etag    string
	at      time.Time // when the source last confirmed it
	maxAge  time.Duration
	fromAge time.Duration // its age when it was read from disk
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return wire.Encode(sum[:])
}

// age is counted by the clock that does not jump, and by the other, which has also
// counted while the machine was suspended.
func (h *held) age() time.Duration {
	now := time.Now()
	return h.fromAge + max(now.Sub(h.at), now.Round(0).Sub(h.at))
}

// Open starts to keep a copy of the set at cfg.URL. It returns at once; until
// the first fetch has succeeded, or a copy was found on disk, Find answers
// [ErrNoKeys]. The caller closes the Remote.
func Open(cfg Config) (*Remote, error) {
	if cfg.Certificates != nil {
		return nil, errors.New("jwks: Certificates are for a Directory")
	}
	return open(cfg)
}

func open(cfg Config) (*Remote, error) {
	u, err := fetch.ParseURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("jwks: URL: %w", err)
	}
	if cfg.MaxAge < 0 || cfg.MaxStale < 0 {
		return nil, errors.New("MaxAge and MaxStale must not be negative")
	}
	if err := cfg.checkKind(); err != nil {
		return nil, err
	}
	cfg.MaxAge = min(max(cmp.Or(cfg.MaxAge, DefaultMaxAge), MinMaxAge), MaxMaxAge)
	cfg.MaxStale = cmp.Or(cfg.MaxStale, DefaultMaxStale)
	r := &Remote{
		cfg:    cfg,
		url:    u,
		log:    cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)),
		done:   make(chan struct{}),
		loaded: make(chan struct{}),
		missed: make(chan struct{}, 1),
		asked:  make(chan struct{}, 1),
	}
	if cfg.HTTPClient != nil {
		r.client = fetch.WithoutRedirects(cfg.HTTPClient)
	} else {
		r.client = fetch.NewClient(u, cfg.AllowPrivate)
	}
	r.load()
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.run(ctx)
	return r, nil
}

// Close stops the fetching and waits for it to end. Find goes on answering from
// the last set.
func (r *Remote) Close() error {
	r.stop()
	<-r.done
	if r.cfg.HTTPClient == nil {
		r.client.CloseIdleConnections()
	}
	return nil
}

// Find implements [jwk.Source]. It never blocks. An unknown kid is refused, and
// asks for a fetch that later callers profit from.
func (r *Remote) Find(kid, alg string) (*jwk.Key, error) {
	h, err := r.current()
	if err != nil {
		return nil, err
	}
	if h.chain != nil {
		return nil, jwk.ErrUnknownKey // whose key it is takes the header: see findX5U
	}
	key, err := h.set.Find(kid, alg)
	// A token without kid must not steer us: whoever has no key at all can make one.
	if kid != "" && errors.Is(err, jwk.ErrUnknownKey) {
		signal(r.missed)
	}
	return key, err
}

// current returns what may be used now. A set that is too old is asked for again, at
// most once in [Cooldown]: the source may be there, and the timer of the next fetch has
// stood still while the machine was suspended.
func (r *Remote) current() (*held, error) {
	h := r.held.Load()
	if h == nil {
		return nil, ErrNoKeys
	}
	if h.age() > r.cfg.MaxStale {
		signal(r.missed)
		return nil, ErrWithdrawn
	}
	return h, nil
}

// Refresh asks for a fetch now, without waiting for it: somebody knows that the
// set has changed. Calls are gathered to at most one fetch a second.
func (r *Remote) Refresh() { signal(r.asked) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting already
	}
}

// Set returns the present set, or nil when none is loaded or the last one was
// withdrawn. That of a chain of certificates is empty.
func (r *Remote) Set() *jwk.Set {
	h, err := r.current()
	if err != nil {
		return nil
	}
	return h.set
}

// Version returns the version of the present signed set, also where Set returns nil
// because it is too old; 0 without a signed set.
func (r *Remote) Version() uint64 {
	if h := r.held.Load(); h != nil {
		return h.version
	}
	return 0
}

// Digest returns the base64url SHA-256 of the present set as its source wrote it,
// or "" where Set returns nil. Of a signed set it is what its source says of the plain
// one. Two parties that compare digests know whether they
// hold the same set.
func (r *Remote) Digest() string {
	h, err := r.current()
	if err != nil {
		return ""
	}
	return h.digest
}

// Loaded is closed once a first set is there.
func (r *Remote) Loaded() <-chan struct{} { return r.loaded }

// Ready says why no key can be found, or nil.
func (r *Remote) Ready() error {
	switch h, err := r.current(); {
	case err != nil:
		return errors.Join(err, r.lastError())
	case h.keys() == 0:
		return errors.New("the key set has no usable key")
	}
	return nil
}

func (r *Remote) lastError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastErr
}

// Status is a moment in the life of a Remote.
type Status struct {
	URL       string
	Keys      int           // usable keys held; of a chain of certificates one
	Skipped   []jwk.Skipped // keys of the last set that were left out, and why
	Version   uint64        // of the signed set that is held; 0 without one
	Age       time.Duration // since the source last confirmed the set; 0 if none is held
	Expires   time.Duration // age at which the set should have been replaced
	Fetches   uint64        // requests made
	Failures  uint64        // of them, those that brought no set
	LastTry   time.Time     // zero if none was made
	LastError error         // of the last fetch; nil if it succeeded
}

// Status returns the state for people and metrics.
func (r *Remote) Status() Status {
	r.mu.Lock()
	s := Status{URL: r.cfg.URL, Fetches: r.fetches, Failures: r.failures, LastTry: r.lastTry, LastError: r.lastErr}
	r.mu.Unlock()
	if h := r.held.Load(); h != nil {
		s.Keys, s.Skipped, s.Version, s.Age, s.Expires = h.keys(), h.set.Skipped(), h.version, h.age(), h.maxAge
	}
	return s
}
