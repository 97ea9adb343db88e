package jwk_test

import (
	"bytes"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// certifiable are algorithms of each type of key that crypto/x509 can certify.
var certifiable = []jwk.Algorithm{jwk.RS256, jwk.PS512, jwk.ES256, jwk.ES384, jwk.ES512, jwk.Ed25519, jwk.RSAOAEP256}

func cryptoPublic(t testing.TB, k *jwk.Key) any {
	t.Helper()
	pub, err := k.CryptoPublic()
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func x5c(chain []*x509.Certificate) (list []string) {
	for _, cert := range chain {
		list = append(list, base64.StdEncoding.EncodeToString(cert.Raw))
	}
	return list
}

func sha1Of(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw)
	return wire.Encode(sum[:])
}

func sha256Of(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return wire.Encode(sum[:])
}

// certified returns a private JWK with all three members, and its chain.
func certified(t testing.TB, a *josetest.Authority, alg jwk.Algorithm) (fields, []*x509.Certificate) {
	t.Helper()
	f := generated(t, alg).without("use") // RSA keys share their numbers, not their use
	chain := a.Issue(t, cryptoPublic(t, accept(t, f)))
	return f.with("x5c", x5c(chain)).with("x5t", sha1Of(chain[0])).with("x5t#S256", sha256Of(chain[0])), chain
}

func TestCertificatesAreKept(t *testing.T) {
	a := josetest.NewAuthority(t)
	for _, alg := range certifiable {
		f, chain := certified(t, a, alg)
		k := accept(t, f)
		again := accept(t, fieldsOf(t, k))
		public, err := again.Public()
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []*jwk.Key{k, again, public, k.WithLimits(jwk.Limits{Issuer: "i"})} {
			got := k.Certificates()
			if len(got) != 2 || !got[0].Equal(chain[0]) || !got[1].Equal(chain[1]) {
				t.Errorf("%s: %d certificates", alg, len(got))
			}
			if x5t, x5tS256 := k.CertificateThumbprints(); x5t != sha1Of(chain[0]) || x5tS256 != sha256Of(chain[0]) {
				t.Errorf("%s: thumbprints %s, %s", alg, x5t, x5tS256)
			}
		}
		for _, name := range []string{"x5c", "x5t", "x5t#S256"} {
			one := accept(t, f.without("x5c", "x5t", "x5t#S256").with(name, f[name]))
			written := fieldsOf(t, one)
			if got, _ := json.Marshal(written[name]); !bytes.Equal(got, mustJSON(t, f[name])) {
				t.Errorf("%s: %s became %s", alg, name, got)
			}
			for _, other := range []string{"x5c", "x5t", "x5t#S256", "x5u"} {
				if _, ok := written[other]; ok && other != name {
					t.Errorf("%s: %s appeared beside %s", alg, other, name)
				}
			}
		}
	}
	plain := accept(t, generated(t, jwk.ES256))
	if x5t, x5tS256 := plain.CertificateThumbprints(); plain.Certificates() != nil || x5t+x5tS256 != "" {
		t.Error("certificates from nowhere")
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestThreat128CertificateOfAnotherKey(t *testing.T) {
	a := josetest.NewAuthority(t)
	for _, alg := range certifiable {
		f, chain := certified(t, a, alg)
		accept(t, f)
		other := a.Issue(t, cryptoPublic(t, accept(t, generated(t, jwk.ES256))))
		refuse(t, f.with("x5c", x5c(other)).without("x5t", "x5t#S256"), jwk.ErrMalformed)
		refuse(t, f.with("x5c", x5c([]*x509.Certificate{chain[1], chain[0]})).without("x5t", "x5t#S256"), jwk.ErrMalformed)
		refuse(t, f.with("x5t", sha1Of(chain[1])), jwk.ErrMalformed)
		refuse(t, f.with("x5t#S256", sha256Of(chain[1])), jwk.ErrMalformed)
		if k, err := accept(t, f).WithCertificates(other...); k != nil || !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%s: WithCertificates: %v, %v", alg, k, err)
		}
	}
	secret := generated(t, jwk.HS256)
	_, chain := certified(t, a, jwk.ES256)
	refuse(t, secret.with("x5c", x5c(chain)), jwk.ErrMalformed)
}

// In a set the others stay, and the one that is left out says why.
func TestThreat128CertificateOfAnotherKeyInASet(t *testing.T) {
	a := josetest.NewAuthority(t)
	good, chain := certified(t, a, jwk.ES256)
	bad := generated(t, jwk.ES256).with("kid", "bad").with("x5c", x5c(chain))
	set, err := jwk.ParseSet(mustJSON(t, map[string]any{"keys": []fields{bad.public(), good.public()}}))
	if err != nil {
		t.Fatal(err)
	}
	skipped := set.Skipped()
	if set.Len() != 1 || len(skipped) != 1 || skipped[0].KeyID != "bad" || !errors.Is(skipped[0].Err, jwk.ErrMalformed) {
		t.Errorf("%d keys, skipped %v", set.Len(), skipped)
	}
}

func TestX5CIsStrict(t *testing.T) {
	a := josetest.NewAuthority(t)
	f, chain := certified(t, a, jwk.ES256)
	f = f.without("x5t", "x5t#S256")
	text := x5c(chain)
	der := chain[0].Raw
	many := append(text, text...)
	for name, bad := range map[string]any{
		"null": nil, "a string": text[0], "empty": []string{}, "number": []any{1}, "null inside": []any{text[0], nil},
		"base64url": []string{wire.Encode(der)}, "line end": []string{text[0][:64] + "\n" + text[0][64:]},
		"stray": []string{base64.StdEncoding.EncodeToString(append(bytes.Clone(der), 0))}, "cut": []string{base64.StdEncoding.EncodeToString(der[:len(der)-1])},
		"not a certificate": []string{base64.StdEncoding.EncodeToString(chain[0].RawSubjectPublicKeyInfo)},
		"second broken":     []string{text[0], "AAAA"}, "nested": []any{text}, "too many": append(many, append(many, text[0])...),
	} {
		if _, err := jwk.Parse(f.with("x5c", bad).json(t)); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	accept(t, f.with("x5c", append(many, many...)))
	for _, name := range []string{"x5t", "x5t#S256"} {
		size := map[string]int{"x5t": 20, "x5t#S256": 32}[name]
		for _, bad := range []any{nil, "", 1, wire.Encode(make([]byte, size-1)), wire.Encode(make([]byte, size+1)), strings.Repeat("ab", size)} {
			refuse(t, generated(t, jwk.ES256).with(name, bad), jwk.ErrMalformed)
		}
		accept(t, generated(t, jwk.ES256).with(name, wire.Encode(make([]byte, size))))
	}
}

// A key in a certificate meets the bounds of every other key, before it is used.
func TestThreat36WeakRSAInACertificate(t *testing.T) {
	a := josetest.NewAuthority(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	f, chain := certified(t, a, jwk.ES256)
	weak := a.Issue(t, &short.PublicKey)
	refuse(t, f.with("x5c", x5c([]*x509.Certificate{chain[0], weak[0]})), jwk.ErrWeakKey)
	huge := &rsa.PublicKey{N: short.N, E: short.E}
	huge.N.Lsh(huge.N, 9000).SetBit(huge.N, 0, 1)
	refuse(t, f.with("x5c", x5c([]*x509.Certificate{chain[0], a.Issue(t, huge)[0]})), jwk.ErrMalformed)
}

func TestVerifyCertificates(t *testing.T) {
	a, stranger := josetest.NewAuthority(t), josetest.NewAuthority(t)
	at := func(d time.Duration) func() time.Time { return func() time.Time { return josetest.Now.Add(d) } }
	good := jwk.CertificateOptions{Roots: a.Roots, Now: at(0)}
	for _, alg := range certifiable[:6] {
		f, chain := certified(t, a, alg)
		k := accept(t, f)
		if err := k.VerifyCertificates(good); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		between := x509.NewCertPool()
		between.AddCert(chain[1])
		alone, err := k.WithCertificates(chain[0])
		if err != nil {
			t.Fatal(err)
		}
		given := good
		given.Intermediates = between
		if err := alone.VerifyCertificates(given); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		bare, _ := k.WithCertificates()
		for name, c := range map[string]struct {
			key  *jwk.Key
			opts jwk.CertificateOptions
		}{
			"another root":      {k, jwk.CertificateOptions{Roots: stranger.Roots, Now: at(0)}},
			"no root":           {k, jwk.CertificateOptions{Roots: x509.NewCertPool(), Now: at(0)}},
			"expired":           {k, jwk.CertificateOptions{Roots: a.Roots, Now: at(25 * time.Hour)}},
			"early":             {k, jwk.CertificateOptions{Roots: a.Roots, Now: at(-25 * time.Hour)}},
			"nothing between":   {alone, good},
			"none":              {bare, good},
			"for servers alone": {certifiedBy(t, a, alg, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), jwk.CertificateOptions{Roots: a.Roots, Now: at(0), ExtKeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}},
			"not for signing":   {certifiedBy(t, a, alg, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), good},
			"for certificates":  {certifiedBy(t, a, alg, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }), good},
		} {
			err := c.key.VerifyCertificates(c.opts)
			if !errors.Is(err, jwk.ErrCertificate) {
				t.Errorf("%s, %s: %v", alg, name, err)
				continue
			}
			for _, word := range []string{"leaf", "between", "root\""} {
				if strings.Contains(err.Error(), word) {
					t.Errorf("%s: the error quotes the certificate: %v", name, err)
				}
			}
		}
		// Not a refusal: the roots of the system were asked otherwise.
		if err := k.VerifyCertificates(jwk.CertificateOptions{Now: at(0)}); err == nil || errors.Is(err, jwk.ErrCertificate) {
			t.Errorf("without roots: %v", err)
		}
		if err := k.VerifyCertificates(jwk.CertificateOptions{Roots: a.Roots}); err == nil {
			t.Error("verified by no clock at all")
		}
		anyUse := certifiedBy(t, a, alg, func(c *x509.Certificate) { c.KeyUsage = 0 })
		if err := anyUse.VerifyCertificates(good); err != nil {
			t.Errorf("%s: without key usage: %v", alg, err)
		}
	}
	f, _ := certified(t, a, jwk.RSAOAEP256)
	if err := accept(t, f).VerifyCertificates(good); !errors.Is(err, jwk.ErrCertificate) {
		t.Errorf("digitalSignature for a key that encrypts: %v", err)
	}
	agreeing := certifiedBy(t, a, jwk.ES256, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })
	data, err := agreeing.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var g fields
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	if err := accept(t, g.with("alg", "ECDH-ES").with("use", "enc")).VerifyCertificates(good); err != nil {
		t.Errorf("keyAgreement for ECDH-ES: %v", err)
	}
}

// certifiedBy returns a key with a certificate that change has altered.
func certifiedBy(t testing.TB, a *josetest.Authority, alg jwk.Algorithm, change func(*x509.Certificate)) *jwk.Key {
	t.Helper()
	k := accept(t, generated(t, alg))
	k, err := k.WithCertificates(a.Issue(t, cryptoPublic(t, k), change)...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCertificatesInPEM(t *testing.T) {
	a := josetest.NewAuthority(t)
	for _, alg := range certifiable {
		f, chain := certified(t, a, alg)
		k := accept(t, f)
		text := k.MarshalCertificatesPEM()
		got, err := jwk.ParseCertificates(text)
		if err != nil || len(got) != 2 || !got[1].Equal(chain[1]) {
			t.Fatalf("%s: %v", alg, err)
		}
		single, err := k.WithCertificates(chain[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{text, single.MarshalCertificatesPEM()} {
			again, err := jwk.ParsePEM(text, jwk.Params{Algorithm: alg})
			if err != nil || again.IsPrivate() || again.Thumbprint() != k.Thumbprint() || !again.Certificates()[0].Equal(chain[0]) {
				t.Errorf("%s: %v", alg, err)
			}
		}
		again, err := jwk.ParseDER(chain[0].Raw, jwk.Params{Algorithm: alg})
		if err != nil || again.Thumbprint() != k.Thumbprint() || len(again.Certificates()) != 1 {
			t.Errorf("%s: %v", alg, err)
		}
	}
	f, _ := certified(t, a, jwk.ES256)
	k := accept(t, f)
	private, err := k.MarshalPrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	chain := k.MarshalCertificatesPEM()
	for name, data := range map[string][]byte{
		"a key before it": append(bytes.Clone(private), chain...), "a key behind it": append(bytes.Clone(chain), private...),
		"nothing": nil, "text behind it": append(bytes.Clone(chain), "subject=/CN=x"...), "too many": bytes.Repeat(chain, 5),
		"too large": append(bytes.Clone(chain), bytes.Repeat([]byte{'\n'}, jwk.MaxKey)...),
	} {
		if _, err := jwk.ParseCertificates(data); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := jwk.ParsePEM(data, jwk.Params{}); !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%s: ParsePEM: %v", name, err)
		}
	}
	if _, err := k.WithCertificates(nil); !errors.Is(err, jwk.ErrMalformed) {
		t.Error(err)
	}
	if _, err := jwk.ParseCertificates(private); err == nil || !strings.Contains(err.Error(), `"PRIVATE KEY"`) {
		t.Errorf("does not name what it got: %v", err)
	}
}

// The SHA-1 in "x5t" is a name. Where FIPS 140-3 is enforced crypto/sha1 panics, and
// a key set of somebody else, or the header of a token, would end the program. The
// test runs itself again in that mode.
func TestThreat128ThumbprintsInFIPSOnlyMode(t *testing.T) {
	if !fips140.Enforced() {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	chain := josetest.NewAuthority(t).Issue(t, cryptoPublic(t, accept(t, generated(t, jwk.ES256))))
	k, err := jwk.FromCertificates(chain, jwk.Params{})
	if err != nil {
		t.Fatal(err)
	}
	x5t, _ := k.CertificateThumbprints()
	accept(t, fieldsOf(t, k).with("x5t", x5t))
	refuse(t, fieldsOf(t, k).with("x5t", wire.Encode(make([]byte, 20))), jwk.ErrMalformed)
}
