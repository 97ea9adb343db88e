package conformance_test

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// TestFIPSOnly runs itself again with GODEBUG=fips140=only, where the standard
// library refuses every algorithm and parameter that FIPS 140-3 does not approve.
// What is approved must work there, and the rest must be refused by an error.
func TestFIPSOnly(t *testing.T) {
	if !fips140.Enforced() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFIPSOnly$", "-test.v="+verbose())
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("with GODEBUG=fips140=only: %v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	}
	keys := newKeys(t)
	for _, alg := range signatureAlgorithms {
		t.Run(string(alg), func(t *testing.T) { fipsSignature(t, keys, alg) })
	}
}

func verbose() string {
	if testing.Verbose() {
		return "true"
	}
	return "false"
}

// fipsSignature has a key made, written, read and used. All signature algorithms
// work. ML-DSA is approved (FIPS 204), and yet not validated here: its code is
// not in Go's module before Go 1.27.
func fipsSignature(t *testing.T, keys *keys, alg jwk.Algorithm) {
	made := keys.pair(t, jwk.Params{Algorithm: alg}, 0)
	private, err := jwk.Parse(made.private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwk.Parse(made.public)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	claims := jwt.Claims{Issuer: "https://id.example", Audience: []string{"orders"}, Subject: "alice", IssuedAt: now, Expiry: now.Add(time.Minute)}
	token, err := jwt.Sign(private, "at+jwt", claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "at+jwt", Now: func() time.Time { return now }}
	verified, err := jwt.Verify[struct{}](policy, public, token)
	if err != nil || verified.Subject() != "alice" {
		t.Errorf("%v", err)
	}
	for name, bad := range tampered(token) {
		if _, err := jwt.Verify[struct{}](policy, public, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
