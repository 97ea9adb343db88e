// Package web is the little that the issuer shows to people: the sign-in form
// and what follows it. Pages have no script, load nothing, follow the reader's
// choice of light or dark, and work without either colour or mouse.
//
//	err := web.SignIn(w, http.StatusOK, web.Form{Next: "/orders"})
package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed style.css
var style string

//go:embed pages.html
var pages string

var templates = template.Must(template.New("pages").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(style) },
}).Parse(pages))

// policy lets the browser load the one style sheet of the page, by its hash, and
// send forms to this host. Nothing else: no script, no frame, no image.
var policy = "default-src 'none'; style-src 'sha256-" + styleHash() +
	"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A Form is what the sign-in page shows. The password is never shown again.
type Form struct {
	Username string // as it was typed
	Next     string // a path on this host to go to afterwards, or empty
	Audience string // for hidden fields; empty means the default
	Scope    string
	Problem  string // what was wrong with the last attempt, or empty
}

// SignIn answers with the sign-in form.
func SignIn(w http.ResponseWriter, status int, f Form) error {
	return render(w, status, "sign-in", f)
}

// SignedIn answers with a page that says so and offers to sign out.
func SignedIn(w http.ResponseWriter) error {
	return render(w, http.StatusOK, "signed-in", nil)
}

// render writes nothing unless the whole page can be made.
func render(w http.ResponseWriter, status int, name string, data any) error {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// Not "no-referrer": with that a browser sends "Origin: null" with the form,
	// which cannot be told from a foreign page where Sec-Fetch-Site is missing.
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, err := w.Write(page.Bytes())
	return err
}
