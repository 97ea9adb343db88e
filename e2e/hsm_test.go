package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/softhsm"
)

// withModules is the counterfoil that can load PKCS #11 modules, built once.
var withModules = sync.OnceValues(func() (string, error) {
	out := filepath.Join(binaries.dir, "counterfoil-pkcs11")
	cmd := exec.Command("go", "build", "-tags", "pkcs11", "-o", out, "../cmd/counterfoil")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	cmd.Stderr = os.Stderr
	return out, cmd.Run()
})

// needModules has the test's programs be those that can load modules.
func needModules(t *testing.T) {
	t.Helper()
	needProgram(t, "gcc", "gcc")
	with, err := withModules()
	if err != nil {
		t.Fatal(err)
	}
	ordinary := binaries.counterfoil
	binaries.counterfoil = with
	t.Cleanup(func() { binaries.counterfoil = ordinary })
}

// An hsmIssuer is an issuer with a token of SoftHSM beside it.
type hsmIssuer struct {
	*issuerUnderTest
	hsm *softhsm.Token
	uri string // of the key-encryption key
}

func (iss *hsmIssuer) restart(t *testing.T, args ...string) {
	t.Helper()
	iss.stop()
	iss.args = args
	iss.start(t)
}

// rotate makes another key sign, and returns which.
func (iss *hsmIssuer) rotate(t *testing.T) string {
	t.Helper()
	var done struct {
		To string `json:"to"`
	}
	if err := json.Unmarshal([]byte(iss.command(t, "", "keys", "rotate", "--force", "--json")), &done); err != nil || done.To == "" {
		t.Fatalf("rotate: %v", err)
	}
	return done.To
}

// places counts where the private keys are that may sign or will: in the token, or
// sealed in the database.
func (iss *hsmIssuer) places(t *testing.T) (inside, sealed int) {
	t.Helper()
	th := thiefOf(iss.issuerUnderTest)
	for _, state := range []string{"active", "standby"} {
		for _, text := range th.sealed(t, state) {
			if strings.HasPrefix(text, "pkcs11:") {
				inside++
			} else {
				sealed++
			}
		}
	}
	return inside, sealed
}

// works signs in, is let in by a guard of the ordinary build, and refreshes a
// session from before.
func (iss *hsmIssuer) works(t *testing.T, g *guardUnderTest, before *tokens) {
	t.Helper()
	got := iss.signIn(t, "alice")
	waitFor(t, g.process, "guard that takes the token", func() error {
		status, err := ask(g.url+"/auth", got.Access)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	status, next, err := iss.refresh(before.Refresh)
	if err != nil || status != http.StatusOK {
		t.Fatalf("refresh: %d, %q, %v", status, next.Error, err)
	}
	*before = next
	iss.verifies(t, got.Access)
}

// verifies checks the token by the published keys alone, as any service does.
func (iss *hsmIssuer) verifies(t *testing.T, token string) {
	t.Helper()
	claims := command(t, token, "jwt", "verify", "--keys", iss.url+"/jwks", "--issuer", iss.url, "--audience", "api", "--typ", "at+jwt", "-")
	if !strings.Contains(claims, `"sub"`) {
		t.Errorf("claims: %s", claims)
	}
}

// From a file to a token and into it: the store is sealed under a key of the token,
// new signing keys are made there, and after three rotations a thief with database,
// folder and every file finds no key that signs. Nobody signs in again.
func TestKeysMoveIntoAToken(t *testing.T) {
	hsm := softhsm.New(t)
	t.Setenv("COUNTERFOIL_PKCS11_PIN", softhsm.PIN)
	iss := &hsmIssuer{newIssuer(t, nil), hsm, hsm.URI("object=kek")}
	iss.addUser(t, "alice")
	g := newGuard(t, iss.issuerUnderTest, "guard") // of the ordinary build
	session := iss.signIn(t, "alice")

	if _, err := tryCommand("", "keys", "reseal", "--data", iss.data, "--to", iss.uri); err == nil || !strings.Contains(err.Error(), "-tags pkcs11") {
		t.Errorf("the ordinary build does not say which one can: %v", err)
	}
	needModules(t)
	iss.stop()
	command(t, "", "keys", "reseal", "--data", iss.data, "--to", iss.uri)
	if err := os.Remove(filepath.Join(iss.data, "kek.json")); err != nil {
		t.Fatal(err)
	}
	iss.args = []string{"--kek", iss.uri, "--signing-keys", hsm.URI("")}
	iss.start(t)
	iss.works(t, g, &session)

	for range 3 {
		iss.rotate(t)
		iss.works(t, g, &session)
	}
	if inside, sealed := iss.places(t); inside != 3 || sealed != 0 {
		t.Errorf("%d keys in the token, %d sealed in the database", inside, sealed)
	}
	iss.restart(t, iss.args...)
	iss.works(t, g, &session)
	killed(t, iss, g, &session)
	takenOut(t, iss, g, &session)
	if out := iss.out.String(); strings.Contains(out, softhsm.PIN) {
		t.Error("the PIN is in the log")
	}
}

// A killed key is destroyed where it is.
func killed(t *testing.T, iss *hsmIssuer, g *guardUnderTest, session *tokens) {
	t.Helper()
	before := objects(t, iss.hsm)
	iss.command(t, "", "keys", "kill", keyIDOf(t, iss.signIn(t, "alice").Access))
	iss.works(t, g, session)
	if after := objects(t, iss.hsm); len(after) > len(before) { // its two went, the two of the new standby came
		t.Errorf("%d objects in the token before, %d after: a killed key is still there", len(before), len(after))
	}
}

// objects are the files in which SoftHSM keeps keys.
func objects(t *testing.T, hsm *softhsm.Token) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(hsm.Dir, "*", "*.object"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Without its token the issuer does not start, and says so; with it again it does.
func takenOut(t *testing.T, iss *hsmIssuer, g *guardUnderTest, session *tokens) {
	iss.stop()
	if err := os.Rename(iss.hsm.Dir, iss.hsm.Dir+".out"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(iss.hsm.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := start(t, "issuer without its token", nil, iss.argv(t)...)
	select {
	case <-p.done:
	case <-time.After(startLimit):
		t.Fatal("the issuer started without its token")
	}
	if out := p.out.String(); p.err == nil || !strings.Contains(out, "token") || strings.Contains(out, softhsm.PIN) {
		t.Errorf("%v: %s", p.err, out)
	}
	if err := os.Remove(iss.hsm.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(iss.hsm.Dir+".out", iss.hsm.Dir); err != nil {
		t.Fatal(err)
	}
	iss.start(t)
	iss.works(t, g, session)
}

// A first start may have its key-encryption key in a token from the beginning. A
// wrong PIN and a PIN in the URI are refused without being repeated.
func TestFirstStartWithAToken(t *testing.T) {
	hsm := softhsm.New(t)
	needModules(t)
	pin := filepath.Join(t.TempDir(), "pin")
	write(t, pin, []byte(softhsm.PIN+"\n"))
	uri := hsm.URI("object=kek") + "&pin-source=file:" + pin
	iss := &hsmIssuer{newIssuer(t, nil, "--kek", uri, "--signing-keys", uri, "--alg", "RS256", "--alg", "ES256"), hsm, uri}
	iss.addUser(t, "alice")
	iss.verifies(t, iss.signIn(t, "alice").Access)
	if _, err := os.Stat(filepath.Join(iss.data, "kek.json")); !os.IsNotExist(err) {
		t.Errorf("kek.json: %v", err)
	}
	if inside, sealed := iss.places(t); inside != 6 || sealed != 0 {
		t.Errorf("%d keys in the token, %d sealed in the database", inside, sealed)
	}
	iss.restart(t, iss.args...)
	iss.verifies(t, iss.signIn(t, "alice").Access)
	iss.stop()

	const wrong = "4711-wrong"
	write(t, pin, []byte(wrong))
	for _, bad := range []string{uri, hsm.URI("object=kek") + "&pin-value=" + wrong} {
		iss.args = []string{"--kek", bad}
		p := start(t, "issuer with a wrong PIN", nil, iss.argv(t)...)
		<-p.done
		if out := p.out.String(); p.err == nil || !strings.Contains(out, "PIN") || strings.Contains(out, wrong) {
			t.Errorf("%v: %s", p.err, out)
		}
	}
}
