package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/notary"
)

// How many requests are worked on at once. Checks have slots of their own, so that
// no flood of reports keeps tokens from being minted. A body is read before its
// request takes such a slot; reports, which are large, are read in slots for that.
const (
	maxTags     = 256
	maxChecks   = 16
	maxReleases = 4
	maxReports  = 64 // of at most notary.MaxReport bytes each

	// bodyTimeout is how long a body may take to arrive: nobody waits longer for
	// the answer.
	bodyTimeout = DefaultTimeout

	maxWait    = 500 * time.Millisecond // for a slot
	retryAfter = time.Second
)

// A Server is the notary's end. Notary, Escrow and Log are required, and for
// listeners that are no unix sockets also TLSCert, TLSKey and ClientCA.
type Server struct {
	Notary *notary.Local
	Escrow *notary.Escrow
	Log    *slog.Logger

	TLSCert, TLSKey string        // PEM files, read again when they change
	ClientCA        string        // PEM file with the authorities of the certificates of those who may ask
	Drain           time.Duration // for requests under way at the end; default [serve.DefaultDrain]

	Around func(http.Handler) http.Handler // called once, around the handler, for figures; default nothing

	counts counts
}

type counts struct{ tags, witnesses, checked, wrong, released, notReleased atomic.Uint64 }

// Counts are what a [Server] did since it was made.
type Counts struct {
	Tags, Witnesses       uint64
	Checked, Wrong        uint64 // records
	Released, NotReleased uint64 // standby keys; those that were not sealed here
}

// Counts returns the counts by now.
func (s *Server) Counts() Counts {
	c := &s.counts
	return Counts{
		Tags: c.tags.Load(), Witnesses: c.witnesses.Load(), Checked: c.checked.Load(), Wrong: c.wrong.Load(),
		Released: c.released.Load(), NotReleased: c.notReleased.Load(),
	}
}

// A PlainError reports a listener on which anybody could ask the notary.
type PlainError struct{ Addr string }

func (e *PlainError) Error() string {
	return "refusing to listen on " + e.Addr + ": beyond a unix socket both ends need a certificate"
}

// Serve answers until ctx ends, and then finishes what is under way. It closes the
// listeners. The error is a [*PlainError] for a network without certificates, on
// loopback too.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if err := s.Check(listeners...); err != nil {
		for _, ln := range listeners {
			ln.Close()
		}
		return err
	}
	handler := s.Handler()
	if s.Around != nil {
		handler = s.Around(handler)
	}
	return s.server(handler).Serve(ctx, listeners...)
}

// Check returns what [Server.Serve] would refuse the listeners for, and leaves
// them open.
func (s *Server) Check(listeners ...net.Listener) error {
	if s.Notary == nil || s.Escrow == nil || s.Log == nil {
		return errors.New("remote: Notary, Escrow and Log are required")
	}
	for _, ln := range listeners {
		if ln.Addr().Network() != "unix" && (s.TLSCert == "" || s.TLSKey == "" || s.ClientCA == "") {
			return &PlainError{ln.Addr().String()}
		}
	}
	return s.server(nil).Check(listeners...)
}

func (s *Server) server(handler http.Handler) *serve.Server {
	return &serve.Server{
		Handler: handler, Log: s.Log, Drain: s.Drain,
		TLSCert: s.TLSCert, TLSKey: s.TLSKey, ClientCA: s.ClientCA,
	}
}

// Handler returns the endpoints. They ask nobody who he is: the listener did.
func (s *Server) Handler() http.Handler {
	h := &handlers{notary: s.Notary, escrow: s.Escrow, log: s.Log, counts: &s.counts}
	mux := http.NewServeMux()
	handle := func(pattern string, h serve.HandlerFunc) {
		mux.Handle(pattern, serve.Handler(s.Log, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Cache-Control", "no-store")
			return h(w, r)
		}))
	}
	handle("POST "+pathTag, limit(maxTags, readJSON[tagRequest](maxTagBody), h.tag))
	handle("POST "+pathCheck, holding(maxReports, limit(maxChecks, readReport, h.check)))
	handle("POST "+pathRelease, limit(maxReleases, readJSON[releaseMessage](maxReleaseBody), h.release))
	handle("GET "+pathWitnessKeys, h.witnessKeys)
	handle("GET "+pathReleaseKey, h.releaseKey)
	handle("GET /healthz", func(http.ResponseWriter, *http.Request) error { return nil })
	handle("GET /readyz", h.ready)
	return mux
}

// limit reads a request, and then bounds how many of them h works on: a client that
// is slow to send one holds no slot. One that gets no slot in time is told to come
// back.
func limit[T any](most int, read func(http.ResponseWriter, *http.Request) (T, error), h func(http.ResponseWriter, *http.Request, T) error) serve.HandlerFunc {
	free := make(slots, most)
	return func(w http.ResponseWriter, r *http.Request) error {
		// Where a connection knows no deadlines, the server's own time limit holds.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		req, err := read(w, r)
		if err != nil {
			return err
		}
		return free.run(r.Context(), func() error { return h(w, r, req) })
	}
}

// holding bounds how many requests are in memory.
func holding(most int, h serve.HandlerFunc) serve.HandlerFunc {
	free := make(slots, most)
	return func(w http.ResponseWriter, r *http.Request) error {
		return free.run(r.Context(), func() error { return h(w, r) })
	}
}

func readJSON[T any](size int64) func(http.ResponseWriter, *http.Request) (*T, error) {
	return func(w http.ResponseWriter, r *http.Request) (*T, error) {
		req := new(T)
		return req, serve.ReadJSON(w, r, size, req)
	}
}

func readReport(w http.ResponseWriter, r *http.Request) ([]notary.Record, error) {
	body, err := serve.ReadBody(w, r, notary.ReportType, notary.MaxReport)
	if err != nil {
		return nil, err
	}
	records, err := notary.ParseReport(body)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	return records, nil
}

// slots bound how many requests are worked on at once.
type slots chan struct{}

func (s slots) run(ctx context.Context, work func() error) error {
	if !s.enter(ctx) {
		return &serve.Error{Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: retryAfter}
	}
	defer func() { <-s }()
	return work()
}

// enter takes a slot, for which it waits a little.
func (s slots) enter(ctx context.Context) bool {
	select {
	case s <- struct{}{}:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	select {
	case s <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// handlers are the endpoints of a notary.
type handlers struct {
	notary *notary.Local
	escrow *notary.Escrow
	log    *slog.Logger
	counts *counts
}

func badRequest(what string) error {
	return &serve.Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: what}
}

// tag makes a jti, and a witness when it was given the whole hash.
func (h *handlers) tag(w http.ResponseWriter, r *http.Request, req *tagRequest) error {
	var answer tagAnswer
	var err error
	if digest, ok := req.digest(); ok {
		answer.ID, err = h.notary.Tag(r.Context(), req.KeyID, digest)
	} else if sum, ok := req.sum(); ok {
		answer.ID, answer.Witness, err = h.notary.TagWitnessSum(r.Context(), req.KeyID, sum)
	} else {
		return badRequest("either digest or sum is required")
	}
	if errors.Is(err, notary.ErrKeyID) {
		return badRequest("this kid cannot be tagged")
	}
	if err != nil {
		return err
	}
	h.counts.tags.Add(1)
	if answer.Witness != "" {
		h.counts.witnesses.Add(1)
	}
	return serve.WriteJSON(w, http.StatusOK, answer)
}

// check answers a report of seen tokens.
func (h *handlers) check(w http.ResponseWriter, r *http.Request, records []notary.Record) error {
	right, err := h.notary.Check(r.Context(), records)
	if err != nil {
		return err
	}
	verdict := make([]byte, len(right))
	wrong := len(right)
	for i, ok := range right {
		if ok {
			verdict[i] = 1
			wrong--
		}
	}
	h.counts.checked.Add(uint64(len(right)))
	h.counts.wrong.Add(uint64(wrong))
	w.Header().Set("Content-Type", verdictType)
	_, err = w.Write(verdict)
	return err
}

// release opens one standby key's outer seal. Each is written down before it goes
// out, with who asked: it should happen when a key begins to sign and at no other
// time.
func (h *handlers) release(w http.ResponseWriter, r *http.Request, req *releaseMessage) error {
	inner, err := h.escrow.Release(r.Context(), req.KeyID, req.Sealed)
	if err != nil {
		h.counts.notReleased.Add(1)
		h.log.Warn("a standby key was asked for that is not sealed here", "client", client(r))
		return &serve.Error{Status: http.StatusBadRequest, Code: codeNotSealed}
	}
	h.counts.released.Add(1)
	h.log.Warn("a standby key was released", "kid", req.KeyID, "client", client(r))
	return serve.WriteJSON(w, http.StatusOK, releaseMessage{Sealed: inner})
}

// client tells who asks, as far as the connection says it.
func client(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "unix"
	}
	cert := r.TLS.PeerCertificates[0]
	return fmt.Sprintf("%.256q serial %x", cert.Subject.String(), cert.SerialNumber)
}

func (h *handlers) witnessKeys(w http.ResponseWriter, r *http.Request) error {
	keys, err := h.notary.WitnessKeys(r.Context())
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, keys)
}

func (h *handlers) releaseKey(w http.ResponseWriter, r *http.Request) error {
	key, err := h.escrow.ReleaseKey(r.Context())
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, key)
}

// ready makes a tag and finds it right.
func (h *handlers) ready(_ http.ResponseWriter, r *http.Request) error {
	const kid = "counterfoil/ready" // which no key has
	jti, err := h.notary.Tag(r.Context(), kid, notary.Digest{})
	if err != nil {
		return err
	}
	record, err := notary.NewRecord(kid, jti, notary.Digest{})
	if err != nil {
		return err
	}
	right, err := h.notary.Check(r.Context(), []notary.Record{record})
	if err == nil && !right[0] {
		err = errors.New("the notary does not know its own tag")
	}
	return err
}
