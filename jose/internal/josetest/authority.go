package josetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// Now is when the certificates of an Authority are good: a day to both sides of it.
var Now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// An Authority issues certificates under a root, with one certificate between.
type Authority struct {
	Roots   *x509.CertPool
	Between *x509.Certificate

	key    *ecdsa.PrivateKey // of Between
	serial int64
}

// NewAuthority makes an Authority, whose root nobody else knows.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Roots: x509.NewCertPool()}
	root, rootKey := a.authority(t, "root", nil, nil)
	a.Roots.AddCert(root)
	a.Between, a.key = a.authority(t, "between", root, rootKey)
	return a
}

func (a *Authority) authority(t testing.TB, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := a.template(name)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	if parent == nil {
		parent, parentKey = c, key
	}
	return a.sign(t, c, parent, &key.PublicKey, parentKey), key
}

func (a *Authority) template(name string) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    Now.Add(-24 * time.Hour),
		NotAfter:     Now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func (a *Authority) sign(t testing.TB, c, parent *x509.Certificate, pub crypto.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Issue returns a certificate for pub, which change may alter before it is signed,
// and the one that it is under.
func (a *Authority) Issue(t testing.TB, pub crypto.PublicKey, change ...func(*x509.Certificate)) []*x509.Certificate {
	t.Helper()
	c := a.template("leaf")
	for _, f := range change {
		f(c)
	}
	return []*x509.Certificate{a.sign(t, c, a.Between, pub, a.key), a.Between}
}
