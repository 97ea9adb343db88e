package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// answering is an issuer that answers one request with v. It returns what to call a
// command with.
func answering(t *testing.T, path string, v any) []string {
	body, err := wire.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Write(body)
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--server", server.URL, "--token-file", token}
}

func TestIncidentTokens(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	in := forgery.Incident{KeyID: "k1", Tokens: 9, Untraced: 7, Traces: []forgery.Trace{
		{At: at, Said: store.Said{
			Subject: "root", Audience: []string{"orders", "pay"}, Scope: "admin", Roles: []string{"ops"}, ClientID: "web",
			IssuedAt: at, Expiry: at.Add(time.Hour), Level0: "passes", NotKept: []string{"aud"},
		}, SeenBy: []store.Sighting{{Reporter: "orders", At: at}, {Reporter: "pay", At: at}}},
		// Not even an issuer that does not escape moves the cursor.
		{At: at, Said: store.Said{Subject: "\x1b[2J\u009b\u202e\ta", Level0: "iss is missing", NotKept: []string{"exp"}}},
	}}
	to := answering(t, "/admin/incidents/k1", in)
	var out, talk bytes.Buffer
	if code := run(t.Context(), append([]string{"incident", "tokens", "k1"}, to...), strings.NewReader(""), &out, &talk); code != 0 {
		t.Fatalf("exit %d: %s", code, &talk)
	}
	want := []string{
		"SEEN SUB AUD SCOPE ROLES CLIENT FROM TO LIMITS BY",
		"2026-01-02T03:04:05Z root orders pay ... admin ops web 2026-01-02T03:04:05Z 2026-01-02T04:04:05Z passes orders pay",
		"2026-01-02T03:04:05Z \ufffd[2J\ufffd\ufffd\ufffda - - - - - ... iss is missing -",
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for i, line := range lines {
		if got := strings.Join(strings.Fields(line), " "); i >= len(want) || got != want[i] {
			t.Errorf("line %d: %q", i, got)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if !strings.Contains(talk.String(), "of 7 more tokens") {
		t.Errorf("%q", talk.String())
	}
	out.Reset()
	if code := run(t.Context(), append([]string{"incident", "tokens", "k1", "--json"}, to...), strings.NewReader(""), &out, &talk); code != 0 {
		t.Fatalf("exit %d: %s", code, &talk)
	}
	var traces []forgery.Trace
	if err := wire.Unmarshal(out.Bytes(), &traces); err != nil || len(traces) != 2 || traces[0].Subject != "root" || len(traces[0].SeenBy) != 2 {
		t.Errorf("%s: %v", &out, err)
	}
}
