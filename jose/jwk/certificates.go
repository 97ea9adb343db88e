package jwk

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// MaxCertificates is the length of the longest chain that is read. Its bytes are
// bounded by what it stands in: [MaxKey], or the header of a token.
const MaxCertificates = 8

// ErrCertificate reports certificates that are not trusted: no chain to a root that
// the caller named, expired, or not for signatures. The errors that wrap it say
// which, and repeat nothing of the certificates, which may come from anybody.
var ErrCertificate = errors.New("jwk: certificate is not trusted")

// certificates are the members of RFC 7517, Sections 4.7 to 4.9. "x5u" is not
// among them: it is passed over.
type certificates struct {
	chain  []*x509.Certificate // "x5c"; the first is the key's
	sha1   string              // "x5t"; "" if the JWK has none
	sha256 string              // "x5t#S256"
}

// parseCertificate reads one certificate as the key that it is for.
func parseCertificate(der []byte, p Params) (*Key, error) {
	chain, err := parseChain([][]byte{der})
	if err != nil {
		return nil, err
	}
	return fromChain(chain, p)
}

// FromCertificates returns the public key of the first certificate of a chain, and
// keeps the chain: see [Key.Certificates]. Nothing is verified, so that the key is
// anybody's: see [Key.VerifyCertificates]. The certificates must not be changed. The
// rest is as in [ParseDER].
func FromCertificates(chain []*x509.Certificate, p Params) (*Key, error) {
	if len(chain) == 0 || len(chain) > MaxCertificates || slices.Contains(chain, nil) {
		return nil, malformed("no certificate, or too many")
	}
	for _, cert := range chain {
		if err := checkCertificateKey(cert); err != nil {
			return nil, err
		}
	}
	return fromChain(slices.Clone(chain), p)
}

// fromChain makes the key of the first certificate and keeps them all.
func fromChain(chain []*x509.Certificate, p Params) (*Key, error) {
	material, err := parseSPKI(chain[0].RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	key, err := newImplied(material, p)
	if err != nil {
		return nil, err
	}
	key.certificates = &certificates{chain: chain, sha256: sha256Of(chain[0])}
	return key, nil
}

// ParseX5C reads the value of an "x5c" member or header parameter (RFC 7517, Section
// 4.7; RFC 7515, Section 4.1.6): an array of 1 to [MaxCertificates] certificates in
// DER and standard base64, in at most [MaxKey] bytes. Nothing is verified: the key of
// the first is anybody's. The error wraps [ErrMalformed] or [ErrUnsupported].
func ParseX5C(value []byte) ([]*x509.Certificate, error) {
	if len(value) > MaxKey {
		return nil, malformed("x5c")
	}
	var texts []string
	if jsontext.Value(value).Kind() != '[' || wire.Unmarshal(value, &texts) != nil {
		return nil, malformed("x5c")
	}
	ders := make([][]byte, len(texts))
	for i, text := range texts {
		der, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || base64.StdEncoding.EncodedLen(len(der)) != len(text) { // line ends
			return nil, malformed("x5c")
		}
		ders[i] = der
	}
	return parseChain(ders)
}

// parseChain reads certificates and refuses keys in them that would cost more than
// a key may.
func parseChain(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 || len(ders) > MaxCertificates {
		return nil, malformed("no certificate, or too many")
	}
	chain := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, malformed("certificate")
		}
		if err := checkCertificateKey(cert); err != nil {
			return nil, err
		}
		chain[i] = cert
	}
	return chain, nil
}

// checkCertificateKey holds an RSA key in a certificate to the bounds of our own:
// verifying with it must not take longer.
func checkCertificateKey(cert *x509.Certificate) error {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	numbers, err := numbersOf(key, nil)
	if err != nil {
		return err
	}
	_, err = rsaPublic(numbers.n, numbers.e)
	return err
}

// certificates reads "x5c", "x5t" and "x5t#S256", which must be of the key m.
func (j object) certificates(m material) (*certificates, error) {
	var c certificates
	var err error
	if c.sha1, err = j.digest("x5t", sha1.Size); err != nil {
		return nil, err
	}
	if c.sha256, err = j.digest("x5t#S256", sha256.Size); err != nil {
		return nil, err
	}
	if value := j.get("x5c"); value != nil {
		if c.chain, err = ParseX5C(value); err != nil {
			return nil, err
		}
	}
	if c.chain == nil && c.sha1 == "" && c.sha256 == "" {
		return nil, nil
	}
	return &c, c.check(m)
}

// digest returns a member that is the hash of a certificate.
func (j object) digest(name string, size int) (string, error) {
	b, err := j.bytes(name)
	if err == nil && b != nil && len(b) != size {
		err = malformed(name)
	}
	if err != nil || b == nil {
		return "", err
	}
	return wire.Encode(b), nil
}

// check compares the first certificate with the key and with the hashes.
func (c *certificates) check(m material) error {
	if len(c.chain) == 0 {
		return nil
	}
	first := c.chain[0]
	switch {
	case !isKeyOf(first, m):
		return malformed("x5c: the certificate is for another key") // RFC 7517, Section 4.7
	case c.sha1 != "" && c.sha1 != sha1Of(first):
		return malformed("x5t: of another certificate")
	case c.sha256 != "" && c.sha256 != sha256Of(first):
		return malformed("x5t#S256: of another certificate")
	}
	return nil
}

// isKeyOf reports whether m is the key that cert is for.
func isKeyOf(cert *x509.Certificate, m material) bool {
	if far, ok := m.(*opaqueKey); ok {
		m = far.material
	}
	own, ok := m.(exporter)
	if !ok {
		return false
	}
	key, err := parseSPKI(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return false
	}
	pub := own.cryptoPublic()
	if _, agrees := pub.(*ecdh.PublicKey); agrees {
		if ec, ok := key.(*ecdsa.PublicKey); ok {
			key, _ = ec.ECDH()
		}
	}
	comparable, ok := pub.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(key)
}

// sha1Of is the "x5t" of RFC 7515, Section 4.1.7: a name, and no proof of anything.
// So it is there in FIPS 140-only mode too, where crypto/sha1 would panic.
func sha1Of(cert *x509.Certificate) string {
	var sum [sha1.Size]byte
	fips140.WithoutEnforcement(func() { sum = sha1.Sum(cert.Raw) })
	return wire.Encode(sum[:])
}

func sha256Of(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return wire.Encode(sum[:])
}

// Certificates returns the chain of "x5c", the key's own certificate first, or nil.
// They match the key, and nothing else about them has been checked: see
// [Key.VerifyCertificates]. They must not be changed.
func (k *Key) Certificates() []*x509.Certificate {
	if k.certificates == nil {
		return nil
	}
	return slices.Clone(k.certificates.chain)
}

// CertificateThumbprints returns "x5t" and "x5t#S256", the base64url SHA-1 and
// SHA-256 of the key's certificate (RFC 7517, Sections 4.8 and 4.9), as the JWK has
// them or as they follow from [Key.Certificates], or "".
func (k *Key) CertificateThumbprints() (x5t, x5tS256 string) {
	switch c := k.certificates; {
	case c == nil:
		return "", ""
	case len(c.chain) > 0:
		return sha1Of(c.chain[0]), sha256Of(c.chain[0])
	default:
		return c.sha1, c.sha256
	}
}

// WithCertificates returns the same key with this chain, from now on part of its
// JWK as "x5c" and "x5t#S256", instead of what it had; without arguments with none.
// The first must be the certificate of the key: else the error wraps [ErrMalformed].
func (k *Key) WithCertificates(chain ...*x509.Certificate) (*Key, error) {
	certified := *k
	certified.certificates = nil
	if len(chain) == 0 {
		return &certified, nil
	}
	ders := make([][]byte, len(chain))
	for i, cert := range chain {
		if cert == nil {
			return nil, malformed("nil certificate")
		}
		ders[i] = bytes.Clone(cert.Raw)
	}
	own, err := parseChain(ders)
	if err != nil {
		return nil, err
	}
	c := &certificates{chain: own, sha256: sha256Of(own[0])}
	if err := c.check(k.held()); err != nil {
		return nil, err
	}
	certified.certificates = c
	return &certified, nil
}

// x5c returns the member "x5c".
func (c *certificates) x5c() (list []string) {
	for _, cert := range c.chain {
		list = append(list, base64.StdEncoding.EncodeToString(cert.Raw))
	}
	return list
}

// CertificateOptions say which certificates are trusted. Roots and Now are required.
type CertificateOptions struct {
	Roots         *x509.CertPool     // what a chain must end in; the system's are never taken by themselves
	Intermediates *x509.CertPool     // beside those of the chain; default none
	Now           func() time.Time   // usually time.Now
	ExtKeyUsages  []x509.ExtKeyUsage // one of which every certificate of a chain allows; default: any
}

// VerifyCertificates verifies the certificates of the key (RFC 5280, Section 6):
// that they are in order and lead to one of opts.Roots, that all of the chain is
// valid now, and that the first may be used as the key is: digitalSignature for one
// that signs, and keyEncipherment or keyAgreement for one that encrypts. Revocation
// is not looked at, and nothing is fetched.
//
// It says nothing about who the certificate is for: under a root that certifies
// many, the caller looks at the subject of the first of [Key.Certificates] too.
// The error wraps [ErrCertificate].
func (k *Key) VerifyCertificates(opts CertificateOptions) error {
	if opts.Roots == nil || opts.Now == nil {
		return errors.New("jwk: CertificateOptions.Roots and Now are required")
	}
	chain := k.Certificates()
	if chain == nil {
		return fmt.Errorf("%w: the key has none", ErrCertificate)
	}
	if usage := chain[0].KeyUsage; usage != 0 && usage&k.keyUsage() == 0 { // RFC 5280, Section 4.2.1.3
		return fmt.Errorf("%w: its key usage is another", ErrCertificate)
	}
	if !inOrder(chain) {
		return fmt.Errorf("%w: the chain is not in order", ErrCertificate)
	}
	_, err := chain[0].Verify(opts.verifyOptions(chain[1:]))
	if err != nil {
		return fmt.Errorf("%w: %s", ErrCertificate, reasonOf(err))
	}
	return nil
}

// inOrder reports whether each certificate but the first is for the issuer of the
// one before (RFC 7515, Section 4.1.6), and no two are for one name. Else some that
// fit each other in many ways would cost a hundred signatures to refuse.
func inOrder(chain []*x509.Certificate) bool {
	for i, cert := range chain {
		if i > 0 && !bytes.Equal(chain[i-1].RawIssuer, cert.RawSubject) {
			return false
		}
		for _, other := range chain[:i] {
			if bytes.Equal(other.RawSubject, cert.RawSubject) {
				return false
			}
		}
	}
	return true
}

// keyUsage returns the uses of which a certificate must allow one.
func (k *Key) keyUsage() x509.KeyUsage {
	if k.info.wraps {
		return x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	}
	return x509.KeyUsageDigitalSignature
}

func (opts CertificateOptions) verifyOptions(between []*x509.Certificate) x509.VerifyOptions {
	v := x509.VerifyOptions{Roots: opts.Roots, Intermediates: opts.Intermediates, KeyUsages: opts.ExtKeyUsages}
	if v.Intermediates == nil {
		v.Intermediates = x509.NewCertPool()
	} else if len(between) > 0 {
		v.Intermediates = v.Intermediates.Clone()
	}
	for _, cert := range between {
		v.Intermediates.AddCert(cert)
	}
	v.CurrentTime = opts.Now()
	if v.KeyUsages == nil {
		v.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	return v
}

// reasonOf says why a chain was refused without the names in it, which may be
// anybody's words.
func reasonOf(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return "it is expired or not yet valid"
		case x509.IncompatibleUsage:
			return "its extended key usage is another"
		}
		return "a rule of RFC 5280 is broken"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "it does not lead to a root"
	}
	return "it cannot be verified"
}
