package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// pinVariable is where a PIN is looked for when the URI does not say where it is.
const pinVariable = "COUNTERFOIL_PKCS11_PIN"

// isTokenURI reports whether a key is said to be in a token of PKCS #11.
func isTokenURI(s string) bool { return strings.HasPrefix(s, pkcs11.Scheme) }

// openTokenKEK opens the token and its key-encryption key. The caller closes it
// when nothing is opened by that key any more.
func openTokenKEK(ctx context.Context, uri string, existence pkcs11.Existence, log *slog.Logger) (*jwk.Key, func() error, error) {
	token, err := openToken(ctx, uri, log)
	if err != nil {
		return nil, nil, err
	}
	kek, err := token.KEK(ctx, existence)
	if err != nil {
		if errors.Is(err, jwk.ErrUnknownKey) {
			err = hinted(fmt.Errorf("the key-encryption key: %w", err), "is it another token, or another object? nothing can open the sealed keys without it")
		}
		return nil, nil, errors.Join(err, token.Close())
	}
	return kek, token.Close, nil
}

// openMaker opens the token in which signing keys are made; without a URI there is
// none.
func openMaker(ctx context.Context, uri string, log *slog.Logger) (keyring.KeyMaker, func() error, error) {
	if uri == "" {
		return nil, func() error { return nil }, nil
	}
	token, err := openToken(ctx, uri, log)
	if err != nil {
		return nil, nil, err
	}
	return token, token.Close, nil
}

// openToken opens the token that a URI names.
func openToken(ctx context.Context, uri string, log *slog.Logger) (*pkcs11.Token, error) {
	u, err := pkcs11.ParseURI(uri)
	if err != nil {
		return nil, &misuseError{err}
	}
	token, err := pkcs11.Open(ctx, pkcs11.Config{URI: u, PIN: pinOf(u), Log: log})
	switch {
	case errors.Is(err, pkcs11.ErrPIN):
		return nil, hinted(err, "look at the PIN in "+pinPlace(u)+" before you start again: a token locks itself")
	case errors.Is(err, pkcs11.ErrNoToken), errors.Is(err, pkcs11.ErrSilent):
		return nil, hinted(err, "pkcs11-tool --module "+u.ModulePath+" --list-token-slots")
	}
	return token, err
}

func pinPlace(u *pkcs11.URI) string {
	if u.PINSource != "" {
		return u.PINSource
	}
	return "env:" + pinVariable
}

// pinOf returns where the PIN comes from, or nil for a token without a login. The
// place is read at each login, so that a PIN may be changed.
func pinOf(u *pkcs11.URI) func() (string, error) {
	if path, ok := strings.CutPrefix(u.PINSource, "file:"); ok {
		return func() (string, error) {
			data, err := readPrivate(path)
			return trimLine(data), err
		}
	}
	name, said := strings.CutPrefix(u.PINSource, "env:")
	if !said {
		name = pinVariable
		if _, ok := os.LookupEnv(name); !ok {
			return nil
		}
	}
	return func() (string, error) {
		pin, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("%s, where the PIN should be, is not in the environment", name)
		}
		return pin, nil
	}
}
