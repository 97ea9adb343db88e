// Package serve is the HTTP plumbing that issuer and guard share: handlers that
// return errors, JSON in and out, an access log that cannot leak a token, and a
// server that stops gracefully.
//
//	mux.Handle("POST /token", serve.Handler(log, token))
//	ln, err := serve.Listen("127.0.0.1:8080")
//	err = (&serve.Server{Handler: mux, Log: log}).Serve(ctx, ln)
//
// It knows nothing of tokens or sessions.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

// An Error is an answer that a handler returns instead of writing it. Code and
// Description go to the client as RFC 6749, Section 5.2 writes them; Err never does.
type Error struct {
	Status      int           // HTTP status, 400 to 599
	Code        string        // "error", for instance invalid_request; empty: a body without it
	Description string        // "error_description", for people; no token and no secret
	RetryAfter  time.Duration // sent as Retry-After, rounded up to seconds, when positive
	Challenge   string        // WWW-Authenticate, when not empty
	Err         error         // the cause: logged, never sent
}

// Error describes the answer and, when there is one, its cause.
func (e *Error) Error() string {
	text := strconv.Itoa(e.Status) + " " + e.Code
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// A HandlerFunc serves a request or returns the reason why it did not. After it
// has written anything, an error that it returns is only logged.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Handler makes an http.Handler of h. An [*Error] is answered as it says; any
// other error and any panic is a 500 with the code server_error. Causes and
// everything from 500 upwards are logged, once, here; at debug level where a probe
// is told that it is too early. Errors are never cached.
func Handler(log *slog.Logger, h HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := record(w)
		err := call(h, rec, r)
		if err == nil {
			return
		}
		answer := asError(err)
		logError(log, r, answer)
		if !rec.started() {
			writeError(rec, answer)
		}
	})
}

// call turns a panic into an error. Only the text of a runtime error is kept: the
// value of any other panic may hold anything, a key included.
func call(h HandlerFunc, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		v := recover()
		switch v := v.(type) {
		case nil:
			return
		case runtime.Error:
			err = &panicError{text: v.Error(), stack: debug.Stack()}
		default:
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err = &panicError{text: fmt.Sprintf("a %T", v), stack: debug.Stack()}
		}
	}()
	return h(w, r)
}

type panicError struct {
	text  string
	stack []byte
}

func (e *panicError) Error() string { return "panic: " + e.text }

func asError(err error) *Error {
	if answer, ok := errors.AsType[*Error](err); ok {
		return answer
	}
	return &Error{Status: http.StatusInternalServerError, Code: "server_error", Err: err}
}

func logError(log *slog.Logger, r *http.Request, e *Error) {
	if e.Status < http.StatusInternalServerError && e.Err == nil {
		return
	}
	level := slog.LevelWarn
	switch {
	case errors.Is(e.Err, context.Canceled) && r.Context().Err() != nil:
		level = slog.LevelDebug // the client left; nobody reads the answer
	case e.Status == http.StatusInternalServerError:
		level = slog.LevelError
	case isProbe(r.URL.Path) && e.Err == nil:
		level = slog.LevelDebug // that is what it asked
	}
	attrs := []slog.Attr{slog.String("path", r.URL.Path), slog.Int("status", e.Status), slog.String("code", e.Code)}
	if e.Err != nil {
		attrs = append(attrs, slog.String("err", e.Err.Error()))
	}
	if p, ok := errors.AsType[*panicError](e.Err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	log.LogAttrs(r.Context(), level, "request not served", attrs...)
}

type errorBody struct {
	Code        string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
}

func writeError(w http.ResponseWriter, e *Error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", RetryAfter(e.RetryAfter))
	}
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	// The client may be gone; there is nobody left to tell.
	_ = WriteJSON(w, e.Status, errorBody{e.Code, e.Description})
}

// RetryAfter writes d as the value of a Retry-After header: whole seconds,
// rounded up (RFC 9110, Section 10.2.3).
func RetryAfter(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}
