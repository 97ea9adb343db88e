package remote_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/testlog"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/notary/remote"
)

var slogDiscard = slog.New(slog.DiscardHandler)

var secret = notary.Secret([]byte("0123456789abcdef0123456789abcdef"))

const header = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiYXQrand0In0"

var rest = []byte(`,"iss":"https://id.example","sub":"alice","aud":"orders"}`)

func newEscrow(t testing.TB) *notary.Escrow {
	t.Helper()
	key, err := jwk.Generate(jwk.Params{Algorithm: notary.ReleaseAlgorithm, KeyID: "release-1"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwk.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	escrow, err := notary.NewEscrow(keys)
	if err != nil {
		t.Fatal(err)
	}
	return escrow
}

// A process is a notary that a test started.
type process struct {
	url string
	log *testlog.Buffer
	end func() // and wait
}

// start serves a notary on a listener until the test ends.
func start(t testing.TB, s *remote.Server, ln net.Listener, url string) *process {
	t.Helper()
	p := &process{url: url, log: new(testlog.Buffer)}
	s.Log = slog.New(slog.NewTextHandler(p.log, nil))
	if s.Notary == nil {
		s.Notary = notary.NewLocal(secret)
	}
	if s.Escrow == nil {
		s.Escrow = newEscrow(t)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	p.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(p.end)
	return p
}

func socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "notary") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func startUnix(t testing.TB, path string, s *remote.Server) *process {
	t.Helper()
	ln, err := serve.ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, s, ln, "unix:"+path)
}

func open(t testing.TB, cfg remote.Config) *remote.Client {
	t.Helper()
	c, err := remote.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// An authority makes certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its own certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.file = a.write("CERTIFICATE", a.cert.Raw)
	return a
}

// sign makes a certificate, by itself when there is no authority yet.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue makes the files of a certificate.
func (a *authority) issue(name string, use x509.ExtKeyUsage) (cert, key string) {
	a.t.Helper()
	c, k := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	})
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write("CERTIFICATE", c.Raw), a.write("PRIVATE KEY", der)
}

func (a *authority) write(kind string, der []byte) string {
	a.t.Helper()
	f, err := os.CreateTemp(a.t.TempDir(), "*.pem")
	if err != nil {
		a.t.Fatal(err)
	}
	defer f.Close()
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		a.t.Fatal(err)
	}
	return f.Name()
}

// startTLS serves with certificates of a, to clients with certificates of a.
func startTLS(t testing.TB, a *authority, s *remote.Server) *process {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.TLSCert, s.TLSKey = a.issue("localhost", x509.ExtKeyUsageServerAuth)
	s.ClientCA = a.file
	return start(t, s, ln, "https://"+ln.Addr().String())
}

func (a *authority) client(urls ...string) remote.Config {
	cfg := remote.Config{URLs: urls, CA: a.file}
	cfg.Cert, cfg.Key = a.issue("issuer-1", x509.ExtKeyUsageClientAuth)
	return cfg
}
