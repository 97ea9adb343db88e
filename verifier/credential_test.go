package verifier_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/verifier"
)

// Who stands in the path at the first contact is not taken for the issuer.
func TestThreat133CredentialNamesTheRoot(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		dir := t.TempDir()
		naming := func(root *jwk.Key) func(*verifier.Config) {
			return func(c *verifier.Config) {
				c.StateDir, c.Credential = dir, credential+"\nroot "+root.Thumbprint()+"\n"
			}
		}
		v := o.verifier(t, naming(generate(t, jwk.EdDSA)))
		pass(10 * time.Second)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("ready under another root: %v", err)
		}
		v.Close()
		v = o.ready(t, naming(o.root))
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		o.shut()
		v = o.verifier(t, naming(generate(t, jwk.EdDSA))) // what is on disk counts for less
		if err := verify(t, v, o.token(t, nil)); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("from disk, under another root: %v", err)
		}
	})
}

// A root that only the connection vouched for is worth a warning.
func TestRootTakenAsItCame(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		for named, want := range map[string]string{"": "level=WARN", "\nroot " + o.root.Thumbprint(): "level=INFO"} {
			var log strings.Builder
			v := o.ready(t, func(c *verifier.Config) {
				c.Credential, c.Log = credential+named, textLog(&log)
			})
			v.Close()
			i := strings.Index(log.String(), "msg=\"root key")
			if i < 0 {
				i = strings.Index(log.String(), "msg=\"the root key")
			}
			if i < 0 || !strings.Contains(log.String()[max(0, i-20):i], want) {
				t.Errorf("%d characters of a root line: want %s in:\n%s", len(named), want, &log)
			}
		}
	})
}

func TestCredentialsThatCannotBe(t *testing.T) {
	thumbprint := generate(t, jwk.EdDSA).Thumbprint()
	junk := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(junk, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *verifier.Config){
		"no thumbprint":      func(c *verifier.Config) { c.Credential = "a:b\nroot" },
		"a short thumbprint": func(c *verifier.Config) { c.Credential = "a:b\nroot abc" },
		"another word":       func(c *verifier.Config) { c.Credential = "a:b\nleaf " + thumbprint },
		"a third line":       func(c *verifier.Config) { c.Credential = "a:b\nroot " + thumbprint + "\nmore" },
		"the root alone":     func(c *verifier.Config) { c.Credential = "root " + thumbprint },
		"two roots": func(c *verifier.Config) {
			c.Credential, c.Root = "a:b\nroot "+thumbprint, generate(t, jwk.EdDSA).Thumbprint()
		},
		"a file of something else": func(c *verifier.Config) { c.CredentialFile = junk },
		"no root":                  func(c *verifier.Config) { c.Root = "the root" },
	} {
		cfg := verifier.Config{Issuer: "https://id.example", Audience: audience}
		change(&cfg)
		if v, err := verifier.Open(t.Context(), cfg); err == nil {
			v.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
