package issuer

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/oauth"
)

// metadataMaxAge is how long a metadata document may be cached.
const metadataMaxAge = 5 * time.Minute

// metadata renders the document once: it does not change while the issuer runs.
func (i *Issuer) metadata() (serve.HandlerFunc, error) {
	body, err := wire.Marshal(i.cfg.describe())
	if err != nil {
		return nil, err
	}
	doc := newDocument(body, metadataMaxAge)
	return func(w http.ResponseWriter, r *http.Request) error { return doc.serve(w, r, "application/json") }, nil
}

// describe says what this issuer serves, and nothing that it does not.
func (c *Config) describe() *oauth.Metadata {
	scopes := []string{oauth.ScopeAdmin}
	for s := range c.Scopes {
		scopes = append(scopes, s)
	}
	slices.Sort(scopes)
	var algs []string
	for _, alg := range c.Keyring.Algorithms() {
		algs = append(algs, string(alg))
	}
	return &oauth.Metadata{
		Issuer:                c.URL,
		TokenEndpoint:         c.URL + "/token",
		RevocationEndpoint:    c.URL + "/revoke",
		JWKSURI:               c.URL + "/jwks",
		SignedJWKSURI:         c.URL + "/jwks.jwt",
		Scopes:                slices.Compact(scopes),
		ResponseTypes:         []string{},
		GrantTypes:            []string{oauth.GrantRefreshToken},
		SubjectTypes:          []string{"public"},
		IDTokenAlgorithms:     algs,
		TokenAuthMethods:      []string{"none"},
		RevocationAuthMethods: []string{"none"},
		Feed:                  c.URL + "/revocation",
		SignIn:                c.URL + "/sign-in",
		SignOut:               c.URL + "/sign-out",
	}
}

// A document is a public answer that seldom changes.
type document struct {
	body   []byte
	hash   string // SHA-256, base64url
	maxAge time.Duration
}

func newDocument(body []byte, maxAge time.Duration) *document {
	sum := sha256.Sum256(body)
	return &document{body: body, hash: wire.Encode(sum[:]), maxAge: maxAge}
}

// serve answers with the document, or 304 to who has it (RFC 9110, Section 13.1.2).
func (d *document) serve(w http.ResponseWriter, r *http.Request, contentType string) error {
	h, tag := w.Header(), `"`+d.hash+`"`
	h.Set("ETag", tag)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(d.maxAge/time.Second)))
	h.Set("Access-Control-Allow-Origin", "*") // public, and browsers verify too
	if hasTag(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	_, err := w.Write(d.body)
	return err
}

func hasTag(list, tag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}

// healthz says that the process runs and answers.
func healthz(w http.ResponseWriter, _ *http.Request) error {
	return serve.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}
