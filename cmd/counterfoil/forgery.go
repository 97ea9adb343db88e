package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
)

// open returns the webhook, or nil where there is none. Its secret is in a file that is
// named, or else in the store, for all nodes.
func (c *ForgeryConfig) open(ctx context.Context, data dataFolder, ring *keyring.Keyring, log *slog.Logger) (*forgery.Webhook, error) {
	if c.Webhook == "" {
		return nil, nil
	}
	if c.WebhookSecret != "" {
		secret, err := readWebhookSecret(c.WebhookSecret)
		if err != nil {
			return nil, err
		}
		return forgery.NewWebhook(c.Webhook, forgery.FormatSecret(secret))
	}
	secret, err := sharedWebhookSecret(ctx, data, ring, log)
	if err != nil {
		return nil, err
	}
	return forgery.NewWebhook(c.Webhook, forgery.FormatSecret(secret))
}

// sharedWebhookSecret returns the secret in the store. One that an earlier version has
// made in the data folder becomes it, if none is there yet.
func sharedWebhookSecret(ctx context.Context, data dataFolder, ring *keyring.Keyring, log *slog.Logger) ([]byte, error) {
	var earlier []byte
	file := filepath.Join(string(data), "webhook.key")
	if exists(file) {
		var err error
		if earlier, err = readWebhookSecret(file); err != nil {
			return nil, err
		}
	}
	secret, err := ring.WebhookSecret(ctx, earlier)
	switch {
	case err != nil || earlier == nil:
	case subtle.ConstantTimeCompare(earlier, secret) == 1:
		log.Info("the secret of the webhook is in the store: the file is not needed any more", "file", file)
	default:
		log.Warn("alarms are signed by the secret in the store, and not by the one in this file: counterfoil keys webhook prints it", "file", file)
	}
	return secret, err
}

func readWebhookSecret(file string) ([]byte, error) {
	text, err := readPrivate(file)
	if err != nil {
		return nil, err
	}
	secret, err := forgery.ParseSecret(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return secret, nil
}
