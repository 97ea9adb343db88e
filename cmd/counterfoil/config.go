package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/verifier"
)

// Config is the one file that serve, guard and notary read with --config. Every setting
// can be left out. A flag wins over the environment, which wins over the file.
// An unknown key is an error. Secrets are never in it: they are paths of files.
type Config struct {
	// What is written to stderr.
	Log LogConfig `yaml:"log"`
	// The issuer: counterfoil serve.
	Serve ServeConfig `yaml:"serve"`
	// The guard: counterfoil guard.
	Guard GuardConfig `yaml:"guard"`
	// The notary, where it is not a part of the issuer: counterfoil notary.
	Notary NotaryConfig `yaml:"notary"`
}

// LogConfig says what is logged.
type LogConfig struct {
	// debug, info, warn or error.
	Level string `yaml:"level" flag:"log-level"`
	// text or json.
	Format string `yaml:"format" flag:"log-format"`
}

// ServeConfig says how to serve an issuer.
type ServeConfig struct {
	// Folder for the database, the sealed keys and the admin socket. It is made
	// with mode 0700.
	Data string `yaml:"data" flag:"data"`
	// Address to listen on: HOST:PORT or unix:PATH.
	Listen string `yaml:"listen" flag:"listen"`
	// URL of the issuer, the "iss" of every token: https, or http on loopback.
	// It has no path and no slash at its end: an issuer needs a host of its own,
	// since its cookies are for the whole host. Default: the listen address. It
	// cannot be changed later.
	Issuer string `yaml:"issuer" flag:"issuer"`
	// postgres:// URL of a database that several issuers share, instead of
	// SQLite in the data folder. Leave the password out and set PGPASSFILE. A server on
	// another machine has to show a certificate for its name: sslmode=verify-full, and
	// sslrootcert=FILE for an authority of your own.
	Store string `yaml:"store" flag:"store"`
	// Connect to a PostgreSQL on another machine whose certificate is not verified, or
	// without TLS: whoever stands in the way then reads the password and writes to the
	// store.
	StoreUnverified bool `yaml:"store_unverified" flag:"store-unverified"`
	// Accept a store that loses acknowledged writes in a crash, and revocations
	// with them: a PostgreSQL with fsync, synchronous_commit or full_page_writes
	// off is then not refused, and SQLite does not wait for the disk.
	StoreUnsafe bool `yaml:"store_unsafe" flag:"store-unsafe"`
	// Key-encryption key: the path of a file with a JWK for A256GCMKW; env:NAME, a
	// variable with such a JWK or with its k alone, 32 bytes in base64url, which is
	// taken out of the environment; or a pkcs11: URI of a key in a token. The same key
	// in any form and by any kid is the same. Default: kek.json in the data folder,
	// made at the first start. Issuers that share a database share this key. It is
	// changed with counterfoil keys reseal.
	KEK string `yaml:"kek" flag:"kek"`
	// Found a new issuer in an empty store, with a root key that no verifier follows yet,
	// although the file with the key-encryption key is there already, as it is where
	// --data or --store names another place than before. For one start.
	NewIssuer bool `yaml:"new_issuer" flag:"new-issuer"`
	// The key-encryption key that the one in force is about to be changed for. An
	// issuer that knows it before keys reseal goes on without a pause.
	KEKNext string `yaml:"kek_next" flag:"kek-next"`
	// How long a key signs before the next one takes over; 0: until counterfoil keys
	// rotate. A rotation waits until every connected verifier holds the next key,
	// a week at most.
	RotateEvery time.Duration `yaml:"rotate_every" flag:"rotate-every"`
	// How long a key is published before it takes over by itself, so that verifiers
	// which keep a key set longer than they are told have it, too.
	StandbyFor time.Duration `yaml:"standby_for"`
	// pkcs11: URI of a token in which new signing keys are made, and which they
	// never leave; object and id are not used. Keys from before stay where they are
	// until they are rotated. Default: in the store, sealed.
	SigningKeys string `yaml:"signing_keys" flag:"signing-keys"`
	// File with the notary's secrets, a line each, of which the first makes the tag
	// of each token and all check it. Default: notary.key in the data folder, made at
	// the first start. Issuers that share a database share it.
	Notary string `yaml:"notary" flag:"notary"`
	// Notaries in processes of their own (counterfoil notary), unix:PATH or
	// https://HOST:PORT, instead of the file. Each stands in for the others.
	NotaryAt []string `yaml:"notary_at" flag:"notary-at"`
	// Client certificate and key for notaries at https URLs, PEM files.
	NotaryCert string `yaml:"notary_cert" flag:"notary-cert"`
	NotaryKey  string `yaml:"notary_key" flag:"notary-key"`
	// PEM file with the authorities of their certificates. Default: the system's.
	NotaryCA string `yaml:"notary_ca" flag:"notary-ca"`
	// Put the notary's signature into the header of each access token (witness), so
	// that a verifier recognizes a forgery without asking. It is then some 135 bytes longer.
	Witness bool `yaml:"witness" flag:"witness"`

	// TLS certificate and key, PEM files that are read again when they change.
	TLSCert string `yaml:"tls_cert" flag:"tls-cert"`
	TLSKey  string `yaml:"tls_key" flag:"tls-key"`
	// Take TLS 1.2 too; 1.3 only without it.
	TLS12 bool `yaml:"tls_1_2" flag:"tls-1-2"`
	// Serve plain HTTP beyond loopback, because a proxy in front ends TLS.
	PlainHTTP bool `yaml:"plain_http" flag:"plain-http"`
	// Networks of proxies whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" flag:"trusted-proxy"`
	// Origins of pages elsewhere that may sign in and renew with cookies, such as
	// https://app.example.
	TrustedOrigins []string `yaml:"trusted_origins"`

	// Algorithms to sign access tokens with; the first is the default one. Keys of one
	// that was taken away retire at the next start.
	Algorithms []string `yaml:"algorithms" flag:"alg"`
	// Life of an access token.
	TokenLife time.Duration `yaml:"token_life"`
	// Longest life of a token that verifiers take. A longer token life needs it
	// raised, and revocations are then kept longer.
	MaxTokenLife time.Duration `yaml:"max_token_life"`
	// From sign-in to the end of a session, whatever happens.
	SessionLife time.Duration `yaml:"session_life"`
	// From the last refresh to the end of a session.
	IdleLife time.Duration `yaml:"idle_life"`
	// Put auth_time, the moment of the sign-in, into access tokens.
	AuthTime bool `yaml:"auth_time"`

	// Audience of a sign-in that names none.
	DefaultAudience string `yaml:"default_audience"`
	// Further audiences that a sign-in may ask for.
	Audiences []AudienceConfig `yaml:"audiences"`
	// Scopes that a sign-in may ask for, each with the role that the user needs
	// for it, or "" for anyone.
	Scopes map[string]string `yaml:"scopes"`

	// What to do about forged tokens.
	Forgery ForgeryConfig `yaml:"forgery"`

	// Cost of a password hash. Default: 19 MiB and 2 passes, calibrated upward at
	// the first start.
	Argon2 Argon2Config `yaml:"argon2"`

	// Address for metrics and profiles, on loopback or unix:PATH: whoever can reach
	// it sees much of what the process does. Default: none.
	DebugListen string `yaml:"debug_listen" flag:"debug-listen"`
}

// ForgeryConfig says what is done about tokens that somebody else signed with a key of
// the issuer.
type ForgeryConfig struct {
	// automatic: quarantine the key, sign with the standby, and give up the old key
	// when no session needs it. alarm: only say so. off: do not look for them.
	Answer string `yaml:"answer"`
	// URL that takes alarms, https or http on loopback: signed POSTs of JSON as
	// Standard Webhooks describes. Default: none.
	Webhook string `yaml:"webhook"`
	// File with the secret that signs them, whsec_ and base64. Default: a secret in the
	// store, sealed, which is made when a webhook is named first, or is webhook.key in
	// the data folder where an earlier version made that: counterfoil keys webhook.
	WebhookSecret string `yaml:"webhook_secret"`
}

// AudienceConfig is a service, or a group of services, that tokens are made for.
type AudienceConfig struct {
	// The "aud" of its tokens.
	Name string `yaml:"name"`
	// Claims of the users that it receives. Default: all; [] is none.
	Claims []string `yaml:"claims,omitzero"`
}

// Argon2Config is the cost of Argon2id (RFC 9106).
type Argon2Config struct {
	// KiB of memory for each hash.
	Memory uint32 `yaml:"memory"`
	// Passes over the memory.
	Time uint32 `yaml:"time"`
	// Lanes.
	Threads uint8 `yaml:"threads"`
}

// GuardConfig says how to guard a service.
type GuardConfig struct {
	// Issuers whose tokens are taken.
	Issuers []string `yaml:"issuers" flag:"issuer"`
	// What must be among the "aud" of a token.
	Audience string `yaml:"audience" flag:"audience"`
	// Addresses to listen on: HOST:PORT or unix:PATH, several at once.
	Listen []string `yaml:"listen" flag:"listen"`
	// Folder for keys and revocations, so that the guard can start while the
	// issuer is down. Default: none.
	State string `yaml:"state" flag:"state"`
	// File with the credential that "counterfoil client add --verifier" printed.
	// It goes to the issuer, so that it is for one issuer only.
	Credential string `yaml:"credential" flag:"credential"`
	// The same for several issuers: URL of the issuer to file.
	Credentials map[string]string `yaml:"credentials"`
	// Take the token from our cookie too. A request with both is refused.
	Cookies bool `yaml:"cookies" flag:"cookies"`
	// Required "typ" of a token. Default: at+jwt.
	Type string `yaml:"type" flag:"typ"`
	// Algorithms that a token may be signed with. Default: whatever its key is
	// for. Where one of them is for RSA, it is also that of RSA keys which do not
	// say theirs: issuers such as Microsoft Entra publish them so.
	Algorithms []string `yaml:"algorithms" flag:"alg"`
	// What to make of the notary's witness in the header of a token: off; report,
	// which counts tokens without a right one and refuses them while their key is
	// under quarantine; enforce, which refuses them.
	Witness string `yaml:"witness" flag:"witness"`
	// Share of tokens, above 0 and up to 1, that the issuer's auditor is told of in
	// order to find forged ones. Which ones nobody can foresee.
	SeenShare float64 `yaml:"seen_share" flag:"seen-share"`
	// Inner networks where the issuers may be, such as that of a cluster. Others
	// have a public address or are on loopback.
	AllowPrivate []netip.Prefix `yaml:"allow_private" flag:"allow-private"`
	// What parts of the service ask beyond a good token. The longest path that
	// fits counts; other paths ask for nothing more.
	Routes []RouteConfig `yaml:"routes"`
	// Names of the headers that tell the service who calls.
	Headers HeaderConfig `yaml:"headers"`

	// TLS certificate and key, PEM files that are read again when they change.
	TLSCert string `yaml:"tls_cert" flag:"tls-cert"`
	TLSKey  string `yaml:"tls_key" flag:"tls-key"`
	// Take TLS 1.2 too; 1.3 only without it.
	TLS12 bool `yaml:"tls_1_2" flag:"tls-1-2"`
	// Serve plain HTTP beyond loopback.
	PlainHTTP bool `yaml:"plain_http" flag:"plain-http"`

	// Address for metrics and profiles, on loopback or unix:PATH: whoever can reach
	// it sees much of what the process does. Default: none.
	DebugListen string `yaml:"debug_listen" flag:"debug-listen"`
}

// NotaryConfig says how to run a notary of its own.
type NotaryConfig struct {
	// Folder for its secrets: notary.key, a line each as in serve.notary, and
	// release.json, what standby keys are sealed to. It is made with mode 0700.
	Data string `yaml:"data" flag:"data"`
	// Addresses to listen on: unix:PATH, or HOST:PORT, where both ends show
	// certificates. Default: notary.sock in the data folder.
	Listen []string `yaml:"listen" flag:"listen"`
	// Group, by name or number, whose members may connect to a unix socket. Default:
	// only the user that the notary runs as.
	Group string `yaml:"group" flag:"group"`

	// TLS certificate and key, PEM files that are read again when they change.
	TLSCert string `yaml:"tls_cert" flag:"tls-cert"`
	TLSKey  string `yaml:"tls_key" flag:"tls-key"`
	// PEM file with the authorities whose certificates issuers show.
	ClientCA string `yaml:"client_ca" flag:"client-ca"`

	// Address for metrics and profiles, on loopback or unix:PATH: whoever can reach
	// it sees much of what the process does. Default: none.
	DebugListen string `yaml:"debug_listen" flag:"debug-listen"`
}

// RouteConfig is a path and everything below it.
type RouteConfig struct {
	// Path, such as /admin. It fits /admin/users and not /administration.
	Path string `yaml:"path"`
	// Refuse with 503 while the revocation table is more than 5 s old.
	Sensitive bool `yaml:"sensitive"`
	// Scopes that the token must have, all of them.
	Scope []string `yaml:"scope"`
	// Roles of which the token must have one.
	Roles []string `yaml:"roles"`
}

// HeaderConfig names the headers that the guard sets.
type HeaderConfig struct {
	// Header with "sub".
	Subject string `yaml:"subject"`
	// Header with "client_id".
	Client string `yaml:"client"`
	// Header with "scope".
	Scope string `yaml:"scope"`
	// Header with "sid".
	Session string `yaml:"session"`
}

// defaultConfig is what holds when nothing is said.
func defaultConfig() Config {
	return Config{
		Log: LogConfig{Level: "info", Format: "text"},
		Serve: ServeConfig{
			Data:            defaultData,
			Listen:          "127.0.0.1:8080",
			Algorithms:      []string{"ES256"},
			TokenLife:       session.DefaultTokenLife,
			MaxTokenLife:    time.Hour,
			RotateEvery:     keyring.DefaultRotateEvery,
			StandbyFor:      keyring.DefaultStandbyFor,
			SessionLife:     session.DefaultSessionLife,
			IdleLife:        session.DefaultIdleLife,
			DefaultAudience: session.DefaultAudience,
			Forgery:         ForgeryConfig{Answer: string(forgery.Automatic)},
		},
		Guard: GuardConfig{
			Listen:  []string{"127.0.0.1:8081"},
			Type:    verifier.DefaultType,
			Witness: verifier.WitnessOff.String(), SeenShare: 1,
			Headers: HeaderConfig{Subject: "Auth-Subject", Client: "Auth-Client", Scope: "Auth-Scope", Session: "Auth-Session"},
		},
		Notary: NotaryConfig{Data: defaultNotaryData},
	}
}

// witness is the mode that check has read.
func (c *GuardConfig) witness() verifier.WitnessMode {
	mode, err := verifier.ParseWitnessMode(c.Witness)
	if err != nil {
		return verifier.WitnessEnforce // never the weaker one by mistake
	}
	return mode
}

// algorithms turns names that were checked into algorithms; none is nil.
func algorithms(names []string) (list []jwk.Algorithm) {
	for _, name := range names {
		list = append(list, jwk.Algorithm(name))
	}
	return list
}

// checkFiles refuses a credential that is not there, and warns of one that others can
// read: whoever has it reports in the guard's name. Whether the issuer takes it shows later.
func (c *GuardConfig) checkFiles(log *slog.Logger) error {
	for _, issuer := range c.Issuers {
		name := c.credential(issuer)
		if name == "" {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return unreadable(name, err)
		}
		info, err := f.Stat()
		if err == nil && info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
			log.Warn("the credential can be read by others: chmod 600", "file", name)
		}
		f.Close()
	}
	return nil
}

// credential is the file with what one issuer is shown.
func (c *GuardConfig) credential(issuer string) string {
	return cmp.Or(c.Credentials[issuer], c.Credential)
}

// redacted returns the configuration as it may be shown.
func (c Config) redacted() Config {
	if u, err := url.Parse(c.Serve.Store); err != nil {
		c.Serve.Store = "(not a URL)"
	} else {
		c.Serve.Store = redactURL(u)
	}
	if u, err := url.Parse(c.Serve.Forgery.Webhook); err != nil || u.Host != "" {
		c.Serve.Forgery.Webhook = "(not shown: what follows the host may be a secret)"
		if err == nil {
			c.Serve.Forgery.Webhook = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/xxxxx"}).String()
		}
	}
	return c
}

// redactURL hides what a database URL may hide a password in.
func redactURL(u *url.URL) string {
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "password") {
			query.Set(name, "xxxxx")
		}
	}
	hidden := *u
	hidden.RawQuery = query.Encode()
	return hidden.Redacted()
}

// rotateEvery is RotateEvery as the keyring takes it, where 0 is the default.
func (c *ServeConfig) rotateEvery() time.Duration {
	if c.RotateEvery == 0 {
		return -1
	}
	return c.RotateEvery
}

func (c *ServeConfig) argon2() account.Params {
	return account.Params{Memory: c.Argon2.Memory, Time: c.Argon2.Time, Threads: c.Argon2.Threads}
}

func (c *ServeConfig) audiences() (list []session.Audience) {
	for _, a := range c.Audiences {
		list = append(list, session.Audience{Name: a.Name, Claims: a.Claims})
	}
	return list
}

func (c *GuardConfig) routes() (list []guard.Route) {
	for _, r := range c.Routes {
		list = append(list, guard.Route{
			Path:  r.Path,
			Route: verifier.Route{Sensitive: r.Sensitive, Scope: r.Scope, Roles: r.Roles},
		})
	}
	return list
}

func (c *GuardConfig) headers() guard.Headers {
	return guard.Headers{Subject: c.Headers.Subject, Client: c.Headers.Client, Scope: c.Headers.Scope, Session: c.Headers.Session}
}

// encode writes the configuration as YAML.
func (c Config) encode() ([]byte, error) {
	data, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return data, nil
}
