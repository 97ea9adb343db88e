// Package softhsm makes tokens of SoftHSM for a test: PKCS #11 without hardware,
// in a folder of the test's own.
//
//	token := softhsm.New(t)
//	uri, err := pkcs11.ParseURI(token.URI("object=kek"))
//
// Where SoftHSM is not installed the test is left out, and in CI it fails.
package softhsm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What a token is called and opens with.
const (
	Label = "counterfoil test"
	PIN   = "hunter2-hunter2"
)

// modulePaths are where Debian and others keep the module.
var modulePaths = []string{
	"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so",
}

// A Token is a token of SoftHSM with a folder of its own.
type Token struct {
	Module string // path of the shared library
	Config string // path for SOFTHSM2_CONF
	Dir    string // holds the token; moved away it is a token taken out
	util   string
}

// New makes a token, and has the module find it in this process and in what it
// starts: SOFTHSM2_CONF is set until the test ends.
func New(t testing.TB) *Token {
	t.Helper()
	dir := t.TempDir()
	s := &Token{
		Module: need(t, modulePaths...), util: need(t, "softhsm2-util"),
		Config: filepath.Join(dir, "softhsm2.conf"), Dir: filepath.Join(dir, "tokens"),
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := "directories.tokendir = " + s.Dir + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	if err := os.WriteFile(s.Config, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", s.Config)
	s.Util(t, "--init-token", "--free", "--label", Label, "--pin", PIN, "--so-pin", "so-"+PIN)
	return s
}

// Util runs softhsm2-util on the token.
func (s *Token) Util(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command(s.util, args...)
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+s.Config)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util %s: %v\n%s", args[0], err, out)
	}
}

// URI names the token, with further attributes of its path.
func (s *Token) URI(more string) string {
	if more != "" {
		more = ";" + more
	}
	return "pkcs11:token=counterfoil%20test" + more + "?module-path=" + s.Module
}

// need returns the first program or file that is there, or ends the test: in CI by
// failing, elsewhere by leaving it out in words.
func need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: apt-get install softhsm2", names[0])
	}
	t.Skipf("left out: needs %s (apt-get install softhsm2)", names[0])
	return ""
}
