package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"

	"github.com/counterfoil/counterfoil/internal/atomicfile"
	"github.com/counterfoil/counterfoil/issuer/forgery"
)

// open returns the webhook, or nil where there is none. Its secret is made at the
// first start that wants one.
func (c *ForgeryConfig) open(data dataFolder) (*forgery.Webhook, error) {
	if c.Webhook == "" {
		return nil, nil
	}
	file := c.WebhookSecret
	if file == "" {
		file = filepath.Join(string(data), "webhook.key")
		if !exists(file) {
			if err := atomicfile.Write(file, newWebhookSecret()); err != nil {
				return nil, err
			}
		}
	}
	secret, err := readPrivate(file)
	if err != nil {
		return nil, err
	}
	hook, err := forgery.NewWebhook(c.Webhook, string(bytes.TrimSpace(secret)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return hook, nil
}

// newWebhookSecret returns a secret in the form of Standard Webhooks, as a line.
func newWebhookSecret() []byte {
	var key [32]byte
	rand.Read(key[:])
	return []byte("whsec_" + base64.StdEncoding.EncodeToString(key[:]) + "\n")
}
