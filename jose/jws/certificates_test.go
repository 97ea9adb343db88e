package jws_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// certifiable are the algorithms of keys that crypto/x509 can certify.
var certifiable = []jwk.Algorithm{jwk.RS256, jwk.RS512, jwk.PS256, jwk.PS384, jwk.ES256, jwk.ES384, jwk.ES512, jwk.Ed25519, jwk.EdDSA}

func anybody(*x509.Certificate) error { return nil }

// trusting returns what trusts a now.
func trusting(a *josetest.Authority, algorithms ...jwk.Algorithm) *jws.Certificates {
	return &jws.Certificates{
		Algorithms: algorithms, Roots: a.Roots, Accept: anybody,
		Now: func() time.Time { return josetest.Now },
	}
}

func issue(t testing.TB, a *josetest.Authority, key *jwk.Key, change ...func(*x509.Certificate)) []*x509.Certificate {
	t.Helper()
	pub, err := key.CryptoPublic()
	if err != nil {
		t.Fatal(err)
	}
	return a.Issue(t, pub, change...)
}

func x5c(chain ...*x509.Certificate) (list []string) {
	for _, cert := range chain {
		list = append(list, base64.StdEncoding.EncodeToString(cert.Raw))
	}
	return list
}

func x5t(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw)
	return wire.Encode(sum[:])
}

func x5tS256(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return wire.Encode(sum[:])
}

func TestCertificates(t *testing.T) {
	a := josetest.NewAuthority(t)
	for _, alg := range certifiable {
		key := josetest.Key(t, alg, "not looked at")
		chain := issue(t, a, key)
		held := &jws.Certificates{Algorithms: []jwk.Algorithm{alg}, Held: []*x509.Certificate{nil, a.Between, chain[0]}, Now: func() time.Time { return josetest.Now }}
		for name, c := range map[string]struct {
			keys  *jws.Certificates
			token string
		}{
			"x5c":                 {trusting(a, alg), josetest.SignWith(t, key, "x5c", x5c(chain...))},
			"x5c and hashes":      {trusting(a, alg), josetest.SignWith(t, key, "x5c", x5c(chain...), "x5t", x5t(chain[0]), "x5t#S256", x5tS256(chain[0]))},
			"x5t#S256":            {held, josetest.SignWith(t, key, "x5t#S256", x5tS256(chain[0]))},
			"x5t#S256 and others": {held, josetest.SignWith(t, key, "x5t#S256", x5tS256(chain[0]), "x5t", x5t(chain[0]), "x5c", x5c(chain...))},
		} {
			m, err := jws.Verify(c.keys, c.token)
			if err != nil {
				t.Errorf("%s: %s: %v", alg, name, err)
				continue
			}
			if got := m.Key(); got.Thumbprint() != key.Thumbprint() || got.KeyID() != key.Thumbprint() || !got.Certificates()[0].Equal(chain[0]) || got.IsPrivate() {
				t.Errorf("%s: %s: by %v", alg, name, got)
			}
			if got, err := c.keys.Find("", string(alg)); got != nil || err != jwk.ErrUnknownKey {
				t.Errorf("%s: found without a header: %v", alg, err)
			}
		}
	}
}

// refuseCertificate checks that the token is refused with want, whatever order the
// checks have.
func refuseCertificate(t testing.TB, name string, keys jwk.Source, token string, want error) {
	t.Helper()
	m, err := jws.Verify(keys, token)
	if m != nil || !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", name, err, want)
		return
	}
	josetest.Leaks(t, err, token)
}

func TestThreat30CertificateOfAnotherAuthority(t *testing.T) {
	a, attacker := josetest.NewAuthority(t), josetest.NewAuthority(t)
	for _, alg := range certifiable {
		key := josetest.Key(t, alg, "k")
		theirs := issue(t, attacker, key)
		keys := trusting(a, alg)
		refuseCertificate(t, "another authority", keys, josetest.SignWith(t, key, "x5c", x5c(theirs...)), jwk.ErrCertificate)
		refuseCertificate(t, "between ours and theirs", keys, josetest.SignWith(t, key, "x5c", x5c(theirs[0], a.Between)), jwk.ErrCertificate)
		refuseCertificate(t, "only the leaf", keys, josetest.SignWith(t, key, "x5c", x5c(issue(t, a, key)[0])), jwk.ErrCertificate)
		// A source that has keys of its own never looks.
		if m, err := jws.Verify(josetest.Key(t, alg, "other"), josetest.SignWith(t, key, "x5c", x5c(theirs...))); m != nil || err == nil {
			t.Errorf("%s: a key from the header verified", alg)
		}
	}
}

func TestThreat128CertificateInAHeader(t *testing.T) {
	a := josetest.NewAuthority(t)
	for _, alg := range certifiable {
		key, other := josetest.Key(t, alg, "k"), josetest.Key(t, jwk.ES256, "o")
		chain, others := issue(t, a, key), issue(t, a, other)
		keys := trusting(a, alg, jwk.ES256)
		refuseCertificate(t, "of another key", keys, josetest.SignWith(t, key, "x5c", x5c(others...)), map[bool]error{true: jwk.ErrSignature, false: jwk.ErrAlgorithm}[alg == jwk.ES256])
		refuseCertificate(t, "x5t of another", keys, josetest.SignWith(t, key, "x5c", x5c(chain...), "x5t", x5t(others[0])), jwk.ErrCertificate)
		refuseCertificate(t, "x5t#S256 of another", keys, josetest.SignWith(t, key, "x5c", x5c(chain...), "x5t#S256", x5tS256(others[0])), jwk.ErrCertificate)
		refuseCertificate(t, "out of order", keys, josetest.SignWith(t, key, "x5c", x5c(chain[0], others[0], chain[1])), jwk.ErrCertificate)
		refuseCertificate(t, "twice", keys, josetest.SignWith(t, key, "x5c", x5c(chain[0], chain[1], chain[1])), jwk.ErrCertificate)
		refuseCertificate(t, "hash alone", keys, josetest.SignWith(t, key, "x5t#S256", x5tS256(chain[0])), jwk.ErrUnknownKey)
		refuseCertificate(t, "nothing", keys, josetest.SignWith(t, key), jwk.ErrUnknownKey)
		refuseCertificate(t, "x5u", keys, josetest.SignWith(t, key, "x5u", "https://a.example/chain.pem"), jwk.ErrUnknownKey)
		held := &jws.Certificates{Algorithms: []jwk.Algorithm{alg}, Held: chain[:1], Now: func() time.Time { return josetest.Now }}
		refuseCertificate(t, "not held", held, josetest.SignWith(t, key, "x5t#S256", x5tS256(others[0])), jwk.ErrUnknownKey)
		refuseCertificate(t, "SHA-1 alone", held, josetest.SignWith(t, key, "x5t", x5t(chain[0])), jwk.ErrUnknownKey)
		refuseCertificate(t, "another x5t", held, josetest.SignWith(t, key, "x5t#S256", x5tS256(chain[0]), "x5t", x5t(others[0])), jwk.ErrCertificate)
		refuseCertificate(t, "another x5c", held, josetest.SignWith(t, key, "x5t#S256", x5tS256(chain[0]), "x5c", x5c(others...)), jwk.ErrCertificate)
		refuseCertificate(t, "x5c without roots", held, josetest.SignWith(t, key, "x5c", x5c(chain...)), jwk.ErrUnknownKey)
		for _, bad := range []any{nil, "", "AA", []string{}, []any{1}, []string{"!"}, 1} {
			refuseCertificate(t, "broken x5c", keys, josetest.SignWith(t, key, "x5c", bad), jwk.ErrMalformed)
		}
		for _, name := range []string{"x5t", "x5t#S256"} {
			for _, bad := range []any{nil, "", 1, []string{"x"}} {
				refuseCertificate(t, "broken "+name, keys, josetest.SignWith(t, key, "x5c", x5c(chain...), name, bad), jws.ErrMalformed)
			}
		}
	}
}

func TestCertificatesOutOfTime(t *testing.T) {
	a := josetest.NewAuthority(t)
	key := josetest.Key(t, jwk.ES256, "k")
	chain := issue(t, a, key)
	for _, late := range []time.Duration{-25 * time.Hour, 25 * time.Hour} {
		now := func() time.Time { return josetest.Now.Add(late) }
		keys := trusting(a, jwk.ES256)
		keys.Now = now
		refuseCertificate(t, "x5c", keys, josetest.SignWith(t, key, "x5c", x5c(chain...)), jwk.ErrCertificate)
		held := &jws.Certificates{Algorithms: []jwk.Algorithm{jwk.ES256}, Held: chain[:1], Now: now}
		refuseCertificate(t, "held", held, josetest.SignWith(t, key, "x5t#S256", x5tS256(chain[0])), jwk.ErrCertificate)
	}
}

func TestThreat35CertificateForAnotherUse(t *testing.T) {
	a := josetest.NewAuthority(t)
	key := josetest.Key(t, jwk.ES256, "k")
	for _, usage := range []x509.KeyUsage{x509.KeyUsageKeyAgreement, x509.KeyUsageCertSign} {
		chain := issue(t, a, key, func(c *x509.Certificate) { c.KeyUsage = usage })
		refuseCertificate(t, "x5c", trusting(a, jwk.ES256), josetest.SignWith(t, key, "x5c", x5c(chain...)), jwk.ErrCertificate)
		held := &jws.Certificates{Algorithms: []jwk.Algorithm{jwk.ES256}, Held: chain[:1], Now: func() time.Time { return josetest.Now }}
		refuseCertificate(t, "held", held, josetest.SignWith(t, key, "x5t#S256", x5tS256(chain[0])), jwk.ErrCertificate)
	}
	keys := trusting(a, jwk.ES256)
	keys.ExtKeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	server := issue(t, a, key, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	refuseCertificate(t, "of a server", keys, josetest.SignWith(t, key, "x5c", x5c(server...)), jwk.ErrCertificate)
}

// The algorithm is one of the caller's, and fits the key in the certificate.
func TestThreat26CertificateForAnotherAlgorithm(t *testing.T) {
	a := josetest.NewAuthority(t)
	key := josetest.Key(t, jwk.RS256, "k")
	token := josetest.SignWith(t, key, "x5c", x5c(issue(t, a, key)...))
	refuseCertificate(t, "none allowed", trusting(a), token, jwk.ErrAlgorithm)
	refuseCertificate(t, "another", trusting(a, jwk.PS256), token, jwk.ErrAlgorithm)
	refuseCertificate(t, "another type", trusting(a, jwk.ES256), token, jwk.ErrAlgorithm)
	// CVE-2016-10555 by way of a certificate.
	secret := josetest.Key(t, jwk.HS256, "s")
	refuseCertificate(t, "HMAC", trusting(a, jwk.HS256), josetest.SignWith(t, secret, "x5c", x5c(issue(t, a, key)...)), jwk.ErrAlgorithm)
}

func TestCertificatesAccept(t *testing.T) {
	a := josetest.NewAuthority(t)
	key := josetest.Key(t, jwk.ES256, "k")
	chain := issue(t, a, key)
	keys := trusting(a, jwk.ES256)
	no := errors.New("not one of ours")
	keys.Accept = func(leaf *x509.Certificate) error {
		if !leaf.Equal(chain[0]) {
			t.Error("asked for another certificate")
		}
		return no
	}
	token := josetest.SignWith(t, key, "x5c", x5c(chain...))
	refuseCertificate(t, "not accepted", keys, token, no)
	refuseCertificate(t, "not accepted", keys, token, jwk.ErrCertificate)
	keys.Accept = nil
	if m, err := jws.Verify(keys, token); m != nil || err == nil {
		t.Error("accepted without anybody to accept it")
	}
	keys = trusting(a, jwk.ES256)
	keys.Now = nil
	if m, err := jws.Verify(keys, token); m != nil || err == nil {
		t.Error("accepted by no clock at all")
	}
}

// The longest chain in order whose members have one name and fit each other in every
// way: it is refused for that, and not after a hundred signatures.
func TestCertificatesThatFitEachOther(t *testing.T) {
	a := josetest.NewAuthority(t)
	key := josetest.Key(t, jwk.ES256, "k")
	leaf := issue(t, a, key)[0]
	chain := []*x509.Certificate{leaf}
	for range jwk.MaxCertificates - 2 {
		chain = append(chain, issue(t, a, key, func(c *x509.Certificate) {
			c.Subject, c.IsCA, c.BasicConstraintsValid = a.Between.Subject, true, true
		})[0])
	}
	chain = append(chain, a.Between) // with which the leaf would be trusted
	refuseCertificate(t, "many with one name", trusting(a, jwk.ES256), josetest.SignWith(t, key, "x5c", x5c(chain...)), jwk.ErrCertificate)
}
