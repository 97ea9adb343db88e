package session

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

// A Server is the sessions of one issuer. It is safe for concurrent use and runs
// nothing in the background.
type Server struct {
	cfg      Config
	store    *store.Store
	minter   *Minter
	throttle *account.Throttle
	counts   counts

	failures *account.Limiter // audit rows about failed sign-ins, for each name
	allFails *account.Limiter // and for all names together
	alarms   *account.Limiter // audit rows about impossible refresh tokens, for each session
	perSid   *account.Limiter // tokens taken back at /revoke, for each session
	perUser  *account.Limiter // and for each user
}

// What one session, one user and one attacker may write into the log and the
// audit trail, neither of which forgets quickly.
var (
	failureRate    = account.Rate{Burst: 3, Interval: time.Minute}
	allFailureRate = account.Rate{Burst: 200, Interval: time.Second}
	alarmRate      = account.Rate{Burst: 1, Interval: time.Minute}
	sessionRate    = account.Rate{Burst: 40, Interval: 10 * time.Second}
	userRate       = account.Rate{Burst: 200, Interval: time.Second}
)

// New returns the sessions of an issuer. It makes the row of the first-party
// client if that is not there, so that the client can be revoked like any other.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, store: cfg.Store, minter: newMinter(&cfg),
		throttle: account.NewThrottle(cfg.Throttle),
		failures: account.NewLimiter(failureRate, cfg.Now),
		allFails: account.NewLimiter(allFailureRate, cfg.Now),
		alarms:   account.NewLimiter(alarmRate, cfg.Now),
		perSid:   account.NewLimiter(sessionRate, cfg.Now),
		perUser:  account.NewLimiter(userRate, cfg.Now),
	}
	return s, s.ensureClient(ctx)
}

func (s *Server) ensureClient(ctx context.Context) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Client(s.cfg.Client)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		now, err := tx.Now()
		if err != nil {
			return err
		}
		return tx.CreateClient(store.Client{ID: s.cfg.Client, Kind: "public", Created: now})
	})
}

// Minter returns what makes the access tokens of s.
func (s *Server) Minter() *Minter { return s.minter }

// Register adds the endpoints to mux. Those that a browser's cookies could act
// on refuse requests from other sites; no GET changes anything; nothing that is
// answered may be stored.
func (s *Server) Register(mux *http.ServeMux) error {
	origins := http.NewCrossOriginProtection()
	for _, origin := range s.cfg.TrustedOrigins {
		if err := origins.AddTrustedOrigin(origin); err != nil {
			return err
		}
	}
	origins.SetDenyHandler(serve.Handler(s.cfg.Log, crossOrigin))
	own := func(h serve.HandlerFunc) http.Handler { return origins.Handler(s.handler(h)) }

	mux.Handle("GET /sign-in", s.handler((&signInPage{s}).Handle))
	mux.Handle("POST /sign-in", own((&signInEndpoint{s}).Handle))
	mux.Handle("POST /token", own((&tokenEndpoint{s}).Handle))
	mux.Handle("POST /sign-out", own((&signOutEndpoint{s}).Handle))
	mux.Handle("POST /revoke", s.handler((&revokeEndpoint{s}).Handle))
	return nil
}

func (s *Server) handler(h serve.HandlerFunc) http.Handler {
	return serve.Handler(s.cfg.Log, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		if err := noSecretInURL(r); err != nil {
			return err
		}
		return Answer(h(w, r))
	})
}

func crossOrigin(http.ResponseWriter, *http.Request) error {
	return &serve.Error{
		Status: http.StatusForbidden, Code: oauth.AccessDenied,
		Description: "the request came from a page of another site",
	}
}

// holder returns the hash of who sent r with token.
func (s *Server) holder(r *http.Request, token *Refresh) Holder {
	return token.Holder(serve.ClientAddr(r, s.cfg.TrustedProxies), r.UserAgent())
}

// errKeyChanged reports that the store says no to the key that the keyring
// offered: it was rotated or killed a moment ago.
var errKeyChanged = errors.New("session: the signing key changed")

// signerAttempts bounds how often a mint starts again because of that.
const signerAttempts = 3

// decide runs fn in an Update with the signer that fn is to check against the
// store, and returns that signer. fn returns errKeyChanged or store.ErrConflict
// to be run again on fresh rows.
//
// Nothing is changed while no token could be made: a session's next refresh token
// would wait for an answer that does not come, and be taken for stolen after that.
func (s *Server) decide(ctx context.Context, fn func(tx *store.Tx, kid string) error) (*jws.Signer, error) {
	err := s.ready(ctx)
	if err != nil {
		return nil, err
	}
	for range signerAttempts {
		var signer *jws.Signer
		if signer, err = s.cfg.Keys.Signer(s.cfg.Algorithm); err != nil {
			break
		}
		kid := signer.Key().KeyID()
		err = s.store.Update(ctx, func(tx *store.Tx) error { return fn(tx, kid) })
		if err == nil {
			return signer, nil
		}
		if errors.Is(err, errKeyChanged) {
			if reload := s.cfg.Keys.Reload(ctx); reload != nil {
				return nil, reload
			}
		} else if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
	return nil, unavailable(time.Second, err)
}

// ready returns an error when it is known that no token can be made.
func (s *Server) ready(ctx context.Context) error {
	signer, err := s.cfg.Keys.Signer(s.cfg.Algorithm)
	if err != nil {
		return unavailable(time.Second, err)
	}
	return s.minter.Ready(ctx, signer)
}

// Answer turns trouble into an answer: 503, temporarily_unavailable with Retry-After
// for an error of the store that is no refusal ([store.ErrUnavailable]), for a notary
// or a holder of keys that does not answer ([notary.ErrUnavailable],
// [jwk.ErrUnavailable]), and for a context that ended on the way there. It tells the client nothing about its tokens. Any other error is
// returned as it is.
func Answer(err error) error {
	if _, made := err.(*serve.Error); made {
		return err
	}
	if errors.Is(err, store.ErrUnavailable) || untokened(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return unavailable(time.Second, err)
	}
	return err
}

// untokened reports whether err says that no token can be made now, be the request
// good or not.
func untokened(err error) bool {
	return errors.Is(err, notary.ErrUnavailable) || errors.Is(err, jwk.ErrUnavailable)
}

// viewLimit bounds a read of the store when that does not answer. It takes a few
// milliseconds otherwise. An Update has the bound that its database gives it.
const viewLimit = 5 * time.Second

func (s *Server) view(ctx context.Context, fn func(tx *store.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, viewLimit)
	defer cancel()
	return s.store.View(ctx, fn)
}

func unavailable(after time.Duration, cause error) *serve.Error {
	return &serve.Error{
		Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable,
		Description: "try again in a moment", RetryAfter: after, Err: cause,
	}
}

// An issued is what a client is given.
type issued struct {
	session     *store.Session
	access      *AccessToken
	refresh     *Refresh
	refreshLife time.Duration // until the session ends if nothing renews it
	scope       string
}

func (out *issued) response() *oauth.TokenResponse {
	return &oauth.TokenResponse{
		AccessToken: out.access.Token, RefreshToken: out.refresh.Token(),
		TokenType: oauth.Bearer, ExpiresIn: int64(out.access.Life / time.Second),
		Scope: out.scope, SessionID: out.session.ID,
	}
}

// answer gives the tokens in the body or in cookies, never in both.
func (out *issued) answer(w http.ResponseWriter, cookies bool) error {
	response := out.response()
	if cookies {
		if err := setCookies(w, out); err != nil {
			return err
		}
		response.AccessToken, response.RefreshToken = "", ""
	}
	return serve.WriteJSON(w, http.StatusOK, response)
}

// refreshLife is how long the session's refresh token is good from now.
func (s *Server) refreshLife(sess *store.Session, now time.Time) time.Duration {
	return min(s.cfg.IdleLife, sess.Expires.Sub(now))
}

// Counts are numbers since the process began, for metrics.
type Counts struct {
	SignIns, SignInsFailed, SignInsLimited uint64
	Refreshes                              uint64 // rotations
	Repeats                                uint64 // the same successor again
	Strangers                              uint64 // the token before, from another holder
	Thefts                                 uint64 // sessions ended for reuse
	Impossible                             uint64 // right MAC, never made
	Forged                                 uint64 // access tokens with a wrong tag
	Revocations                            uint64 // sign-outs and revocations by clients
}

type counts struct {
	signIns, failed, limited, rotate, repeat, stranger, theft, impossible, forged, revoked atomic.Uint64
}

// Counts returns the numbers so far.
func (s *Server) Counts() Counts {
	c := &s.counts
	return Counts{
		SignIns: c.signIns.Load(), SignInsFailed: c.failed.Load(), SignInsLimited: c.limited.Load(),
		Refreshes: c.rotate.Load(), Repeats: c.repeat.Load(), Strangers: c.stranger.Load(),
		Thefts: c.theft.Load(), Impossible: c.impossible.Load(), Forged: c.forged.Load(), Revocations: c.revoked.Load(),
	}
}
