package serve_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
)

// logTo returns a logger that takes everything, and what it wrote.
func logTo() (*slog.Logger, *bytes.Buffer) {
	var buf bytes.Buffer
	return slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug})), &buf
}

func TestHandlerAnswersErrors(t *testing.T) {
	cause := errors.New("disk full at /secret/place")
	tests := []struct {
		name   string
		err    error
		status int
		body   string
		header map[string]string
		logged string
	}{
		{"refusal", &serve.Error{Status: 400, Code: "invalid_grant", Description: "no"}, 400,
			`{"error":"invalid_grant","error_description":"no"}`, nil, ""},
		{"challenge", &serve.Error{Status: 401, Challenge: `Bearer realm="x"`}, 401, `{}`,
			map[string]string{"Www-Authenticate": `Bearer realm="x"`}, ""},
		{"later", &serve.Error{Status: 429, Code: "slow_down", RetryAfter: 1100 * time.Millisecond}, 429,
			`{"error":"slow_down"}`, map[string]string{"Retry-After": "2"}, ""},
		{"cause is logged, not sent", &serve.Error{Status: 503, Code: "unavailable", Err: cause}, 503,
			`{"error":"unavailable"}`, nil, "disk full"},
		{"any other error", cause, 500, `{"error":"server_error"}`, nil, "disk full"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log, logged := logTo()
			rec := httptest.NewRecorder()
			h := serve.Handler(log, func(http.ResponseWriter, *http.Request) error { return tt.err })
			h.ServeHTTP(rec, httptest.NewRequest("GET", "/x", nil))
			if rec.Code != tt.status || rec.Body.String() != tt.body+"\n" { // a terminal's prompt begins on a line of its own
				t.Errorf("got %d %q, want %d %q", rec.Code, rec.Body, tt.status, tt.body+"\n")
			}
			if got := rec.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
			for name, want := range tt.header {
				if got := rec.Header().Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if (tt.logged == "") != (logged.Len() == 0) || !strings.Contains(logged.String(), tt.logged) {
				t.Errorf("logged %q, want %q in it", logged, tt.logged)
			}
		})
	}
}

// Not ready yet is what a probe is there to be told. A reason that somebody has
// to know of is an error's cause.
func TestHandlerKeepsProbesQuiet(t *testing.T) {
	notReady := &serve.Error{Status: 503, Code: "not_ready", Description: "in a moment"}
	for _, tt := range []struct {
		path  string
		err   error
		level string
	}{
		{"/readyz", notReady, "DEBUG"},
		{"/tenant/healthz", notReady, "DEBUG"},
		{"/token", notReady, "WARN"},
		{"/readyz", &serve.Error{Status: 503, Code: "not_ready", Err: errors.New("disk full")}, "WARN"},
		{"/readyz", errors.New("nil map"), "ERROR"},
	} {
		log, logged := logTo()
		h := serve.Handler(log, func(http.ResponseWriter, *http.Request) error { return tt.err })
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", tt.path, nil))
		if !strings.Contains(logged.String(), "level="+tt.level) {
			t.Errorf("%s, %v: logged %s, want level %s", tt.path, tt.err, logged, tt.level)
		}
	}
}

func TestPanicIsAnAnswerWithoutItsValue(t *testing.T) {
	log, logged := logTo()
	rec := httptest.NewRecorder()
	h := serve.Handler(log, func(http.ResponseWriter, *http.Request) error { panic("key 5ecre7") })
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/x", nil))
	if rec.Code != 500 {
		t.Errorf("status %d", rec.Code)
	}
	if strings.Contains(logged.String(), "5ecre7") || !strings.Contains(logged.String(), "panic") {
		t.Errorf("logged %s", logged)
	}
}

func TestErrorAfterTheFirstByteIsOnlyLogged(t *testing.T) {
	log, logged := logTo()
	rec := httptest.NewRecorder()
	h := serve.Handler(log, func(w http.ResponseWriter, _ *http.Request) error {
		io.WriteString(w, "data")
		return errors.New("lost the rest")
	})
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/x", nil))
	if rec.Code != 200 || rec.Body.String() != "data" || !strings.Contains(logged.String(), "lost the rest") {
		t.Errorf("got %d %q, logged %q", rec.Code, rec.Body, logged)
	}
}

func TestReadJSON(t *testing.T) {
	tests := []struct {
		name, media string
		body        io.Reader
		status      int
	}{
		{"object", "application/json", strings.NewReader(`{"name":"a","more":1}`), 200},
		{"parameters of the type", "application/json; charset=utf-8", strings.NewReader(`{"name":"a"}`), 200},
		{"form", "application/x-www-form-urlencoded", strings.NewReader(`name=a`), 415},
		{"no type", "", strings.NewReader(`{"name":"a"}`), 415},
		{"too large", "application/json", strings.NewReader(`{"name":"` + strings.Repeat("a", 100) + `"}`), 413},
		{"duplicate", "application/json", strings.NewReader(`{"name":"a","name":"b"}`), 400},
		{"two values", "application/json", strings.NewReader(`{"name":"a"}{}`), 400},
		{"not JSON", "application/json", strings.NewReader(`hunter2`), 400},
		{"nothing", "application/json", strings.NewReader(``), 400},
		{"cut off", "application/json", io.MultiReader(strings.NewReader(`{"name":"hunter2"`), iotest.ErrReader(io.ErrUnexpectedEOF)), 408},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log, logged := logTo()
			h := serve.Handler(log, func(w http.ResponseWriter, r *http.Request) error {
				var v struct {
					Name string `json:"name"`
				}
				if err := serve.ReadJSON(w, r, 64, &v); err != nil {
					return err
				}
				return serve.WriteJSON(w, 200, v)
			})
			req := httptest.NewRequest("POST", "/x", tt.body)
			req.Header.Set("Content-Type", tt.media)
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			if rec.Code != tt.status {
				t.Errorf("status %d, want %d: %s", rec.Code, tt.status, rec.Body)
			}
			if strings.Contains(rec.Body.String()+logged.String(), "hunter2") {
				t.Errorf("the body is quoted: %s %s", rec.Body, logged)
			}
		})
	}
}

// The access log is read by people who must not be able to sign in with it.
func TestThreat130AccessLogHoldsNoToken(t *testing.T) {
	const secret = "eyJhbGciOiJFUzI1NiJ9"
	log, logged := logTo()
	h := serve.AccessLog(log, serve.Handler(log, func(http.ResponseWriter, *http.Request) error {
		return &serve.Error{Status: 503, Code: "unavailable", Err: errors.New("no keys")}
	}))
	req := httptest.NewRequest("POST", "/token?access_token="+secret, strings.NewReader("refresh_token="+secret))
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("Cookie", "__Host-Http-access_token="+secret)
	req.Header.Set("Referer", "https://x/?t="+secret)
	req.Header.Set("User-Agent", secret)
	h.ServeHTTP(httptest.NewRecorder(), req)
	if strings.Contains(logged.String(), secret) {
		t.Errorf("the log holds the token:\n%s", logged)
	}
	for _, want := range []string{"method=POST", "path=/token", "status=503", "client=192.0.2.1"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, logged)
		}
	}
}

func TestAccessLogBoundsThePath(t *testing.T) {
	log, logged := logTo()
	h := serve.AccessLog(log, http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/"+strings.Repeat("a", 10_000), nil))
	if logged.Len() > 1000 {
		t.Errorf("one request logged %d bytes", logged.Len())
	}
}

func TestAccessLogKeepsRoutineQuiet(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(&buf, nil)) // info and above
	status := http.StatusOK
	h := serve.AccessLog(log, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	for path, quiet := range map[string]bool{
		"/healthz": true, "/readyz": true, "/jwks": true, "/tenant/revocation/tail": true, "/revoke": false, "/sign-in": false,
	} {
		buf.Reset()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if got := buf.Len() == 0; got != quiet {
			t.Errorf("%s: quiet is %v", path, got)
		}
	}
	status = http.StatusServiceUnavailable
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil))
	if !strings.Contains(buf.String(), "status=503") {
		t.Error("a probe that fails is not logged")
	}
}
