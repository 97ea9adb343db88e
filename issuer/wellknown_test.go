package issuer_test

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

func TestMetadata(t *testing.T) {
	n := newNode(t)
	for _, path := range []string{oauth.WellKnownOAuth, oauth.WellKnownOpenID} {
		a := n.get(t, path)
		meta, err := oauth.ParseMetadata([]byte(a.body), n.ring.Issuer())
		if err != nil {
			t.Fatal(err)
		}
		if meta.Feed != n.ring.Issuer()+"/revocation" || meta.JWKSURI != n.ring.Issuer()+"/jwks" {
			t.Errorf("%+v", meta)
		}
		if meta.AuthorizationEndpoint != "" || meta.IntrospectionEndpoint != "" || meta.UserinfoEndpoint != "" {
			t.Errorf("announces what is not served: %+v", meta)
		}
		for _, url := range []string{meta.TokenEndpoint, meta.RevocationEndpoint, meta.SignIn, meta.SignOut} {
			if a := send(t, request(t, "POST", url, "")); a.status == 404 || a.status == 405 {
				t.Errorf("%s is announced and answers %d", url, a.status)
			}
		}
	}
}

// An issuer has a host of its own: the metadata is where both ways of looking for
// it look, and what its form and its redirects name is on that host.
func TestIssuerHasAHostOfItsOwn(t *testing.T) {
	n := newNode(t)
	urls, err := oauth.WellKnownURLs(n.ring.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		if a := send(t, request(t, "GET", url, "")); a.status != 200 {
			t.Errorf("%s: %d", url, a.status)
		}
	}
	for _, url := range []string{"https://host.example/issuer1", "https://host.example/a/../b", "https://host.example//a"} {
		if err := issuer.CheckURL(url, false); err == nil || !strings.Contains(err.Error(), "no path") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestURLIsChecked(t *testing.T) {
	kek, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	for url, good := range map[string]bool{
		"https://id.example":        true,
		"https://id.example/tenant": false,
		"http://127.0.0.1:8080":     true,
		"http://[::1]:8080":         true,
		"http://localhost":          true,
		"http://id.example":         false,
		"http://10.0.0.1":           false,
		"http://127.0.0.1.example":  false,
		"https://id.example/":       false,
		"https://id.example?x=1":    false,
		"https://id.example?":       false,
		"https://id.example#x":      false,
		"https://id.example#":       false,
		"https://u@id.example":      false,
		"ftp://id.example":          false,
		"id.example":                false,
		"":                          false,
	} {
		// The URL is checked before anything of the store is touched.
		s := newShared(t, "https://store.example")
		ring, err := keyring.Open(t.Context(), s.store, keyring.Config{Issuer: "https://store.example", KEK: kek})
		if err != nil {
			t.Fatal(err)
		}
		_, err = issuer.New(t.Context(), issuer.Config{URL: url, Store: s.store, Keyring: ring, Tagger: notary.NewLocal(s.secret)})
		if refused := err != nil && !strings.Contains(err.Error(), "keyring belongs"); refused == good {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// private are the members that RFC 7518, Sections 6.2.2, 6.3.2 and 6.4.1 keep secret.
var private = regexp.MustCompile(`"(d|p|q|dp|dq|qi|oth|k)"\s*:`)

func TestThreat127JWKSIsPublic(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	s := newShared(t, "http://"+server.Listener.Addr().String())
	// Every family of keys, founded before the node starts. It keeps those of one, and of
	// each other one what tokens of before are under.
	algs := []jwk.Algorithm{jwk.ES256, jwk.RS256, jwk.EdDSA, jwk.PS384, jwk.ES512}
	if _, err := keyring.Open(t.Context(), s.store, keyring.Config{Issuer: s.url, KEK: s.kek, Algorithms: algs, Now: s.clock.Now}); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, server, s, issuer.Config{})
	a := n.get(t, "/jwks")
	if private.MatchString(a.body) {
		t.Fatal("the key set has a private member")
	}
	set, err := jwk.ParseSet([]byte(a.body))
	if err != nil || set.Len() != 3+len(algs)-1 || len(set.Skipped()) > 0 {
		t.Fatalf("%d keys, %v", set.Len(), err)
	}
	for _, key := range set.Keys() {
		if key.IsPrivate() || !key.Limits().Tagged {
			t.Errorf("key %s", key.KeyID())
		}
	}
	for _, path := range []string{"/revocation/key", oauth.WellKnownOAuth} {
		if body := n.get(t, path).body; path != "/revocation/key" && private.MatchString(body) {
			t.Errorf("%s has a private member", path)
		}
	}
	var keys struct {
		Root jsontext.Value `json:"root"`
	}
	if err := wire.Unmarshal([]byte(n.get(t, "/revocation/key").body), &keys); err != nil || private.Match(keys.Root) {
		t.Errorf("the root is published whole: %v", err)
	}
}

func TestJWKSIsCached(t *testing.T) {
	n := newNode(t)
	a := n.get(t, "/jwks")
	if cc := a.header.Get("Cache-Control"); cc != "public, max-age=300" {
		t.Errorf("Cache-Control %q", cc)
	}
	tag := a.header.Get("ETag")
	if got := n.get(t, "/jwks", "If-None-Match: "+tag); got.status != 304 || got.body != "" {
		t.Errorf("%d with the same tag", got.status)
	}
	if _, err := n.ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if got := n.get(t, "/jwks", "If-None-Match: "+tag); got.status != 200 || got.body == a.body {
		t.Errorf("%d after a rotation", got.status)
	}
}

func TestThreat41SetWithPrivateKeyIsNotRendered(t *testing.T) {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwk.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := set.MarshalJSON(); err == nil {
		t.Errorf("rendered %d bytes", len(body))
	}
}
