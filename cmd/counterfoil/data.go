package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil/internal/atomicfile"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

const defaultData = "counterfoil-data"

// A dataFolder is where a process keeps what must survive it.
type dataFolder string

func (d dataFolder) database() string { return filepath.Join(string(d), "counterfoil.db") }
func (d dataFolder) socket() string   { return filepath.Join(string(d), "admin.sock") }

// open makes the folder, or refuses one that others can look into.
func (d dataFolder) open() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	info, err := os.Stat(string(d))
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
		return hinted(fmt.Errorf("the folder %s can be entered by others", d), "chmod 700 "+string(d))
	}
	return nil
}

// secrets are what an issuer needs beside its database.
type secrets struct {
	kek     *jwk.Key
	notary  notary.Secret
	kekFile string
	fresh   bool // kekFile was made by this start
}

// openSecrets reads the key-encryption key and the notary's secret, or makes both
// at the first start. One without the other is a backup that was restored by half.
func (d dataFolder) openSecrets(c *ServeConfig) (*secrets, error) {
	s := &secrets{kekFile: c.KEK}
	if s.kekFile == "" {
		s.kekFile = filepath.Join(string(d), "kek.json")
	}
	notaryFile := c.Notary
	if notaryFile == "" {
		notaryFile = filepath.Join(string(d), "notary.key")
	}
	hasKEK, hasNotary := exists(s.kekFile), exists(notaryFile)
	switch {
	case !hasKEK && !hasNotary:
		if exists(d.database()) {
			return nil, fmt.Errorf("%s and %s are missing, and the database is there: restore them from a backup", s.kekFile, notaryFile)
		}
		if err := makeSecrets(s.kekFile, notaryFile); err != nil {
			return nil, err
		}
		s.fresh = true
	case !hasKEK:
		return nil, fmt.Errorf("%s is missing: nothing can open the sealed keys without it; restore it from a backup", s.kekFile)
	case !hasNotary:
		return nil, fmt.Errorf("%s is missing: without it our own tokens look forged; restore it from a backup", notaryFile)
	}
	return s, s.read(notaryFile)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

func makeSecrets(kekFile, notaryFile string) error {
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		return err
	}
	data, err := kek.MarshalPrivate()
	if err != nil {
		return err
	}
	if err := atomicfile.Write(kekFile, append(data, '\n')); err != nil {
		return err
	}
	var secret notary.Secret
	rand.Read(secret[:])
	return atomicfile.Write(notaryFile, []byte(wire.Encode(secret[:])+"\n"))
}

func (s *secrets) read(notaryFile string) error {
	data, err := readPrivate(s.kekFile)
	if err != nil {
		return err
	}
	if s.kek, err = jwk.Parse(bytes.TrimSpace(data)); err != nil {
		return fmt.Errorf("%s: %w", s.kekFile, err)
	}
	if data, err = readPrivate(notaryFile); err != nil {
		return err
	}
	secret, err := wire.Decode(bytes.TrimSpace(data))
	if err != nil || len(secret) != len(s.notary) {
		return fmt.Errorf("%s does not hold %d bytes in base64url", notaryFile, len(s.notary))
	}
	copy(s.notary[:], secret)
	return nil
}

// readPrivate reads a file that only its owner may read.
func readPrivate(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	if info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
		return nil, hinted(fmt.Errorf("%s can be read by others", name), "chmod 600 "+name)
	}
	return os.ReadFile(name)
}
