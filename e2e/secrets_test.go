package e2e_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testport"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
)

// A secret is key material that must not leave the processes that hold it.
type secret struct {
	name  string
	bytes []byte
}

// leastSecret is the size of the shortest secret that is searched for, in bytes.
const leastSecret = 16

// secretsOf collects what serve, guard and notary hold: everything sealed in the
// database, the key it is sealed under, the feed's secret, and the notary's files.
func secretsOf(t *testing.T, iss *issuerUnderTest, n *notaryUnderTest) (all []secret) {
	t.Helper()
	th := newThief(t, iss)
	kek, err := th.kek.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, privateMembers(t, "kek", kek)...)
	db, err := sql.Open(th.driver, th.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT state, sealed FROM keys WHERE sealed != '' UNION SELECT name, sealed FROM secrets WHERE sealed LIKE 'ey%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, sealed string
		if err := rows.Scan(&name, &sealed); err != nil {
			t.Fatal(err)
		}
		// What waits under the notary's own layer is not in the issuer either.
		if plain, err := jwe.Decrypt(th.kek, jwe.Policy{Algorithm: "A256GCMKW", Encryption: "A256GCM"}, sealed); err == nil {
			all = append(all, privateMembers(t, name, plain)...)
		}
	}
	files := []string{filepath.Join(iss.data, "notary.key")}
	if n != nil {
		files = append(files, filepath.Join(n.data, "notary.key"), filepath.Join(n.data, "release.json"))
	}
	for _, name := range files {
		all = append(all, fileSecrets(t, name)...)
	}
	return all
}

// privateMembers are the private parts of a JWK (RFC 7518, Section 6).
func privateMembers(t *testing.T, name string, data []byte) (all []secret) {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"d", "k", "p", "q", "dp", "dq", "qi"} {
		if text, ok := members[member].(string); ok {
			raw, err := wire.Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, secret{name + "." + member, raw})
		}
	}
	return all
}

// fileSecrets reads a JWK, or a secret in each line; a file that is not there has none.
func fileSecrets(t *testing.T, name string) (all []secret) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	if data = bytes.TrimSpace(data); data[0] == '{' {
		return privateMembers(t, filepath.Base(name), data)
	}
	for line := range strings.Lines(string(data)) {
		raw, err := wire.Decode(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, secret{filepath.Base(name), raw})
	}
	return all
}

// forms are the ways in which a program would let a secret slip: as it is, in the
// encodings of text, as fmt prints bytes and numbers, and in machine words, which
// is how a goroutine's trace prints the arguments of its functions.
func (s secret) forms() (all []string) {
	b := s.bytes
	all = append(all, string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), new(big.Int).SetBytes(b).String(),
		strings.Trim(fmt.Sprint(b[:leastSecret]), "[]"), strings.ReplaceAll(strings.Trim(fmt.Sprint(b[:leastSecret]), "[]"), " ", ", "))
	for shift := range 3 { // base64 inside of something longer
		text := base64.RawStdEncoding.EncodeToString(b[shift : shift+(len(b)-shift)/3*3])
		all = append(all, text, strings.NewReplacer("+", "-", "/", "_").Replace(text))
	}
	for i := 0; i+8 <= len(b); i += 8 {
		all = append(all, fmt.Sprintf("%#x", binary.LittleEndian.Uint64(b[i:])), fmt.Sprintf("%#x", binary.BigEndian.Uint64(b[i:])))
	}
	return all
}

// A needle is one form of a secret.
type needle struct {
	secret string
	form   []byte
}

func needles(t *testing.T, secrets []secret) (all []needle) {
	t.Helper()
	for _, s := range secrets {
		if len(s.bytes) < leastSecret {
			t.Fatalf("%s has %d bytes", s.name, len(s.bytes))
		}
		for _, form := range s.forms() {
			all = append(all, needle{s.name, []byte(form)})
		}
	}
	return all
}

// noLeak looks for secrets in what came out of a process.
func noLeak(t *testing.T, where string, out []byte, all []needle) {
	t.Helper()
	for _, n := range all {
		if bytes.Contains(out, n.form) {
			t.Errorf("%s holds %s", where, n.secret)
		}
	}
}

// unzipped returns what is in a profile.
func unzipped(out []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(out))
	if err != nil {
		return out
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return out
	}
	return plain
}

// A place is a program with its debug listener.
type place struct {
	*process
	socket string
}

func (p place) client() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", p.socket)
		},
	}}
}

func (p place) answers() error {
	client := p.client()
	defer client.CloseIdleConnections()
	return ready(client, "http://localhost/metrics")()
}

// debugPaths are all that a debug listener tells.
var debugPaths = []string{
	"/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine?debug=2",
	"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs",
	"/debug/pprof/goroutine?debug=1", "/debug/pprof/goroutine?debug=2", "/debug/pprof/block?debug=1", "/debug/pprof/mutex?debug=1",
	"/debug/pprof/threadcreate?debug=2", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1",
}

// read asks everything once.
func (p place) read(t *testing.T, all []needle) (bytesRead int) {
	t.Helper()
	client := p.client()
	defer client.CloseIdleConnections()
	for _, path := range debugPaths {
		res, err := client.Get("http://localhost" + path)
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s%s: %d, %v", p.name, path, res.StatusCode, err)
		}
		plain := unzipped(out)
		bytesRead += len(plain)
		noLeak(t, p.name+path, plain, all)
		noLeak(t, p.name+path, out, all)
	}
	return bytesRead
}

func newDebuggedNotary(t *testing.T, debug string) *notaryUnderTest {
	t.Helper()
	dir := t.TempDir()
	n := &notaryUnderTest{data: filepath.Join(dir, "notary"), socket: filepath.Join(dir, "notary.sock")}
	n.process = start(t, "notary", nil, binaries.counterfoil, "notary", "--data", n.data, "--listen", "unix:"+n.socket,
		"--debug-listen", "unix:"+debug, "--log-level", "debug")
	waitFor(t, n.process, "listening notary", place{n.process, debug}.answers)
	return n
}

func newDebuggedGuard(t *testing.T, iss *issuerUnderTest, debug string) *guardUnderTest {
	t.Helper()
	g := &guardUnderTest{addr: fmt.Sprintf("127.0.0.1:%d", testport.Free(t))}
	g.url = "http://" + g.addr
	g.process = start(t, "guard", nil, binaries.counterfoil, "guard", "--issuer", iss.url, "--audience", "api", "--listen", g.addr,
		"--credential", iss.credential(t, "guard"), "--debug-listen", "unix:"+debug, "--log-level", "debug")
	waitFor(t, g.process, "ready guard", ready(plain, g.url+"/readyz"))
	return g
}

// busy signs in, refreshes and asks the guard until it is stopped.
func busy(t *testing.T, iss *issuerUnderTest, g *guardUnderTest) (stop func()) {
	t.Helper()
	var work sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				_, got, err := iss.post("/sign-in", map[string]any{"username": "alice", "password": password})
				if err != nil {
					continue // while the process dies
				}
				iss.refresh(got.Refresh)
				ask(g.url+"/auth", got.Access)
			}
		})
	}
	return sync.OnceFunc(func() { close(done); work.Wait() })
}

// Nothing that a process writes or answers holds a secret: log, metrics, profiles,
// traces of all goroutines in the middle of their work, and what the runtime prints
// when it dies.
func TestThreat99NoSecretInDebugOutput(t *testing.T) {
	dir := t.TempDir()
	n := newDebuggedNotary(t, filepath.Join(dir, "n.sock"))
	iss := newIssuer(t, nil, "--notary-at", "unix:"+n.socket, "--debug-listen", "unix:"+filepath.Join(dir, "i.sock"), "--log-level", "debug")
	iss.addUser(t, "alice")
	g := newDebuggedGuard(t, iss, filepath.Join(dir, "g.sock"))
	all := needles(t, secretsOf(t, iss, n))
	t.Logf("%d forms of secrets", len(all))

	stop := busy(t, iss, g)
	defer stop()
	places := []place{{iss.process, filepath.Join(dir, "i.sock")}, {g.process, filepath.Join(dir, "g.sock")}, {n.process, filepath.Join(dir, "n.sock")}}
	for _, p := range places {
		t.Logf("%s: %d bytes", p.name, p.read(t, all))
	}
	for _, p := range places {
		p.cmd.Process.Signal(syscall.SIGQUIT) // prints what all goroutines are at
		<-p.done
		if !strings.Contains(p.out.String(), "SIGQUIT") {
			t.Errorf("%s died silently", p.name)
		}
		noLeak(t, "output of "+p.name, []byte(p.out.String()), all)
	}
}

// The search finds a secret in each form in which it is planted.
func TestThreat99SearchFinds(t *testing.T) {
	s := secret{"planted", []byte("0123456789abcdef\xfe\xff\xfb\xef0123456789ab")}
	all := needles(t, []secret{s})
	for _, out := range []string{
		string(s.bytes), fmt.Sprintf("%x", s.bytes), fmt.Sprintf("%X", s.bytes), fmt.Sprint(s.bytes), fmt.Sprintf("%v", [32]byte(s.bytes)),
		"x" + wire.Encode(s.bytes), base64.StdEncoding.EncodeToString(append([]byte("a"), s.bytes...)), base64.URLEncoding.EncodeToString(append([]byte("ab"), s.bytes...)),
		new(big.Int).SetBytes(s.bytes).String(), fmt.Sprintf("main.f({%#x, 0x0})", binary.LittleEndian.Uint64(s.bytes)),
	} {
		found := false
		for _, n := range all {
			found = found || strings.Contains(out, string(n.form))
		}
		if !found {
			t.Errorf("not found in %q", out)
		}
	}
}

// A file that is broken is complained of without being quoted.
func TestThreat99NoSecretInErrors(t *testing.T) {
	iss := newIssuer(t, nil)
	all := needles(t, secretsOf(t, iss, nil))
	iss.stop()
	for _, name := range []string{"kek.json", "notary.key"} {
		path := filepath.Join(iss.data, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{
			good[:len(good)-4], append(bytes.TrimSpace(good), good...), append([]byte("x"), good...), append(good, '}'), bytes.Replace(good, []byte(`"k"`), []byte(`"K"`), 1),
			bytes.ToUpper(good),
		} {
			if bytes.Equal(bad, good) {
				continue
			}
			write(t, path, bad)
			p := start(t, "issuer with a broken "+name, nil, append(iss.argv(t), "--log-level", "debug")...)
			select {
			case <-p.done:
			case <-time.After(startLimit):
				t.Fatalf("started with a broken %s", name)
			}
			if p.err == nil {
				t.Errorf("a broken %s was no error", name)
			}
			noLeak(t, "error about "+name, []byte(p.out.String()), all)
		}
		write(t, path, good)
	}
}
