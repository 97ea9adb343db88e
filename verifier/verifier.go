package verifier

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/jose/jwt"
)

// A Verifier checks the access tokens of one issuer for one audience. It is safe
// for concurrent use.
type Verifier struct {
	cfg     Config
	policy  jwt.Policy
	origins *http.CrossOriginProtection
	keys    keySource
	state   *stateDir
	cache   *cache        // nil: remember nothing
	cached  atomic.Uint64 // tokens found in it

	found atomic.Pointer[found] // nil until discovery has succeeded once
	place keyPlace              // where the keys are; adopt's own
	leave context.CancelFunc    // gives up going there; adopt's own

	mu      sync.Mutex
	problem error // of the last discovery; nil when it succeeded

	stop    context.CancelFunc
	unwatch func() bool // of the context given to Open
	work    sync.WaitGroup
}

// found is what discovery has found.
type found struct {
	feed   *feed // nil if the issuer has none
	signed bool  // the issuer signs its key set, and nothing else is believed
}

// Open starts a Verifier. It returns at once: until keys and, where the issuer
// has a feed, the table are there, checks answer [ErrNotReady], and
// [Verifier.Ready] says why. An error means that cfg cannot work.
//
// The background work ends with ctx or with Close, whichever is first: ctx is no limit
// for the start. The caller closes the Verifier in any case. A server that finishes its requests after a
// signal gives a ctx that goes on as long.
func Open(ctx context.Context, cfg Config) (*Verifier, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg, policy: cfg.policy(), origins: http.NewCrossOriginProtection()}
	v.keys.fixed = cfg.Keys
	if cfg.CacheTokens > 0 {
		v.cache = newCache(cfg.CacheTokens, v.policy.Now)
	}
	var err error
	if v.state, err = openState(cfg.StateDir, cfg.Issuer); err != nil {
		return nil, err
	}
	v.unwatch = context.AfterFunc(ctx, v.abandoned)
	ctx, v.stop = context.WithCancel(ctx)
	switch {
	case cfg.Keys != nil:
		v.found.Store(&found{})
	case cfg.JWKSURL != "":
		err = v.follow(ctx, keyPlace{url: cfg.JWKSURL})
		v.found.Store(&found{})
	default:
		v.restore(ctx)
		v.work.Go(func() { v.discover(ctx) })
	}
	if err != nil {
		v.unwatch()
		v.stop()
		return nil, err
	}
	return v, nil
}

// Close stops the background work and waits for it. Then it reports the tokens that
// have not been, and signs off from the feed, within a second in all, and saves the
// state. The Verifier goes on checking with what it holds, as long as the staleness of
// that allows. What is shown to it from then on is not reported.
func (v *Verifier) Close() error {
	v.unwatch()
	v.stop()
	v.work.Wait()
	if r := v.keys.remote.Load(); r != nil {
		r.Close()
	}
	if f := v.feed(); f != nil {
		f.takeLeave()
		return f.save()
	}
	return nil
}

var errAbandoned = errors.New("the context given to Open has ended: keys and revocations are not followed any more")

// abandoned says that the work has ended before Close: perhaps somebody took the
// context for a limit of the start.
func (v *Verifier) abandoned() {
	v.mu.Lock()
	v.problem = errAbandoned
	v.mu.Unlock()
	v.cfg.Log.Warn("verifier stopped", "iss", v.cfg.Issuer, "err", errAbandoned)
}

func (v *Verifier) feed() *feed {
	if found := v.found.Load(); found != nil {
		return found.feed
	}
	return nil
}

// Verify checks a token: form, signature, claims, and that it is not revoked.
// It does no I/O. [StatusOf] turns its errors into answers. It waits for nothing, but
// while a signing key is under quarantine: then a token by it that comes for the
// first time waits up to [ProveWait] for the auditor, or as long as ctx allows.
//
// A token that comes again is the same *jwt.Token for all who show it: what its
// claims refer to, such as [Access].Roles, must not be changed.
//
// A token that is bound to a key ([Access].Confirmation) is no bearer token: it is
// [ErrBound] (RFC 9449, Section 7.2). Whoever asks for the proof, see
// [Verifier.CheckUnproved].
func (v *Verifier) Verify(ctx context.Context, token string) (*jwt.Token[Access], error) {
	return v.Check(ctx, token, Route{})
}

// Check is Verify for a route that asks for more. Where the token shows that
// this verifier lags, a sensitive route waits up to [CatchUp].
func (v *Verifier) Check(ctx context.Context, token string, route Route) (*jwt.Token[Access], error) {
	tok, err := v.CheckUnproved(ctx, token, route)
	if err == nil && tok.Claims().Confirmation != (Confirmation{}) {
		return nil, ErrBound
	}
	return tok, err
}

// CheckUnproved is Check for a caller who sees to it himself that whoever shows the
// token holds the key that its Confirmation names, if it names one. A token that was
// stolen is good here.
func (v *Verifier) CheckUnproved(ctx context.Context, token string, route Route) (*jwt.Token[Access], error) {
	found := v.found.Load()
	if found == nil {
		return nil, ErrNotReady
	}
	if found.feed != nil {
		if err := found.feed.admit(route); err != nil {
			return nil, err
		}
	}
	tok, err := v.verified(token)
	if err != nil {
		return nil, err
	}
	if found.feed != nil {
		if err := found.feed.check(ctx, tok, route); err != nil {
			return nil, err
		}
	}
	if err := route.permits(tok.Token); err != nil {
		return nil, err
	}
	return tok.Token, nil
}

// Ready returns nil when tokens can be checked, and otherwise an error that
// matches [ErrNotReady] or [ErrBlind] and says what is missing and what to do.
func (v *Verifier) Ready() error {
	found := v.found.Load()
	if found == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		return errors.Join(ErrNotReady, v.problem)
	}
	if err := v.keys.ready(); err != nil {
		return errors.Join(ErrNotReady, err, found.feed.problem())
	}
	if found.feed != nil {
		return found.feed.ready()
	}
	return nil
}
