package jwks

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// MaxDirectory is how many sets and chains a [Directory] keeps at most.
const MaxDirectory = 64

// A Directory finds the keys of tokens that name their key set themselves, by the
// URL in "jku" (RFC 7515, Section 4.1.2), or their certificates, by that in "x5u"
// (Section 4.1.5). It answers only for URLs that it was given, character by character:
// each of them has its [Remote], opened beforehand, so that nothing is ever fetched
// because a token says so.
//
//	keys, err := jwks.OpenDirectory(
//		jwks.Config{URL: "https://a.example/jwks", Issuer: "https://a.example"},
//		jwks.Config{URL: "https://b.example/chain.pem", Issuer: "https://b.example", Certificates: &jws.Certificates{
//			Roots: roots, Accept: isB, Algorithms: []jwk.Algorithm{jwk.ES256}, Now: time.Now,
//		}},
//	)
//	token, err := jwt.Verify[Claims](policy, keys, text)
//
// With [Config.Certificates] the URL is for "x5u" alone, and has a chain in PEM as
// [jwk.ParseCertificates] reads it, the certificate of the key first. It is verified
// whenever it is fetched, where one that is not trusted leaves the old one in use, and
// again for each token. A new chain is found when the old one has reached its age, and
// by [Remote.Refresh]; a source whose keys change faster gives each chain its URL.
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
		return errors.New("no Issuer is named")
	}
	if d.remotes[cfg.URL] != nil {
		return errors.New("its URL is there already")
	}
	r, err := open(cfg)
	if err != nil {
		return err
	}
	d.remotes[cfg.URL] = r
	d.urls = append(d.urls, cfg.URL)
	return nil
}

// Find answers [jwk.ErrUnknownKey]: without its header a token names no set.
func (d *Directory) Find(string, string) (*jwk.Key, error) { return nil, jwk.ErrUnknownKey }

// FindHeader implements [jws.HeaderSource]. For a header without "jku" and "x5u", with
// both, or with one that is not in the Directory for its kind of URL, the error is
// [jwk.ErrUnknownKey]; else it is that of [Remote.Find] for "jku", and for "x5u"
// [ErrNoKeys], [ErrWithdrawn] or that of [jws.Certificates.FindChain].
func (d *Directory) FindHeader(h jws.Header) (*jwk.Key, error) {
	jku, byJKU := h.Member("jku")
	x5u, byX5U := h.Member("x5u")
	switch {
	case byJKU && byX5U: // two places for one key: which is meant is not for us to guess
		return nil, jwk.ErrUnknownKey
	case byX5U:
		if r := d.named(x5u); r != nil && r.cfg.Certificates != nil {
			return r.findX5U(h)
		}
	case byJKU:
		if r := d.named(jku); r != nil { // that of a chain finds nothing
			return r.Find(h.KeyID, string(h.Algorithm))
		}
	}
	return nil, jwk.ErrUnknownKey
}

// named returns what is at a URL in a header, or nil if the URL is not ours.
func (d *Directory) named(value jsontext.Value) *Remote {
	if value.Kind() != '"' {
		return nil
	}
	url, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return nil
	}
	return d.remotes[string(url)]
}

// Remote returns the set or chain at a URL of the Directory, or nil.
func (d *Directory) Remote(url string) *Remote { return d.remotes[url] }

// Status returns the state of each, in the order in which they were given.
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
