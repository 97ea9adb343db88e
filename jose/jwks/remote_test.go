package jwks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/internal/memnet"
	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// source is an HTTP server in memory whose answers a test changes as it goes.
type source struct {
	mu     sync.Mutex
	handle http.HandlerFunc
	hits   int
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.hits++
	h := s.handle
	s.mu.Unlock()
	h(w, r)
}

func (s *source) answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = h
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits
}

func (s *source) publish(t testing.TB, keys ...*jwk.Key) { s.answer(serve(document(t, keys...))) }

func serve(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

var down http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

func document(t testing.TB, keys ...*jwk.Key) string {
	t.Helper()
	docs := make([]string, len(keys))
	for i, k := range keys {
		b, err := k.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		docs[i] = string(b)
	}
	return `{"keys":[` + strings.Join(docs, ",") + `]}`
}

func generate(t testing.TB) *jwk.Key {
	t.Helper()
	k, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// bubble runs a test with its own clock and a source that publishes key.
func bubble(t *testing.T, test func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote)) {
	t.Helper()
	testbubble.Test(t, func(t *testing.T) {
		src := &source{handle: down}
		ln := memnet.Listen()
		srv := &http.Server{Handler: src}
		go srv.Serve(ln)
		t.Cleanup(func() { srv.Close() })
		test(t, src, func(cfg jwks.Config) *jwks.Remote {
			client := ln.Client()
			cfg.URL, cfg.HTTPClient = "https://id.example/jwks", client
			r, err := jwks.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(); client.CloseIdleConnections() })
			synctest.Wait()
			return r
		})
	})
}

func pass(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

func found(r *jwks.Remote, k *jwk.Key) error {
	_, err := r.Find(k.KeyID(), string(k.Algorithm()))
	return err
}

func TestThreat96WithdrawnKey(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		old, young := generate(t), generate(t)
		src.publish(t, old)
		r := open(jwks.Config{})
		if err := found(r, old); err != nil {
			t.Fatal(err)
		}
		src.publish(t, young)
		pass(jwks.DefaultMaxAge)
		if err := found(r, old); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("withdrawn key: %v, want ErrUnknownKey", err)
		}
		if err := found(r, young); err != nil {
			t.Errorf("new key: %v", err)
		}
	})
}

func TestThreat96SourceSilentTooLong(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		key := generate(t)
		src.publish(t, key)
		r := open(jwks.Config{MaxStale: 2 * time.Hour})
		pass(time.Second)
		src.answer(down)
		pass(2*time.Hour - 2*time.Second)
		// Confirmed last at some refresh before the outage, which began within the first second.
		if err := found(r, key); err != nil {
			t.Fatalf("before the bound: %v", err)
		}
		if st := r.Status(); st.LastError == nil || st.Age <= st.Expires {
			t.Errorf("the outage does not show: %+v", st)
		}
		pass(2 * time.Second)
		if err := found(r, key); !errors.Is(err, jwks.ErrWithdrawn) {
			t.Errorf("after the bound: %v, want ErrWithdrawn", err)
		}
		if err := r.Ready(); !errors.Is(err, jwks.ErrWithdrawn) {
			t.Errorf("Ready: %v, want ErrWithdrawn", err)
		}
		if r.Set() != nil {
			t.Error("Set returns a withdrawn set")
		}
		src.publish(t, key)
		pass(time.Minute)
		if err := errors.Join(found(r, key), r.Ready()); err != nil {
			t.Errorf("after recovery: %v", err)
		}
	})
}

func TestThreat94UnknownKidFlood(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		key := generate(t)
		src.publish(t, key)
		r := open(jwks.Config{})
		before := src.count()
		start := time.Now()
		for i := range 10_000 {
			if _, err := r.Find(fmt.Sprintf("junk-%d", i), "ES256"); !errors.Is(err, jwk.ErrUnknownKey) {
				t.Fatal(err)
			}
			if i%100 == 0 {
				synctest.Wait() // let the fetches that were asked for happen
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("callers waited %v", d)
		}
		if n := src.count() - before; n != 1 {
			t.Errorf("%d fetches at once, want 1", n)
		}
		for range 100 {
			r.Find("junk", "ES256")
			pass(900 * time.Millisecond)
		}
		// 90 seconds: one fetch at the beginning of each cool-down.
		if n := src.count() - before; n > 4 {
			t.Errorf("%d fetches in 90 s, want at most 4", n)
		}
	})
}

// A kid that appears during the cool-down is found at its end, and at once when
// somebody who knows asks.
func TestThreat94HonestKidAfterFlood(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		key := generate(t)
		src.publish(t, key)
		r := open(jwks.Config{})
		r.Find("junk", "ES256")
		pass(time.Second)
		young, younger := generate(t), generate(t)
		src.publish(t, key, young)
		if found(r, young) == nil {
			t.Fatal("found before it was fetched")
		}
		pass(jwks.Cooldown)
		if err := found(r, young); err != nil {
			t.Errorf("after the cool-down: %v", err)
		}
		src.publish(t, key, young, younger)
		r.Refresh()
		pass(time.Second)
		if err := found(r, younger); err != nil {
			t.Errorf("after Refresh: %v", err)
		}
	})
}

func TestThreat95BadSignatureFlood(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		key := generate(t)
		src.publish(t, key)
		r := open(jwks.Config{})
		forger, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: key.KeyID()})
		if err != nil {
			t.Fatal(err)
		}
		token, err := jws.Sign(forger, jws.Header{}, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		before := src.count()
		for range 200 {
			if _, err := jws.Verify(r, token); !errors.Is(err, jwk.ErrSignature) {
				t.Fatalf("got %v, want ErrSignature", err)
			}
		}
		pass(time.Minute)
		if n := src.count() - before; n != 0 {
			t.Errorf("%d fetches, want none", n)
		}
	})
}

// A token without kid, or for another algorithm of a known kid, costs its sender
// nothing; it must not cost us a fetch.
func TestThreat94OnlyUnknownKidsFetch(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		src.publish(t, generate(t), generate(t))
		r := open(jwks.Config{})
		before := src.count()
		for _, k := range r.Set().Keys() {
			if _, err := r.Find(k.KeyID(), "RS256"); !errors.Is(err, jwk.ErrAlgorithm) {
				t.Errorf("got %v, want ErrAlgorithm", err)
			}
		}
		if _, err := r.Find("", "ES256"); err == nil {
			t.Error("a token without kid found one of two keys")
		}
		pass(time.Minute)
		if n := src.count() - before; n != 0 {
			t.Errorf("%d fetches, want none", n)
		}
	})
}

func TestThreat97Hostile(t *testing.T) {
	var written int
	many := `{"keys":[` + strings.Repeat(`{"kty":"x"},`, 99_999) + `{"kty":"x"}]}`
	for name, h := range map[string]http.HandlerFunc{
		"1 GB": func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 64<<10))
			for written < 1<<30 {
				n, err := w.Write(chunk)
				if written += n; err != nil {
					return
				}
			}
		},
		"100,000 keys": serve(many),
		"129 keys":     serve(`{"keys":[` + strings.Repeat(`{"kty":"x"},`, 128) + `{"kty":"x"}]}`),
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			for i := 0; ; i++ {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(time.Second):
				}
			}
		},
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"redirect to http": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://id.example/", http.StatusFound)
		},
		"html":          serve("<!doctype html><title>Sign in</title>"),
		"empty":         serve(""),
		"not an object": serve(`[]`),
		"no keys":       serve(`{}`),
		"cut off":       serve(`{"keys":[{"kty":"EC"`),
		"server error":  down,
		"no content":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"stray 304": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
				key := generate(t)
				src.publish(t, key)
				r := open(jwks.Config{})
				src.answer(h)
				before := src.count()
				start := time.Now()
				r.Refresh()
				for r.Status().LastError == nil {
					if pass(100 * time.Millisecond); time.Since(start) > 2*time.Second+jwks.Timeout {
						t.Fatal("no bounded failure")
					}
				}
				if src.count() == before {
					t.Fatal("nothing was fetched")
				}
				if err := found(r, key); err != nil {
					t.Errorf("the old set is gone: %v", err)
				}
				pass(5 * time.Minute)
				if n := src.count() - before; n > 60 {
					t.Errorf("%d requests in 5 minutes of failure", n)
				}
				src.publish(t, key)
				pass(time.Minute)
				if err := r.Status().LastError; err != nil {
					t.Errorf("no recovery: %v", err)
				}
			})
		})
	}
	if written > 64<<20 {
		t.Errorf("%d bytes of the endless bodies were taken", written)
	}
}

func TestThreat129BrokenSetIsVisible(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		key := generate(t)
		good := document(t, key)
		src.answer(serve(strings.Replace(good, `{"keys":[`, `{"keys":[{"kty":"wombat","kid":"w"},`, 1)))
		r := open(jwks.Config{})
		if err := found(r, key); err != nil {
			t.Fatalf("one unknown key spoiled the set: %v", err)
		}
		if sk := r.Status().Skipped; len(sk) != 1 || sk[0].KeyID != "w" || sk[0].Err == nil {
			t.Errorf("skipped %+v, want the wombat", sk)
		}
		src.answer(serve("not a set"))
		r.Refresh()
		pass(2 * time.Second)
		if err := found(r, key); err != nil {
			t.Errorf("the old set is gone: %v", err)
		}
		if r.Status().LastError == nil {
			t.Error("the failure does not show in Status")
		}
	})
}

func TestThreat129InnerAddress(t *testing.T) {
	r, err := jwks.Open(jwks.Config{URL: "https://169.254.169.254/latest/meta-data"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); r.Status().LastError == nil; <-tick.C {
		if time.Since(start) > jwks.Timeout {
			t.Fatal("no failure")
		}
	}
	var inner *fetch.AddressError
	if err := r.Ready(); !errors.As(err, &inner) || !errors.Is(err, jwks.ErrNoKeys) {
		t.Errorf("Ready: %v, want an AddressError", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, cfg := range []jwks.Config{
		{}, {URL: "http://id.example/jwks"}, {URL: "jwks"}, {URL: "https://u:p@id.example/"},
		{URL: "https://id.example", MaxAge: -1}, {URL: "https://id.example", MaxStale: -1},
	} {
		if r, err := jwks.Open(cfg); err == nil {
			r.Close()
			t.Errorf("%+v accepted", cfg)
		}
	}
}

func TestRefreshAheadOfExpiry(t *testing.T) {
	for _, c := range []struct {
		header   http.Header
		from, to time.Duration // the next fetch lies between
	}{
		{nil, 450 * time.Second, 525 * time.Second},
		{http.Header{"Cache-Control": {"public, max-age=60"}}, 45 * time.Second, 53 * time.Second},
		{http.Header{"Cache-Control": {"max-age=100"}, "Age": {"40"}}, 45 * time.Second, 53 * time.Second},
		{http.Header{"Cache-Control": {"max-age=1"}}, 22 * time.Second, 27 * time.Second},
		{http.Header{"Cache-Control": {"no-store"}}, 22 * time.Second, 27 * time.Second},
		{http.Header{"Cache-Control": {"max-age=many"}}, 22 * time.Second, 27 * time.Second},
		{http.Header{"Cache-Control": {"max-age=31536000"}}, 45 * time.Minute, 53 * time.Minute},
	} {
		t.Run(fmt.Sprint(c.header), func(t *testing.T) {
			bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
				doc := document(t, generate(t))
				src.answer(func(w http.ResponseWriter, _ *http.Request) {
					for k, v := range c.header {
						w.Header()[k] = v
					}
					io.WriteString(w, doc)
				})
				open(jwks.Config{})
				pass(c.from - time.Second)
				if n := src.count(); n != 1 {
					t.Errorf("%d fetches before %v", n, c.from)
				}
				pass(c.to - c.from + time.Second)
				if n := src.count(); n != 2 {
					t.Errorf("%d fetches after %v, want 2", n, c.to)
				}
			})
		})
	}
}

func TestETag(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		key := generate(t)
		doc := document(t, key)
		var confirmed atomic.Int64
		src.answer(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `"a"` {
				confirmed.Add(1)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("ETag", `"a"`)
			io.WriteString(w, doc)
		})
		r := open(jwks.Config{MaxStale: time.Hour})
		pass(24 * time.Hour)
		if err := found(r, key); err != nil {
			t.Error(err)
		}
		if st, n := r.Status(), confirmed.Load(); n < 100 || st.Age > jwks.DefaultMaxAge {
			t.Errorf("confirmed %d times, age %v", n, st.Age)
		}
	})
}

// A set that is withdrawn long before its next fetch is due, as on a machine that was
// suspended, is back as soon as somebody looks; a source that is down is left in peace.
func TestWithdrawnSetIsAskedForAgain(t *testing.T) {
	looks := map[string]func(*jwks.Remote, *jwk.Key){
		"Find":   func(r *jwks.Remote, k *jwk.Key) { found(r, k) },
		"Ready":  func(r *jwks.Remote, _ *jwk.Key) { r.Ready() },
		"Set":    func(r *jwks.Remote, _ *jwk.Key) { r.Set() },
		"Digest": func(r *jwks.Remote, _ *jwk.Key) { r.Digest() },
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
				key := generate(t)
				doc := document(t, key)
				src.answer(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Cache-Control", "max-age=3600")
					io.WriteString(w, doc)
				})
				r := open(jwks.Config{MaxStale: time.Minute})
				pass(2 * time.Minute)
				look(r, key)
				synctest.Wait()
				if err := found(r, key); err != nil {
					t.Error(err)
				}
				src.answer(down)
				before := src.count()
				for range 600 {
					pass(time.Second)
					look(r, key)
				}
				if n := src.count() - before; n < 2 || n > 50 {
					t.Errorf("asked %d times in 10 minutes while it was down", n)
				}
			})
		})
	}
}

func TestStartFromDisk(t *testing.T) {
	state := filepath.Join(t.TempDir(), "keys.json")
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		key := generate(t)
		src.publish(t, key)
		open(jwks.Config{StateFile: state}).Close()
		info, err := os.Stat(state)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		src.answer(down)
		pass(time.Hour)
		r := open(jwks.Config{StateFile: state})
		if err := found(r, key); err != nil {
			t.Errorf("with the source down: %v", err)
		}
		if age := r.Status().Age; age < time.Hour {
			t.Errorf("age %v after an hour on disk", age)
		}
		pass(jwks.DefaultMaxStale - time.Hour)
		if err := found(r, key); err != nil && !errors.Is(err, jwks.ErrWithdrawn) {
			t.Error(err)
		}
		pass(2 * time.Second)
		if err := found(r, key); !errors.Is(err, jwks.ErrWithdrawn) {
			t.Errorf("a day later: %v, want ErrWithdrawn", err)
		}
	})
}

func TestBrokenStateIsIgnored(t *testing.T) {
	state := filepath.Join(t.TempDir(), "keys.json")
	for _, content := range []string{"", "{", `{"url":"https://other.example/jwks","body":"{\"keys\":[]}"}`, `{"url":"https://id.example/jwks"}`, `{"url":"https://id.example/jwks","body":"[]"}`} {
		if err := os.WriteFile(state, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
			r := open(jwks.Config{StateFile: state})
			if err := r.Ready(); !errors.Is(err, jwks.ErrNoKeys) {
				t.Errorf("%q: Ready: %v, want ErrNoKeys", content, err)
			}
			key := generate(t)
			src.publish(t, key)
			pass(time.Minute)
			if err := found(r, key); err != nil {
				t.Error(err)
			}
		})
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// lifetime returns how long a set may be used that came with these header fields.
func lifetime(t *testing.T, fields ...[2]string) (life time.Duration) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		body := document(t, generate(t))
		src.answer(func(w http.ResponseWriter, _ *http.Request) {
			for _, f := range fields {
				w.Header().Add(f[0], f[1])
			}
			io.WriteString(w, body)
		})
		life = open(jwks.Config{}).Status().Expires
	})
	return life
}

func TestCacheControl(t *testing.T) {
	const name = "Cache-Control"
	for i, c := range []struct {
		want   time.Duration
		fields [][2]string
	}{
		{jwks.DefaultMaxAge, nil},
		{jwks.DefaultMaxAge, [][2]string{{name, "public"}, {name, ""}}},
		{5 * time.Minute, [][2]string{{name, "public, max-age=300"}}},
		{5 * time.Minute, [][2]string{{name, "public"}, {name, `Max-Age="300"`}}},
		{2 * time.Minute, [][2]string{{name, "max-age=300"}, {name, "max-age=120"}}},
		{2 * time.Minute, [][2]string{{name, "max-age=120, max-age=300"}}},
		{jwks.MinMaxAge, [][2]string{{name, "max-age=300"}, {name, "no-store"}}},
		{jwks.MinMaxAge, [][2]string{{name, "max-age=300, No-Cache"}}},
		{jwks.MinMaxAge, [][2]string{{name, "max-age=300"}, {name, "max-age=x"}}},
		{jwks.MinMaxAge, [][2]string{{name, "max-age=-1"}}},
		{jwks.MinMaxAge, [][2]string{{name, "max-age=0"}}},
		{jwks.MaxMaxAge, [][2]string{{name, "max-age=31536000"}}},
		{4 * time.Minute, [][2]string{{name, "max-age=300"}, {"Age", "60"}}},
		{jwks.MinMaxAge, [][2]string{{name, "max-age=300"}, {"Age", "300"}}},
	} {
		if got := lifetime(t, c.fields...); got != c.want {
			t.Errorf("case %d, %v: %v, want %v", i, c.fields, got, c.want)
		}
	}
}

// RFC 9111, Section 4.3.4: a 304 that says nothing of freshness leaves it as it was.
func TestNotModifiedKeepsTheLifetime(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		body := document(t, generate(t))
		src.answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Cache-Control", "max-age=1200")
			io.WriteString(w, body)
		})
		r := open(jwks.Config{})
		pass(20 * time.Minute)
		if s := r.Status(); s.Fetches < 2 || s.Expires != 20*time.Minute || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestStatusCountsFailures(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		r := open(jwks.Config{})
		pass(10 * time.Second)
		s := r.Status()
		if s.Failures == 0 || s.Failures != s.Fetches {
			t.Errorf("%d of %d fetches failed", s.Failures, s.Fetches)
		}
		src.publish(t, generate(t))
		pass(time.Minute)
		if after := r.Status(); after.Failures == after.Fetches || after.LastError != nil || after.Keys != 1 {
			t.Errorf("%+v", after)
		}
	})
}

func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		key := generate(t)
		src.publish(t, key)
		r := open(jwks.Config{})
		// A fetch that hangs does not keep Close waiting.
		src.answer(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
		r.Refresh()
		pass(2 * time.Second)
		began := time.Now()
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("closed after %v", took)
		}
		hits := src.count()
		r.Refresh()
		if _, err := r.Find("unknown", "ES256"); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Error(err)
		}
		pass(time.Hour)
		if src.count() != hits {
			t.Error("it fetches on")
		}
		if err := found(r, key); err != nil {
			t.Errorf("the last set is gone: %v", err)
		}
	})
}
