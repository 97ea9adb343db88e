package verifier

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth"
)

// DefaultType is the type of access tokens (RFC 9068, Section 2.1).
const DefaultType = oauth.AccessTokenType

// maxCredential bounds a credential, in bytes.
const maxCredential = 1 << 10

// Config says which tokens a [Verifier] accepts and where it learns what it must
// know. Issuer and Audience are required.
type Config struct {
	Issuer   string // must equal "iss"; the URL where discovery begins
	Audience string // must be among "aud"

	Type       string           // required "typ"; default "at+jwt"
	Algorithms []jwk.Algorithm  // default: whatever the key is for; if one is for RSA, also that of RSA keys without "alg"
	Leeway     time.Duration    // clock skew forgiven; default 60 s, at most 10 min
	MaxLife    time.Duration    // longest "exp" - "iat"; default 24 h
	Now        func() time.Time // for "exp", "nbf" and "iat" only, and for "exp" the feed's where that is ahead; default time.Now

	// InsecureSkipType accepts any "typ" or none, for issuers that write none.
	InsecureSkipType bool

	// Keys replaces discovery, keys and feed: for shared secrets and tests.
	Keys *jwk.Set
	// JWKSURL replaces discovery and feed by one remote set.
	JWKSURL string

	// Credential is what "counterfoil client add --verifier NAME" printed:
	// NAME:SECRET, and in a second line the issuer's root key. The feed is keyed
	// for its holders only. With one, or with Root or FeedURLs, metadata
	// without a feed are not believed; with a root key, nor are those without signed keys. CredentialFile names a file that holds it, read again
	// at each use.
	Credential     string
	CredentialFile string

	// Root is the RFC 7638 thumbprint of the issuer's root key, which signs who
	// may sign the feed. Default the one that the credential names. Where neither
	// does, the one seen at first contact is pinned: name it where somebody may
	// stand between issuer and verifier, all the more without StateDir.
	Root string

	// StateDir keeps keys, table and pins, so that a Verifier can start while
	// the issuer is down. It holds the feed's handle key: its files are 0600.
	// Default none. Several Verifiers of different issuers may share one; of one
	// issuer it is for one process at a time.
	StateDir string

	// FeedURLs are mirrors of the feed, asked when the issuer's own does not
	// answer. They are never sent the credential.
	FeedURLs []string
	// TableBytes is the hard cap of the table; default 64 MiB.
	TableBytes int
	// CacheTokens is how many verified tokens are remembered, so that one that
	// comes again costs no signature check; revocation is looked up each time.
	// Long ones count as several. Default DefaultCacheTokens; -1 is none.
	CacheTokens int
	// SeenShare is the share of tokens, above 0 and up to 1, that the issuer's
	// auditor is told of, so that it finds those which the notary did not make;
	// which ones is a secret of this process. Default 1: all of them.
	SeenShare float64
	// SeenBytes is the hard cap of the memory of tokens that the auditor has been
	// told of; default DefaultSeenBytes, at least MinSeenBytes. What does not fit
	// is reported again.
	SeenBytes int
	// Witness says what to make of the notary's witness in a token's header.
	Witness WitnessMode // default WitnessOff
	// OpenWhenBlind accepts tokens even after the feed has been silent for
	// longer than a token lives. Sensitive routes stay closed.
	OpenWhenBlind bool
	// Instance names this process in acknowledgements, in at most 64 printable
	// characters; default the host name and a random number. Two processes with one
	// name count as one, of which only the newer word is known.
	Instance string

	// Cookies accepts the token from the cookie [CookieName] too, and then
	// refuses cross-origin requests as [http.CrossOriginProtection] does.
	Cookies bool

	// AllowPrivate are inner addresses that the issuer's names may resolve to,
	// such as the network of the cluster that both run in. Default none: the
	// verifier then stays closed, and Ready says which address it was.
	AllowPrivate []netip.Prefix
	// HTTPClient replaces the client that refuses inner addresses, for a proxy
	// or a private CA. Redirects are not followed even then.
	HTTPClient *http.Client

	Log *slog.Logger // of the background work; default slog.Default
}

// check fills in defaults and refuses what cannot work.
func (c *Config) check() error {
	if c.Issuer == "" || c.Audience == "" {
		return errors.New("verifier: Issuer and Audience are required")
	}
	if c.Keys != nil && c.JWKSURL != "" {
		return errors.New("verifier: Keys and JWKSURL exclude each other")
	}
	if c.Credential != "" && c.CredentialFile != "" {
		return errors.New("verifier: Credential and CredentialFile exclude each other")
	}
	if c.InsecureSkipType && c.Type != "" {
		return errors.New("verifier: Type and InsecureSkipType exclude each other")
	}
	if !c.InsecureSkipType {
		c.Type = cmp.Or(c.Type, DefaultType)
	}
	if c.Leeway > jwt.MaxLeeway || c.Leeway < 0 && c.Leeway != jwt.NoLeeway || c.MaxLife < 0 || c.TableBytes < 0 {
		return errors.New("verifier: Leeway, MaxLife or TableBytes is out of bounds")
	}
	if c.SeenShare < 0 || c.SeenShare > 1 || c.SeenShare != c.SeenShare || c.SeenBytes < 0 || c.SeenBytes > 0 && c.SeenBytes < MinSeenBytes || c.Witness > WitnessEnforce {
		return errors.New("verifier: SeenShare, SeenBytes or Witness is out of bounds")
	}
	c.SeenShare, c.SeenBytes = cmp.Or(c.SeenShare, 1), cmp.Or(c.SeenBytes, DefaultSeenBytes)
	c.MaxLife = cmp.Or(c.MaxLife, jwt.DefaultMaxLife)
	c.CacheTokens = cmp.Or(c.CacheTokens, DefaultCacheTokens)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Instance = cmp.Or(c.Instance, defaultInstance())
	if len(c.Instance) > maxInstance || strings.ContainsFunc(c.Instance, unicode.IsControl) {
		return errors.New("verifier: Instance is longer than 64 bytes, or has control characters")
	}
	if c.Root != "" && !isThumbprint(c.Root) {
		return errors.New("verifier: Root is not an RFC 7638 thumbprint")
	}
	return c.checkURLs()
}

func (c *Config) checkURLs() error {
	if c.discovers() {
		if _, err := fetch.ParseURL(c.Issuer); err != nil {
			return fmt.Errorf("verifier: Issuer: %w", err)
		}
	}
	for _, u := range c.FeedURLs {
		if _, err := fetch.ParseURL(u); err != nil {
			return fmt.Errorf("verifier: FeedURLs: %w", err)
		}
	}
	// A file that is not there may come later, as secrets of a cluster do.
	if _, err := c.rootThumbprint(); err != nil && !fileMissing(err) {
		return err
	}
	return nil
}

// expectsFeed reports whether the configuration says that the issuer has a feed.
func (c *Config) expectsFeed() bool {
	return c.Credential != "" || c.CredentialFile != "" || c.Root != "" || len(c.FeedURLs) > 0
}

// expectsSignedKeys reports whether the configuration names the key that vouches for
// those of the issuer. A credential that cannot be read yet may name it.
func (c *Config) expectsSignedKeys() bool {
	root, err := c.rootThumbprint()
	return root != "" || err != nil
}

// discovers reports whether keys and feed are found by discovery.
func (c *Config) discovers() bool { return c.Keys == nil && c.JWKSURL == "" }

// keyAlgorithm is that of the issuer's keys which do not say theirs, or "". Only
// RSA keys need it: others have a curve that says it.
func (c *Config) keyAlgorithm() (found jwk.Algorithm) {
	for _, alg := range c.Algorithms {
		switch alg {
		case jwk.RS256, jwk.RS384, jwk.RS512, jwk.PS256, jwk.PS384, jwk.PS512:
			if found != "" && found != alg {
				return "" // a key is for one
			}
			found = alg
		}
	}
	return found
}

// leeway is what the policy forgives.
func (c *Config) leeway() time.Duration {
	if c.Leeway == jwt.NoLeeway {
		return 0
	}
	return cmp.Or(c.Leeway, jwt.DefaultLeeway)
}

func (c *Config) policy() jwt.Policy {
	return jwt.Policy{
		Issuer: c.Issuer, Audience: c.Audience, Type: c.Type, Algorithms: c.Algorithms,
		Leeway: c.Leeway, MaxLife: c.MaxLife, Now: c.Now, InsecureSkipType: c.InsecureSkipType,
	}
}

// client returns the client for one origin.
func (c *Config) client(u *url.URL) *http.Client {
	if c.HTTPClient != nil {
		return fetch.WithoutRedirects(c.HTTPClient)
	}
	return fetch.NewClient(u, c.AllowPrivate)
}
