package jwks_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/memnet"
	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

const (
	urlA = "https://a.example/jwks"
	urlB = "https://b.example/jwks"
)

// directory runs a test with two sources of one key each, beside a third URL that
// nobody allowed. requests returns every URL that was asked for.
func directory(t *testing.T, test func(t *testing.T, d *jwks.Directory, a, b *jwk.Key, requests func() []string)) {
	testbubble.Test(t, func(t *testing.T) {
		a, b := generate(t), generate(t)
		answers := map[string]string{urlA: document(t, a), urlB: document(t, b)}
		var asked []string
		src := &source{}
		src.answer(func(w http.ResponseWriter, r *http.Request) {
			url := "https://" + r.Host + r.URL.Path
			src.mu.Lock()
			asked = append(asked, url)
			src.mu.Unlock()
			serve(answers[url])(w, r)
		})
		ln := memnet.Listen()
		srv := &http.Server{Handler: src}
		go srv.Serve(ln)
		client := ln.Client()
		defer srv.Close()
		defer client.CloseIdleConnections()
		d, err := jwks.OpenDirectory(
			jwks.Config{URL: urlA, Issuer: "https://a.example", HTTPClient: client},
			jwks.Config{URL: urlB, Issuer: "https://b.example", HTTPClient: client},
		)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		synctest.Wait()
		test(t, d, a, b, func() []string {
			src.mu.Lock()
			defer src.mu.Unlock()
			return asked
		})
	})
}

func withJKU(t testing.TB, key *jwk.Key, jku any) string {
	t.Helper()
	h, err := jws.Header{}.With("jku", jku)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign(key, h, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestDirectory(t *testing.T) {
	directory(t, func(t *testing.T, d *jwks.Directory, a, b *jwk.Key, requests func() []string) {
		for url, key := range map[string]*jwk.Key{urlA: a, urlB: b} {
			if m, err := jws.Verify(d, withJKU(t, key, url)); err != nil || m.Key().KeyID() != key.KeyID() {
				t.Error(err)
			}
			if d.Remote(url).Ready() != nil {
				t.Error("not ready")
			}
		}
		if _, err := jws.Verify(d, withJKU(t, a, urlB)); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("a key of a under the URL of b: %v", err)
		}
		status := d.Status()
		if len(status) != 2 || status[0].URL != urlA || status[1].URL != urlB || status[0].Keys != 1 {
			t.Errorf("%+v", status)
		}
		if _, err := d.Find(a.KeyID(), "ES256"); err != jwk.ErrUnknownKey {
			t.Errorf("found without a header: %v", err)
		}
	})
}

// Only the exact URLs count, and a token makes nobody fetch another.
func TestThreat29URLInTheHeader(t *testing.T) {
	directory(t, func(t *testing.T, d *jwks.Directory, a, _ *jwk.Key, requests func() []string) {
		before := len(requests())
		for _, jku := range []any{
			"https://evil.example/jwks", urlA + "?", urlA + "#", urlA + "/", "HTTPS://a.example/jwks", "https://A.example/jwks", "https://a.example:443/jwks",
			"https://a.example/./jwks", "https://a.example@evil.example/jwks", "http://127.0.0.1/jwks", "http://169.254.169.254/", "file:///etc/passwd",
			" " + urlA, "", nil, 1, []string{urlA}, map[string]string{"url": urlA},
		} {
			if m, err := jws.Verify(d, withJKU(t, a, jku)); m != nil || !errors.Is(err, jwk.ErrUnknownKey) {
				t.Errorf("%v: %v", jku, err)
			}
		}
		for _, name := range []string{"x5u", "jwk"} {
			h, err := jws.Header{}.With(name, urlA)
			if err != nil {
				t.Fatal(err)
			}
			token, err := jws.Sign(a, h, nil)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := jws.Verify(d, token); m != nil || !errors.Is(err, jwk.ErrUnknownKey) {
				t.Errorf("%s: %v", name, err)
			}
		}
		pass(time.Minute)
		if got := requests(); len(got) != before || before != 2 {
			t.Errorf("asked for %v", got)
		}
	})
}

// A source signs for its own issuer and for no other one of the Directory.
func TestDirectoryHoldsEachToItsIssuer(t *testing.T) {
	directory(t, func(t *testing.T, d *jwks.Directory, a, b *jwk.Key, _ func() []string) {
		sign := func(key *jwk.Key, url, issuer string) string {
			h, err := jws.Header{Type: "JWT"}.With("jku", url)
			if err != nil {
				t.Fatal(err)
			}
			exp := time.Now().Add(time.Minute).Unix()
			token, err := jws.Sign(key, h, mustJSON(t, map[string]any{"iss": issuer, "aud": "me", "exp": exp, "iat": exp - 60}))
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		policy := jwt.Policy{Type: "JWT", Issuer: "https://a.example", Audience: "me", Now: time.Now}
		if _, err := jwt.Verify[map[string]any](policy, d, sign(a, urlA, "https://a.example")); err != nil {
			t.Error(err)
		}
		if _, err := jwt.Verify[map[string]any](policy, d, sign(b, urlB, "https://a.example")); err == nil {
			t.Error("b signed for a")
		}
	})
}

func TestOpenDirectoryRefuses(t *testing.T) {
	good := jwks.Config{URL: "http://127.0.0.1:1/jwks", Issuer: "i"}
	many := make([]jwks.Config, jwks.MaxDirectory+1)
	for name, sets := range map[string][]jwks.Config{
		"no issuer": {good, {URL: "http://127.0.0.1:1/other"}}, "twice": {good, good}, "no https": {good, {URL: "http://a.example/", Issuer: "i"}}, "too many": many,
	} {
		if d, err := jwks.OpenDirectory(sets...); d != nil || err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
