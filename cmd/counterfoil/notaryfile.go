package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/counterfoil/counterfoil/internal/atomicfile"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/notary/remote"
)

// makeNotaryFile writes a file with one new secret of a notary.
func makeNotaryFile(name string) error {
	var secret notary.Secret
	rand.Read(secret[:])
	return atomicfile.Write(name, []byte(wire.Encode(secret[:])+"\n"))
}

// readNotaryFile reads the secrets of a notary, a line each: the first makes tags,
// each checks them.
func readNotaryFile(name string) ([]notary.Secret, error) {
	data, err := readPrivate(name)
	if err != nil {
		return nil, err
	}
	var secrets []notary.Secret
	for line := range bytes.Lines(data) {
		b, err := wire.Decode(bytes.TrimSpace(line))
		if err != nil || len(b) != notary.SecretSize {
			return nil, fmt.Errorf("%s: line %d does not hold %d bytes in base64url", name, len(secrets)+1, notary.SecretSize)
		}
		secret := notary.Secret(b)
		if slices.Contains(secrets, secret) || secret == (notary.Secret{}) {
			return nil, fmt.Errorf("%s: line %d holds no secret of its own", name, len(secrets)+1)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 || len(secrets) > notary.MaxSecrets {
		return nil, fmt.Errorf("%s has %d lines; a notary has 1 to %d secrets", name, len(secrets), notary.MaxSecrets)
	}
	return secrets, nil
}

// makeReleaseFile writes a file with one new key that standby keys are sealed to.
func makeReleaseFile(name string) error {
	key, err := jwk.Generate(jwk.Params{Algorithm: notary.ReleaseAlgorithm})
	if err != nil {
		return err
	}
	data, err := key.MarshalPrivate()
	if err != nil {
		return err
	}
	return atomicfile.Write(name, slices.Concat([]byte(`{"keys":[`), data, []byte("]}\n")))
}

// readReleaseFile reads a private key set: the first is sealed to, each opens.
func readReleaseFile(name string) (*notary.Escrow, error) {
	data, err := readPrivate(name)
	if err != nil {
		return nil, err
	}
	keys, err := jwk.ParsePrivateSet(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	escrow, err := notary.NewEscrow(keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return escrow, nil
}

// A notaryPart is what an issuer has of its notary.
type notaryPart struct {
	tagger interface {
		issuer.Notary
		notary.Witnesser
	}
	each     []issuer.Notary // by themselves
	releaser notary.Releaser // nil in process: there is nobody to hold standby keys back
}

// openNotary connects to the notaries at notary_at, or makes one of secrets.
func (c *ServeConfig) openNotary(data dataFolder, secrets []notary.Secret, log *slog.Logger) (*notaryPart, error) {
	file, apart := data.notaryFile(c)
	if !apart {
		local := notary.NewLocal(secrets[0], secrets[1:]...)
		return &notaryPart{tagger: local, each: []issuer.Notary{local}}, nil
	}
	if exists(file) {
		log.Warn("the notary is a process of its own, and its secret may still be here too: move it there, or away", "file", file)
	}
	client, err := remote.Open(remote.Config{URLs: c.NotaryAt, Cert: c.NotaryCert, Key: c.NotaryKey, CA: c.NotaryCA})
	if err != nil {
		return nil, err
	}
	return &notaryPart{tagger: client, each: client.Each(), releaser: client}, nil
}

// witnessKeys returns the keys that verifiers are to know, none when tokens have no
// witness, and nil when the notary does not say: then those that they know stay.
func (p *notaryPart) witnessKeys(ctx context.Context, wanted bool) (*jwk.Set, error) {
	if !wanted {
		return jwk.NewSet()
	}
	keys, err := p.tagger.WitnessKeys(ctx)
	if errors.Is(err, notary.ErrUnavailable) {
		return nil, nil
	}
	return keys, err
}

// notaryFile is where the notary's secrets are; apart means in another process.
func (d dataFolder) notaryFile(c *ServeConfig) (name string, apart bool) {
	return cmp.Or(c.Notary, filepath.Join(string(d), "notary.key")), len(c.NotaryAt) > 0
}
