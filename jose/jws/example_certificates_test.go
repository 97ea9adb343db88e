package jws_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log"
	"math/big"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A partner signs with a key that an authority has certified, and sends the
// certificate along.
func ExampleCertificates() {
	private, certificate := certified("partner.example")
	roots := x509.NewCertPool()
	roots.AddCert(certificate) // here the certificate is its own authority

	key, err := jwk.New(private, jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		log.Fatal(err)
	}
	header, err := jws.Header{}.With("x5c", [][]byte{certificate.Raw})
	if err != nil {
		log.Fatal(err)
	}
	token, err := jws.Sign(key, header, []byte("an order"))
	if err != nil {
		log.Fatal(err)
	}

	keys := &jws.Certificates{
		Algorithms: []jwk.Algorithm{jwk.ES256},
		Roots:      roots,
		Now:        time.Now,
		Accept: func(leaf *x509.Certificate) error {
			if leaf.Subject.CommonName != "partner.example" {
				return errors.New("not a partner")
			}
			return nil
		},
	}
	message, err := jws.Verify(keys, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s from %s\n", message.Payload(), message.Key().Certificates()[0].Subject)
	// Output: an order from CN=partner.example
}

func certified(name string) (*ecdsa.PrivateKey, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	return key, certificate
}
