package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/internal/atomicfile"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A kekSource says where a key-encryption key is: the path of a file, env:NAME, or a
// pkcs11: URI.
type kekSource string

const kekEnvironment = "env:"

// kekSize is how long a key-encryption key is that comes as bare bytes.
const kekSize = 32

func (k kekSource) variable() (name string, ok bool) {
	return strings.CutPrefix(string(k), kekEnvironment)
}

func (k kekSource) isFile() bool {
	_, env := k.variable()
	return !env && !isTokenURI(string(k))
}

// named refuses a variable that is not in the environment.
func (k kekSource) named() error {
	name, ok := k.variable()
	if !ok || os.Getenv(name) != "" {
		return nil
	}
	return misuse("%s, where the key-encryption key should be, is not in the environment", name)
}

// absent reports a file that is not there. Elsewhere one has to look.
func (k kekSource) absent() bool { return k.isFile() && !exists(string(k)) }

// open reads the key. The caller calls done when nothing is opened by it any more.
func (k kekSource) open(ctx context.Context, existence pkcs11.Existence, log *slog.Logger) (key *jwk.Key, done func() error, err error) {
	done = func() error { return nil }
	if name, ok := k.variable(); ok {
		key, err = kekFromEnvironment(name)
		return key, done, err
	}
	if isTokenURI(string(k)) {
		return openTokenKEK(ctx, string(k), existence, log)
	}
	key, err = readKEK(string(k))
	return key, done, err
}

func readKEK(name string) (*jwk.Key, error) {
	data, err := readPrivate(name)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	key, err := jwk.Parse(bytes.TrimSpace(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// kekFromEnvironment takes the key out of the environment: no child of this process
// inherits it, and nothing that prints the environment shows it. The system keeps
// what a process was started with, and shows that to root.
func kekFromEnvironment(name string) (*jwk.Key, error) {
	if err := kekSource(kekEnvironment + name).named(); err != nil {
		return nil, err
	}
	value := os.Getenv(name)
	if err := os.Unsetenv(name); err != nil {
		return nil, err
	}
	value = strings.TrimSpace(value)
	if strings.HasPrefix(value, "{") {
		key, err := jwk.Parse([]byte(value))
		if err != nil {
			return nil, fmt.Errorf("%s in the environment: %w", name, err)
		}
		return key, nil
	}
	secret, err := wire.Decode(value)
	if err != nil || len(secret) != kekSize {
		return nil, hinted(misuse("%s in the environment is neither a JWK nor %d bytes in base64url", name, kekSize),
			"counterfoil jwk generate --alg A256GCMKW")
	}
	defer clear(secret)
	return jwk.New(secret, jwk.Params{Algorithm: jwk.A256GCMKW})
}

// makeKEK writes a new key to a file that only its owner can read.
func makeKEK(name string) error {
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		return err
	}
	data, err := kek.MarshalPrivate()
	if err != nil {
		return err
	}
	defer clear(data)
	return atomicfile.Write(name, append(data, '\n'))
}

// explainKEK adds what to do about a store that is sealed under another key.
func explainKEK(err error) error {
	if wrong, ok := errors.AsType[*keyring.KEKError](err); ok && wrong.Want != "" {
		return hinted(err, "was it changed by counterfoil keys reseal? then name the new one: --kek FILE, env:NAME or pkcs11:URI")
	}
	return err
}
