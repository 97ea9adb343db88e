package jws

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Certificates find the key of a token by a certificate. It is a [jwk.Source] for
// the functions of this package and of jose/jwt, and safe for concurrent use:
//
//	keys := &jws.Certificates{
//		Roots: roots, Accept: isOurPartner, Algorithms: []jwk.Algorithm{jwk.ES256}, Now: time.Now,
//	}
//	message, err := jws.Verify(keys, token)
//
// A token brings its certificates in the protected header parameter "x5c" (RFC 7515,
// Section 4.1.6), or names one that the caller holds by "x5t#S256". What it says by
// "x5c", "x5t" and "x5t#S256" must all be true of the one certificate. Nothing is
// ever fetched: "x5u" is passed over, as are "jwk" and "kid"; what jose/jwks keeps of
// URLs out of a list comes in by [Certificates.FindChain]. [jwk.Key.Certificates]
// of the key that verified tells who signed; its KeyID is its thumbprint.
//
// Whether a certificate was revoked is not looked at.
type Certificates struct {
	// Algorithms that tokens may be signed with. Required.
	Algorithms []jwk.Algorithm

	// Roots that an "x5c" chain must lead to. Default: none, and "x5c" alone finds
	// no key.
	Roots         *x509.CertPool
	Intermediates *x509.CertPool     // beside those of the chain; default none
	ExtKeyUsages  []x509.ExtKeyUsage // see [jwk.CertificateOptions]; default: any
	// Accept says whether a certificate under Roots may sign such tokens: an
	// authority certifies more parties than one means. Required with Roots. Any
	// error refuses the token, as [jwk.ErrCertificate].
	Accept func(leaf *x509.Certificate) error

	// Held are certificates that "x5t#S256" may name. They are trusted as they are
	// while they are valid.
	Held []*x509.Certificate

	Now func() time.Time // usually time.Now. Required.
}

var (
	errNoAccept = errors.New("jws: Certificates.Accept is required with Roots")
	errNoNow    = errors.New("jws: Certificates.Now is required")
)

// Find answers [jwk.ErrUnknownKey]: without its header a token has no certificate.
func (c *Certificates) Find(string, string) (*jwk.Key, error) { return nil, jwk.ErrUnknownKey }

// FindHeader implements [HeaderSource]. Errors: [jwk.ErrUnknownKey] for a header that
// names no certificate or one that is not held, [jwk.ErrCertificate], [jwk.ErrAlgorithm],
// and [jwk.ErrMalformed] and [jwk.ErrWeakKey] for what cannot be used.
func (c *Certificates) FindHeader(h Header) (*jwk.Key, error) {
	return c.pinned(h, func() (*jwk.Key, error) { return c.find(h) })
}

// FindChain is [Certificates.FindHeader] for a chain that the caller has got in
// another way, such as from an "x5u" of his own list (RFC 7515, Section 4.1.5): it must
// lead to Roots and be accepted, and what the header says by "x5c", "x5t" and
// "x5t#S256" must be true of its first certificate. Held is not used. The certificates
// must not be changed.
func (c *Certificates) FindChain(h Header, chain []*x509.Certificate) (*jwk.Key, error) {
	return c.pinned(h, func() (*jwk.Key, error) {
		key, err := c.fromChain(chain, h.Algorithm)
		if err != nil {
			return nil, err
		}
		return key, matchX5C(h, chain[0])
	})
}

// pinned returns the key that find has if the header's algorithm is one of ours and
// its hashes are those of the key's certificate.
func (c *Certificates) pinned(h Header, find func() (*jwk.Key, error)) (*jwk.Key, error) {
	if c.Now == nil {
		return nil, errNoNow
	}
	if !slices.Contains(c.Algorithms, h.Algorithm) {
		return nil, jwk.ErrAlgorithm
	}
	key, err := find()
	if err != nil {
		return nil, err
	}
	if err := matchThumbprints(h, key); err != nil {
		return nil, err
	}
	return key, nil
}

func (c *Certificates) find(h Header) (*jwk.Key, error) {
	if x5c, ok := h.Member("x5c"); ok && c.Roots != nil {
		return c.fromX5C(x5c, h.Algorithm)
	}
	x5t, err := textMember(h, "x5t#S256")
	if err != nil {
		return nil, err
	}
	for _, cert := range c.Held {
		if x5t != "" && cert != nil && x5t == thumbprint(cert) {
			return c.held(cert, h)
		}
	}
	return nil, jwk.ErrUnknownKey
}

func (c *Certificates) fromX5C(x5c []byte, alg jwk.Algorithm) (*jwk.Key, error) {
	chain, err := jwk.ParseX5C(x5c)
	if err != nil {
		return nil, err
	}
	return c.fromChain(chain, alg)
}

// fromChain returns the key of a chain that is trusted.
func (c *Certificates) fromChain(chain []*x509.Certificate, alg jwk.Algorithm) (*jwk.Key, error) {
	if c.Accept == nil {
		return nil, errNoAccept
	}
	key, err := jwk.FromCertificates(chain, jwk.Params{Algorithm: alg})
	if err != nil {
		return nil, err
	}
	err = key.VerifyCertificates(jwk.CertificateOptions{
		Roots: c.Roots, Intermediates: c.Intermediates, Now: c.Now, ExtKeyUsages: c.ExtKeyUsages,
	})
	if err != nil {
		return nil, err
	}
	if err := c.Accept(chain[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", jwk.ErrCertificate, err)
	}
	return key, nil
}

// held returns the key of a certificate that is trusted for being held.
func (c *Certificates) held(cert *x509.Certificate, h Header) (*jwk.Key, error) {
	if err := matchX5C(h, cert); err != nil {
		return nil, err
	}
	if t := c.Now(); t.Before(cert.NotBefore) || t.After(cert.NotAfter) {
		return nil, fmt.Errorf("%w: it is expired or not yet valid", jwk.ErrCertificate)
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, fmt.Errorf("%w: its key usage is another", jwk.ErrCertificate)
	}
	return jwk.FromCertificates([]*x509.Certificate{cert}, jwk.Params{Algorithm: h.Algorithm})
}

// matchThumbprints compares "x5t" and "x5t#S256", where they are there, with the
// certificate of the key.
func matchThumbprints(h Header, key *jwk.Key) error {
	x5t, x5tS256 := key.CertificateThumbprints()
	for _, name := range []struct{ name, want string }{{"x5t", x5t}, {"x5t#S256", x5tS256}} {
		got, err := textMember(h, name.name)
		if err != nil {
			return err
		}
		if got != "" && got != name.want {
			return fmt.Errorf("%w: %s is of another", jwk.ErrCertificate, name.name)
		}
	}
	return nil
}

// matchX5C does the same for a chain that has not been looked at.
func matchX5C(h Header, cert *x509.Certificate) error {
	x5c, ok := h.Member("x5c")
	if !ok {
		return nil
	}
	chain, err := jwk.ParseX5C(x5c)
	if err == nil && !chain[0].Equal(cert) {
		err = fmt.Errorf("%w: x5c is of another", jwk.ErrCertificate)
	}
	return err
}

// textMember returns a header parameter that is a string that is not empty, or ""
// if it is absent.
func textMember(h Header, name string) (string, error) {
	value, ok := h.Member(name)
	if !ok {
		return "", nil
	}
	var s string
	if wire.Unmarshal(value, &s) != nil || s == "" { // "" is also what a null leaves
		return "", errCertificateName
	}
	return s, nil
}

func thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return wire.Encode(sum[:])
}
