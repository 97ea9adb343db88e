package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/web"
)

func ExampleSignIn() {
	w := httptest.NewRecorder()
	err := web.SignIn(w, http.StatusOK, web.Form{Next: "/orders"})
	fmt.Println(err, w.Code, w.Header().Get("Content-Type"))
	fmt.Println(regexp.MustCompile(`<input type="hidden".*>`).FindString(w.Body.String()))
	// Output:
	// <nil> 200 text/html; charset=utf-8
	// <input type="hidden" name="next" value="/orders">
}

const evil = `"><script>alert(1)</script><img src=//evil.example onerror=x>`

func pages(t *testing.T) map[string]*httptest.ResponseRecorder {
	t.Helper()
	form, failed, in := httptest.NewRecorder(), httptest.NewRecorder(), httptest.NewRecorder()
	for _, err := range []error{
		web.SignIn(form, http.StatusOK, web.Form{}),
		web.SignIn(failed, http.StatusUnauthorized, web.Form{Username: evil, Next: evil, Audience: evil, Scope: evil, Problem: evil}),
		web.SignedIn(in),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return map[string]*httptest.ResponseRecorder{"form": form, "failed": failed, "signed in": in}
}

func TestPagesLoadNothing(t *testing.T) {
	for name, w := range pages(t) {
		// Without what stands in quotes, tags and the names of attributes remain.
		bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(w.Body.String(), "")
		for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(bare, -1) {
			if regexp.MustCompile(`(?i)^<(script|img|link|iframe)|\s(on\w+|style|src)\b`).MatchString(tag) {
				t.Errorf("%s: %s", name, tag)
			}
		}
		csp := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy without %s: %s", name, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
			t.Errorf("%s: policy %s", name, csp)
		}
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s %q, want %q", name, header, got, want)
			}
		}
	}
}

// The hash in the policy is that of the style sheet in the page, byte for byte.
func TestPolicyAdmitsTheStyleSheet(t *testing.T) {
	for name, w := range pages(t) {
		style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
		if style == nil || !strings.Contains(w.Header().Get("Content-Security-Policy"), web.HashSource(style[1])) {
			t.Errorf("%s: a browser would ignore the style sheet", name)
		}
		if style != nil && !strings.Contains(style[1], "prefers-color-scheme: dark") {
			t.Errorf("%s: no dark colours", name)
		}
	}
}

// Every field has a label, the page has a language and one heading, and what went
// wrong is announced.
func TestPagesAreAccessible(t *testing.T) {
	for name, w := range pages(t) {
		body := w.Body.String()
		if !strings.Contains(body, `<html lang="en">`) || strings.Count(body, "<h1>") != 1 || !strings.Contains(body, "<main>") {
			t.Errorf("%s: %s", name, body)
		}
		visible := strings.Count(body, "<input") - strings.Count(body, `type="hidden"`)
		if labels := strings.Count(body, "<label>"); labels != visible {
			t.Errorf("%s: %d labels for %d fields", name, labels, visible)
		}
	}
	if !strings.Contains(pages(t)["failed"].Body.String(), `role="alert"`) {
		t.Error("the problem is not announced")
	}
}
