package issuer_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/notary"
)

// Without a notary, or a key that may sign, no token can be had: /readyz says so, and is
// not ready only for those who want tokens.
func TestReadyAndMinting(t *testing.T) {
	s := newShared(t, "https://id.example")
	far := new(farNotary)
	far.by.Store(notary.NewLocal(s.secret))
	iss, _, err := s.newIssuer(t, far)
	if err != nil {
		t.Fatal(err)
	}
	want := func(path string, status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		iss.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != status || strings.TrimSpace(w.Body.String()) != body {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	want("/readyz", 200, `{"status":"ready","minting":true}`)
	want("/readyz?minting=required", 200, `{"status":"ready","minting":true}`)
	far.by.Store(nil)
	iss.ForgetMinting()
	want("/readyz", 200, `{"status":"ready","minting":false,"why":"the notary does not answer"}`)
	want("/readyz?minting=required", 503, `{"error":"temporarily_unavailable","error_description":"the notary does not answer"}`)
	far.by.Store(notary.NewLocal(s.secret))
	want("/readyz", 200, `{"status":"ready","minting":false,"why":"the notary does not answer"}`) // for a second more
	iss.ForgetMinting()
	want("/readyz", 200, `{"status":"ready","minting":true}`)
}
