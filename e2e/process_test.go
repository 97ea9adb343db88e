// Package e2e starts the real programs (issuer, guards, nginx, PostgreSQL,
// strace) and watches them from outside, as their users do.
package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testlog"
)

// startLimit is how long a process may take until it answers; generous,
// because the machine may be busy with other tests.
const startLimit = 30 * time.Second

var binaries struct {
	dir         string
	counterfoil string
	orders      string
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "counterfoil-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries.dir = dir
	binaries.counterfoil = filepath.Join(dir, "counterfoil")
	binaries.orders = filepath.Join(dir, "orders")
	for out, pkg := range map[string]string{binaries.counterfoil: "../cmd/counterfoil", binaries.orders: "../examples/orders"} {
		cmd := exec.Command("go", "build", "-o", out, pkg)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build", pkg, err)
			return 1
		}
	}
	return m.Run()
}

// needProgram returns the path of a program, or ends the test: in CI by
// failing, elsewhere by leaving it out in words.
func needProgram(t *testing.T, name, debianPackage string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: apt-get install %s", name, debianPackage)
	}
	t.Skipf("left out: needs %s (apt-get install %s)", name, debianPackage)
	return ""
}

// A process is a program under test; its output is kept for the failure report.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	out  testlog.Buffer
	done chan struct{}
	err  error
}

// start runs a program until the test ends or stop is called.
func start(t *testing.T, name string, env []string, argv ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, tail(p.out.String(), 8<<10))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop ends the process with SIGTERM, and with SIGKILL when it does not drain.
func (p *process) stop() {
	if !p.running() {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * 12 * time.Second / 4):
		p.t.Errorf("%s did not end within its drain time", p.name)
		p.kill()
	}
}

// kill ends the process at once, as a crash would.
func (p *process) kill() {
	if p.running() {
		p.cmd.Process.Kill()
		<-p.done
	}
}

// waitFor polls until ok answers nil.
func waitFor(t *testing.T, p *process, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(startLimit)
	var err error
	for time.Now().Before(deadline) {
		if err = ok(); err == nil {
			return
		}
		if p != nil && !p.running() {
			t.Fatalf("%s ended before %s: %v\n%s", p.name, what, p.err, tail(p.out.String(), 4<<10))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %s within %v: %v", what, startLimit, err)
}

// ready asks a health endpoint, which answers with some 2xx.
func ready(client *http.Client, url string) func() error {
	return func() error {
		res, err := client.Get(url)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode/100 != 2 {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		return nil
	}
}

func statusIs(client *http.Client, url string, want int) func() error {
	return func() error {
		res, err := client.Get(url)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		if res.StatusCode != want {
			return fmt.Errorf("status %d: %s", res.StatusCode, body)
		}
		return nil
	}
}

// A certificate is a self-signed one for localhost, trusted by the processes
// that get its env and by its client.
type certificate struct {
	cert, key string // files
	pool      *x509.CertPool
}

func newCertificate(t *testing.T) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := certificate{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.pool.AppendCertsFromPEM(certPEM)
	write(t, c.cert, certPEM)
	write(t, c.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return c
}

func (c certificate) client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.pool}, MaxIdleConnsPerHost: 128,
	}}
}

func (c certificate) env() []string { return []string{"SSL_CERT_FILE=" + c.cert} }

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs counterfoil to its end and returns what it wrote to stdout.
func command(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := tryCommand(stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryCommand(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binaries.counterfoil, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", errors.New("counterfoil " + strings.Join(args, " ") + ": " + err.Error() + ": " + stderr.String())
	}
	return stdout.String(), nil
}
