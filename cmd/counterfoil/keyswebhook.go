package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// storeFlags are those of serve that say where the store is, and what opens it.
func storeFlags(flags *pflag.FlagSet, c *Config) {
	s := &c.Serve
	flags.StringVar(&s.Data, "data", s.Data, "data `DIR` of the issuer")
	databaseFlags(flags, s)
	flags.StringVar(&s.KEK, "kek", s.KEK, "its key-encryption key: `FILE`, env:NAME or pkcs11:URI (default kek.json in the data folder)")
	logFlags(flags, c)
}

func (a *app) keysWebhookCommand() *cobra.Command {
	var file string
	flagged := defaultConfig()
	cmd := &cobra.Command{
		Use: "webhook", Short: "Print the secret that signs alarms at the webhook", Args: takes(),
		Long: `Print the secret that signs alarms at the webhook, for its receiver. It is in the store,
the same for all issuers on it, and was made when serve.forgery.webhook was named first.
This speaks to the store and not to the issuer, and needs its key-encryption key. To have
another secret, name a file at every issuer: serve.forgery.webhook_secret.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd, file, storeFlags, func(c *Config) error { return c.Log.check() })
			if err != nil {
				return err
			}
			log, err := a.logger(&cfg.Log)
			if err != nil {
				return err
			}
			secret, err := webhookSecret(cmd.Context(), &cfg.Serve, log)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, forgery.FormatSecret(secret))
			return err
		},
	}
	storeFlags(cmd.Flags(), &flagged)
	cmd.Flags().StringVar(&file, "config", "", "YAML `FILE` of the issuer")
	return cmd
}

// webhookSecret is the one that an issuer with this configuration uses.
func webhookSecret(ctx context.Context, c *ServeConfig, log *slog.Logger) (secret []byte, err error) {
	if c.Forgery.WebhookSecret != "" {
		return readWebhookSecret(c.Forgery.WebhookSecret)
	}
	data := dataFolder(c.Data)
	if c.Store == "" && !exists(data.database()) {
		return nil, hinted(fmt.Errorf("there is no database in the folder %s", data), "name another folder: --data DIR, or a database: --store URL")
	}
	kek, done, err := data.kek(c).open(ctx, pkcs11.Find, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	st, err := openStore(ctx, c, data)
	if err != nil {
		return nil, explainStore(err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	secret, err = keyring.ReadWebhookSecret(ctx, st, kek)
	if errors.Is(err, store.ErrNotFound) {
		return nil, hinted(errors.New("no secret was made yet"), "start the issuer with serve.forgery.webhook")
	}
	return secret, explainKEK(err)
}
