package jwks

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A resource is what a source has: a JWK Set, or a chain of certificates.
type resource struct {
	set     *jwk.Set            // empty beside a chain
	chain   []*x509.Certificate // nil beside a set
	digest  string              // of the set as the source writes it plainly, or of the chain
	content string              // of what is signed; else empty
	version uint64              // of a signed set; 0: it is not signed
	signer  *jwk.Key            // of a signed set
}

func (r *resource) keys() int {
	if r.chain != nil {
		return 1
	}
	return r.set.Len()
}

// floor is the lowest version that a source may come with.
func (c *Config) floor() uint64 {
	if c.MinVersion == nil {
		return 0
	}
	return c.MinVersion()
}

// after checks that next may take the place of r. A set that is still the same keeps
// its pointer, so that who remembers by which set he judged need not judge anew. The
// versions that a key made which may no longer sign bind nobody: it was stolen, and
// with it the highest of them could have been used up.
func (c *Config) after(r, next resource) (resource, error) {
	same := r.digest == next.digest && r.content == next.content
	if r.signer != nil && !c.trusts(r.signer) {
		return next, nil
	}
	if next.version < r.version || next.version > 0 && next.version == r.version && !same {
		return resource{}, ErrRollback
	}
	if same && r.chain == nil {
		next.set = r.set
	}
	return next, nil
}

// checkKind refuses fields that say nothing about the kind of resource that c is
// for, or that contradict one another.
func (c *Config) checkKind() error {
	trust := c.Certificates
	switch {
	case c.Signers != nil && (trust != nil || c.Issuer == ""):
		return errors.New("a signed set needs its Issuer named, and Signers exclude Certificates")
	case c.Signers == nil && c.MinVersion != nil:
		return errors.New("MinVersion is for a signed set: Signers are required")
	case trust == nil:
		_, err := c.parseSet([]byte(`{"keys":[]}`)) // Extensions
		return err
	case c.Algorithm != "" || c.Extensions != nil:
		return errors.New("with Certificates there is no place for Algorithm and Extensions, which are for a JWK Set")
	case trust.Roots == nil || trust.Accept == nil || trust.Now == nil || len(trust.Algorithms) == 0:
		return errors.New("in Certificates, Roots, Accept, Now and Algorithms are required")
	}
	return nil
}

// accept is what we ask the source for (RFC 7517, Section 8.5; RFC 8555, Section 9.1).
// Certificates are served as many things.
func (c *Config) accept() string {
	if c.Certificates != nil {
		return "application/pem-certificate-chain, */*;q=0.5"
	}
	if c.Signers != nil {
		return SignedMediaType
	}
	return "application/jwk-set+json, application/json"
}

// parse reads what the source wrote.
func (c *Config) parse(body []byte) (resource, error) {
	if c.Certificates != nil {
		chain, err := c.parseChain(body)
		if err != nil {
			return resource{}, fmt.Errorf("not a chain to trust: %w", err)
		}
		return resource{set: new(jwk.Set), chain: chain, digest: digest(body)}, nil
	}
	if c.Signers != nil {
		return c.parseSigned(string(body))
	}
	set, err := c.parseSet(body)
	if err != nil {
		return resource{}, fmt.Errorf("not a key set: %w", err)
	}
	return resource{set: set, digest: digest(body)}, nil
}

// trusts reports whether a key may still sign the set. While it is not known who may,
// nothing else is.
func (c *Config) trusts(signer *jwk.Key) bool {
	key, err := c.Signers.Find(signer.KeyID(), string(signer.Algorithm()))
	return errors.Is(err, jwk.ErrUnavailable) || err == nil && key.Thumbprint() == signer.Thumbprint()
}

func (c *Config) parseSigned(token string) (resource, error) {
	s, err := c.openSigned(token)
	if err != nil {
		return resource{}, err
	}
	return resource{set: s.Keys, digest: cmp.Or(s.KeySet, s.content), content: s.content, version: s.Version, signer: s.signer}, nil
}

func (c *Config) parseSet(body []byte) (*jwk.Set, error) {
	return jwk.ParseSetAs(body, jwk.Params{
		Algorithm: c.Algorithm, Extensions: c.Extensions, Limits: jwk.Limits{Issuer: c.Issuer},
	})
}

// parseChain reads certificates in PEM (RFC 7515, Section 4.1.5). A chain that is not
// trusted now does not take the place of another; whether it still is, is looked at
// again with each token.
func (c *Config) parseChain(body []byte) ([]*x509.Certificate, error) {
	chain, err := jwk.ParseCertificates(body)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, alg := range c.Certificates.Algorithms {
		_, err := c.Certificates.FindChain(jws.Header{Algorithm: alg}, chain)
		if err == nil {
			return chain, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// findX5U returns the key of the chain, if it is trusted and what the header says. What
// is in the header never asks for a fetch: anybody can write one.
func (r *Remote) findX5U(h jws.Header) (*jwk.Key, error) {
	now, err := r.current()
	if err != nil {
		return nil, err
	}
	key, err := r.cfg.Certificates.FindChain(h, now.chain)
	if err != nil {
		return nil, err
	}
	return key.WithLimits(jwk.Limits{Issuer: r.cfg.Issuer}), nil
}
