package jwk_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// derForms are private and public keys in each form, of one key pair.
func derForms(t testing.TB, k *jwk.Key) map[string][]byte {
	t.Helper()
	private, err := k.MarshalPrivateDER()
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.MarshalDER()
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string][]byte{"PRIVATE KEY": private, "PUBLIC KEY": public}
	material, err := k.CryptoPrivate()
	if err != nil {
		t.Fatal(err)
	}
	switch key := material.(type) {
	case *rsa.PrivateKey:
		forms["RSA PRIVATE KEY"] = x509.MarshalPKCS1PrivateKey(key)
		forms["RSA PUBLIC KEY"] = x509.MarshalPKCS1PublicKey(&key.PublicKey)
	case *ecdsa.PrivateKey:
		if forms["EC PRIVATE KEY"], err = x509.MarshalECPrivateKey(key); err != nil {
			t.Fatal(err)
		}
	}
	return forms
}

func pemOf(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

func TestPEMAndDER(t *testing.T) {
	for _, alg := range append(append([]jwk.Algorithm{}, asymmetric...), jwk.RSAOAEP, jwk.ECDHES) {
		f := generated(t, alg)
		if alg == jwk.RSAOAEP {
			f = f.without("use")
		}
		k := accept(t, f)
		for label, der := range derForms(t, k) {
			p := jwk.Params{Algorithm: alg, KeyID: "k"}
			fromDER, err := jwk.ParseDER(der, p)
			if err != nil {
				t.Errorf("%s: %s: %v", alg, label, err)
				continue
			}
			fromPEM, err := jwk.ParsePEM(pemOf(label, der), p)
			if err != nil {
				t.Errorf("%s: %s: %v", alg, label, err)
				continue
			}
			for _, again := range []*jwk.Key{fromDER, fromPEM} {
				if again.Thumbprint() != k.Thumbprint() || again.IsPrivate() != strings.Contains(label, "PRIVATE") || again.KeyID() != "k" || again.Algorithm() != alg {
					t.Errorf("%s: %s became %v", alg, label, again)
				}
			}
		}
	}
	x25519, err := jwk.Generate(jwk.Params{Algorithm: jwk.ECDHESA256KW, Curve: "X25519"})
	if err != nil {
		t.Fatal(err)
	}
	for label, der := range derForms(t, x25519) {
		if again, err := jwk.ParseDER(der, jwk.Params{Algorithm: jwk.ECDHESA256KW}); err != nil || again.Thumbprint() != x25519.Thumbprint() {
			t.Errorf("X25519: %s: %v", label, err)
		}
	}
}

// Like a JWK without alg, a key in PEM has the algorithm that its curve implies.
func TestPEMImpliesAnAlgorithm(t *testing.T) {
	for alg, want := range map[jwk.Algorithm]jwk.Algorithm{
		jwk.ES256: jwk.ES256, jwk.ES384: jwk.ES384, jwk.ES512: jwk.ES512, jwk.Ed25519: jwk.Ed25519, jwk.EdDSA: jwk.Ed25519,
		jwk.MLDSA44: jwk.MLDSA44, jwk.MLDSA87: jwk.MLDSA87,
	} {
		for label, der := range derForms(t, accept(t, generated(t, alg))) {
			k, err := jwk.ParsePEM(pemOf(label, der), jwk.Params{})
			if err != nil || k.Algorithm() != want || (want == jwk.Ed25519) != (k.Also() == jwk.EdDSA) || k.KeyID() != k.Thumbprint() {
				t.Errorf("%s: %s: %v, %v", alg, label, k, err)
			}
		}
	}
	for _, alg := range []jwk.Algorithm{jwk.RS256, jwk.ECDHES} {
		for label, der := range derForms(t, accept(t, generated(t, alg))) {
			k, err := jwk.ParsePEM(pemOf(label, der), jwk.Params{})
			if alg == jwk.RS256 && !errors.Is(err, jwk.ErrNoAlgorithm) || alg == jwk.ECDHES && (err != nil || k.Algorithm() != jwk.ES256) {
				t.Errorf("%s: %s: %v, %v", alg, label, k, err)
			}
			if _, err := jwk.ParsePEM(pemOf(label, der), jwk.Params{Algorithm: jwk.Ed25519}); !errors.Is(err, jwk.ErrAlgorithm) {
				t.Errorf("%s: %s for Ed25519: %v", alg, label, err)
			}
		}
	}
}

func TestPEMIsStrict(t *testing.T) {
	k := accept(t, generated(t, jwk.ES256))
	forms := derForms(t, k)
	for label, der := range forms {
		text := pemOf(label, der)
		spaced := append(append([]byte("\r\n \t"), text...), " \n\n"...)
		if _, err := jwk.ParsePEM(spaced, jwk.Params{}); err != nil {
			t.Errorf("%s: white space around it: %v", label, err)
		}
		join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
		for name, bad := range map[string][]byte{
			"nothing": nil, "no PEM": []byte("no PEM"), "DER": der, "cut": text[:len(text)-30],
			"twice": join(text, text), "text before": join([]byte("key:\n"), text), "text behind": join(text, []byte("x")),
			"a broken block before": join([]byte("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n"), text),
			"an open block before":  join([]byte("-----BEGIN PUBLIC KEY-----\n"), text),
			"parameters before":     join(pemOf("EC PARAMETERS", []byte{6, 0}), text),
			"headers":               pem.EncodeToMemory(&pem.Block{Type: label, Headers: map[string]string{"A": "b"}, Bytes: der}),
			"another label":         pemOf(map[bool]string{true: "PUBLIC KEY", false: "PRIVATE KEY"}[strings.Contains(label, "PRIVATE")], der),
			"a byte behind":         pemOf(label, join(der, []byte{0})), "a byte less": pemOf(label, der[:len(der)-1]),
			"too large": join(text, bytes.Repeat([]byte("\n"), jwk.MaxKey)),
		} {
			if k, err := jwk.ParsePEM(bad, jwk.Params{}); !errors.Is(err, jwk.ErrMalformed) && !errors.Is(err, jwk.ErrUnsupported) {
				t.Errorf("%s: %s: %v, %v", label, name, k, err)
			}
		}
		for name, bad := range map[string][]byte{"nothing": nil, "PEM": text, "stray": join(der, []byte{0}), "cut": der[:len(der)-1], "too large": join(der, make([]byte, jwk.MaxKey))} {
			if k, err := jwk.ParseDER(bad, jwk.Params{}); !errors.Is(err, jwk.ErrMalformed) {
				t.Errorf("%s: DER: %s: %v, %v", label, name, k, err)
			}
		}
	}
}

func TestPEMNamesWhatItDoesNotKnow(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&p224.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(p224)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(p224)
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct {
		label string
		der   []byte
	}{
		`"OPENSSH PRIVATE KEY"`:  {"OPENSSH PRIVATE KEY", []byte("openssh-key-v1")},
		`"DSA PRIVATE KEY"`:      {"DSA PRIVATE KEY", []byte{0x30, 0}},
		`"EC PARAMETERS"`:        {"EC PARAMETERS", []byte{6, 0}},
		"curve 1.3.132.0.33":     {"PUBLIC KEY", spki},
		" 1.3.132.0.33":          {"PRIVATE KEY", pkcs8},
		": curve 1.3.132.0.33":   {"EC PRIVATE KEY", sec1},
		"key type 1.3.101.113":   {"PUBLIC KEY", spkiOf(t, asn1.ObjectIdentifier{1, 3, 101, 113}, nil, make([]byte, 57))},
		"curve 1.3.132.0.10":     {"PUBLIC KEY", spkiOf(t, asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, asn1.ObjectIdentifier{1, 3, 132, 0, 10}, make([]byte, 65))},
		"curve without a name":   {"PUBLIC KEY", spkiOf(t, asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, []int{1}, make([]byte, 65))},
		"key type 1.2.840.10040": {"PUBLIC KEY", spkiOf(t, asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, nil, nil)},
	} {
		if _, err := jwk.ParsePEM(pemOf(c.label, c.der), jwk.Params{}); !errors.Is(err, jwk.ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// spkiOf makes a SubjectPublicKeyInfo of any type.
func spkiOf(t testing.TB, oid asn1.ObjectIdentifier, params any, key []byte) []byte {
	t.Helper()
	info := struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{Key: asn1.BitString{Bytes: key, BitLength: 8 * len(key)}}
	info.Algorithm.Algorithm = oid
	if params != nil {
		der, err := asn1.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		info.Algorithm.Parameters.FullBytes = der
	}
	der, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestPEMEncrypted(t *testing.T) {
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}}
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}{algorithm, []byte("sealed")})
	if err != nil {
		t.Fatal(err)
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("sealed")})
	for _, data := range [][]byte{pemOf("ENCRYPTED PRIVATE KEY", der), old} {
		if _, err := jwk.ParsePEM(data, jwk.Params{}); !errors.Is(err, jwk.ErrEncrypted) {
			t.Error(err)
		}
	}
	if _, err := jwk.ParseDER(der, jwk.Params{}); !errors.Is(err, jwk.ErrEncrypted) {
		t.Error(err)
	}
}

// A private key that brings the public key of another with it would be two keys,
// depending on who reads it.
func TestThreat115PublicKeyOfAnotherInDER(t *testing.T) {
	one, other := accept(t, generated(t, jwk.ES256)), accept(t, generated(t, jwk.ES256))
	p1, err := one.CryptoPrivate()
	if err != nil {
		t.Fatal(err)
	}
	p2, err := other.CryptoPrivate()
	if err != nil {
		t.Fatal(err)
	}
	a, b := p1.(*ecdsa.PrivateKey), p2.(*ecdsa.PrivateKey)
	mine, _ := a.PublicKey.Bytes()
	theirs, _ := b.PublicKey.Bytes()
	for label, der := range derForms(t, one) {
		if label == "PUBLIC KEY" {
			continue
		}
		mixed := bytes.Replace(der, mine, theirs, 1)
		if bytes.Equal(mixed, der) {
			t.Fatalf("%s: no public key in it", label)
		}
		if _, err := jwk.ParsePEM(pemOf(label, mixed), jwk.Params{}); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%s: %v", label, err)
		}
	}
	// RFC 8410, Section 10.3: the public key beside the private one in PKCS #8.
	const private = "302e020100300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842"
	const both = "3051020101300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842" +
		"81210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
	for _, text := range []string{private, both} {
		if _, err := jwk.ParseDER(unhex(t, text), jwk.Params{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := jwk.ParseDER(unhex(t, both[:len(both)-2]+"e2"), jwk.Params{}); !errors.Is(err, jwk.ErrMalformed) {
		t.Error(err)
	}
}

func TestThreat36WeakRSAInPEM(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(short)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&short.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for label, der := range map[string][]byte{
		"PRIVATE KEY": pkcs8, "PUBLIC KEY": spki,
		"RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(short), "RSA PUBLIC KEY": x509.MarshalPKCS1PublicKey(&short.PublicKey),
	} {
		if _, err := jwk.ParsePEM(pemOf(label, der), jwk.Params{Algorithm: jwk.RS256}); !errors.Is(err, jwk.ErrWeakKey) {
			t.Errorf("%s: %v", label, err)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	secret := accept(t, generated(t, jwk.HS256))
	public, err := accept(t, generated(t, jwk.ES256)).Public()
	if err != nil {
		t.Fatal(err)
	}
	noPrimes := accept(t, generated(t, jwk.RS256).without("p", "q", "dp", "dq", "qi"))
	for name, c := range map[string]struct {
		k    *jwk.Key
		pub  error
		priv error
	}{
		"secret": {secret, jwk.ErrSymmetric, jwk.ErrSymmetric}, "public": {public, nil, jwk.ErrNotPrivate}, "no primes": {noPrimes, nil, nil},
	} {
		if _, err := c.k.MarshalPEM(); !errors.Is(err, c.pub) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.k.CryptoPublic(); !errors.Is(err, c.pub) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.k.CryptoPrivate(); !errors.Is(err, c.priv) {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := c.k.MarshalPrivatePEM(); err == nil || text != nil || !errors.Is(err, c.priv) && c.priv != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was handed out can be changed without changing the key.
func TestExportIsACopy(t *testing.T) {
	for _, alg := range []jwk.Algorithm{jwk.RS256, jwk.ES256, jwk.Ed25519} {
		k := accept(t, generated(t, alg))
		before := fieldsOf(t, k)
		pub, priv := cryptoPublic(t, k), any(nil)
		priv, err := k.CryptoPrivate()
		if err != nil {
			t.Fatal(err)
		}
		for _, material := range []any{pub, priv} {
			spoil(material)
		}
		if after := fieldsOf(t, k); !bytes.Equal(after.json(t), before.json(t)) {
			t.Errorf("%s: the key has changed", alg)
		}
		sig := mustSign(t, k, []byte("input"))
		if err := k.Verify([]byte("input"), sig); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func FuzzParsePEM(f *testing.F) {
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.Ed25519, jwk.RS256} {
		for label, der := range derForms(f, accept(f, generated(f, alg))) {
			f.Add(pemOf(label, der))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := jwk.ParsePEM(data, jwk.Params{}); err == nil {
			checkExport(t, k)
		}
		if k, err := jwk.ParsePEM(data, jwk.Params{Algorithm: jwk.RS256}); err == nil {
			checkExport(t, k)
		}
	})
}

func FuzzParseDER(f *testing.F) {
	for _, alg := range []jwk.Algorithm{jwk.ES384, jwk.Ed25519, jwk.RS256, jwk.MLDSA44} {
		for _, der := range derForms(f, accept(f, generated(f, alg))) {
			f.Add(der)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, p := range []jwk.Params{{}, {Algorithm: jwk.RS256}, {Algorithm: jwk.ECDHES}} {
			if k, err := jwk.ParseDER(der, p); err == nil {
				checkExport(t, k)
			}
		}
	})
}

// checkExport writes a key that was accepted and reads it again.
func checkExport(t *testing.T, k *jwk.Key) {
	t.Helper()
	write := k.MarshalDER
	if k.IsPrivate() {
		write = k.MarshalPrivateDER
	}
	der, err := write()
	if err != nil {
		t.Fatal(err)
	}
	again, err := jwk.ParseDER(der, jwk.Params{Algorithm: k.Algorithm(), Also: k.Also()})
	if err != nil || again.Thumbprint() != k.Thumbprint() || again.IsPrivate() != k.IsPrivate() {
		t.Fatalf("%v became %v, %v", k, again, err)
	}
	data, err := k.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwk.Parse(data); err != nil {
		t.Fatal(err)
	}
}
