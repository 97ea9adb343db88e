package verifier_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/verifier"
)

func TestThreat94UnknownKidFlood(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		pass(time.Second)
		token := o.token(t, nil)
		_, rest, _ := strings.Cut(token, ".")
		before, start := o.count("/jwks"), time.Now()
		for i := range 10_000 {
			err := verify(t, v, header(fmt.Sprintf(`{"alg":"ES256","kid":"junk-%d","typ":"at+jwt"}`, i))+"."+rest)
			if !errors.Is(err, jwk.ErrUnknownKey) {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("callers waited %v", d)
		}
		pass(jwks.Cooldown - time.Second)
		if n := o.count("/jwks") - before; n != 1 {
			t.Errorf("%d fetches within the cool-down, want 1", n)
		}

		// In the middle of it a new key is published: the feed says so.
		young := generate(t, jwk.ES256)
		o.set(func() { o.signing = append([]*jwk.Key{young}, o.signing...) })
		pass(2 * time.Second)
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Errorf("token of a new key, two seconds after it was published: %v", err)
		}
	})
}

// A cache in front of the key set stays behind what the feed names: that must
// not become a fetch a second.
func TestThreat94KeySetBehindTheFeed(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		old := string(o.jwks())
		o.door("/jwks", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, old) })
		o.set(func() { o.signing = append(o.signing, generate(t, jwk.ES256)) })
		before := o.count("/jwks")
		pass(5 * time.Minute)
		if n := o.count("/jwks") - before; n < 5 || n > 11 {
			t.Errorf("%d fetches in 5 minutes, want one in 30 s", n)
		}
		if err := verify(t, v, o.token(t, nil)); err != nil {
			t.Error(err)
		}
	})
}

func TestThreat95BadSignatureFlood(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		pass(time.Second)
		forger, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: o.signing[0].KeyID()})
		if err != nil {
			t.Fatal(err)
		}
		before := o.count("/jwks")
		for range 300 {
			if err := verify(t, v, o.token(t, claims{"key": forger})); !errors.Is(err, jwk.ErrSignature) {
				t.Fatal(err)
			}
		}
		pass(time.Minute)
		if n := o.count("/jwks") - before; n != 0 {
			t.Errorf("%d fetches, want none", n)
		}
	})
}

func TestThreat96WithdrawnKey(t *testing.T) {
	for name, c := range map[string]struct {
		noFeed bool
		within time.Duration
	}{"by age": {true, jwks.DefaultMaxAge}, "by feed": {false, 2 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				o.noFeed = c.noFeed
				v := o.ready(t, nil)
				old := o.signing[0]
				if err := verify(t, v, o.token(t, nil)); err != nil {
					t.Fatal(err)
				}
				o.set(func() { o.signing = []*jwk.Key{generate(t, jwk.ES256)} })
				pass(c.within)
				if err := verify(t, v, o.token(t, claims{"key": old})); !errors.Is(err, jwk.ErrUnknownKey) {
					t.Errorf("withdrawn key: %v, want ErrUnknownKey", err)
				}
				if err := verify(t, v, o.token(t, nil)); err != nil {
					t.Errorf("new key: %v", err)
				}
			})
		})
	}
}

func TestThreat97HostileKeySet(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"html":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"too large": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat(" ", 300<<10)) },
		"hanging":   hang,
		"to http": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://id.example/keys", http.StatusTemporaryRedirect)
		},
		"server error": broken,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				o.noFeed = true
				v := o.ready(t, nil)
				o.door("/jwks", h)
				pass(30 * time.Minute)
				if err := verify(t, v, o.token(t, nil)); err != nil {
					t.Errorf("the old keys are gone: %v", err)
				}
				if v.Status().Keys.LastError == nil {
					t.Error("the failure does not show")
				}
			})
		})
	}
}

func TestThreat129MetadataThatPointsElsewhere(t *testing.T) {
	for name, body := range map[string]string{
		"keys on this machine":        `{"issuer":"https://id.example","jwks_uri":"http://127.0.0.1:6379/"}`,
		"keys on this machine, https": `{"issuer":"https://id.example","jwks_uri":"https://localhost/"}`,
		"keys over http":              `{"issuer":"https://id.example","jwks_uri":"http://id.example/jwks"}`,
		"no keys":                     `{"issuer":"https://id.example"}`,
		"keys in a file":              `{"issuer":"https://id.example","jwks_uri":"file:///etc/passwd"}`,
		"feed elsewhere":              `{"issuer":"https://id.example","jwks_uri":"https://id.example/jwks","counterfoil_feed":"https://evil.example/revocation"}`,
		"feed on another port":        `{"issuer":"https://id.example","jwks_uri":"https://id.example/jwks","counterfoil_feed":"https://id.example:8443/revocation"}`,
		"another issuer":              `{"issuer":"https://evil.example","jwks_uri":"https://id.example/jwks"}`,
		"a slash more":                `{"issuer":"https://id.example/","jwks_uri":"https://id.example/jwks"}`,
		"twice the issuer":            `{"issuer":"https://evil.example","issuer":"https://id.example","jwks_uri":"https://id.example/jwks"}`,
		"not an object":               `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				o.door("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
				v := o.verifier(t, nil)
				pass(time.Minute)
				if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
					t.Errorf("Ready: %v", err)
				}
				if err := verify(t, v, o.token(t, nil)); !errors.Is(err, verifier.ErrNotReady) {
					t.Errorf("Verify: %v", err)
				}
			})
		})
	}
}

func TestThreat129IssuerOnTheInnerNetwork(t *testing.T) {
	v, err := verifier.Open(t.Context(), verifier.Config{
		Issuer: "https://10.255.255.1", Audience: "orders", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var inner *fetch.AddressError
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !errors.As(v.Ready(), &inner); <-tick.C {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("Ready: %v, want an AddressError", v.Ready())
		}
	}
}

// "No feed" is believed from metadata that were read, and from nothing else.
func TestNoFeed(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		o.door("", broken)
		v := o.verifier(t, func(c *verifier.Config) { c.Credential = "" })
		pass(10 * time.Minute)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
			t.Fatalf("an error passed for an issuer without a feed: %v", err)
		}
		o.set(func() { o.noFeed = true })
		o.door("", nil)
		pass(time.Minute)
		if err := v.Ready(); err != nil {
			t.Fatal(err)
		}
		if st := v.Status(); st.Feed || st.State != verifier.Unfed {
			t.Errorf("state %v without a feed", st.State)
		}
		if err := verify(t, v, o.token(t, claims{"rsq": nil})); err != nil {
			t.Errorf("a token without rsq, of an issuer without a feed: %v", err)
		}
		// The issuer gets a feed, and then loses it again on paper.
		o.set(func() { o.noFeed = false })
		pass(10 * time.Minute)
		if !v.Status().Feed {
			t.Fatal("a new feed was not noticed")
		}
		o.set(func() { o.noFeed = true })
		pass(10 * time.Minute)
		if err := verify(t, v, o.token(t, claims{"rsq": nil})); err == nil {
			t.Error("metadata without a feed made the verifier forget it")
		}
	})
}

func TestFixedKeysAndURL(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		secret := generate(t, jwk.HS256)
		set, err := jwk.NewSet(secret)
		if err != nil {
			t.Fatal(err)
		}
		v := o.ready(t, func(c *verifier.Config) { c.Keys = set })
		if err := verify(t, v, o.token(t, claims{"key": secret, "rsq": nil})); err != nil {
			t.Errorf("shared secret: %v", err)
		}
		if err := verify(t, v, o.token(t, nil)); err == nil {
			t.Error("a key outside of Keys was accepted")
		}
		v = o.ready(t, func(c *verifier.Config) { c.JWKSURL = o.iss + "/jwks" })
		if err := verify(t, v, o.token(t, claims{"rsq": nil})); err != nil {
			t.Errorf("remote set: %v", err)
		}
		if n := o.count("/.well-known/openid-configuration"); n != 0 {
			t.Errorf("%d discoveries, want none", n)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	set, err := jwk.NewSet(generate(t, jwk.HS256))
	if err != nil {
		t.Fatal(err)
	}
	good := verifier.Config{Issuer: "https://id.example", Audience: "orders"}
	for name, change := range map[string]func(c *verifier.Config){
		"no issuer":              func(c *verifier.Config) { c.Issuer = "" },
		"no audience":            func(c *verifier.Config) { c.Audience = "" },
		"http":                   func(c *verifier.Config) { c.Issuer = "http://id.example" },
		"keys and URL":           func(c *verifier.Config) { c.Keys, c.JWKSURL = set, "https://id.example/jwks" },
		"keys over http":         func(c *verifier.Config) { c.JWKSURL = "http://id.example/jwks" },
		"mirror over http":       func(c *verifier.Config) { c.FeedURLs = []string{"http://mirror.example"} },
		"leeway":                 func(c *verifier.Config) { c.Leeway = time.Hour },
		"negative leeway":        func(c *verifier.Config) { c.Leeway = -2 },
		"negative life":          func(c *verifier.Config) { c.MaxLife = -1 },
		"two credentials":        func(c *verifier.Config) { c.Credential, c.CredentialFile = "a:b", "file" },
		"half a credential":      func(c *verifier.Config) { c.Credential = "a" },
		"credential with a line": func(c *verifier.Config) { c.Credential = "a:b\nc:d" },
		"type and none":          func(c *verifier.Config) { c.Type, c.InsecureSkipType = "at+jwt", true },
	} {
		cfg := good
		change(&cfg)
		if v, err := verifier.Open(t.Context(), cfg); err == nil {
			v.Close()
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "b\nc") {
			t.Errorf("%s: the error shows a credential", name)
		}
	}
}

// A verifier that is not keyed says what to type, and passes nothing meanwhile.
func TestWithoutCredential(t *testing.T) {
	for name, change := range map[string]func(c *verifier.Config){
		"none":    func(c *verifier.Config) { c.Credential = "" },
		"wrong":   func(c *verifier.Config) { c.Credential = "shop:guessed" },
		"no file": func(c *verifier.Config) { c.Credential, c.CredentialFile = "", "/nonexistent/credential" },
	} {
		bubble(t, func(t *testing.T, o *origin) {
			var log strings.Builder
			v := o.verifier(t, func(c *verifier.Config) {
				change(c)
				c.Log = textLog(&log)
			})
			pass(10 * time.Second)
			err := v.Ready()
			if !errors.Is(err, verifier.ErrNotReady) {
				t.Fatalf("%s: Ready: %v", name, err)
			}
			const command = "counterfoil client add --verifier NAME"
			if name != "no file" && (!strings.Contains(err.Error(), command) || !strings.Contains(log.String(), command)) {
				t.Errorf("%s: neither Ready nor the log names the command: %v", name, err)
			}
			if err := verify(t, v, o.token(t, nil)); !errors.Is(err, verifier.ErrNotReady) {
				t.Errorf("%s: %v", name, err)
			}
			if strings.Contains(log.String()+err.Error(), "guessed") {
				t.Errorf("%s: the secret was shown", name)
			}
		})
	}
}
