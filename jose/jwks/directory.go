package jwks

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// MaxDirectory is how many sets a [Directory] keeps at most.
const MaxDirectory = 64

// A Directory finds the keys of tokens that name their key set themselves, by the
// URL in "jku" (RFC 7515, Section 4.1.2). It answers only for URLs that it was
// given, character by character: each of them has its [Remote], opened beforehand,
// so that nothing is ever fetched because a token says so. "x5u" is passed over.
//
//	keys, err := jwks.OpenDirectory(
//		jwks.Config{URL: "https://a.example/jwks", Issuer: "https://a.example"},
//		jwks.Config{URL: "https://b.example/jwks", Issuer: "https://b.example"},
//	)
//	token, err := jwt.Verify[Claims](policy, keys, text)
//
// It is a [jws.HeaderSource], and safe for concurrent use.
type Directory struct {
	remotes map[string]*Remote
	urls    []string // in the order in which they were given
}

// OpenDirectory opens a [Remote] for each Config and returns at once. Each says
// whose tokens its keys may sign, by Issuer: else any one of the sources could sign
// for all of them. The caller closes the Directory.
func OpenDirectory(sets ...Config) (*Directory, error) {
	if len(sets) > MaxDirectory {
		return nil, errors.New("jwks: too many sets for a Directory")
	}
	d := &Directory{remotes: make(map[string]*Remote)}
	for i, cfg := range sets {
		if err := d.open(cfg); err != nil {
			return nil, errors.Join(fmt.Errorf("jwks: set %d of the Directory: %w", i, err), d.Close())
		}
	}
	return d, nil
}

func (d *Directory) open(cfg Config) error {
	if cfg.Issuer == "" {
		return errors.New("Issuer is required")
	}
	if d.remotes[cfg.URL] != nil {
		return errors.New("its URL is there already")
	}
	r, err := Open(cfg)
	if err != nil {
		return err
	}
	d.remotes[cfg.URL] = r
	d.urls = append(d.urls, cfg.URL)
	return nil
}

// Find answers [jwk.ErrUnknownKey]: without its header a token names no set.
func (d *Directory) Find(string, string) (*jwk.Key, error) { return nil, jwk.ErrUnknownKey }

// FindHeader implements [jws.HeaderSource]. For a header without "jku", or with one
// that is not in the Directory, the error is [jwk.ErrUnknownKey]; else it is that of
// [Remote.Find].
func (d *Directory) FindHeader(h jws.Header) (*jwk.Key, error) {
	value, ok := h.Member("jku")
	if !ok || value.Kind() != '"' {
		return nil, jwk.ErrUnknownKey
	}
	url, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return nil, jwk.ErrUnknownKey
	}
	r := d.remotes[string(url)]
	if r == nil {
		return nil, jwk.ErrUnknownKey
	}
	return r.Find(h.KeyID, string(h.Algorithm))
}

// Remote returns the set at a URL of the Directory, or nil.
func (d *Directory) Remote(url string) *Remote { return d.remotes[url] }

// Status returns the state of each set, in the order in which they were given.
func (d *Directory) Status() []Status {
	list := make([]Status, len(d.urls))
	for i, url := range d.urls {
		list[i] = d.remotes[url].Status()
	}
	return list
}

// Close closes every [Remote].
func (d *Directory) Close() error {
	var errs []error
	for _, url := range d.urls {
		errs = append(errs, d.remotes[url].Close())
	}
	return errors.Join(errs...)
}
