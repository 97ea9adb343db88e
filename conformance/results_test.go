package conformance_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

var update = flag.Bool("update", false, "write RESULTS.md as the run finds it")

const (
	resultsFile = "RESULTS.md"

	resultsHead = `# Tokens exchanged with libraries made by others

Written by ` + "`go test ./conformance -run TestPeers -update`" + `; without ` + "`-update`" + ` the same test fails when a run finds anything else.

Both ways: they read what we make and refuse it after each part has been tampered with, and we read what they make and
refuse it tampered with. A dash: they do not have it. Nothing stands here that one side has and the other refuses: that
fails the test.

`
)

// Every algorithm in every form that a peer has is exchanged with it.
func TestPeers(t *testing.T) {
	r := &report{peers: startPeers(t)}
	keys := newKeys(t)
	r.signatures(t, keys)
	r.compare(t)
}

// compare holds the run to RESULTS.md. Outside CI other versions of the peers
// than those in the file are not held against it.
func (r *report) compare(t *testing.T) {
	t.Helper()
	if t.Failed() {
		return
	}
	got := r.String()
	if *update {
		if err := os.WriteFile(resultsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(resultsFile)
	switch {
	case err != nil:
		t.Fatal(err)
	case got == string(want):
	case os.Getenv("CI") == "" && !strings.Contains(string(want), r.versions()):
		t.Logf("not compared with %s, which was made with other versions of the peers:\n%s", resultsFile, r.versions())
	default:
		t.Errorf("%s is not what this run found; go test -run TestPeers -update, and look at the difference\n%s", resultsFile, got)
	}
}

// keys makes keys for the exchanges. One RSA key stands behind all of its
// algorithms, since RSA keys are slow to make.
type keys struct {
	rsa [2]*rsa.PrivateKey
}

func newKeys(t *testing.T) *keys {
	t.Helper()
	k := &keys{}
	for i := range k.rsa {
		var err error
		if k.rsa[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// A pair is a key for whoever makes tokens and a key for whoever reads them: for
// signatures the private one makes, for encryption it reads.
type pair struct{ private, public json.RawMessage }

// pair returns the i-th key, 0 or 1, for p.
func (k *keys) pair(t *testing.T, p jwk.Params, i int) pair {
	t.Helper()
	p.KeyID = string(p.Algorithm) + "-" + string(rune('0'+i))
	key, err := k.make(p, i)
	if err != nil {
		t.Fatalf("%s: %v", p.Algorithm, err)
	}
	return pairOf(t, key)
}

func (k *keys) make(p jwk.Params, i int) (*jwk.Key, error) {
	if strings.HasPrefix(string(p.Algorithm), "R") || strings.HasPrefix(string(p.Algorithm), "PS") {
		return jwk.New(k.rsa[i], p)
	}
	return jwk.Generate(p)
}

func pairOf(t *testing.T, key *jwk.Key) pair {
	t.Helper()
	private, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	if key.IsSymmetric() {
		return pair{private, private}
	}
	public, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return pair{private, public}
}

// The text has a dot, which an unencoded payload in a compact token could not
// have unless it was detached (RFC 7797, Section 5.2), and more than ASCII.
const message = `{"amount":"$.02","to":"Zoë"}`

// signatureForms are the serializations of RFC 7515, Section 7, detached as in
// its Appendix F, and those of RFC 7797.
var signatureForms = []string{"compact"}

var signatureAlgorithms = []jwk.Algorithm{
	jwk.HS256, jwk.HS384, jwk.HS512, jwk.RS256, jwk.RS384, jwk.RS512, jwk.PS256, jwk.PS384, jwk.PS512,
	jwk.ES256, jwk.ES384, jwk.ES512, jwk.Ed25519, jwk.EdDSA, jwk.MLDSA44, jwk.MLDSA65, jwk.MLDSA87,
}

func (r *report) signatures(t *testing.T, keys *keys) {
	s := r.section("Signatures", "algorithm", "form")
	for _, alg := range signatureAlgorithms {
		first, second := keys.pair(t, jwk.Params{Algorithm: alg}, 0), keys.pair(t, jwk.Params{Algorithm: alg}, 1)
		for _, form := range signatureForms {
			row := s.row(string(alg), form)
			x := signatureExchange(string(alg), form, first, second)
			t.Run(string(alg)+" "+form, func(t *testing.T) {
				for i, p := range r.peers {
					row.outcomes[i] = x.run(t, p)
				}
			})
		}
	}
}

// signatureExchange signs with both keys where the form has room for that, and
// verifies with the last of them.
func signatureExchange(alg, form string, first, second pair) exchange {
	x := exchange{
		make: request{Op: "sign", Form: form, Alg: alg, Payload: encode(message), Keys: []json.RawMessage{first.private}},
		read: request{Op: "verify", Form: form, Alg: alg, Keys: []json.RawMessage{first.public}},
	}
	if form == "general" {
		x.make.Keys = append(x.make.Keys, second.private)
		x.read.Keys = []json.RawMessage{second.public}
	}
	if form == "detached" || form == "unencoded" {
		x.read.Payload = x.make.Payload
	}
	return x
}
