package jwks_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/memnet"
	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

const issuerX = "https://x.example"

// trusting returns what trusts an authority at its time.
func trusting(a *josetest.Authority) *jws.Certificates {
	return &jws.Certificates{
		Algorithms: []jwk.Algorithm{jwk.PS256, jwk.ES256}, Roots: a.Roots,
		Accept: func(*x509.Certificate) error { return nil },
		Now:    func() time.Time { return josetest.Now },
	}
}

// certify returns a chain for key, and the same in PEM.
func certify(t testing.TB, a *josetest.Authority, key *jwk.Key) (chain []*x509.Certificate, pem string) {
	t.Helper()
	pub, err := key.CryptoPublic()
	if err != nil {
		t.Fatal(err)
	}
	chain = a.Issue(t, pub)
	certified, err := key.WithCertificates(chain...)
	if err != nil {
		t.Fatal(err)
	}
	return chain, string(certified.MarshalCertificatesPEM())
}

func hashes(cert *x509.Certificate) (x5t, x5tS256 string) {
	short, long := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
	return wire.Encode(short[:]), wire.Encode(long[:])
}

func refuse(t testing.TB, name string, keys jwk.Source, token string, want error) {
	t.Helper()
	if m, err := jws.Verify(keys, token); m != nil || !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", name, err, want)
	}
}

// openChain opens a Directory of one chain on a server and waits for the first answer.
func openChain(t testing.TB, srv *httptest.Server, cfg jwks.Config) *jwks.Directory {
	t.Helper()
	cfg.URL, cfg.Issuer, cfg.HTTPClient = srv.URL+"/chain.pem", issuerX, srv.Client()
	d, err := jwks.OpenDirectory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	settle(t, d.Remote(cfg.URL))
	return d
}

// settle waits until a first fetch has ended, or a copy on disk was there.
func settle(t testing.TB, r *jwks.Remote) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s := r.Status(); s.LastError != nil || s.Keys > 0 {
			return
		}
	}
	t.Fatalf("no answer: %+v", r.Status())
}

func TestDirectoryX5U(t *testing.T) {
	a, key := josetest.NewAuthority(t), generate(t)
	chain, pem := certify(t, a, key)
	srv := httptest.NewTLSServer(serve(pem))
	defer srv.Close()
	d := openChain(t, srv, jwks.Config{Certificates: trusting(a)})
	url := srv.URL + "/chain.pem"
	x5t, x5tS256 := hashes(chain[0])
	for name, token := range map[string]string{
		"alone":           josetest.SignWith(t, key, "x5u", url),
		"with its hashes": josetest.SignWith(t, key, "x5u", url, "x5t", x5t, "x5t#S256", x5tS256),
		"with its x5c":    josetest.SignWith(t, key, "x5u", url, "x5c", [][]byte{chain[0].Raw, chain[1].Raw}),
	} {
		m, err := jws.Verify(d, token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := m.Key(); got.KeyID() != key.Thumbprint() || !got.Certificates()[0].Equal(chain[0]) || got.Limits().Issuer != issuerX {
			t.Errorf("%s: by %v, limits %+v", name, got, got.Limits())
		}
	}
	r := d.Remote(url)
	if s := r.Status(); r.Ready() != nil || s.Keys != 1 || s.LastError != nil || r.Set().Len() != 0 {
		t.Errorf("%v, %+v", r.Ready(), s)
	}
	// Without the header nobody has looked whether the chain is still trusted.
	if got, err := r.Find(key.Thumbprint(), "ES256"); got != nil || err != jwk.ErrUnknownKey {
		t.Errorf("found without a header: %v", err)
	}
}

// A certificate is trusted for the tokens of its issuer only.
func TestX5UIsHeldToItsIssuer(t *testing.T) {
	a, key := josetest.NewAuthority(t), generate(t)
	_, pem := certify(t, a, key)
	srv := httptest.NewServer(serve(pem))
	defer srv.Close()
	d := openChain(t, srv, jwks.Config{Certificates: trusting(a)})
	h, err := jws.Header{Type: "JWT"}.With("x5u", srv.URL+"/chain.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, issuer := range []string{issuerX, "https://a.example"} {
		now := time.Now()
		token, err := jws.Sign(key, h, mustJSON(t, map[string]any{"iss": issuer, "aud": "me", "iat": now.Unix(), "exp": now.Unix() + 60}))
		if err != nil {
			t.Fatal(err)
		}
		policy := jwt.Policy{Type: "JWT", Issuer: issuer, Audience: "me", Now: func() time.Time { return now }}
		if _, err := jwt.Verify[map[string]any](policy, d, token); (err == nil) != (issuer == issuerX) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

// Only the exact URLs count, each for its own parameter, and neither a token nor the
// source makes anybody fetch another.
func TestThreat29X5UOnlyFromTheList(t *testing.T) {
	a, key := josetest.NewAuthority(t), generate(t)
	_, pem := certify(t, a, key)
	var hits, elsewhere atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		io.WriteString(w, pem)
	}))
	defer evil.Close()
	set := document(t, generate(t))
	mux := http.NewServeMux()
	mux.HandleFunc("/chain.pem", serve(pem))
	mux.HandleFunc("/jwks", serve(set))
	mux.Handle("/moved.pem", http.RedirectHandler(evil.URL, http.StatusFound))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		mux.ServeHTTP(w, r)
	}))
	defer srv.Close()
	url, jku, moved := srv.URL+"/chain.pem", srv.URL+"/jwks", srv.URL+"/moved.pem"
	d, err := jwks.OpenDirectory(
		jwks.Config{URL: url, Issuer: issuerX, Certificates: trusting(a)}, jwks.Config{URL: jku, Issuer: issuerX},
		jwks.Config{URL: moved, Issuer: issuerX, Certificates: trusting(a)},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, u := range []string{url, jku, moved} {
		settle(t, d.Remote(u))
	}
	before := hits.Load() - int64(d.Remote(moved).Status().Fetches)
	if _, err := jws.Verify(d, josetest.SignWith(t, key, "x5u", url)); err != nil {
		t.Fatal(err)
	}
	for _, x5u := range []any{
		evil.URL, jku, url + "?", url + "#", url + "/", strings.ToUpper(url), srv.URL + "/./chain.pem", strings.Replace(url, "127.0.0.1", "localhost", 1),
		"http://169.254.169.254/", "file:///etc/passwd", " " + url, "", nil, 1, true, []string{url}, map[string]string{"url": url},
	} {
		if m, err := jws.Verify(d, josetest.SignWith(t, key, "x5u", x5u)); m != nil || !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("%v: %v", x5u, err)
		}
	}
	refuse(t, "as jku", d, josetest.SignWith(t, key, "jku", url), jwk.ErrUnknownKey)
	for _, other := range []any{jku, url, evil.URL, "", nil} {
		refuse(t, "beside a jku", d, josetest.SignWith(t, key, "x5u", url, "jku", other), jwk.ErrUnknownKey)
	}
	refuse(t, "redirected", d, josetest.SignWith(t, key, "x5u", moved), jwks.ErrNoKeys)
	// The source of moved is tried again, on its own account.
	if got := hits.Load() - int64(d.Remote(moved).Status().Fetches); got > before || elsewhere.Load() != 0 {
		t.Errorf("%d requests more, and %d elsewhere", got-before, elsewhere.Load())
	}
}

func TestX5UMustBeWhatTheHeaderSays(t *testing.T) {
	a, key, other := josetest.NewAuthority(t), generate(t), generate(t)
	_, pem := certify(t, a, key)
	others, _ := certify(t, a, other)
	srv := httptest.NewServer(serve(pem))
	defer srv.Close()
	d := openChain(t, srv, jwks.Config{Certificates: trusting(a)})
	url := srv.URL + "/chain.pem"
	x5t, x5tS256 := hashes(others[0])
	refuse(t, "another x5t", d, josetest.SignWith(t, key, "x5u", url, "x5t", x5t), jwk.ErrCertificate)
	refuse(t, "another x5t#S256", d, josetest.SignWith(t, key, "x5u", url, "x5t#S256", x5tS256), jwk.ErrCertificate)
	refuse(t, "another x5c", d, josetest.SignWith(t, other, "x5u", url, "x5c", [][]byte{others[0].Raw, others[1].Raw}), jwk.ErrCertificate)
	refuse(t, "broken x5c", d, josetest.SignWith(t, key, "x5u", url, "x5c", "AA"), jwk.ErrMalformed)
	refuse(t, "null x5t", d, josetest.SignWith(t, key, "x5u", url, "x5t", nil), jws.ErrMalformed)
	refuse(t, "another key", d, josetest.SignWith(t, other, "x5u", url), jwk.ErrSignature)
	refuse(t, "another algorithm", d, josetest.SignWith(t, josetest.Key(t, jwk.ES384, "k"), "x5u", url), jwk.ErrAlgorithm)
	refuse(t, "another type", d, josetest.SignWith(t, josetest.Key(t, jwk.PS256, "k"), "x5u", url), jwk.ErrAlgorithm)
}

// What is no chain that is trusted is not taken, and shows.
func TestThreat30X5UChainOfAnotherAuthority(t *testing.T) {
	a, attacker, key := josetest.NewAuthority(t), josetest.NewAuthority(t), generate(t)
	_, good := certify(t, a, key)
	_, theirs := certify(t, attacker, key)
	leaf, between, _ := strings.Cut(good, "-----END CERTIFICATE-----\n")
	leaf += "-----END CERTIFICATE-----\n"
	public, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"another authority": theirs, "leaf alone": leaf, "out of order": between + leaf, "nothing": "", "a key": string(public), "a set": document(t, key),
		"something before": "x\n" + good, "something behind": good + "x", "too long": good + strings.Repeat("\n", jwk.MaxKey), "no end": strings.Repeat(good, 1000),
	} {
		srv := httptest.NewServer(serve(body))
		d := openChain(t, srv, jwks.Config{Certificates: trusting(a)})
		refuse(t, name, d, josetest.SignWith(t, key, "x5u", srv.URL+"/chain.pem"), jwks.ErrNoKeys)
		if s := d.Status()[0]; s.LastError == nil || s.Keys != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		d.Close()
		srv.Close()
	}
	t.Run("not accepted", func(t *testing.T) {
		srv := httptest.NewServer(serve(good))
		defer srv.Close()
		trust, no := trusting(a), errors.New("not one of ours")
		trust.Accept = func(*x509.Certificate) error { return no }
		d := openChain(t, srv, jwks.Config{Certificates: trust})
		if err := d.Status()[0].LastError; !errors.Is(err, no) {
			t.Error(err)
		}
	})
}

// The chain in use has to be trusted when a token comes, and not only when it was
// fetched.
func TestX5UChainExpiresInUse(t *testing.T) {
	a, key := josetest.NewAuthority(t), generate(t)
	_, pem := certify(t, a, key)
	srv := httptest.NewServer(serve(pem))
	defer srv.Close()
	var late atomic.Int64
	trust := trusting(a)
	trust.Now = func() time.Time { return josetest.Now.Add(time.Duration(late.Load())) }
	cfg := jwks.Config{Certificates: trust, StateFile: filepath.Join(t.TempDir(), "chain")}
	d := openChain(t, srv, cfg)
	url := srv.URL + "/chain.pem"
	token := josetest.SignWith(t, key, "x5u", url)
	if _, err := jws.Verify(d, token); err != nil {
		t.Error(err)
	}
	late.Store(int64(25 * time.Hour))
	refuse(t, "expired", d, token, jwk.ErrCertificate)
	d.Close()
	srv.Close()
	// The copy on disk is looked at in the same way.
	refuse(t, "expired on disk", openChain(t, srv, cfg), token, jwks.ErrNoKeys)
	late.Store(0)
	if _, err := jws.Verify(openChain(t, srv, cfg), token); err != nil {
		t.Errorf("from disk: %v", err)
	}
}

// A chain is fetched by its age, whatever tokens say, and a source that has fallen
// silent or has something else leaves the old one in use until MaxStale.
func TestX5UIsFetchedByAge(t *testing.T) {
	a, key, next := josetest.NewAuthority(t), generate(t), generate(t)
	_, pem := certify(t, a, key)
	_, later := certify(t, a, next)
	_, theirs := certify(t, josetest.NewAuthority(t), key)
	testbubble.Test(t, func(t *testing.T) {
		src := &source{handle: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			if r.Header.Get("If-None-Match") == `"1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			io.WriteString(w, pem)
		}}
		ln := memnet.Listen()
		srv := &http.Server{Handler: src}
		go srv.Serve(ln)
		client := ln.Client()
		defer srv.Close()
		defer client.CloseIdleConnections()
		d, err := jwks.OpenDirectory(jwks.Config{URL: urlA, Issuer: issuerX, HTTPClient: client, Certificates: trusting(a), MaxStale: 2 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		synctest.Wait()
		token, young := josetest.SignWith(t, key, "x5u", urlA), josetest.SignWith(t, next, "x5u", urlA)
		for range 100 {
			refuse(t, "before its chain", d, young, jwk.ErrSignature)
		}
		d.Remote(urlA).Find("unknown", "ES256")
		pass(2 * jwks.Cooldown)
		if src.count() != 1 {
			t.Errorf("asked %d times", src.count())
		}
		pass(jwks.DefaultMaxAge)
		if _, err := jws.Verify(d, token); err != nil || src.count() != 2 || d.Status()[0].Age > jwks.DefaultMaxAge/2 {
			t.Errorf("confirmed: %v, status %+v", err, d.Status()[0])
		}
		src.answer(serve(theirs))
		pass(jwks.DefaultMaxAge)
		if _, err := jws.Verify(d, token); err != nil || d.Status()[0].LastError == nil {
			t.Errorf("%v, status %+v", err, d.Status()[0])
		}
		src.answer(serve(later))
		pass(time.Minute)
		refuse(t, "after its chain", d, token, jwk.ErrSignature)
		if _, err := jws.Verify(d, young); err != nil {
			t.Error(err)
		}
		src.answer(down)
		pass(2*time.Hour + time.Minute)
		refuse(t, "silent", d, young, jwks.ErrWithdrawn)
	})
}

func TestOpenDirectoryRefusesCertificates(t *testing.T) {
	a := josetest.NewAuthority(t)
	good := func(change func(*jwks.Config)) jwks.Config {
		c := jwks.Config{URL: "http://127.0.0.1:1/chain.pem", Issuer: issuerX, Certificates: trusting(a)}
		change(&c)
		return c
	}
	for name, cfg := range map[string]jwks.Config{
		"no roots":     good(func(c *jwks.Config) { c.Certificates.Roots = nil }),
		"no Accept":    good(func(c *jwks.Config) { c.Certificates.Accept = nil }),
		"no clock":     good(func(c *jwks.Config) { c.Certificates.Now = nil }),
		"no algorithm": good(func(c *jwks.Config) { c.Certificates.Algorithms = nil }),
		"for a set":    good(func(c *jwks.Config) { c.Algorithm = jwk.RS256 }),
		"no issuer":    good(func(c *jwks.Config) { c.Issuer = "" }),
		"no https":     good(func(c *jwks.Config) { c.URL = "http://a.example/chain.pem" }),
	} {
		if d, err := jwks.OpenDirectory(cfg); d != nil || err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if r, err := jwks.Open(good(func(*jwks.Config) {})); r != nil || err == nil {
		t.Error("opened without a Directory")
	}
}
