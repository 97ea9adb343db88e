package verifier

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// credential is what a verifier shows to the feed (RFC 7617), and by what it knows
// the issuer that it shows it to.
type credential struct {
	name, secret string
	root         string // RFC 7638 thumbprint, or ""
}

// rootPrefix begins the line that names the root key.
const rootPrefix = "root "

// parseCredential reads NAME:SECRET and, in a line of its own, root THUMBPRINT.
// Credentials from before there was a root line have none.
func parseCredential(s string) (credential, error) {
	shown, root, named := strings.Cut(strings.TrimSpace(s), "\n")
	shown = strings.TrimSpace(shown)
	name, secret, _ := strings.Cut(shown, ":")
	if name == "" || secret == "" || len(shown) > maxCredential || strings.ContainsFunc(shown, unicode.IsControl) {
		return credential{}, errors.New("verifier: a credential is NAME:SECRET on one line")
	}
	if !named {
		return credential{name: name, secret: secret}, nil
	}
	root, ok := strings.CutPrefix(strings.TrimSpace(root), rootPrefix)
	if !ok || !isThumbprint(root) {
		return credential{}, errors.New("verifier: the second line of a credential is not \"root THUMBPRINT\"")
	}
	return credential{name, secret, root}, nil
}

// isThumbprint reports whether s can be an RFC 7638 thumbprint: SHA-256 in base64url.
func isThumbprint(s string) bool {
	sum, err := wire.Decode(s)
	return err == nil && len(sum) == 32
}

// credential returns the zero value where none is configured.
func (c *Config) credential() (credential, error) {
	switch {
	case c.Credential != "":
		return parseCredential(c.Credential)
	case c.CredentialFile != "":
		text, err := os.ReadFile(c.CredentialFile)
		if err != nil {
			return credential{}, err
		}
		return parseCredential(string(text))
	}
	return credential{}, nil
}

// fileMissing reports a credential file that could not be opened.
func fileMissing(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}

// rootThumbprint returns the thumbprint that the root key must have, or "" where
// nothing names one.
func (c *Config) rootThumbprint() (string, error) {
	cred, err := c.credential()
	if err != nil {
		return "", err
	}
	if c.Root != "" && cred.root != "" && c.Root != cred.root {
		return "", errors.New("verifier: Root and the credential name different root keys")
	}
	return cmp.Or(c.Root, cred.root), nil
}
