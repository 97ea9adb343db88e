package conformance_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/notary"
)

// A service that knows nothing of Counterfoil verifies our tokens with its own
// JOSE library, from the metadata and the JWKS alone.

func TestForeignNPMJose(t *testing.T) {
	node := needFile(t, "node", "nodejs")
	if _, err := os.Stat("npm/node_modules/jose"); err != nil {
		leaveOut(t, "npm jose is missing: npm ci --prefix conformance/npm")
	}
	foreign(t, node, "npm/verify.mjs")
}

func TestForeignJWCrypto(t *testing.T) {
	if err := exec.Command(python, "-c", "import jwcrypto").Run(); err != nil {
		leaveOut(t, "jwcrypto is missing: apt-get install python3-jwcrypto")
	}
	foreign(t, python, "python/verify.py")
}

func foreign(t *testing.T, argv ...string) {
	t.Run("plain", func(t *testing.T) { foreignFrom(t, issuertest.New(t), argv) })
	// With the notary's witness in the header, of which the library knows nothing.
	t.Run("witness", func(t *testing.T) { foreignFrom(t, issuertest.Start(t, issuer.Config{Witness: true}), argv) })
}

func foreignFrom(t *testing.T, iss *issuertest.Issuer, argv []string) {
	token := iss.SignIn(t, iss.User(t, "alice")).AccessToken
	verify := func(token string) (string, error) {
		cmd := exec.Command(argv[0], append(argv[1:], iss.URL, "api", token)...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		return out.String() + strings.TrimSpace(errs.String()), err
	}
	out, err := verify(token)
	if err != nil {
		t.Fatalf("a genuine token was refused: %v: %s", err, out)
	}
	var claims struct{ Iss, Sub, Jti string }
	if err := json.Unmarshal([]byte(out), &claims); err != nil || claims.Iss != iss.URL || claims.Sub == "" || len(claims.Jti) != 27 {
		t.Fatalf("claims read by the stranger: %v: %s", err, out)
	}
	bad := tampered(token)
	header, rest, _ := strings.Cut(token, ".")
	if bare, witness := notary.SplitWitness(header); witness != "" {
		bad["without its witness"] = bare + "." + rest
	} else if strings.HasSuffix(t.Name(), "witness") {
		t.Error("no witness in the token")
	}
	for name, bad := range bad {
		if out, err := verify(bad); err == nil {
			t.Errorf("%s: accepted: %s", name, out)
		}
	}
}

func needFile(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		leaveOut(t, name+" is missing: apt-get install "+debianPackage)
	}
	return path
}

// leaveOut skips a test that lacks a program; in CI that is a failure.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("left out: " + why)
}
