package contrib_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/contrib/ed448"
	"github.com/counterfoil/counterfoil/contrib/es256k"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

var extensions = []jwk.Extension{es256k.Extension(), ed448.Extension()}

const python = "/usr/bin/python3" // Debian's, which sees Debian's modules

// Libraries that others made verify what we sign, and we what they sign.
func TestPeers(t *testing.T) {
	if err := exec.Command(python, "-c", "import jwcrypto").Run(); err != nil {
		leaveOut(t, "jwcrypto is missing: apt-get install python3-jwcrypto")
	}
	for _, e := range extensions {
		t.Run(string(e.Algorithm), func(t *testing.T) {
			key, err := jwk.Generate(jwk.Params{Algorithm: e.Algorithm, Extensions: extensions})
			if err != nil {
				t.Fatal(err)
			}
			theyVerify(t, key)
			weVerify(t, key)
		})
	}
}

// leaveOut skips a test that lacks a program; in CI that is a failure.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("left out: " + why)
}

func theyVerify(t *testing.T, key *jwk.Key) {
	t.Helper()
	token, err := jws.Sign(key, jws.Header{}, []byte("from us"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := peer("verify", key, public, token); err != nil || payload != "from us" {
		t.Errorf("they refuse what we signed: %q, %v", payload, err)
	}
	if payload, err := peer("verify", key, public, tampered(token)); err == nil {
		t.Errorf("they take what nobody signed: %q", payload)
	}
}

func weVerify(t *testing.T, key *jwk.Key) {
	t.Helper()
	private, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	token, err := peer("sign", key, private)
	if err != nil {
		t.Fatalf("they do not sign: %v", err)
	}
	message, err := jws.Verify(key, token)
	if err != nil || string(message.Payload()) != "from a peer" {
		t.Errorf("we refuse what they signed: %v", err)
	}
	if _, err := jws.Verify(key, tampered(token)); err == nil {
		t.Error("we take what nobody signed")
	}
}

// tampered changes the payload.
func tampered(token string) string {
	parts := strings.Split(token, ".")
	parts[1] = "AAAA"
	return strings.Join(parts, ".")
}

func peer(command string, key *jwk.Key, data []byte, more ...string) (string, error) {
	args := append([]string{"testdata/peer.py", command, string(key.Algorithm()), string(data)}, more...)
	cmd := exec.Command(python, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}
