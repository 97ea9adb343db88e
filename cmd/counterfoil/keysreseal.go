package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// resealFlags are those of serve that say where the store and its key are.
func resealFlags(flags *pflag.FlagSet, c *Config) {
	s := &c.Serve
	flags.StringVar(&s.Data, "data", s.Data, "data `DIR` of the issuer")
	databaseFlags(flags, s)
	flags.StringVar(&s.KEK, "kek", s.KEK, "the key-encryption key that is to be changed: `FILE`, env:NAME or pkcs11:URI (default kek.json in the data folder)")
	logFlags(flags, c)
}

func (a *app) keysResealCommand() *cobra.Command {
	var (
		file, to string
		machine  bool
	)
	flagged := defaultConfig()
	cmd := &cobra.Command{
		Use: "reseal --to FILE|env:NAME|pkcs11:URI", Short: "Change the key-encryption key", Args: takes(),
		Long: `Change the key-encryption key: everything that the store keeps sealed is sealed anew
under another one, in one transaction. It speaks to the store and not to the issuer,
and works while that runs: the store is wholly under the one key or wholly under the
other, also when this command is interrupted. Run it again if you do not know.

A FILE that is not there is made, readable by its owner only, and taken away again
if nothing was sealed under it. Then start each issuer
with it: --kek FILE. Until then a running one goes on with the keys in its memory,
and makes and opens no others: it cannot rotate, and its answer to a forgery stops
after the quarantine. One that was started with --kek-next FILE before goes on as if
nothing had happened.

Whoever has the old key and a backup of before has the keys in it. If that is why you
change it: counterfoil keys rotate afterwards, for each algorithm, three times.`,
		Example: "counterfoil keys reseal --to /etc/counterfoil/kek-2.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return misuse("--to is required: where the new key-encryption key is, or is to be")
			}
			cfg, err := a.load(cmd, file, resealFlags, func(c *Config) error { return c.Log.check() })
			if err != nil {
				return err
			}
			log, err := a.logger(&cfg.Log)
			if err != nil {
				return err
			}
			if err := protectMemory(); err != nil { // every private key passes through it
				return err
			}
			done, err := a.reseal(cmd.Context(), &cfg.Serve, kekSource(to), log)
			if err != nil {
				return err
			}
			a.say("from now on: counterfoil serve --kek %s", to)
			if machine {
				return a.printJSON(done)
			}
			return nil
		},
	}
	resealFlags(cmd.Flags(), &flagged)
	cmd.Flags().StringVar(&file, "config", "", "YAML `FILE` of the issuer")
	cmd.Flags().StringVar(&to, "to", "", "the new key-encryption key: `FILE`, env:NAME or pkcs11:URI")
	cmd.Flags().BoolVar(&machine, "json", false, "print what was done as one JSON object")
	return cmd
}

// reseal opens both keys and the store, and changes the one for the other.
func (a *app) reseal(ctx context.Context, c *ServeConfig, to kekSource, log *slog.Logger) (done keyring.Resealed, err error) {
	data := dataFolder(c.Data)
	if c.Store == "" && !exists(data.database()) {
		return done, hinted(fmt.Errorf("there is no database in the folder %s", data), "name another folder: --data DIR, or a database: --store URL")
	}
	from := data.kek(c)
	old, closeOld, err := from.open(ctx, pkcs11.Find, log)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, closeOld()) }()
	made := to.absent()
	next, closeNext, err := a.nextKEK(ctx, to, log)
	if err != nil {
		return done, err
	}
	sealed := false
	defer func() {
		if made && !sealed {
			err = errors.Join(err, a.removeKEK(to))
		}
	}()
	defer func() { err = errors.Join(err, closeNext()) }()
	st, err := openStore(ctx, c, data)
	if err != nil {
		return done, explainStore(err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	done, err = a.resealStore(ctx, st, old, next)
	sealed = err == nil || errors.Is(err, store.ErrUncertain)
	return done, err
}

// nextKEK opens the new key, and makes it first where it is not there: it has to be
// safe before anything is sealed under it.
func (a *app) nextKEK(ctx context.Context, to kekSource, log *slog.Logger) (*jwk.Key, func() error, error) {
	if to.absent() {
		if err := makeKEK(string(to)); err != nil {
			return nil, nil, err
		}
		a.say("%s made: keep a copy of it elsewhere", to)
	}
	return to.open(ctx, pkcs11.Make, log)
}

// removeKEK takes a new key away under which nothing was sealed.
func (a *app) removeKEK(to kekSource) error {
	if err := os.Remove(string(to)); err != nil {
		return err
	}
	a.say("%s removed: nothing is sealed under it", to)
	return nil
}

func (a *app) resealStore(ctx context.Context, st *store.Store, old, next *jwk.Key) (keyring.Resealed, error) {
	done, err := keyring.Reseal(ctx, st, old, next, "command")
	switch {
	case errors.Is(err, keyring.ErrResealed):
		a.say("the store is sealed under that key already")
		return keyring.Resealed{From: keyring.KEKID(next), To: keyring.KEKID(next)}, nil
	case err != nil:
		return done, explainKEK(err)
	}
	a.say("%d keys and %d secrets are sealed under it now", done.Keys, done.Secrets)
	return done, nil
}

// kek says where the key-encryption key of an issuer is.
func (d dataFolder) kek(c *ServeConfig) kekSource {
	return kekSource(cmp.Or(c.KEK, filepath.Join(string(d), "kek.json")))
}
