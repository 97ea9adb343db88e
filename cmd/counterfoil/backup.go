package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
)

// backupFlags are those of serve that say where the store is.
func backupFlags(flags *pflag.FlagSet, c *Config) {
	s := &c.Serve
	flags.StringVar(&s.Data, "data", s.Data, "data `DIR` of the issuer on this machine")
	flags.StringVar(&s.Store, "store", s.Store, "a postgres:// `URL` is refused: its own tools copy it")
}

func (a *app) backupCommand() *cobra.Command {
	var file string
	flagged := defaultConfig()
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy the store of an issuer that may be running", Args: takes("FILE"),
		Long: `Copy the SQLite store of an issuer to a new file, which only its owner can read. It
speaks to the store and not to the issuer, and works while that runs: the copy is of
one moment, and whole on disk when the command ends with yes.

The keys in it are sealed. What opens them is in kek.json, and is kept elsewhere.`,
		Example: "counterfoil backup /backup/counterfoil-$(date +%F).db",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.load(cmd, file, backupFlags, func(*Config) error { return nil })
			if err != nil {
				return err
			}
			if cfg.Serve.Store != "" {
				return hinted(misuse("a store in PostgreSQL is copied by its own tools"), "pg_dump -Fc")
			}
			database := dataFolder(cfg.Serve.Data).database()
			if err := sqlite.Backup(cmd.Context(), database, args[0]); err != nil {
				return explainBackup(err, cfg.Serve.Data, args[0])
			}
			a.say("%s written; keep what opens it, the key-encryption key, elsewhere", args[0])
			return nil
		},
	}
	backupFlags(cmd.Flags(), &flagged)
	cmd.Flags().StringVar(&file, "config", "", "YAML `FILE` of the issuer")
	return cmd
}

func explainBackup(err error, data, target string) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return hinted(fmt.Errorf("%s is there already, and is not written over", target), "another name, or remove it")
	case errors.Is(err, sqlite.ErrNoStore):
		return hinted(fmt.Errorf("there is no store in the folder %s", data), "name another folder: --data DIR")
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder for %s", target)
	}
	return err
}
