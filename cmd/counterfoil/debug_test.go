package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/notary/remote"
	"github.com/counterfoil/counterfoil/verifier"
)

const metricsDoc = "../../docs/metrics.md"

// A program's own figures, as they are when nothing has happened yet.
func registries() (names []string, of map[string]*prometheus.Registry) {
	of = map[string]*prometheus.Registry{"serve": newRegistry(), "guard": newRegistry(), "notary": newRegistry()}
	of["serve"].MustRegister(
		collect("", append(issuerFigures(), forgeryFigures()...), func() map[string]issuer.Status { return map[string]issuer.Status{"": {}} }),
		collect("alg", keyFigures(), func() map[string]keyCounts { return countKeys([]keyring.Info{{Algorithm: "ES256"}}) }),
	)
	of["guard"].MustRegister(collect("issuer", verifierFigures(), func() map[string]verifier.Status {
		return map[string]verifier.Status{"https://id.example": {}}
	}))
	of["notary"].MustRegister(collect("", notaryFigures(), func() map[string]remote.Counts { return map[string]remote.Counts{"": {}} }))
	names = []string{"serve", "guard", "notary"}
	for _, name := range names {
		handler := measured(of[name], http.NotFoundHandler())
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	return names, of
}

// Names and helps are as Prometheus wants them, and docs/metrics.md has them all:
// go test -update.
func TestMetricsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Metrics\n\nMade from what the programs tell by a test; run `go test ./cmd/counterfoil -run Documented -update`.\n\n" +
		"`serve`, `guard` and `notary` answer `GET /metrics`, and profiles at `/debug/pprof/`, on `--debug-listen ADDR`: an address on loopback or\n" +
		"`unix:PATH`, none by default. Counters begin at zero with the process, and are those of one node. No label is made of what a client sends:\n" +
		"routes are the program's patterns, issuers those of the configuration.\n\n" +
		"The Go runtime's `go_*` and the process's `process_*` are there too.\n")
	names, of := registries()
	for _, name := range names {
		problems, err := testutil.GatherAndLint(of[name])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | |\n|---|---|---|---|\n", name)
		metricRows(t, &b, of[name])
	}
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(metricsDoc); err != nil || string(got) != b.String() {
		t.Error("docs/metrics.md is not what the programs tell: go test ./cmd/counterfoil -run Documented -update", err)
	}
}

func metricRows(t *testing.T, b *strings.Builder, r *prometheus.Registry) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "counterfoil_") {
			continue
		}
		values := map[string][]string{}
		var labels []string
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(labels, l.GetName()) {
					labels = append(labels, l.GetName())
				}
				if !slices.Contains(values[l.GetName()], l.GetValue()) {
					values[l.GetName()] = append(values[l.GetName()], l.GetValue())
				}
			}
		}
		for i, l := range labels {
			labels[i] = "`" + l + "`"
			if len(values[l]) > 1 { // a fixed list, and not an example
				labels[i] += " = " + strings.Join(values[l], ", ")
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, "; "), f.GetHelp())
	}
}

// The path that a client asks for makes no series.
func TestRoutesAreBounded(t *testing.T) {
	r := newRegistry()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /a/{name}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	handler := measured(r, mux)
	for i := range 100 {
		for _, path := range []string{"/a/", "/b/", "/"} {
			for _, method := range []string{"GET", "M" + strings.Repeat("X", i)} {
				handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, fmt.Sprintf("%s%d", path, i), nil))
			}
		}
	}
	if n, err := testutil.GatherAndCount(r, "counterfoil_http_requests_total"); err != nil || n != 3 { // the pattern; 404 and 405 of no pattern
		t.Errorf("%d series, %v", n, err)
	}
}

func TestDebugAddresses(t *testing.T) {
	for addr, good := range map[string]bool{
		"": true, "127.0.0.1:0": true, "127.1.2.3:9": true, "[::1]:9": true, "localhost:9": true, "unix:/tmp/s": true, "[::ffff:127.0.0.1]:9": true,
		":9": false, "0.0.0.0:9": false, "[::]:9": false, "10.0.0.1:9": false, "example.org:9": false, "127.0.0.1": false, "unix:": false,
		"localhost.example:9": false, "127.0.0.1.example.org:9": false,
	} {
		if err := checkDebugAddress(addr); (err == nil) != good {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

// A page in a browser on this machine can let its own name point to loopback.
func TestDebugListenerHasNoOtherName(t *testing.T) {
	server := httptest.NewServer(debugHandler(newRegistry()))
	defer server.Close()
	for host, want := range map[string]int{
		"": http.StatusOK, "localhost": http.StatusOK, "localhost:1234": http.StatusOK, "[::1]:80": http.StatusOK, "[::1]": http.StatusOK,
		"evil.example": http.StatusMisdirectedRequest, "evil.example:80": http.StatusMisdirectedRequest, "127.0.0.1.evil.example": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"/metrics", "/debug/pprof/cmdline"} {
			req, err := http.NewRequest("GET", server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if host != "" {
				req.Host = host
			}
			res, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("Host %q: %s: %d, want %d", host, path, res.StatusCode, want)
			}
		}
	}
}

// Without an address there is no listener, and the servers stay as they are.
func TestNoDebugListenerByDefault(t *testing.T) {
	ln, err := listenDebug(defaultConfig().Serve.DebugListen)
	if ln != nil || err != nil {
		t.Errorf("%v, %v", ln, err)
	}
	if got := withDebug(nil, newRegistry(), slog.New(slog.DiscardHandler), serving{}); len(got) != 1 {
		t.Errorf("%d servers", len(got))
	}
}
