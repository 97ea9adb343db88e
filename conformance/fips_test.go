package conformance_test

import (
	"crypto/fips140"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwe"
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
	for _, m := range slices.Concat(managements, hpkeManagements) {
		if m.alg == jwk.RSAOAEP || m.curve == "X25519" {
			continue
		}
		for _, enc := range m.encryptions() {
			t.Run(string(m.alg)+" "+m.key()+" "+string(enc), func(t *testing.T) { fipsEncryption(t, keys, m, enc) })
		}
	}
	for name, data := range fipsRefused(t, keys) {
		t.Run(name+" is refused", func(t *testing.T) { fipsRefusal(t, data) })
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

// fipsEncryption has a message made, read, and refused after tampering.
func fipsEncryption(t *testing.T, keys *keys, m management, enc jwe.Encryption) {
	made := keys.recipient(t, m, enc, 0)
	public, err := jwk.Parse(made.public)
	if err != nil {
		t.Fatal(err)
	}
	private, err := jwk.Parse(made.private)
	if err != nil {
		t.Fatal(err)
	}
	policy := jwe.Policy{Algorithm: m.alg, Encryption: enc, MaxIterations: jwk.MinIterations}
	token := messageFor(t, public, enc)
	if text, err := jwe.Decrypt(private, policy, token); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	for name, bad := range tampered(token) {
		if _, err := jwe.Decrypt(private, policy, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// fipsRefused are keys for what the mode does not have.
func fipsRefused(t *testing.T, keys *keys) map[string]json.RawMessage {
	rsa := keys.pair(t, jwk.Params{Algorithm: jwk.RSAOAEP256}, 0).private
	changed := func(change func(map[string]any)) json.RawMessage {
		var members map[string]any
		if err := json.Unmarshal(rsa, &members); err != nil {
			t.Fatal(err)
		}
		change(members)
		return json.RawMessage(object(members))
	}
	private := []string{"d", "p", "q", "dp", "dq", "qi"}
	return map[string]json.RawMessage{
		"SHA-1 in OAEP": changed(func(m map[string]any) { m["alg"] = jwk.RSAOAEP }),
		"RSA without primes": changed(func(m map[string]any) {
			for _, name := range private[1:] {
				delete(m, name)
			}
		}),
		"RSA with exponent 3": changed(func(m map[string]any) {
			m["e"] = "Aw"
			for _, name := range private {
				delete(m, name)
			}
		}),
		// RFC 8037, Appendix A.6.
		"X25519": json.RawMessage(`{"kty":"OKP","crv":"X25519","alg":"ECDH-ES","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}`),
	}
}

// fipsRefusal wants a key to be refused with the reason, as one that is not
// supported: a set that contains it keeps its other keys.
func fipsRefusal(t *testing.T, data json.RawMessage) {
	_, err := jwk.Parse(data)
	if !errors.Is(err, jwk.ErrUnsupported) || !strings.Contains(err.Error(), "FIPS 140") {
		t.Errorf("%v", err)
	}
}
