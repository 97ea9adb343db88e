package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/notary"
)

// databaseFlags are for each command that opens the store.
func databaseFlags(flags *pflag.FlagSet, s *ServeConfig) {
	flags.StringVar(&s.Store, "store", s.Store, "postgres:// `URL` instead of SQLite in the data folder")
	flags.BoolVar(&s.StoreUnverified, "store-unverified", s.StoreUnverified, "accept a PostgreSQL elsewhere whose certificate is not verified")
}

func serveFlags(flags *pflag.FlagSet, c *Config) {
	s := &c.Serve
	flags.StringVar(&s.Data, "data", s.Data, "`DIR` for database, sealed keys and admin socket")
	flags.StringVar(&s.Listen, "listen", s.Listen, "`ADDR` to listen on: HOST:PORT or unix:PATH")
	flags.StringVar(&s.Issuer, "issuer", s.Issuer, "`URL` of the issuer (default the listen address)")
	databaseFlags(flags, s)
	flags.BoolVar(&s.StoreUnsafe, "store-unsafe", s.StoreUnsafe, "accept a store that may lose what it acknowledged")
	flags.StringVar(&s.KEK, "kek", s.KEK, "key-encryption key: `FILE`, env:NAME or pkcs11:URI (default kek.json in the data folder)")
	flags.BoolVar(&s.NewIssuer, "new-issuer", s.NewIssuer, "found a new issuer in an empty store beside a key-encryption key that is there already")
	flags.StringVar(&s.KEKNext, "kek-next", s.KEKNext, "the one that it is about to be changed for: `FILE`, env:NAME or pkcs11:URI")
	flags.DurationVar(&s.RotateEvery, "rotate-every", s.RotateEvery, "how long a key signs before the next one takes over; 0: until told")
	flags.StringVar(&s.SigningKeys, "signing-keys", s.SigningKeys, "pkcs11: `URI` of a token in which signing keys are made (default in the store, sealed)")
	flags.StringVar(&s.Notary, "notary", s.Notary, "`FILE` with the notary's secret (default notary.key in the data folder)")
	flags.StringSliceVar(&s.NotaryAt, "notary-at", s.NotaryAt, "`URL` of a notary in a process of its own: unix:PATH or https://HOST:PORT (repeatable)")
	flags.StringVar(&s.NotaryCert, "notary-cert", s.NotaryCert, "PEM `FILE` with the certificate that it is shown")
	flags.StringVar(&s.NotaryKey, "notary-key", s.NotaryKey, "PEM `FILE` with its key")
	flags.StringVar(&s.NotaryCA, "notary-ca", s.NotaryCA, "PEM `FILE` with the authorities of its certificate (default the system's)")
	flags.BoolVar(&s.Witness, "witness", s.Witness, "put the notary's signature into each access token")
	flags.StringVar(&s.TLSCert, "tls-cert", s.TLSCert, "PEM `FILE` with the certificate, read again when it changes")
	flags.StringVar(&s.TLSKey, "tls-key", s.TLSKey, "PEM `FILE` with its key")
	flags.BoolVar(&s.TLS12, "tls-1-2", s.TLS12, "take TLS 1.2 too")
	flags.BoolVar(&s.PlainHTTP, "plain-http", s.PlainHTTP, "plain HTTP beyond loopback: a proxy in front ends TLS")
	flags.Var(prefixList{&s.TrustedProxies}, "trusted-proxy", "network of proxies whose X-Forwarded-For is believed (repeatable)")
	flags.StringSliceVar(&s.Algorithms, "alg", s.Algorithms, "`ALG` to sign access tokens with, the default one first (repeatable)")
	debugFlag(flags, &s.DebugListen)
	logFlags(flags, c)
}

func (a *app) serveCommand() *cobra.Command {
	var file string
	flagged := defaultConfig()
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the issuer", Args: takes(),
		Long: `Run the issuer: sign-in, tokens, keys and the revocation feed.

The first start makes the data folder with keys and database. It makes no user:
that is counterfoil user add.`,
		Example: `counterfoil serve --issuer https://id.example --tls-cert cert.pem --tls-key key.pem --listen :443
counterfoil user add ada --generate`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd, file, serveFlags, func(c *Config) error { return joinErrors(c.Log.check(), c.Serve.check()) })
			if err != nil {
				return err
			}
			log, err := a.logger(&cfg.Log)
			if err != nil {
				return err
			}
			if err := protectMemory(); err != nil {
				return err
			}
			return serveIssuer(cmd.Context(), &cfg.Serve, log)
		},
	}
	serveFlags(cmd.Flags(), &flagged)
	cmd.Flags().StringVar(&file, "config", "", "YAML `FILE` with any of the settings and more")
	return cmd
}

// serveIssuer runs an issuer until ctx ends.
func serveIssuer(ctx context.Context, c *ServeConfig, log *slog.Logger) error {
	data := dataFolder(c.Data)
	if err := data.open(); err != nil {
		return err
	}
	public := &serve.Server{
		Log: log, TLSCert: c.TLSCert, TLSKey: c.TLSKey, TLS12: c.TLS12, PlainHTTP: c.PlainHTTP,
	}
	var at issuerListeners
	defer at.close()
	if err := at.open(c, data, public); err != nil {
		return err
	}
	maker, closeMaker, err := openMaker(ctx, c.SigningKeys, log)
	if err != nil {
		return err
	}
	defer closeMaker()
	secrets, err := data.openSecrets(ctx, c, log)
	if err != nil {
		return err
	}
	defer secrets.close()
	st, iss, err := openIssuer(ctx, c, data, secrets, maker, log)
	if err != nil {
		return err
	}
	if c.StoreUnsafe {
		log.Warn("the store may lose acknowledged writes in a crash, revocations among them: --store-unsafe is for trials", "iss", c.Issuer)
	}
	if c.StoreUnverified {
		log.Warn("whoever stands in the way to the database can be it: --store-unverified", "iss", c.Issuer)
	}
	log.Info("serving", "iss", c.Issuer, "listen", at.public.Addr().String(), "data", c.Data, "version", programVersion())
	registry := newRegistry()
	registry.MustRegister(issuerCollectors(iss)...)
	public.Handler = serve.AccessLog(log, measured(registry, iss), c.TrustedProxies...)
	err = runServers(ctx, withDebug(at.debug, registry, log,
		serving{public, []net.Listener{at.public}},
		serving{&serve.Server{Handler: serve.AccessLog(log, iss.AdminHandler()), Log: log}, []net.Listener{at.admin}},
	)...)
	err = explainServing(err)
	err = errors.Join(err, iss.Close(), st.Close())
	log.Info("stopped")
	return err
}

// issuerListeners are where an issuer listens; debug may be nil.
type issuerListeners struct{ admin, public, debug net.Listener }

// open listens, and gives an issuer without a name that of its address.
func (l *issuerListeners) open(c *ServeConfig, data dataFolder, public *serve.Server) (err error) {
	if l.admin, err = listenAdmin(data); err != nil {
		return err
	}
	if l.public, err = listen(c.Listen); err != nil {
		return err
	}
	if err := c.nameIssuer(l.public.Addr()); err != nil {
		return err
	}
	if err := issuer.CheckURL(c.Issuer, c.PlainHTTP); err != nil {
		return err // now: a store that was opened belongs to its URL for ever
	}
	if err := public.Check(l.public); err != nil {
		return explainServing(err)
	}
	l.debug, err = listenDebug(c.DebugListen)
	return err
}

func (l *issuerListeners) close() {
	for _, ln := range []net.Listener{l.admin, l.public, l.debug} {
		if ln != nil {
			ln.Close()
		}
	}
}

// listenAdmin also keeps a second process out of the data folder.
func listenAdmin(data dataFolder) (net.Listener, error) {
	const longest = 100 // bytes; the system's limit for a socket's path is 104 to 108
	if len(data.socket()) > longest {
		return nil, hinted(misuse("the path of the data folder is too long for a socket in it"), "a shorter one, or a relative one: --data DIR")
	}
	ln, err := serve.ListenUnix(data.socket(), 0o600)
	if _, taken := errors.AsType[*serve.TakenError](err); taken {
		return nil, hinted(fmt.Errorf("an issuer is already running on the folder %s", data), "stop that one, or use another folder: --data DIR")
	}
	return ln, err
}

// listen explains a taken port.
func listen(addr string) (net.Listener, error) {
	ln, err := serve.Listen(addr)
	if taken, ok := errors.AsType[*serve.TakenError](err); ok {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			return nil, hinted(taken, "another address: --listen 127.0.0.1:0 takes any free port; who has this one: ss -ltnp 'sport = :"+port+"'")
		}
		return nil, hinted(taken, "another path: --listen unix:PATH")
	}
	return ln, err
}

// nameIssuer fills in the issuer's URL from the address listened on.
func (c *ServeConfig) nameIssuer(addr net.Addr) error {
	if c.Issuer != "" {
		return nil
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil || ap.Addr().IsUnspecified() {
		return hinted(misuse("the address %s does not tell the issuer's URL", addr), "name it: --issuer https://HOST")
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	c.Issuer = scheme + "://" + ap.String()
	return nil
}

// openIssuer opens what an issuer stands on and starts it. The caller closes both.
func openIssuer(ctx context.Context, c *ServeConfig, data dataFolder, secrets *secrets, maker keyring.KeyMaker, log *slog.Logger) (_ *store.Store, _ *issuer.Issuer, err error) {
	part, err := c.openNotary(data, secrets.notary, log)
	if err != nil {
		return nil, nil, err
	}
	witnesses, err := part.witnessKeys(ctx, c.Witness)
	if err != nil {
		return nil, nil, err
	}
	st, err := openStore(ctx, c, data)
	if err != nil {
		return nil, nil, explainStore(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.Close())
		}
	}()
	ring, err := keyring.Open(ctx, st, keyring.Config{
		Issuer: c.Issuer, KEK: secrets.kek, NextKEK: secrets.next, NoFounding: secrets.used() && !c.NewIssuer, Maker: maker, Notary: part.releaser, WitnessKeys: witnesses,
		Algorithms: algorithms(c.Algorithms), MaxTokenLife: c.MaxTokenLife, RotateEvery: c.rotateEvery(), StandbyFor: c.StandbyFor, Log: log,
	})
	if err != nil {
		return nil, nil, secrets.explain(err)
	}
	hook, err := c.Forgery.open(ctx, data, ring, log)
	if err != nil {
		return nil, nil, err
	}
	iss, err := issuer.New(ctx, issuer.Config{
		URL: c.Issuer, Store: st, Keyring: ring, Tagger: part.tagger, Notaries: part.each, PlainHTTP: c.PlainHTTP,
		TokenLife: c.TokenLife, SessionLife: c.SessionLife, IdleLife: c.IdleLife, AuthTime: c.AuthTime, Witness: c.Witness,
		DefaultAudience: c.DefaultAudience, Audiences: c.audiences(), Scopes: c.Scopes,
		Argon2: c.argon2(), TrustedProxies: c.TrustedProxies, TrustedOrigins: c.TrustedOrigins, Log: log,
		Answer: forgery.Answer(c.Forgery.Answer), Webhook: hook,
	})
	return st, iss, explainNotarySecret(err)
}

func explainNotarySecret(err error) error {
	if errors.Is(err, issuer.ErrNotary) {
		return hinted(err, "did the issuer keep it until now? then notary.key moves from its data folder to the notary's")
	}
	return err
}

func openStore(ctx context.Context, c *ServeConfig, data dataFolder) (*store.Store, error) {
	if c.Store == "" {
		return sqlite.Open(ctx, data.database(), sqlite.Config{Issuer: c.Issuer, UnsafeNoSync: c.StoreUnsafe})
	}
	return postgres.Open(ctx, c.Store, postgres.Config{
		Issuer: c.Issuer, AllowUnsafe: c.StoreUnsafe, AllowUnverified: c.StoreUnverified,
	})
}

func explainStore(err error) error {
	switch {
	case errors.Is(err, store.ErrIssuer):
		return hinted(err, "an issuer keeps its URL: start with the --issuer it began with, or on another --data folder")
	case errors.Is(err, postgres.ErrUnverified):
		return hinted(err, "or, where nobody else can be in the way: --store-unverified")
	case errors.Is(err, postgres.ErrUnsafe):
		return hinted(err, "or, if losing revocations is acceptable: --store-unsafe")
	}
	return err
}

// explain tells a key-encryption key that was just made from one that is wrong.
func (s *secrets) explain(err error) error {
	if errors.Is(err, notary.ErrUnavailable) {
		return hinted(err, "the first keys need the notary: start that first, then this once more with the same --notary-at")
	}
	if errors.Is(err, keyring.ErrNotFounded) {
		return hinted(fmt.Errorf("%w, and %s was there before it", err, s.source),
			"do --data and --store name what they did before, or was the database lost? then restore it; if a new issuer is meant, which no verifier follows yet: --new-issuer")
	}
	if !errors.Is(err, keyring.ErrKEK) {
		return err
	}
	if s.fresh && s.source.isFile() {
		return hinted(fmt.Errorf("this store was made with another key-encryption key than the new one in %s", s.source),
			"copy kek.json and notary.key from the first issuer's data folder, or name them: --kek FILE --notary FILE")
	}
	return explainKEK(err)
}

func explainServing(err error) error {
	if _, ok := errors.AsType[*serve.PlainError](err); ok {
		return hinted(err, "--tls-cert and --tls-key, or --plain-http when a proxy in front ends TLS")
	}
	return err
}

// A serving is a server with the listeners that it serves.
type serving struct {
	server interface {
		Serve(ctx context.Context, listeners ...net.Listener) error
	}
	listeners []net.Listener
}

// runServers runs servers until ctx ends or one of them fails, and waits for all.
func runServers(ctx context.Context, servers ...serving) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(servers))
	for _, s := range servers {
		go func() { ended <- s.server.Serve(ctx, s.listeners...) }()
	}
	var all []error
	for range servers {
		all = append(all, <-ended)
		stop()
	}
	return errors.Join(all...)
}

// trimLine removes one line end, as a shell's echo leaves it.
func trimLine(b []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
}
