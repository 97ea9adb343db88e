package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary/remote"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/verifier"
)

// check finds what can be found without touching the world, all at once. A process
// checks its own part only.
func (c *Config) check() error {
	return joinErrors(c.Log.check(), c.Serve.check(), c.Guard.check(), c.Notary.check())
}

// A checklist collects what is wrong with the keys of one section.
type checklist struct {
	section string
	wrong   []error
}

// key notes err, if there is one, of a key.
func (c *checklist) key(name string, err error) {
	if err != nil {
		c.wrong = append(c.wrong, misuse("%s.%s: %w", c.section, name, err))
	}
}

// want notes what is allowed for a key, unless ok.
func (c *checklist) want(ok bool, name, format string, args ...any) {
	if !ok {
		c.key(name, fmt.Errorf(format, args...))
	}
}

func (c *checklist) err() error { return joinErrors(c.wrong...) }

// joinErrors is errors.Join on one line.
func joinErrors(all ...error) error {
	all = slices.DeleteFunc(all, func(err error) bool { return err == nil })
	if len(all) < 2 {
		return errors.Join(all...)
	}
	texts := make([]string, len(all))
	for i, err := range all {
		texts[i] = err.Error()
	}
	return &misuseError{errors.New(strings.Join(texts, "; "))}
}

func (c *LogConfig) check() error {
	l := checklist{section: "log"}
	_, err := c.level()
	l.key("level", err)
	l.want(c.Format == "text" || c.Format == "json", "format", "text or json, not %q", c.Format)
	return l.err()
}

func (c *ServeConfig) check() error {
	l := checklist{section: "serve"}
	l.want(c.Data != "", "data", "the path of a folder")
	l.key("listen", checkAddress(c.Listen))
	if c.Issuer != "" {
		l.key("issuer", issuer.CheckURL(c.Issuer, c.PlainHTTP))
	}
	l.want(c.Store == "" || strings.HasPrefix(c.Store, "postgres://") || strings.HasPrefix(c.Store, "postgresql://"), "store",
		"a postgres:// URL; without it SQLite is used")
	l.key("kek", kekSource(c.KEK).check())
	l.key("kek_next", kekSource(c.KEKNext).check())
	if c.SigningKeys != "" {
		_, err := pkcs11.ParseURI(c.SigningKeys)
		l.key("signing_keys", err)
	}
	c.checkNotary(&l)
	l.key("tls_cert", checkTogether("tls_key", c.TLSCert, c.TLSKey))
	for _, origin := range c.TrustedOrigins {
		if new(http.CrossOriginProtection).AddTrustedOrigin(origin) != nil {
			l.want(false, "trusted_origins", "origins such as https://app.example, not %q", origin)
		}
	}
	l.want(len(c.Algorithms) > 0, "algorithms", "at least one, such as ES256")
	l.key("algorithms", checkAlgorithms(c.Algorithms))
	c.checkLives(&l)
	c.checkAudiences(&l)
	if c.Argon2 != (Argon2Config{}) {
		l.key("argon2", c.argon2().Check())
	}
	c.Forgery.check(&l)
	l.key("debug_listen", checkDebugAddress(c.DebugListen))
	return l.err()
}

func (c *ServeConfig) checkLives(l *checklist) {
	for _, life := range []struct {
		name string
		of   time.Duration
	}{
		{"token_life", c.TokenLife}, {"max_token_life", c.MaxTokenLife}, {"session_life", c.SessionLife}, {"idle_life", c.IdleLife}, {"standby_for", c.StandbyFor},
	} {
		l.want(life.of > 0, life.name, "more than 0, not %v", life.of)
	}
	l.want(c.TokenLife <= c.MaxTokenLife, "token_life", "%v is above max_token_life %v", c.TokenLife, c.MaxTokenLife)
	l.want(c.RotateEvery == 0 || c.RotateEvery > c.StandbyFor, "rotate_every",
		"0 for never, or more than standby_for %v, not %v", c.StandbyFor, c.RotateEvery)
}

func (c *ServeConfig) checkAudiences(l *checklist) {
	l.want(c.DefaultAudience != "", "default_audience", "the name of a service")
	names := []string{c.DefaultAudience}
	for _, a := range c.Audiences {
		l.want(a.Name != "", "audiences.name", "the name of a service")
		l.want(a.Name == c.DefaultAudience || !slices.Contains(names, a.Name), "audiences.name", "each service once, and not %q twice", a.Name)
		names = append(names, a.Name)
	}
	for scope := range c.Scopes {
		set, err := oauth.ParseScopes(scope)
		l.want(err == nil && len(set) == 1, "scopes", "names of scopes, without spaces, and not %q", scope)
	}
}

func (c *ForgeryConfig) check(l *checklist) {
	answers := []forgery.Answer{forgery.Automatic, forgery.AlarmOnly, forgery.Off}
	l.want(slices.Contains(answers, forgery.Answer(c.Answer)), "forgery.answer", "automatic, alarm or off, not %q", c.Answer)
	if c.Webhook != "" {
		l.key("forgery.webhook", forgery.CheckURL(c.Webhook))
	}
}

// checkNotary looks at where the notary is to be.
func (c *ServeConfig) checkNotary(l *checklist) {
	if len(c.NotaryAt) == 0 {
		for _, f := range []struct{ name, of string }{{"notary_cert", c.NotaryCert}, {"notary_key", c.NotaryKey}, {"notary_ca", c.NotaryCA}} {
			l.want(f.of == "", f.name, "it is for a notary at notary_at, which names none")
		}
		return
	}
	l.want(c.Notary == "", "notary", "it names a secret in this process, and notary_at one in another: give one of them")
	for _, u := range c.NotaryAt {
		l.key("notary_at", remote.CheckURL(u))
		l.want(!strings.HasPrefix(u, "https:") || c.NotaryCert != "" && c.NotaryKey != "", "notary_at", "%s needs notary_cert and notary_key", u)
	}
}

func (c *GuardConfig) check() error {
	l := checklist{section: "guard"}
	for _, u := range c.Issuers {
		if _, err := fetch.ParseURL(u); err != nil {
			l.key("issuers", fmt.Errorf("%q: %w", u, err))
		}
	}
	l.want(len(c.Listen) > 0, "listen", "at least one address")
	for _, addr := range c.Listen {
		l.key("listen", checkAddress(addr))
	}
	l.want(c.Credential == "" || len(c.Issuers) <= 1, "credential",
		"one credential must not go to several issuers: name each with its file in credentials")
	for u := range c.Credentials {
		l.want(slices.Contains(c.Issuers, u), "credentials", "it names %s, which is none of the issuers", u)
	}
	l.want(c.Type != "", "type", "the \"typ\" of a token, such as %s", verifier.DefaultType)
	l.key("algorithms", checkAlgorithms(c.Algorithms))
	_, err := verifier.ParseWitnessMode(c.Witness)
	l.want(err == nil, "witness", "off, report or enforce, not %q", c.Witness)
	l.want(c.SeenShare > 0 && c.SeenShare <= 1, "seen_share", "above 0 and at most 1, not %v", c.SeenShare)
	l.key("routes", guard.Check(c.routes(), guard.Headers{}))
	l.key("headers", guard.Check(nil, c.headers()))
	l.key("tls_cert", checkTogether("tls_key", c.TLSCert, c.TLSKey))
	l.key("debug_listen", checkDebugAddress(c.DebugListen))
	return l.err()
}

func (c *NotaryConfig) check() error {
	l := checklist{section: "notary"}
	l.want(c.Data != "", "data", "the path of a folder")
	for _, addr := range c.Listen {
		l.key("listen", checkAddress(addr))
	}
	l.key("tls_cert", checkTogether("tls_key and client_ca", c.TLSCert, c.TLSKey, c.ClientCA))
	l.key("debug_listen", checkDebugAddress(c.DebugListen))
	return l.err()
}

// checkTogether refuses some of several files without the rest.
func checkTogether(others string, files ...string) error {
	if n := len(slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f == "" })); n != 0 && n != len(files) {
		return errors.New("it and " + others + " go together")
	}
	return nil
}

// check looks at the form of what says where a key is.
func (k kekSource) check() error {
	if name, ok := k.variable(); ok && name == "" {
		return errors.New("env: needs the name of a variable")
	}
	if !isTokenURI(string(k)) {
		return nil
	}
	_, err := pkcs11.ParseURI(string(k))
	return err
}

// checkAlgorithms refuses what no published key can be for.
func checkAlgorithms(names []string) error {
	for _, name := range names {
		if !keyring.Signs(jwk.Algorithm(name)) {
			return fmt.Errorf("%q is not a signature algorithm with a public key, such as ES256", name)
		}
	}
	return nil
}

// checkAddress looks at the form of an address to listen on.
func checkAddress(addr string) error {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok && path != "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if _, number := net.LookupPort("tcp", port); err != nil || port == "" || number != nil {
		return fmt.Errorf("HOST:PORT or unix:PATH, not %q", addr)
	}
	return nil
}
