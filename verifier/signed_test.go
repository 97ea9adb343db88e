package verifier_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// signing makes an origin sign its key set.
func signing(o *origin) { o.set(func() { o.keysVer = 7 }) }

// text answers with the same text each time.
func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
}

// edited answers as the origin does, with one thing replaced.
func (o *origin) edited(old, with string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{header: http.Header{}}
		o.answer(rec, r)
		io.WriteString(w, strings.ReplaceAll(rec.body.String(), old, with))
	}
}

type recorder struct {
	header http.Header
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(int)             {}

func TestSignedKeySet(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		v := o.ready(t, nil)
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Fatal(err)
		}
		if s := v.Status().Keys; s.Version != 7 || !strings.HasSuffix(s.URL, "/jwks.jwt") || o.count("/jwks") != 0 {
			t.Errorf("version %d from %s, and the plain set %d times", s.Version, s.URL, o.count("/jwks"))
		}
		// A new key is known within a second or two: the manifest says so.
		young := generate(t, jwk.ES256)
		o.rotate(young, o.signing[0])
		pass(2100 * time.Millisecond)
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Errorf("a token of the new key: %v", err)
		}
		if got := o.lastAck()["keys"]; got != v.KeysDigest() {
			t.Errorf("acknowledged %v", got)
		}
	})
}

// A relay that ends TLS has everything but the feed key. It cannot add a key, by
// whichever of the documents that lead to one.
func TestThreat98RelayAddsAKey(t *testing.T) {
	for name, lie := range map[string]func(o *origin, evil *jwk.Key){
		"in the plain set": func(o *origin, evil *jwk.Key) {
			o.door("/jwks", text(string(keySetOf([]*jwk.Key{evil, o.signing[0]}))))
		},
		"in a set of its own": func(o *origin, evil *jwk.Key) {
			o.door("/jwks.jwt", text(o.signSet(evil, 99, []*jwk.Key{evil, o.signing[0]})))
		},
		"in the signed set, as plain": func(o *origin, evil *jwk.Key) {
			o.door("/jwks.jwt", text(string(keySetOf([]*jwk.Key{evil, o.signing[0]}))))
		},
		"elsewhere": func(o *origin, evil *jwk.Key) {
			o.door("/evil", text(o.signSet(evil, 99, []*jwk.Key{evil})))
			o.door(oauth.WellKnownOpenID, o.edited("/jwks.jwt", "/evil"))
		},
		"and names no signed set": func(o *origin, evil *jwk.Key) {
			o.door("/jwks", text(string(keySetOf([]*jwk.Key{evil, o.signing[0]}))))
			o.door(oauth.WellKnownOpenID, o.edited(`"signed_jwks_uri"`, `"x"`))
		},
	} {
		for _, when := range []string{"from the start", "later"} {
			bubble(t, func(t *testing.T, o *origin) {
				signing(o)
				evil := generate(t, jwk.ES256)
				if when == "from the start" {
					lie(o, evil)
				}
				v := o.verifier(t, nil)
				if when == "later" {
					lie(o, evil)
					pass(10 * time.Minute) // until metadata and keys have been read again
				}
				pass(10 * time.Second)
				forged, good := o.token(t, claims{"key": evil}), o.token(t, nil)
				if err := verify(t, v, forged); err == nil {
					t.Errorf("%s, %s: a token by the relay's key passes", name, when)
				}
				if err := verify(t, v, good); when == "later" && err != nil {
					t.Errorf("%s, %s: the keys that were known are gone: %v", name, when, err)
				}
			})
		}
	}
}

// The manifest says that the set is signed. Metadata without it keep the verifier
// closed at its first start, and say why.
func TestThreat98MetadataWithoutTheSignedSet(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		o.door(oauth.WellKnownOpenID, o.edited(`"signed_jwks_uri"`, `"x"`))
		v := o.verifier(t, func(c *verifier.Config) { c.StateDir = dir })
		pass(time.Minute)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) || !strings.Contains(err.Error(), "signs its key set") {
			t.Errorf("Ready: %v", err)
		}
		if err := verify(t, v, o.token(t, nil)); err == nil {
			t.Error("a plain set was believed")
		}
		v.Close()
		// After a restart with the feed down it is still known.
		o.door("/revocation/manifest", broken)
		v = o.verifier(t, func(c *verifier.Config) { c.StateDir = dir })
		pass(time.Second)
		if err := verify(t, v, o.token(t, nil)); err == nil {
			t.Error("a plain set was believed after a restart")
		}
	})
}

func TestThreat98SignedSetIsNotForgotten(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		pass(15 * time.Second)
		o.door(oauth.WellKnownOpenID, o.edited(`"signed_jwks_uri"`, `"x"`))
		pass(15 * time.Minute)
		if err := v.Status().LastError; err == nil || !strings.Contains(err.Error(), "signed key set") {
			t.Errorf("metadata that leave it out: %v", err)
		}
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Error(err)
		}
		v.Close()
		// Nor over a restart.
		v = o.ready(t, inDir)
		pass(time.Minute)
		if err := v.Status().LastError; err == nil || !strings.Contains(err.Error(), "signed key set") {
			t.Errorf("after a restart: %v", err)
		}
		if o.count("/jwks") != 0 {
			t.Error("the plain set was fetched")
		}
	})
}

func TestThreat98SignedSetReplayed(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		old := o.signing[0]
		before := o.signedSet()
		v := o.ready(t, func(c *verifier.Config) { c.StateDir = dir })
		o.rotate(generate(t, jwk.ES256))
		pass(15 * time.Second)
		o.door("/jwks.jwt", text(before))
		pass(10 * time.Minute)
		refused := func(when string, v *verifier.Verifier) {
			t.Helper()
			if err := verify(t, v, o.token(t, claims{"key": old})); err == nil {
				t.Errorf("%s: a withdrawn key came back", when)
			}
		}
		refused("running", v)
		if err := v.Status().Keys.LastError; !errors.Is(err, jwks.ErrRollback) {
			t.Errorf("running: %v", err)
		}
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Errorf("the present key: %v", err)
		}
		v.Close()
		v = o.ready(t, func(c *verifier.Config) { c.StateDir = dir })
		pass(time.Minute)
		refused("after a restart", v)
		// Who never held the newer set knows by the manifest that there is one.
		fresh := o.verifier(t, nil)
		pass(time.Minute)
		refused("at a first start", fresh)
		if err := fresh.Ready(); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("at a first start: %v", err)
		}
	})
}

// The issuer is down, and so is everything else: the signed set on disk is opened
// with the feed key on disk.
func TestSignedSetFromDisk(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		signed := o.signedSet()
		o.door("/jwks.jwt", text(signed))
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		pass(15 * time.Second)
		v.Close()
		o.shut()
		v = o.ready(t, inDir)
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Errorf("with the issuer down: %v", err)
		}
		v.Close()
		// Whoever can write the file can still not sign.
		files, err := filepath.Glob(filepath.Join(dir, "*", "keys.jwt.json"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		evil := generate(t, jwk.ES256)
		saved, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		forged := strings.Replace(string(saved), signed, o.signSet(evil, 8, []*jwk.Key{evil}), 1)
		if forged == string(saved) {
			t.Fatal("the file does not hold the set")
		}
		if err := os.WriteFile(files[0], []byte(forged), 0o600); err != nil {
			t.Fatal(err)
		}
		v = o.verifier(t, inDir)
		if err := verify(t, v, o.token(t, claims{"key": evil})); err == nil {
			t.Error("a set that nobody signed was taken from disk")
		}
	})
}

// An issuer that begins to sign its set: no verification fails on the way.
func TestSignedSetComesIntoBeing(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		pass(time.Second)
		signing(o)
		o.set(func() { o.manifestVersion(0) }) // nodes of the version before answer for a while
		o.door("/jwks.jwt", func(w http.ResponseWriter, r *http.Request) {
			if o.count("/jwks.jwt") < 8 {
				broken(w, r)
				return
			}
			o.answer(w, r)
		})
		for range 13 * 60 / 5 {
			pass(5 * time.Second)
			if err := verify(t, v, o.token(t, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if v.Status().Keys.Version != 7 {
			t.Errorf("it follows %s", v.Status().Keys.URL)
		}
	})
}

// manifestVersion states another version than the true one. It is called with mu held.
func (o *origin) manifestVersion(version uint64) {
	o.manifest = func(m *revocation.Manifest) { m.KeySetVersion = version }
}

// A node that is behind another names an older set: what is newer stays, and is not
// fetched again and again.
func TestManifestOfANodeThatIsBehind(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		v := o.ready(t, nil)
		old := o.signing[0]
		o.rotate(generate(t, jwk.ES256))
		pass(3 * time.Second)
		o.set(func() {
			o.manifest = func(m *revocation.Manifest) { m.KeySetVersion, m.KeySet = 7, "the one before" }
		})
		n := o.count("/jwks.jwt")
		pass(5 * time.Minute)
		if more := o.count("/jwks.jwt") - n; more > 1 {
			t.Errorf("%d fetches", more)
		}
		if verify(t, v, o.token(t, nil)) != nil || verify(t, v, o.token(t, claims{"key": old})) == nil {
			t.Error("the newer set is not in use")
		}
	})
}

// A token that is shown again costs no signature check when the set was fetched
// again and is the same.
func TestCacheSurvivesTheSameSet(t *testing.T) {
	for name, change := range map[string]func(o *origin){"plain": func(*origin) {}, "signed": signing} {
		bubble(t, func(t *testing.T, o *origin) {
			change(o)
			v := o.ready(t, nil)
			token := o.token(t, nil)
			fetched := func() uint64 { return v.Status().Keys.Fetches }
			if err := verify(t, v, token); err != nil {
				t.Fatal(err)
			}
			before, n := v.Status().CacheHits, fetched()
			pass(10 * time.Minute)
			if err := verify(t, v, token); err != nil || fetched() == n || v.Status().CacheHits != before+1 {
				t.Errorf("%s: %v, %d fetches, %d hits", name, err, fetched()-n, v.Status().CacheHits-before)
			}
		})
	}
}

// Level 0 comes from what the issuer signed: a plain set with wider limits, which is
// not the one that the manifest names, widens nothing.
func TestLimitsCannotBeWidened(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		narrow := o.signing[0].WithLimits(jwk.Limits{MaxLife: 5 * time.Minute, Issuer: o.iss, Types: []string{"at+jwt"}})
		wide := o.signing[0]
		o.set(func() { o.signing = []*jwk.Key{narrow} })
		o.door("/jwks", text(string(keySetOf([]*jwk.Key{wide}))))
		v := o.ready(t, nil)
		pass(11 * time.Minute)
		long := o.token(t, claims{"key": wide, "exp": time.Now().Add(10 * time.Minute)})
		if err := verify(t, v, long); err == nil {
			t.Error("a token that is longer than its key allows passes")
		}
		short := o.token(t, claims{"key": wide, "exp": time.Now().Add(4 * time.Minute)})
		if err := verify(t, v, short); err != nil {
			t.Error(err)
		}
	})
}

// What the root says of the longest life binds also keys that say nothing.
func TestMaxLifeBindsEveryToken(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		now := time.Now()
		for life, good := range map[time.Duration]bool{tokenLife: true, tokenLife + time.Second: false, 2 * time.Hour: false} {
			err := verify(t, v, o.token(t, claims{"jti": life.String(), "iat": now, "exp": now.Add(life)}))
			if (err == nil) != good {
				t.Errorf("a life of %v: %v", life, err)
			}
		}
		// A shorter one does not end the tokens of before: the old value stays in force
		// beside the new. A longer one counts at once.
		o.set(func() { o.version, o.maxLife = 2, time.Hour })
		pass(2 * time.Second)
		if err := verify(t, v, o.token(t, claims{"exp": time.Now().Add(time.Hour)})); err != nil {
			t.Errorf("after it was raised: %v", err)
		}
		o.set(func() { o.version, o.maxLife = 3, time.Minute })
		pass(2 * time.Second)
		if err := verify(t, v, o.token(t, claims{"exp": time.Now().Add(time.Hour)})); err != nil {
			t.Errorf("after it was lowered: %v", err)
		}
	})
}

// Junk fetches no more of a signed set than of a plain one, and a key that the feed
// made known meanwhile works at once.
func TestThreat94SignedSetUnderAFlood(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		v := o.ready(t, nil)
		pass(time.Second)
		_, rest, _ := strings.Cut(o.token(t, nil), ".")
		before := o.count("/jwks.jwt")
		for i := range 10_000 {
			err := verify(t, v, header(fmt.Sprintf(`{"alg":"ES256","kid":"junk-%d","typ":"at+jwt"}`, i))+"."+rest)
			if !errors.Is(err, jwk.ErrUnknownKey) {
				t.Fatal(err)
			}
		}
		pass(jwks.Cooldown - time.Second)
		if n := o.count("/jwks.jwt") - before; n != 1 {
			t.Errorf("%d fetches within the cool-down, want 1", n)
		}
		old := o.signing[0]
		o.rotate(generate(t, jwk.ES256))
		pass(2 * time.Second)
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Errorf("a token of a new key, two seconds after it was published: %v", err)
		}
		if err := verify(t, v, o.token(t, claims{"key": old})); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("a withdrawn key: %v", err)
		}
	})
}

func TestThreat97HostileSignedSet(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"html":         text("<html>"),
		"too large":    text(strings.Repeat("a", 300<<10)),
		"hanging":      hang,
		"server error": broken,
		"to http": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://id.example/keys", http.StatusTemporaryRedirect)
		},
		"304 to nobody": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	} {
		bubble(t, func(t *testing.T, o *origin) {
			signing(o)
			v := o.ready(t, nil)
			o.door("/jwks.jwt", h)
			pass(max(30*time.Minute/slowness, jwks.DefaultMaxAge+time.Minute))
			if err := verify(t, v, o.token(t, nil)); err != nil {
				t.Errorf("%s: the old keys are gone: %v", name, err)
			}
			if v.Status().Keys.LastError == nil {
				t.Errorf("%s: the failure does not show", name)
			}
		})
	}
}

func TestThreat129SignedSetElsewhere(t *testing.T) {
	for _, place := range []string{"http://127.0.0.1:6379/", "https://localhost/", "http://id.example/jwks.jwt", "file:///etc/passwd"} {
		bubble(t, func(t *testing.T, o *origin) {
			signing(o)
			o.door(oauth.WellKnownOpenID, o.edited(o.iss+"/jwks.jwt", place))
			v := o.verifier(t, nil)
			pass(time.Minute)
			if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
				t.Errorf("%s: %v", place, err)
			}
		})
	}
}

// Whoever has stolen the feed key and stands in the path can use the versions up. When
// the root has taken the key away, they bind nobody any more.
func TestThreat98VersionsOfAStolenFeedKey(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		const last = 1<<53 - 1
		o.set(func() { o.manifestVersion(last) })
		o.door("/jwks.jwt", text(o.signSet(o.feedKey, last, o.signing)))
		pass(jwks.DefaultMaxAge)
		if got := v.Status().Keys.Version; got != last {
			t.Fatalf("version %d", got)
		}
		v.Close()
		v = o.ready(t, inDir)
		old := o.signing[0]
		o.set(func() {
			o.feedKey = generate(t, jwk.EdDSA)
			o.feedKeys, o.version, o.manifest = []*jwk.Key{o.feedKey}, 2, nil
		})
		o.door("/jwks.jwt", nil)
		o.rotate(generate(t, jwk.ES256))
		pass(5 * time.Second)
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Errorf("a token of the new key: %v", err)
		}
		if err := verify(t, v, o.token(t, claims{"key": old})); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("a withdrawn key: %v", err)
		}
		v.Close()
		v = o.ready(t, inDir)
		o.rotate(generate(t, jwk.ES256))
		pass(5 * time.Second)
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Errorf("after a restart: %v", err)
		}
	})
}
