package issuer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// A Notary makes the tag of each token and tells whether it made one;
// [notary.Local] does both. It must be safe for concurrent use.
type Notary = notary.Notary

// Config says what an issuer is. URL, Store, Keyring and Tagger are required.
type Config struct {
	URL     string           // the "iss" of every token: https, or http on loopback; no path, trailing slash, query or fragment
	Store   *store.Store     // stays the caller's, who closes it after the issuer
	Keyring *keyring.Keyring // opened on the same store for the same URL
	Tagger  Notary

	PlainHTTP bool // allow an http URL beyond loopback: for trials only

	TokenLife   time.Duration // life of an access token; default 15 min, at most the keyring's MaxTokenLife
	SessionLife time.Duration // from sign-in to the end; default 30 days
	IdleLife    time.Duration // from the last refresh to the end; default 7 days
	AuthTime    bool          // put auth_time into access tokens
	Witness     bool          // put the notary's witness into access tokens; Tagger is then a [notary.Witnesser]

	DefaultAudience string             // of a sign-in that names none; default "api"
	Audiences       []session.Audience // further ones; the URL itself, for administration, is always one
	Scopes          map[string]string  // scope -> role that a user needs for it, "" for anyone

	Argon2         account.Params         // cost of password hashes; default: calibrated at the first start
	SignIn         account.ThrottleConfig // attempts at signing in
	TrustedProxies []netip.Prefix         // whose X-Forwarded-For is believed
	TrustedOrigins []string               // pages elsewhere that may sign in and renew, as scheme://host

	Answer   forgery.Answer   // to forged tokens; default automatic
	Webhook  *forgery.Webhook // takes alarms; default none
	Notaries []Notary         // every notary by itself, for the self-test; default Tagger

	Log *slog.Logger     // default slog.Default
	Now func() time.Time // default time.Now
}

// The rhythm of what need not happen at once.
const (
	reloadEvery   = time.Second // keys that another node changed, and rotations that are due
	maintainEvery = time.Minute // keys whose last token has died, sessions and log entries past retention
)

// An Issuer serves the public endpoints. It is an http.Handler.
type Issuer struct {
	cfg    Config
	log    *slog.Logger
	st     *store.Store
	keys   *keyring.Keyring
	hasher *account.Hasher

	hub      *hub
	tail     *tail
	door     *doorkeeper
	fleet    *fleet
	desk     *forgery.Desk
	sessions *session.Server

	recovering chan struct{}              // holds one token while shown frames are compared with the log
	backup     atomic.Pointer[backupKeys] // as the store named them last
	minting    *mintCheck                 // for /readyz

	public http.Handler
	admin  http.Handler

	stop    context.CancelFunc
	running sync.WaitGroup
}

// New makes an issuer and starts its feed. ctx bounds the start only; Close ends
// what New started.
func New(ctx context.Context, cfg Config) (*Issuer, error) {
	u, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	i := &Issuer{cfg: cfg, log: cfg.Log, st: cfg.Store, keys: cfg.Keyring, recovering: make(chan struct{}, 1), minting: newMintCheck()}
	i.hub = newHub(cfg.Store, cfg.Keyring, cfg.Log, cfg.Now)
	i.door = &doorkeeper{st: cfg.Store, local: u.Scheme == "http" && isLoopback(u.Hostname())}
	i.tail = newTail(i.hub, i.door, cfg.TrustedProxies)
	i.fleet = newFleet(cfg.Store, cfg.Keyring.MaxTokenLife(), i.hub.moved, cfg.Log, cfg.Now)
	if err := i.openNotary(ctx); err != nil {
		return nil, err
	}
	if i.desk, err = i.openDesk(ctx); err != nil {
		return nil, err
	}
	if err := i.openSessions(ctx); err != nil {
		return nil, err
	}
	if _, err := i.hub.step(ctx); err != nil {
		return nil, err
	}
	if err := i.route(); err != nil {
		return nil, err
	}
	i.start()
	return i, nil
}

func (i *Issuer) openSessions(ctx context.Context) (err error) {
	i.hasher, err = account.OpenHasher(ctx, i.st, account.HasherConfig{Params: i.cfg.Argon2})
	if err != nil {
		return err
	}
	c := &i.cfg
	i.sessions, err = session.New(ctx, session.Config{
		Issuer: c.URL, Store: c.Store, Keys: c.Keyring, Tagger: c.Tagger, Auditor: c.Tagger, Passwords: i.hasher,
		Desk:      i.desk,
		TokenLife: c.TokenLife, SessionLife: c.SessionLife, IdleLife: c.IdleLife, AuthTime: c.AuthTime, Witness: c.Witness,
		DefaultAudience: c.DefaultAudience, Scopes: c.Scopes,
		Audiences: append(slices.Clone(c.Audiences), session.Audience{Name: c.URL, Claims: []string{}}),
		Throttle:  c.SignIn, TrustedProxies: c.TrustedProxies, TrustedOrigins: c.TrustedOrigins,
		Log: c.Log, Now: c.Now,
	})
	return err
}

// complete fills in the defaults and refuses what cannot work.
func (c *Config) complete() (*url.URL, error) {
	if c.Store == nil || c.Keyring == nil || c.Tagger == nil {
		return nil, errors.New("issuer: Store, Keyring and Tagger are required")
	}
	u, err := checkURL(c.URL, c.PlainHTTP)
	if err != nil {
		return nil, err
	}
	if c.Keyring.Issuer() != c.URL {
		return nil, fmt.Errorf("the keyring belongs to issuer %s, not to %s", c.Keyring.Issuer(), c.URL)
	}
	if limit := c.Keyring.MaxTokenLife(); c.TokenLife > limit {
		return nil, fmt.Errorf("a token life of %v is above the %v that the keys allow", c.TokenLife, limit)
	}
	if c.TokenLife == 0 {
		c.TokenLife = min(session.DefaultTokenLife, c.Keyring.MaxTokenLife())
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return u, nil
}

// CheckURL returns why New would refuse a URL, before a store belongs to it.
func CheckURL(raw string, plainHTTP bool) error {
	_, err := checkURL(raw, plainHTTP)
	return err
}

// checkURL refuses an issuer that is not a plain https URL (RFC 8414, Section 2),
// or http where nobody can listen in.
func checkURL(raw string, plainHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("issuer URL %q: want https://HOST", raw)
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || strings.HasSuffix(raw, "/") || strings.HasSuffix(raw, "#") {
		return nil, fmt.Errorf("issuer URL %q: no trailing slash, user, query or fragment, since every byte of it is compared", raw)
	}
	// The cookies are __Host- cookies: every page of the host is sent them, and
	// another issuer there would put its own in their place.
	if u.Path != "" {
		return nil, fmt.Errorf("issuer URL %q: no path; an issuer needs a host of its own, since its cookies are for the whole host", raw)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) && !plainHTTP {
		return nil, fmt.Errorf("issuer URL %q: http is for loopback only; anybody in between could read tokens", raw)
	}
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// route makes the two handlers.
func (i *Issuer) route() error {
	meta, err := i.metadata()
	if err != nil {
		return err
	}
	i.admin = i.adminRoutes()
	mux := http.NewServeMux()
	handle := func(pattern string, h serve.HandlerFunc) { mux.Handle(pattern, serve.Handler(i.log, h)) }
	if err := i.sessions.Register(mux); err != nil {
		return err
	}
	handle("GET "+oauth.WellKnownOAuth, meta)
	handle("GET "+oauth.WellKnownOpenID, meta)
	handle("GET /jwks", i.jwks)
	handle("GET /jwks.jwt", i.signedJWKS)
	handle("GET /revocation/manifest", i.manifest)
	handle("GET /revocation/key", i.key)
	handle("GET /revocation/snapshot/{sha256}", i.hub.snaps.serveShard)
	handle("GET /revocation/tail", i.tail.serve)
	handle("POST /revocation/ack", i.ack)
	handle("POST /revocation/seen", i.seen)
	handle("POST /revocation/seen/evidence", i.evidence)
	handle("GET /healthz", healthz)
	handle("GET /readyz", i.readyz)
	mux.Handle("/admin/", i.adminByToken())

	i.public = mux
	return nil
}

func (i *Issuer) start() {
	ctx, cancel := context.WithCancel(context.Background())
	i.stop = cancel
	i.running.Go(func() { i.hub.run(ctx) })
	i.running.Go(func() { i.hub.snaps.run(ctx) })
	i.running.Go(func() { i.fleet.run(ctx) })
	i.running.Go(func() { i.maintain(ctx) })
	i.running.Go(func() { i.desk.Run(ctx) })
}

// maintain does what need not happen at once, until ctx ends.
func (i *Issuer) maintain(ctx context.Context) {
	reload, tidy := time.NewTicker(reloadEvery), time.NewTicker(maintainEvery)
	defer reload.Stop()
	defer tidy.Stop()
	failing := false // said once, not every second
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-reload.C:
			err = errors.Join(i.keys.Reload(ctx), i.keys.Scheduled(ctx, i.waitingFor), i.renewKeys(ctx, i.hub.latest.Load().head.Epoch))
		case <-tidy.C:
			err = errors.Join(i.keys.Expire(ctx), i.trim(ctx), i.forgetSessions(ctx), i.fleet.tidy(ctx), i.checkNotary(ctx), i.checkWitnesses(ctx))
		}
		if err != nil && !failing && ctx.Err() == nil {
			i.log.Error("maintenance put off", "err", err)
		}
		failing = err != nil
	}
}

// trim drops the log entries that no live token can meet any more.
func (i *Issuer) trim(ctx context.Context) error {
	for {
		var dropped int
		err := i.st.Update(ctx, func(tx *store.Tx) error {
			now, err := tx.Now()
			if err != nil {
				return err
			}
			dropped, err = tx.TrimLog(now.Add(-i.retention()))
			return err
		})
		if err != nil || dropped < store.MaxTrim {
			return err
		}
	}
}

// forgetSessions removes the rows of sessions that ended so long ago that no token
// of theirs is alive.
func (i *Issuer) forgetSessions(ctx context.Context) error {
	const batch = 1000
	for {
		var removed int
		err := i.st.Update(ctx, func(tx *store.Tx) error {
			now, err := tx.Now()
			if err != nil {
				return err
			}
			removed, err = tx.RemoveSessions(now.Add(-i.retention()), batch)
			return err
		})
		if err != nil || removed < batch {
			return err
		}
	}
}

// retention is how long after its last use a token may still be presented.
func (i *Issuer) retention() time.Duration { return i.keys.MaxTokenLife() + revocation.RetentionSlack }

// ServeHTTP serves the public endpoints.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.public.ServeHTTP(w, r) }

// AdminHandler serves administration to whoever can reach it: put it on a unix
// socket whose mode says who that is, and on nothing else.
func (i *Issuer) AdminHandler() http.Handler { return i.admin }

// Close ends the feed and what else New started, and waits for it. Streams under
// way end too. It does not close the store.
func (i *Issuer) Close() error {
	i.stop()
	i.running.Wait()
	return nil
}
