package issuer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testlog"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

// A clock is the real one plus what a test adds.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// A node is a running issuer on a real SQLite file.
type node struct {
	*issuer.Issuer
	*shared
	url   string // where it listens; shared.url is the issuer
	ring  *keyring.Keyring
	admin *httptest.Server
	log   *testlog.Buffer
}

// shared is what two nodes of one issuer have in common.
type shared struct {
	url    string
	path   string // of the SQLite file, or the URL of a PostgreSQL database
	store  *store.Store
	kek    *jwk.Key
	secret notary.Secret
	clock  *clock
}

func newShared(t *testing.T, url string) *shared {
	t.Helper()
	return sharing(t, url, filepath.Join(t.TempDir(), "db"))
}

// sharing opens the database at path.
func sharing(t *testing.T, url, path string) *shared {
	t.Helper()
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	s := &shared{url: url, path: path, kek: kek, clock: &clock{}, secret: notary.Secret{1, 2, 3}}
	s.open(t)
	t.Cleanup(func() { s.store.Close() })
	return s
}

func (s *shared) open(t *testing.T) {
	t.Helper()
	var err error
	if strings.HasPrefix(s.path, "postgres:") {
		s.store, err = postgres.Open(t.Context(), s.path, postgres.Config{Issuer: s.url})
	} else {
		s.store, err = sqlite.Open(t.Context(), s.path, sqlite.Config{Issuer: s.url, Now: s.clock.Now})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// newNode starts an issuer of its own, on loopback.
func newNode(t *testing.T) *node {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	return startNode(t, server, newShared(t, "http://"+server.Listener.Addr().String()), issuer.Config{})
}

func startNode(t *testing.T, server *httptest.Server, s *shared, cfg issuer.Config) *node {
	t.Helper()
	ring, err := keyring.Open(t.Context(), s.store, keyring.Config{Issuer: s.url, KEK: s.kek, Now: s.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{shared: s, url: "http://" + server.Listener.Addr().String(), ring: ring, log: new(testlog.Buffer)}
	cfg.URL, cfg.Store, cfg.Keyring, cfg.Tagger = s.url, s.store, ring, notary.NewLocal(s.secret)
	cfg.Argon2, cfg.Now = account.Params{Memory: 64, Time: 1, Threads: 1}, s.clock.Now
	cfg.Log = slog.New(slog.NewTextHandler(n.log, nil))
	if n.Issuer, err = issuer.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = n.Issuer
	server.Start()
	n.admin = httptest.NewServer(n.AdminHandler())
	t.Cleanup(func() {
		n.Close()
		server.Close()
		n.admin.Close()
	})
	return n
}

// An answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// into decodes the body.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := wire.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
}

func send(t *testing.T, r *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// request makes a request with headers given as "Name: value".
func request(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func (n *node) get(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	return send(t, request(t, "GET", n.url+path, "", headers...))
}

// do calls the admin API and wants the given status.
func (n *node) do(t *testing.T, want int, method, path, body string) answer {
	t.Helper()
	a := send(t, request(t, method, n.admin.URL+path, body))
	if a.status != want {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

// revoke revokes over the admin API and returns the seq.
func (n *node) revoke(t *testing.T, kind, value string) uint64 {
	t.Helper()
	var out struct {
		Seq uint64 `json:"seq"`
	}
	n.do(t, 200, "POST", "/admin/revoke", fmt.Sprintf(`{"kind":%q,"value":%q}`, kind, value)).into(t, &out)
	return out.Seq
}

// trust opens the trust statement inside the manifest with the root.
func (n *node) trust(t *testing.T) *revocation.Trust {
	t.Helper()
	signed, err := revocation.UnverifiedTrust(n.get(t, "/revocation/manifest").body)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := revocation.OpenTrust(n.ring.Root(), n.ring.Issuer(), signed)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func (n *node) manifest(t *testing.T) *revocation.Manifest {
	t.Helper()
	a := n.get(t, "/revocation/manifest")
	if a.status != 200 {
		t.Fatalf("manifest: %d %s", a.status, a.body)
	}
	m, err := revocation.OpenManifest(n.trust(t).FeedKeys, n.ring.Issuer(), a.body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// load starts a table from what the manifest names, as a verifier does.
func (n *node) load(t *testing.T) *revocation.Table {
	t.Helper()
	table, err := revocation.NewTable(revocation.TableConfig{Issuer: n.ring.Issuer()})
	if err != nil {
		t.Fatal(err)
	}
	m := n.manifest(t)
	start := m.Start()
	if m.Snapshot != nil {
		var shards [][]byte
		for _, name := range m.Snapshot.Shards {
			shards = append(shards, []byte(n.get(t, "/revocation/snapshot/"+name).body))
		}
		if start, err = revocation.DecodeSnapshot(m, shards); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Load(start); err != nil {
		t.Fatal(err)
	}
	return table
}

func at(p revocation.Position) string { return fmt.Sprintf("%d.%d", p.Epoch, p.Seq) }

// A listener reads the feed.
type listener struct {
	t      *testing.T
	n      *node
	trust  *revocation.Trust
	body   io.ReadCloser
	lines  *bufio.Reader
	cancel context.CancelFunc
	data   string // of the last event
}

// follow listens to the feed from a position.
func (n *node) follow(t *testing.T, after string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	resp, err := http.DefaultClient.Do(request(t, "GET", n.url+"/revocation/tail?after="+after, "").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("tail: %s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	l := &listener{t: t, n: n, trust: n.trust(t), body: resp.Body, lines: bufio.NewReader(resp.Body), cancel: cancel}
	t.Cleanup(l.close)
	return l
}

func (l *listener) close() {
	l.cancel()
	l.body.Close()
}

// next returns the next frame and its event id, and io.EOF at the end of the stream.
func (l *listener) next() (*revocation.Frame, string, error) {
	var id, data string
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return nil, "", err
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "" && data != "":
			l.data = data
			f, err := revocation.OpenFrame(l.trust.FeedKeys, l.n.ring.Issuer(), data)
			return f, id, err
		}
	}
}

// apply puts frames into a table until it holds seq.
func (l *listener) apply(table *revocation.Table, seq uint64) {
	l.t.Helper()
	for table.Head().Seq < seq {
		f, id, err := l.next()
		if err != nil {
			l.t.Fatal(err)
		}
		if id != at(f.End()) {
			l.t.Fatalf("event id %s for a frame that ends at %s", id, at(f.End()))
		}
		if err := table.Apply(f); err != nil {
			l.t.Fatalf("frame %d+%d on %d: %v", f.First, len(f.Entries), table.Head().Seq, err)
		}
	}
}

// revokedIn asks a table about a user's token that was minted at rsq.
func (n *node) revokedIn(table *revocation.Table, kind revocation.Kind, value string, rsq uint64) bool {
	return table.Check(revocation.Query{
		RSQ: rsq, Targets: []revocation.Target{n.ring.HandleKey().Target(kind, n.ring.Issuer(), value)},
	}).Revoked
}

// forge signs the payload of a genuine token again with the stolen key, under a jti
// that the notary did not make.
func (n *node) forge(t *testing.T, token string) string {
	t.Helper()
	signer, err := n.ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	u, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	jti, rest, err := notary.SplitPayload(u.UnverifiedPayload())
	if err != nil {
		t.Fatal(err)
	}
	other := "A" + jti[1:]
	if other == jti {
		other = "B" + jti[1:]
	}
	forged, err := signer.Sign(notary.Join(other, rest))
	if err != nil {
		t.Fatal(err)
	}
	return forged
}
