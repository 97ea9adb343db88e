package serve

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// maxLoggedPath bounds what a request can make the log grow by.
const maxLoggedPath = 256

// AccessLog logs each request after it was served: method, path, status, bytes
// sent, duration and the client's address as [ClientAddr] tells it. A query, a
// header or a body never gets there: those are where tokens travel. What machines
// ask all the time is logged at debug level when it succeeds: /healthz, /readyz,
// /jwks and the feed below /revocation.
func AccessLog(log *slog.Logger, next http.Handler, trusted ...netip.Prefix) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin, rec := time.Now(), record(w)
		defer func() {
			level := slog.LevelInfo
			if isRoutine(r.URL.Path) && rec.status() < 400 {
				level = slog.LevelDebug
			}
			if !log.Enabled(r.Context(), level) {
				return
			}
			log.LogAttrs(r.Context(), level, "request",
				slog.String("method", shorten(r.Method)), slog.String("path", shorten(r.URL.Path)),
				slog.Int("status", rec.status()), slog.Int64("bytes", rec.bytes),
				slog.Duration("dur", time.Since(begin)), slog.String("client", addrText(ClientAddr(r, trusted))))
		}()
		next.ServeHTTP(rec, r)
	})
}

func isRoutine(path string) bool {
	return isProbe(path) || lastPart(path) == "jwks" || strings.Contains(path, "/revocation/")
}

// isProbe reports whether path is one that an orchestrator asks all the time.
func isProbe(path string) bool {
	last := lastPart(path)
	return last == "healthz" || last == "readyz"
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func shorten(s string) string {
	if len(s) > maxLoggedPath {
		return s[:maxLoggedPath] + "…"
	}
	return s
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return "unix"
	}
	return a.String()
}

// A recorder remembers what was sent, so that an error after the first byte is
// not written into the middle of a body.
type recorder struct {
	http.ResponseWriter
	code  int // 0 until the header is written
	bytes int64
}

// record wraps w, unless w is a recorder already.
func record(w http.ResponseWriter) *recorder {
	if rec, ok := w.(*recorder); ok {
		return rec
	}
	return &recorder{ResponseWriter: w}
}

func (w *recorder) started() bool { return w.code != 0 }

func (w *recorder) status() int {
	if w.code == 0 {
		return http.StatusOK // net/http answers so for a handler that wrote nothing
	}
	return w.code
}

func (w *recorder) WriteHeader(code int) {
	if w.code == 0 && code >= 200 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Flush serves code that asks for an http.Flusher; Unwrap serves http.ResponseController.
func (w *recorder) Flush() {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
