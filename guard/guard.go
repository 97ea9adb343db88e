package guard

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/verifier"
)

// StatusHeader tells the proxy what the answer to the client should be.
const StatusHeader = "Auth-Status"

// Headers are the names under which identity goes to the service. An empty field
// is its default.
type Headers struct {
	Subject string // default Auth-Subject: "sub"
	Client  string // default Auth-Client: "client_id"
	Scope   string // default Auth-Scope: "scope"
	Session string // default Auth-Session: "sid"
}

// withDefaults returns the names in canonical form.
func (h Headers) withDefaults() Headers {
	return Headers{
		Subject: http.CanonicalHeaderKey(cmp.Or(h.Subject, "Auth-Subject")),
		Client:  http.CanonicalHeaderKey(cmp.Or(h.Client, "Auth-Client")),
		Scope:   http.CanonicalHeaderKey(cmp.Or(h.Scope, "Auth-Scope")),
		Session: http.CanonicalHeaderKey(cmp.Or(h.Session, "Auth-Session")),
	}
}

// reserved are the headers that only a guard may set, as [variable] spells them.
func (h Headers) reserved() []string {
	names := []string{StatusHeader, h.Subject, h.Client, h.Scope, h.Session}
	for i, name := range names {
		names[i] = variable(name)
	}
	return names
}

// Config says what a Guard asks. Verifiers is required.
type Config struct {
	// Verifiers judge the tokens, by issuer. The caller closes them.
	Verifiers map[string]*verifier.Verifier
	// Routes ask for more than a good token; the longest path that fits counts.
	Routes  []Route
	Headers Headers      // default: Auth-Subject, Auth-Client, Auth-Scope, Auth-Session
	Log     *slog.Logger // why requests were refused, at debug level; default: nowhere
}

// A Guard answers the questions of a proxy.
type Guard struct {
	verifiers map[string]*verifier.Verifier
	issuers   []string // sorted keys of verifiers
	routes    routes
	headers   Headers
	reserved  []string
	log       *slog.Logger
}

// New returns a Guard, or says what is wrong with cfg.
func New(cfg Config) (*Guard, error) {
	if len(cfg.Verifiers) == 0 {
		return nil, errors.New("guard: Verifiers is required")
	}
	if err := Check(cfg.Routes, cfg.Headers); err != nil {
		return nil, err
	}
	routes, err := newRoutes(cfg.Routes)
	if err != nil {
		return nil, err
	}
	g := &Guard{verifiers: cfg.Verifiers, routes: routes, headers: cfg.Headers.withDefaults(), log: cfg.Log}
	for issuer := range cfg.Verifiers {
		g.issuers = append(g.issuers, issuer)
	}
	slices.Sort(g.issuers)
	g.reserved = g.headers.reserved()
	slices.Sort(g.reserved)
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	return g, nil
}

// Check returns why [New] would refuse routes or headers.
func Check(list []Route, h Headers) error {
	if _, err := newRoutes(list); err != nil {
		return err
	}
	names := h.withDefaults().reserved()
	if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
		return errors.New("guard: two of Headers have one name")
	}
	return nil
}

// Handler serves /auth, /healthz and /readyz.
func (g *Guard) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/auth", g.auth) // a proxy may ask with the method of the request
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("GET /readyz", serve.Handler(g.log, g.readyz))
	return mux
}

// Ready reports why the guard cannot judge yet, or nil. It is ready when every
// verifier is.
func (g *Guard) Ready() error {
	var all []error
	for _, issuer := range g.issuers {
		all = append(all, g.verifiers[issuer].Ready())
	}
	return errors.Join(all...)
}

func (g *Guard) readyz(w http.ResponseWriter, _ *http.Request) error {
	if err := g.Ready(); err != nil {
		return &serve.Error{Status: http.StatusServiceUnavailable, Code: "not_ready", Description: err.Error()}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
