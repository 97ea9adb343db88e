package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/notary/remote"
)

const defaultNotaryData = "counterfoil-notary"

func notaryFlags(flags *pflag.FlagSet, c *Config) {
	n := &c.Notary
	flags.StringVar(&n.Data, "data", n.Data, "`DIR` for its secrets")
	flags.StringSliceVar(&n.Listen, "listen", n.Listen, "`ADDR` to listen on: unix:PATH, or HOST:PORT with certificates at both ends (repeatable; default notary.sock in the data folder)")
	flags.StringVar(&n.Group, "group", n.Group, "`GROUP` whose members may connect to a unix socket (default nobody but this user)")
	flags.StringVar(&n.TLSCert, "tls-cert", n.TLSCert, "PEM `FILE` with the certificate, read again when it changes")
	flags.StringVar(&n.TLSKey, "tls-key", n.TLSKey, "PEM `FILE` with its key")
	flags.StringVar(&n.ClientCA, "client-ca", n.ClientCA, "PEM `FILE` with the authorities whose certificates issuers show")
	debugFlag(flags, &n.DebugListen)
	logFlags(flags, c)
}

func (a *app) notaryCommand() *cobra.Command {
	var file string
	flagged := defaultConfig()
	cmd := &cobra.Command{
		Use: "notary", Short: "Keep the second secret in a process of its own", Args: takes(),
		Long: `Keep the second secret of the tokens in a process of its own.

The notary makes the tag of each access token and never has a signing key: a
token with the right signature and a wrong tag is a forgery. Without this command
the issuer is its own notary, and whoever takes over the issuer has both secrets.
Run it as another user, or on another machine, with backups of its own.

The first start makes the folder. Notaries that stand in for each other have
copies of its files.`,
		Example: `counterfoil notary --data /var/lib/counterfoil-notary --listen unix:/run/counterfoil/notary.sock --group counterfoil
counterfoil serve --notary-at unix:/run/counterfoil/notary.sock`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd, file, notaryFlags, func(c *Config) error { return joinErrors(c.Log.check(), c.Notary.check()) })
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
			return a.serveNotary(cmd.Context(), &cfg.Notary, log)
		},
	}
	notaryFlags(cmd.Flags(), &flagged)
	cmd.Flags().StringVar(&file, "config", "", "YAML `FILE` with any of the settings")
	return cmd
}

// A notaryFolder is where a notary keeps its secrets.
type notaryFolder struct{ dataFolder }

func (d notaryFolder) secrets() string { return filepath.Join(string(d.dataFolder), "notary.key") }
func (d notaryFolder) release() string { return filepath.Join(string(d.dataFolder), "release.json") }
func (d notaryFolder) socket() string  { return filepath.Join(string(d.dataFolder), "notary.sock") }

// serveNotary runs a notary until ctx ends.
func (a *app) serveNotary(ctx context.Context, c *NotaryConfig, log *slog.Logger) error {
	data := notaryFolder{dataFolder(c.Data)}
	if err := data.open(); err != nil {
		return err
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{"unix:" + data.socket()}
	}
	listeners, err := c.listen()
	if err != nil {
		return err
	}
	server, fresh, err := data.openNotary(log)
	if err != nil {
		closeListeners(listeners)
		return err
	}
	server.TLSCert, server.TLSKey, server.ClientCA = c.TLSCert, c.TLSKey, c.ClientCA
	if err := server.Check(listeners...); err != nil {
		closeListeners(listeners)
		return explainNotary(err)
	}
	debug, err := listenDebug(c.DebugListen)
	if err != nil {
		closeListeners(listeners)
		return err
	}
	if fresh {
		a.introduce(c, data)
	}
	for _, ln := range listeners {
		log.Info("notarizing", "listen", ln.Addr().String(), "data", c.Data, "version", programVersion())
	}
	registry := newRegistry()
	registry.MustRegister(collect("", notaryFigures(), func() map[string]remote.Counts {
		return map[string]remote.Counts{"": server.Counts()}
	}))
	server.Around = func(next http.Handler) http.Handler { return measured(registry, next) }
	err = runServers(ctx, withDebug(debug, registry, log, serving{server, listeners})...)
	log.Info("stopped")
	return err
}

// notaryFigures are what a notary tells.
func notaryFigures() []figure[remote.Counts] {
	type counts = remote.Counts
	return []figure[counts]{
		counter("counterfoil_notary_tags_total", "Tags made.", func(c counts) uint64 { return c.Tags }),
		counter("counterfoil_notary_witnesses_total", "Witnesses made.", func(c counts) uint64 { return c.Witnesses }),
		counter("counterfoil_notary_checked_total", "Records of seen tokens checked.", func(c counts) uint64 { return c.Checked }),
		counter("counterfoil_notary_wrong_total", "Records whose tag is wrong: forgeries, or reports of junk.", func(c counts) uint64 { return c.Wrong }),
		counter("counterfoil_notary_released_total", "Standby keys released.", func(c counts) uint64 { return c.Released }),
		counter("counterfoil_notary_not_released_total", "Standby keys asked for that were not sealed to this notary.", func(c counts) uint64 { return c.NotReleased }),
	}
}

func explainNotary(err error) error {
	if _, ok := errors.AsType[*remote.PlainError](err); ok {
		return hinted(err, "--tls-cert, --tls-key and --client-ca, or --listen unix:PATH")
	}
	return err
}

// openNotary reads the secrets, or makes them at the first start. A release key
// without the secret is a backup that was restored by half. The secret alone may
// come from an issuer that was its own notary.
func (d notaryFolder) openNotary(log *slog.Logger) (server *remote.Server, fresh bool, err error) {
	hasSecrets, hasRelease := exists(d.secrets()), exists(d.release())
	switch {
	case !hasSecrets && hasRelease:
		return nil, false, fmt.Errorf("%s is missing: without it our own tokens look forged; restore it from a backup", d.secrets())
	case !hasSecrets:
		if err := makeNotaryFile(d.secrets()); err != nil {
			return nil, false, err
		}
	case !hasRelease:
		log.Warn("a new release key is made: standby keys that were sealed to another one stay closed")
	}
	if !hasRelease {
		if err := makeReleaseFile(d.release()); err != nil {
			return nil, false, err
		}
	}
	secrets, err := readNotaryFile(d.secrets())
	if err != nil {
		return nil, false, err
	}
	escrow, err := readReleaseFile(d.release())
	if err != nil {
		return nil, false, err
	}
	return &remote.Server{Notary: notary.NewLocal(secrets[0], secrets[1:]...), Escrow: escrow, Log: log}, !hasRelease, nil
}

// introduce tells the operator what was made and how an issuer gets at it.
func (a *app) introduce(c *NotaryConfig, data notaryFolder) {
	a.say("made %s and %s: keep copies, and never where the issuer's backups are", data.secrets(), data.release())
	for _, addr := range c.Listen {
		if strings.HasPrefix(addr, "unix:") {
			a.say("hint: the issuer: counterfoil serve --notary-at %s", addr)
			if c.Group == "" {
				a.say("hint: an issuer that runs as another user: --group GROUP, for a group that both are in")
			}
			continue
		}
		a.say("hint: the issuer: counterfoil serve --notary-at https://%s --notary-cert FILE --notary-key FILE --notary-ca FILE", addr)
	}
}

// listen listens on every address or on none.
func (c *NotaryConfig) listen() (listeners []net.Listener, err error) {
	for _, addr := range c.Listen {
		var ln net.Listener
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			ln, err = listenForGroup(path, c.Group)
		} else {
			ln, err = listen(addr)
		}
		if err != nil {
			closeListeners(listeners)
			return nil, err
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

// listenForGroup listens on a socket for this user, and for the members of group if
// one is named: the socket's mode says who may ask.
func listenForGroup(path, group string) (net.Listener, error) {
	ln, err := serve.ListenUnix(path, 0o600)
	if taken, ok := errors.AsType[*serve.TakenError](err); ok {
		return nil, hinted(taken, "another path: --listen unix:PATH")
	}
	if err != nil || group == "" {
		return ln, err
	}
	if err := giveToGroup(path, group); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

func giveToGroup(path, group string) error {
	gid, err := strconv.Atoi(group)
	if err != nil {
		g, err := osuser.LookupGroup(group)
		if err != nil {
			return misuse("notary: there is no group %q", group)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return err
		}
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return hinted(fmt.Errorf("giving the socket to group %s: %w", group, err), "the user must be in that group")
	}
	return os.Chmod(path, 0o660)
}
