package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
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
	kek    *jwk.Key
	next   *jwk.Key        // the one that kek is about to be changed for, or nil
	notary []notary.Secret // none where the notary is a process of its own
	source kekSource       // of kek
	fresh  bool            // what is in files was made by this start
	open   []func() error  // what close calls
}

// used reports whether an issuer has had the key-encryption key before, as far as a file
// tells. Every other kind of key is there before the first issuer.
func (s *secrets) used() bool { return s.source.isFile() && !s.fresh }

// openSecrets reads the key-encryption key and the notary's secret, or makes both
// at the first start. One without the other is a backup that was restored by half.
// The caller closes what it returns.
func (d dataFolder) openSecrets(ctx context.Context, c *ServeConfig, log *slog.Logger) (_ *secrets, err error) {
	s := &secrets{source: d.kek(c)}
	notaryFile, apart := d.notaryFile(c)
	if apart {
		notaryFile = ""
	}
	if s.fresh, err = d.isFirstStart(s.source, notaryFile); err != nil {
		return nil, err
	}
	existence := pkcs11.Existence(s.fresh || apart && !exists(d.database()))
	if err := s.openKEKs(ctx, existence, kekSource(c.KEKNext), log); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if apart {
		return s, nil
	}
	if s.notary, err = openNotaryFile(notaryFile, s.fresh); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// isFirstStart reports whether what is in files has to be made. A key-encryption key
// that is in no file has been made by somebody else; without a name the notary is
// elsewhere.
func (d dataFolder) isFirstStart(kek kekSource, notaryFile string) (fresh bool, err error) {
	lacksKEK, lacksNotary := kek.absent(), notaryFile != "" && !exists(notaryFile)
	hasOne := kek.isFile() && !lacksKEK || notaryFile != "" && !lacksNotary
	switch {
	case !lacksKEK && !lacksNotary:
		return false, nil
	case lacksKEK && hasOne:
		return false, fmt.Errorf("%s is missing: nothing can open the sealed keys without it; restore it from a backup", kek)
	case hasOne:
		return false, hinted(fmt.Errorf("%s is missing: without it our own tokens look forged; restore it from a backup", notaryFile), neverMade)
	case exists(d.database()):
		return false, lostSecrets(lacksKEK, lacksNotary, kek, notaryFile)
	}
	return true, nil
}

// openNotaryFile reads the notary's secrets, or makes one at the first start: after
// the key-encryption key, since this file beside a key that did not open, in a token
// that was away, would be taken for half of a backup.
func openNotaryFile(name string, fresh bool) ([]notary.Secret, error) {
	if fresh {
		if err := makeNotaryFile(name); err != nil {
			return nil, err
		}
	}
	return readNotaryFile(name)
}

// neverMade is what to do when a first start with a notary apart left a folder.
const neverMade = "if it never existed, the notary is a process of its own: start that and name it, --notary-at URL; or remove the data folder if no start has succeeded yet"

func lostSecrets(lacksKEK, lacksNotary bool, kek kekSource, notaryFile string) error {
	switch {
	case lacksKEK && lacksNotary:
		return fmt.Errorf("%s and %s are missing, and the database is there: restore them from a backup", kek, notaryFile)
	case lacksKEK:
		return fmt.Errorf("%s is missing, and the database is there: restore it from a backup", kek)
	}
	return hinted(fmt.Errorf("%s is missing, and the database is there: restore it from a backup", notaryFile), neverMade)
}

// openKEKs opens the next key-encryption key and the one in force, which it makes, once
// nothing else can be wrong, where its file is not there.
func (s *secrets) openKEKs(ctx context.Context, existence pkcs11.Existence, next kekSource, log *slog.Logger) (err error) {
	if next != "" {
		if s.next, err = s.openKEK(ctx, next, pkcs11.Find, log); err != nil {
			return err
		}
	}
	if s.source.absent() {
		if err := makeKEK(string(s.source)); err != nil {
			return err
		}
	}
	s.kek, err = s.openKEK(ctx, s.source, existence, log)
	return err
}

func (s *secrets) openKEK(ctx context.Context, from kekSource, existence pkcs11.Existence, log *slog.Logger) (*jwk.Key, error) {
	key, done, err := from.open(ctx, existence, log)
	if err == nil {
		s.open = append(s.open, done)
	}
	return key, err
}

// close ends the sessions with tokens.
func (s *secrets) close() error {
	var all []error
	for _, done := range s.open {
		all = append(all, done())
	}
	return errors.Join(all...)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
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
