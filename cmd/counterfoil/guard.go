package main

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/verifier"
)

func guardFlags(flags *pflag.FlagSet, c *Config) {
	g := &c.Guard
	flags.StringSliceVar(&g.Issuers, "issuer", g.Issuers, "`URL` of an issuer whose tokens are taken (repeatable, required)")
	flags.StringVar(&g.Audience, "audience", g.Audience, "what \"aud\" must name (required)")
	flags.StringSliceVar(&g.Listen, "listen", g.Listen, "`ADDR` to listen on: HOST:PORT or unix:PATH (repeatable)")
	flags.StringVar(&g.State, "state", g.State, "`DIR` for keys and revocations, to start while the issuer is down")
	flags.StringVar(&g.Credential, "credential", g.Credential, "`FILE` from counterfoil client add --verifier")
	flags.BoolVar(&g.Cookies, "cookies", g.Cookies, "take the token from our cookie too")
	flags.StringVar(&g.Type, "typ", g.Type, "required \"typ\" of a token")
	flags.StringSliceVar(&g.Algorithms, "alg", g.Algorithms, "`ALG` that a token may be signed with, and that of RSA keys which name none (repeatable)")
	flags.StringVar(&g.Witness, "witness", g.Witness, "what to make of the notary's witness in a token: off, report or enforce")
	flags.Float64Var(&g.SeenShare, "seen-share", g.SeenShare, "share of tokens that the issuer's auditor is told of, above 0 and up to 1")
	flags.Var(prefixList{&g.AllowPrivate}, "allow-private", "inner network where the issuer may be (repeatable)")
	flags.StringVar(&g.TLSCert, "tls-cert", g.TLSCert, "PEM `FILE` with the certificate, read again when it changes")
	flags.StringVar(&g.TLSKey, "tls-key", g.TLSKey, "PEM `FILE` with its key")
	flags.BoolVar(&g.TLS12, "tls-1-2", g.TLS12, "take TLS 1.2 too")
	flags.BoolVar(&g.PlainHTTP, "plain-http", g.PlainHTTP, "plain HTTP beyond loopback")
	debugFlag(flags, &g.DebugListen)
	logFlags(flags, c)
}

func (a *app) guardCommand() *cobra.Command {
	var file string
	flagged := defaultConfig()
	cmd := &cobra.Command{
		Use: "guard", Short: "Check requests for a service behind a proxy", Args: takes(),
		Long: `Check requests for a service in any language, behind any proxy.

GET /auth answers 200, 401 or 403, and the header Auth-Status says what it means.
deploy/nginx.conf shows how nginx asks. Who calls goes on to the service in the
headers Auth-Subject, Auth-Client, Auth-Scope and Auth-Session.`,
		Example: "counterfoil guard --issuer https://id.example --audience orders --credential guard.credential --listen unix:/run/counterfoil/guard.sock",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd, file, guardFlags, func(c *Config) error { return joinErrors(c.Log.check(), c.Guard.check()) })
			if err != nil {
				return err
			}
			log, err := a.logger(&cfg.Log)
			if err != nil {
				return err
			}
			if len(cfg.Guard.Issuers) == 0 {
				return misuse("--issuer is required")
			}
			if cfg.Guard.Audience == "" {
				return misuse("--audience is required")
			}
			if err := cfg.Guard.checkFiles(log); err != nil {
				return err
			}
			if err := protectMemory(); err != nil { // it holds the key of the feed's handles
				return err
			}
			return serveGuard(cmd.Context(), &cfg.Guard, log)
		},
	}
	guardFlags(cmd.Flags(), &flagged)
	cmd.Flags().StringVar(&file, "config", "", "YAML `FILE` with any of the settings, routes among them")
	return cmd
}

// serveGuard runs a guard until ctx ends.
func serveGuard(ctx context.Context, c *GuardConfig, log *slog.Logger) (err error) {
	debug, err := listenDebug(c.DebugListen)
	if err != nil {
		return err
	}
	if debug != nil {
		defer debug.Close()
	}
	listeners, err := listenAll(c.Listen)
	if err != nil {
		return err
	}
	server := &serve.Server{
		Log: log, TLSCert: c.TLSCert, TLSKey: c.TLSKey, TLS12: c.TLS12, PlainHTTP: c.PlainHTTP,
	}
	if err := server.Check(listeners...); err != nil {
		closeListeners(listeners)
		return explainServing(err)
	}
	verifiers, err := openVerifiers(ctx, c, log)
	defer func() { err = errors.Join(err, closeVerifiers(verifiers)) }()
	if err != nil {
		closeListeners(listeners)
		return err
	}
	g, err := guard.New(guard.Config{Verifiers: verifiers, Routes: c.routes(), Headers: c.headers(), Log: log})
	if err != nil {
		closeListeners(listeners)
		return &misuseError{err}
	}
	for _, ln := range listeners {
		log.Info("guarding", "listen", ln.Addr().String(), "iss", c.Issuers, "aud", c.Audience, "version", programVersion())
	}
	registry := newRegistry()
	registry.MustRegister(collect("issuer", verifierFigures(), func() map[string]verifier.Status { return statuses(verifiers) }))
	server.Handler = measured(registry, g.Handler())
	err = explainServing(runServers(ctx, withDebug(debug, registry, log, serving{server, listeners})...))
	log.Info("stopped")
	return err
}

// openVerifiers opens a verifier for each issuer. They go on when ctx ends, until they
// are closed: requests are under way then.
func openVerifiers(ctx context.Context, c *GuardConfig, log *slog.Logger) (map[string]*verifier.Verifier, error) {
	ctx = context.WithoutCancel(ctx)
	all := make(map[string]*verifier.Verifier)
	for _, issuer := range c.Issuers {
		if all[issuer] != nil {
			return all, misuse("issuer %s is named twice", issuer)
		}
		v, err := verifier.Open(ctx, verifier.Config{
			Issuer: issuer, Audience: c.Audience, Type: c.Type, Algorithms: algorithms(c.Algorithms), CredentialFile: c.credential(issuer),
			StateDir: c.State, Cookies: c.Cookies, AllowPrivate: c.AllowPrivate, Log: log,
			Witness: c.witness(), SeenShare: c.SeenShare,
		})
		if err != nil {
			return all, err
		}
		all[issuer] = v
	}
	return all, nil
}

// closeVerifiers closes all at once: each may take a second to report what it has
// seen last.
func closeVerifiers(all map[string]*verifier.Verifier) error {
	closed := make(chan error)
	for _, v := range all {
		go func() { closed <- v.Close() }()
	}
	var errs []error
	for range all {
		errs = append(errs, <-closed)
	}
	return errors.Join(errs...)
}

// listenAll listens on every address or on none.
func listenAll(addrs []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, addr := range addrs {
		ln, err := listen(addr)
		if err != nil {
			closeListeners(listeners)
			return nil, err
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

func closeListeners(listeners []net.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}
