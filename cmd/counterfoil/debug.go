package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/serve"
)

// maxScrapes is how many readers of /metrics are served at once.
const maxScrapes = 4

func debugFlag(flags *pflag.FlagSet, addr *string) {
	flags.StringVar(addr, "debug-listen", *addr, "`ADDR` for metrics and profiles: HOST:PORT on loopback or unix:PATH (default none)")
}

// checkDebugAddress refuses an address that others can reach: a profile tells what
// a process does, and costs it time.
func checkDebugAddress(addr string) error {
	if addr == "" {
		return nil
	}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok && path != "" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !isLoopbackName(host) {
		return fmt.Errorf("HOST:PORT on loopback or unix:PATH, not %q", addr)
	}
	return nil
}

// isLoopbackName reports whether a host is this machine, by a name that no
// resolver can answer otherwise.
func isLoopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// listenDebug listens on an address that was checked; without one it returns nil.
// Only the process's own user can open its socket.
func listenDebug(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return serve.ListenUnix(path, 0o600)
	}
	return listen(addr)
}

// newRegistry returns a registry with what every process tells of itself.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "counterfoil_build_info", Help: "1; the version is a label.", ConstLabels: prometheus.Labels{"version": programVersion()},
	})
	build.Set(1)
	r.MustRegister(build)
	return r
}

// withDebug adds a server for metrics and profiles on ln, unless that is nil.
func withDebug(ln net.Listener, r *prometheus.Registry, log *slog.Logger, servers ...serving) []serving {
	if ln == nil {
		return servers
	}
	log.Info("metrics and profiles", "listen", ln.Addr().String())
	return append(servers, serving{&serve.Server{Handler: debugHandler(r), Log: log}, []net.Listener{ln}})
}

func debugHandler(r *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return ownHostOnly(mux)
}

// ownHostOnly refuses what a page in a browser on this machine can ask for: a name
// of its own that it lets point to loopback.
func ownHostOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); !ok || local.Network() != "unix" {
			host, _, err := net.SplitHostPort(r.Host)
			if err != nil {
				host = strings.Trim(r.Host, "[]")
			}
			if !isLoopbackName(host) {
				http.Error(w, fmt.Sprintf("this is %s", http.StatusText(http.StatusMisdirectedRequest)), http.StatusMisdirectedRequest)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
