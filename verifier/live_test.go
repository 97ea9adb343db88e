package verifier_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

const manifestPath = "/revocation/manifest"

// A recording is what a relay has kept of one start of a verifier, by path.
type recording map[string]*httptest.ResponseRecorder

// record keeps what a verifier that starts now is answered.
func (o *origin) record() recording {
	kept := recording{}
	for _, path := range []string{oauth.WellKnownOpenID, "/jwks", "/revocation/key", manifestPath} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		name, secret, _ := strings.Cut(credential, ":")
		r.SetBasicAuth(name, secret)
		r.Header.Set(revocation.NonceHeader, strings.Repeat("0", 26))
		kept[path] = httptest.NewRecorder()
		o.answer(kept[path], r)
	}
	return kept
}

// replay answers with what was kept, and nothing else.
func (kept recording) replay(w http.ResponseWriter, r *http.Request) {
	answer, ok := kept[r.URL.Path]
	if !ok {
		hang(w, r)
		return
	}
	maps.Copy(w.Header(), answer.Header())
	w.Write(answer.Body.Bytes())
}

// unanswered is an issuer of before, or a proxy that drops headers it does not know.
func (o *origin) unanswered(w http.ResponseWriter, r *http.Request) {
	r.Header.Del(revocation.NonceHeader)
	o.answer(w, r)
}

// Everything that a place where TLS ends recorded before a kill is signed as well as
// what is so today. A verifier that starts does not start there, whatever comes in
// place of the answer to its own question.
func TestThreat133ReplayedPast(t *testing.T) {
	signedBy := func(o *origin, w http.ResponseWriter, r *http.Request, past string, change func(e *revocation.Exchange, key **jwk.Key)) {
		e := revocation.Exchange{Issuer: o.iss, Path: revocation.ManifestPath, Nonce: r.Header.Get(revocation.NonceHeader), Answer: []byte(past)}
		key := o.feedKey
		change(&e, &key)
		w.Header().Set(revocation.AnswerHeader, must(e.Sign(key)))
		io.WriteString(w, past)
	}
	stranger := generate(t, jwk.EdDSA)
	type relay func(o *origin, past string, w http.ResponseWriter, r *http.Request)
	for name, relay := range map[string]relay{
		"with the answer of then": nil,
		"without an answer":       func(_ *origin, past string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, past) },
		"answer by a key of its own": func(o *origin, past string, w http.ResponseWriter, r *http.Request) {
			signedBy(o, w, r, past, func(_ *revocation.Exchange, key **jwk.Key) { *key = stranger })
		},
		"answer to a report": func(o *origin, past string, w http.ResponseWriter, r *http.Request) {
			signedBy(o, w, r, past, func(e *revocation.Exchange, _ **jwk.Key) { e.Path = revocation.SeenPath })
		},
		"answer about the present": func(o *origin, past string, w http.ResponseWriter, r *http.Request) {
			now := o.signManifest()
			signedBy(o, w, r, past, func(e *revocation.Exchange, _ **jwk.Key) { e.Answer = []byte(now) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				past, stolen := o.record(), o.token(t, nil)
				pass(time.Minute)
				o.revoke(revocation.Subject, "user-1")
				o.door("", past.replay)
				if relay != nil {
					text := past[manifestPath].Body.String()
					o.door(manifestPath, func(w http.ResponseWriter, r *http.Request) { relay(o, text, w, r) })
				}
				notStarted(t, o, o.verifier(t, nil), stolen)
			})
		})
	}
}

// notStarted wants a verifier that believes nothing as long as the past is played to
// it, and all once the issuer itself is heard.
func notStarted(t *testing.T, o *origin, v *verifier.Verifier, stolen string) {
	t.Helper()
	for range 20 {
		pass(time.Second)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
			t.Fatalf("in the past: Ready %v, %+v", err, v.Status())
		}
		if err := verify(t, v, stolen); !errors.Is(err, verifier.ErrNotReady) {
			t.Fatalf("a revoked token in the past: %v", err)
		}
	}
	o.set(func() { clear(o.doors) })
	o.shut() // and so every connection
	o.open()
	pass(10 * time.Second)
	if err := v.Ready(); err != nil {
		t.Errorf("once the issuer is heard: %v", err)
	}
	if err := verify(t, v, stolen); !refusedAs(err, revocation.Subject) {
		t.Errorf("revoked token: %v", err)
	}
	if st := v.Status(); st.State != verifier.Fresh || st.LastError != nil {
		t.Errorf("%v of age %v, %v", st.State, st.Age, st.LastError)
	}
}

// One answer lets nobody in whose table has not reached the head in it.
func TestThreat133PastAfterOneAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		past, stolen := o.record(), o.token(t, nil)
		pass(time.Minute)
		o.revoke(revocation.Subject, "user-1")
		asked := 0
		o.door("", past.replay)
		o.door("/revocation/tail", broken)
		o.door(manifestPath, func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked <= 2 { // before the first one that counts it fetches the root key
				o.answer(w, r)
				return
			}
			past.replay(w, r)
		})
		notStarted(t, o, o.verifier(t, nil), stolen)
		if asked < 3 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// A mirror knows nothing of nonces: it starts nobody.
func TestThreat133MirrorOfThePast(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		past, stolen := o.record(), o.token(t, nil)
		pass(time.Minute)
		o.revoke(revocation.Subject, "user-1")
		o.door("", past.replay)
		o.door(manifestPath, func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "mirror.example" {
				broken(w, r)
				return
			}
			if r.Header.Get(revocation.NonceHeader) != "" {
				t.Error("a mirror is asked for a signature")
			}
			past.replay(w, r)
		})
		notStarted(t, o, o.verifier(t, func(c *verifier.Config) { c.FeedURLs = []string{"https://mirror.example/revocation"} }), stolen)
	})
}

// Who cannot start says what to do.
func TestIssuerThatSignsNoManifest(t *testing.T) {
	for name, signed := range map[string]bool{"plain keys": false, "signed keys": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				if signed {
					o.set(func() { o.keysVer = 1 })
				}
				o.door(manifestPath, o.unanswered)
				v := o.verifier(t, nil)
				pass(time.Second)
				for _, err := range []error{v.Ready(), v.Status().LastError} {
					if err == nil || !strings.Contains(err.Error(), revocation.AnswerHeader) {
						t.Errorf("%v: does not name %s", err, revocation.AnswerHeader)
					}
				}
			})
		})
	}
}

// A table from disk goes on by manifests that nobody signed for it, and learns what
// they revoke. They make it no better than stale, and no blind one see.
func TestThreat133RestoredByHearsay(t *testing.T) {
	for name, away := range map[string]time.Duration{"a minute": time.Minute, "longer than a token lives": tokenLife + time.Minute} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				dir := t.TempDir()
				keep := func(c *verifier.Config) { c.StateDir = dir }
				before := o.ready(t, keep)
				pass(time.Second)
				if err := before.Close(); err != nil {
					t.Fatal(err)
				}
				pass(away)
				want := verifier.Stale
				if away > tokenLife {
					want = verifier.Blind
				}
				o.door(manifestPath, o.unanswered)
				v := o.verifier(t, keep)
				for range 10 {
					pass(time.Second)
					if st := v.Status(); st.State != want || st.LastError == nil {
						t.Fatalf("by hearsay: %v of age %v, %v, want %v", st.State, st.Age, st.LastError, want)
					}
				}
				token := o.token(t, nil)
				o.revoke(revocation.Subject, "user-1")
				pass(3 * time.Second)
				if want == verifier.Stale {
					if err := verify(t, v, token); !refusedAs(err, revocation.Subject) {
						t.Errorf("revoked by hearsay: %v", err)
					}
				}
				pass(tokenLife)
				if st := v.Status(); st.State != want {
					t.Errorf("%v later: %v of age %v, want %v", tokenLife, st.State, st.Age, want)
				}
				o.door(manifestPath, nil)
				pass(3 * time.Second)
				if st := v.Status(); st.State != verifier.Fresh || st.LastError != nil {
					t.Errorf("answered: %v of age %v, %v", st.State, st.Age, st.LastError)
				}
			})
		})
	}
}

// changeFeedKey has another key sign the feed, and the one before named no more.
func (o *origin) changeFeedKey(t *testing.T) {
	o.set(func() {
		o.feedKey = generate(t, jwk.EdDSA)
		o.feedKeys, o.version = []*jwk.Key{o.feedKey}, 2
	})
}

// What a feed key has said of the time ends with it: the next one has to answer.
func TestThreat133AnswerByTheNextFeedKey(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		o.door(manifestPath, o.unanswered)
		pass(10 * time.Second)
		if st := v.Status(); st.State != verifier.Fresh {
			t.Errorf("who was answered once asks no more: %v", st.State)
		}
		o.changeFeedKey(t)
		pass(10 * time.Second)
		if st := v.Status(); st.State != verifier.Stale || st.LastError == nil {
			t.Errorf("another feed key, no answer: %v of age %v, %v", st.State, st.Age, st.LastError)
		}
		o.door(manifestPath, nil)
		pass(3 * time.Second)
		if st := v.Status(); st.State != verifier.Fresh || st.LastError != nil {
			t.Errorf("answered: %v of age %v, %v", st.State, st.Age, st.LastError)
		}
	})
}

// A change of the feed key with an honest issuer is not felt.
func TestFeedKeyRotationStaysFresh(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		o.changeFeedKey(t)
		for range 100 {
			pass(100 * time.Millisecond)
			if st := v.Status(); st.State > verifier.Late {
				t.Fatalf("%v of age %v, %v", st.State, st.Age, st.LastError)
			}
		}
	})
}
