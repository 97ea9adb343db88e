package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// Defaults of [Config].
const (
	DefaultTokenLife   = 15 * time.Minute
	DefaultSessionLife = 30 * 24 * time.Hour
	DefaultIdleLife    = 7 * 24 * time.Hour
	DefaultAudience    = "api"
	DefaultClient      = "first-party"
)

// Keys is what sessions need of the keyring. It must be safe for concurrent use.
type Keys interface {
	RefreshKeys

	// Signer returns the signer of the active key for alg, or for the default
	// algorithm when alg is empty. Whether it may still sign is for the store
	// to say; when it says no, Reload is called before Signer is asked again.
	Signer(alg jwk.Algorithm) (*jws.Signer, error)
	Reload(ctx context.Context) error

	Public() *jwk.Set // what own access tokens are verified with
	HandleKey() revocation.HandleKey
}

// Passwords checks and makes password hashes; [account.Hasher] does.
type Passwords interface {
	// Verify answers no, after the same work, when phc is empty.
	Verify(ctx context.Context, phc, password string) (ok, stale bool, err error)
	Hash(ctx context.Context, password string) (string, error)
}

// A Desk judges refused access tokens: somebody else may have the signing key. It
// answers to nobody, and must be safe for concurrent use.
type Desk interface {
	Present(ctx context.Context, token string)
}

// An Audience is a service, or a group of services, that tokens are made for.
type Audience struct {
	Name   string
	Claims []string // the users' own claims that it receives; nil means all, empty none
}

// Config says how sessions behave. Issuer, Store, Keys, Tagger, Auditor and
// Passwords are required.
type Config struct {
	Issuer    string
	Store     *store.Store
	Keys      Keys
	Tagger    notary.Tagger
	Auditor   notary.Checker
	Passwords Passwords
	Desk      Desk // is shown access tokens that were refused; default none

	Algorithm   jwk.Algorithm // of access tokens; default the keyring's
	TokenLife   time.Duration // default 15 min
	SessionLife time.Duration // from sign-in to the end, whatever happens; default 30 days
	IdleLife    time.Duration // from the last refresh to the end; default 7 days
	AuthTime    bool          // put auth_time into access tokens
	Witness     bool          // put the notary's witness into them; Tagger is then a [notary.Witnesser]

	DefaultAudience string     // for requests that name none; default "api"
	Audiences       []Audience // further ones that may be asked for

	// Scopes are those that may be asked for, each with the role that a user
	// needs for it, or "" for anyone. "admin" needs the role admin in any case.
	Scopes map[string]string

	Client         string                 // client_id of first-party sessions; default "first-party"
	Throttle       account.ThrottleConfig // attempts at signing in
	TrustedProxies []netip.Prefix         // whose X-Forwarded-For is believed
	TrustedOrigins []string               // pages elsewhere that may sign in and renew, as scheme://host
	Log            *slog.Logger           // default slog.Default
	Now            func() time.Time       // default time.Now; the store's clock decides about sessions
}

func (c *Config) complete() error {
	if c.Issuer == "" || c.Store == nil || c.Keys == nil || c.Tagger == nil || c.Auditor == nil || c.Passwords == nil {
		return errors.New("session: Issuer, Store, Keys, Tagger, Auditor and Passwords are required")
	}
	if _, ok := c.Tagger.(notary.Witnesser); c.Witness && !ok {
		return errors.New("session: Witness needs a Tagger that is a notary.Witnesser")
	}
	if c.TokenLife < 0 || c.SessionLife < 0 || c.IdleLife < 0 {
		return errors.New("session: a life is negative")
	}
	defaultTo(&c.TokenLife, DefaultTokenLife)
	defaultTo(&c.SessionLife, DefaultSessionLife)
	defaultTo(&c.IdleLife, DefaultIdleLife)
	defaultTo(&c.DefaultAudience, DefaultAudience)
	defaultTo(&c.Client, DefaultClient)
	defaultTo(&c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Throttle.Now == nil {
		c.Throttle.Now = c.Now
	}
	return c.checkScopes()
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) checkScopes() error {
	for scope := range c.Scopes {
		if set, err := oauth.ParseScopes(scope); err != nil || len(set) != 1 {
			return fmt.Errorf("session: %q is not a scope", scope)
		}
	}
	return nil
}
