package issuer_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every endpoint in docs/http.md is served, and by that method only.
func TestDocumentedEndpointsExist(t *testing.T) {
	doc, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t)
	headings := regexp.MustCompile("(?m)^### `([A-Z]+) (/[^`]*)`$").FindAllStringSubmatch(string(doc), -1)
	if len(headings) < 25 {
		t.Fatalf("found %d endpoints only", len(headings))
	}
	for _, h := range headings {
		method, path := h[1], strings.NewReplacer("{name}", "x", "{id}", "x", "{sha256}", "x").Replace(h[2])
		base := n.url
		if strings.HasPrefix(path, "/admin/") {
			base = n.admin.URL
		}
		a := send(t, request(t, method, base+path, ""))
		if a.status == 405 || a.status == 404 && !strings.Contains(a.body, "not_found") {
			t.Errorf("%s %s: %d", method, path, a.status)
		}
		if a := send(t, request(t, "OPTIONS", base+path, "")); a.status != 405 {
			t.Errorf("OPTIONS %s: %d", path, a.status)
		}
	}
}
