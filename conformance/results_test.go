package conformance_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwe/hpke"
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

Detached is RFC 7515, Appendix F; unencoded is RFC 7797, detached where it is compact. General has two signatures or two
recipients, of which the reader holds the second. We never compress. jwcrypto and npm jose write again every number of a
key that they have read; the command of latchset can write public keys only.

`
)

// Every algorithm in every form that a peer has is exchanged with it.
func TestPeers(t *testing.T) {
	peers, missing := startPeers(t)
	r := &report{peers: peers}
	keys := newKeys(t)
	r.signatures(t, keys)
	r.encryption(t, keys)
	r.nested(t, keys)
	r.keys(t, keys)
	if len(missing) > 0 {
		leaveOut(t, "not every peer is here to compare with "+resultsFile+": "+strings.Join(missing, ", "))
	}
	if !t.Failed() {
		r.compare(t)
	}
}

// compare holds the run to RESULTS.md. Outside CI, what other versions of the
// peers do is not held against anybody.
func (r *report) compare(t *testing.T) {
	t.Helper()
	got := r.String()
	if *update {
		if err := os.WriteFile(resultsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(resultsFile)
	if err != nil {
		t.Fatal(err)
	}
	sameVersions := strings.Contains(string(want), r.versions())
	switch {
	case tables(got) == tables(string(want)):
		if !sameVersions {
			t.Logf("as in %s, with other versions of the peers:\n%s", resultsFile, r.versions())
		}
	case !sameVersions && os.Getenv(conformance.EnvCI) == "":
		t.Logf("not as in %s, which was made with other versions of the peers:\n%s", resultsFile, got)
	default:
		t.Errorf("%s is not what this run found; go test -run TestPeers -update, and look at the difference\n%s", resultsFile, got)
	}
}

// tables are all but what stands above the first table.
func tables(results string) string {
	_, after, _ := strings.Cut(results, "\n## ")
	return after
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
	p.KeyID = fmt.Sprint(p.Algorithm, "-", i)
	key, err := k.make(p, i)
	if err != nil {
		t.Fatalf("%s: %v", p.Algorithm, err)
	}
	return pairOf(t, key)
}

// curve returns the i-th key for alg, on the curve where alg leaves that open.
func (k *keys) curve(t *testing.T, alg jwk.Algorithm, curve string, i int) *jwk.Key {
	t.Helper()
	p := jwk.Params{Algorithm: alg, KeyID: fmt.Sprint(alg, "-", i)}
	key, err := k.make(p, i)
	if strings.HasPrefix(string(alg), "ECDH") {
		agreement := map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521(), "X25519": ecdh.X25519()}[curve]
		var priv *ecdh.PrivateKey
		if priv, err = agreement.GenerateKey(rand.Reader); err == nil {
			key, err = jwk.New(priv, p)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", alg, err)
	}
	return key
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
var signatureForms = []string{"compact", "flattened", "general", "detached", "unencoded", "unencoded flattened"}

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

// A management is a way to hand over the content encryption key.
type management struct {
	alg   jwk.Algorithm
	curve string // of the recipient's key, where there is a choice
	all   bool   // with every content encryption
}

var managements = []management{
	{alg: jwk.RSAOAEP}, {alg: jwk.RSAOAEP256}, {alg: jwk.RSAOAEP384}, {alg: jwk.RSAOAEP512},
	{alg: jwk.ECDHES, curve: "P-256", all: true}, {alg: jwk.ECDHES, curve: "P-384"}, {alg: jwk.ECDHES, curve: "P-521"}, {alg: jwk.ECDHES, curve: "X25519"},
	{alg: jwk.ECDHESA128KW, curve: "P-256"}, {alg: jwk.ECDHESA128KW, curve: "P-384"}, {alg: jwk.ECDHESA128KW, curve: "P-521"}, {alg: jwk.ECDHESA128KW, curve: "X25519"},
	{alg: jwk.ECDHESA192KW, curve: "P-256"}, {alg: jwk.ECDHESA192KW, curve: "P-384"}, {alg: jwk.ECDHESA192KW, curve: "P-521"}, {alg: jwk.ECDHESA192KW, curve: "X25519"},
	{alg: jwk.ECDHESA256KW, curve: "P-256"}, {alg: jwk.ECDHESA256KW, curve: "P-384"}, {alg: jwk.ECDHESA256KW, curve: "P-521"}, {alg: jwk.ECDHESA256KW, curve: "X25519"},
	{alg: jwk.A128KW}, {alg: jwk.A192KW}, {alg: jwk.A256KW, all: true},
	{alg: jwk.A128GCMKW}, {alg: jwk.A192GCMKW}, {alg: jwk.A256GCMKW},
	{alg: jwk.Dir, all: true},
	{alg: jwk.PBES2HS256A128KW}, {alg: jwk.PBES2HS384A192KW}, {alg: jwk.PBES2HS512A256KW},
}

// hpkeManagements are those of draft-ietf-jose-hpke-encrypt, which no peer has.
var hpkeManagements = []management{
	{alg: hpke.HPKE0, curve: "P-256"}, {alg: hpke.HPKE1, curve: "P-384"}, {alg: hpke.HPKE2, curve: "P-521"},
	{alg: hpke.HPKE3, curve: "X25519"}, {alg: hpke.HPKE4, curve: "X25519"}, {alg: hpke.HPKE7, curve: "P-256"},
	{alg: hpke.HPKE0KE, curve: "P-256"}, {alg: hpke.HPKE1KE, curve: "P-384"}, {alg: hpke.HPKE2KE, curve: "P-521"},
	{alg: hpke.HPKE3KE, curve: "X25519"}, {alg: hpke.HPKE4KE, curve: "X25519"}, {alg: hpke.HPKE7KE, curve: "P-256"},
}

var allEncryptions = []jwe.Encryption{jwe.A128CBCHS256, jwe.A192CBCHS384, jwe.A256CBCHS512, jwe.A128GCM, jwe.A192GCM, jwe.A256GCM}

// jsonEncryption is the content encryption of those tokens that are not compact.
const jsonEncryption = jwe.A128CBCHS256

// encryptions are two of different construction, or all.
func (m management) encryptions() []jwe.Encryption {
	switch {
	case m.all:
		return allEncryptions
	case m.alg.Integrated():
		return []jwe.Encryption{hpke.Integrated}
	}
	return []jwe.Encryption{jsonEncryption, jwe.A256GCM}
}

// direct reports whether the algorithm is for one recipient.
func (m management) direct() bool { return m.alg == jwk.Dir || m.alg == jwk.ECDHES }

// key names the recipient's key.
func (m management) key() string {
	switch {
	case m.curve != "":
		return m.curve
	case strings.HasPrefix(string(m.alg), "RSA"):
		return "RSA"
	}
	return "oct"
}

func (r *report) encryption(t *testing.T, keys *keys) {
	s := r.section("Encryption", "algorithm", "key", "content", "form")
	for _, m := range managements {
		for _, enc := range m.encryptions() {
			first, second := keys.recipient(t, m, enc, 0), keys.recipient(t, m, enc, 1)
			for form, x := range m.exchanges(enc, first, second) {
				row := s.row(string(m.alg), m.key(), string(enc), form)
				t.Run(fmt.Sprintf("%s %s %s %s", m.alg, m.key(), enc, form), func(t *testing.T) {
					for i, p := range r.peers {
						row.outcomes[i] = x.run(t, p)
					}
				})
			}
		}
	}
}

// recipient returns the i-th key for m; for dir it has the size of enc.
func (k *keys) recipient(t *testing.T, m management, enc jwe.Encryption, i int) pair {
	t.Helper()
	if m.alg != jwk.Dir {
		return pairOf(t, k.curve(t, m.alg, m.curve, i))
	}
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.Dir, Encryption: enc})
	if err != nil {
		t.Fatal(err)
	}
	return pairOf(t, key)
}

// exchanges yields what is done with m and enc, by the name of the form.
func (m management) exchanges(enc jwe.Encryption, first, second pair) iter.Seq2[string, exchange] {
	ask := request{Form: "compact", Alg: string(m.alg), Enc: string(enc)}
	return func(yield func(string, exchange) bool) {
		if !yield("compact", encryptionExchange(ask, first)) || enc != jsonEncryption {
			return
		}
		flattened := ask
		flattened.Form, flattened.AAD = "flattened", encode("not secret")
		if !yield("flattened with aad", encryptionExchange(flattened, first)) {
			return
		}
		if m.direct() {
			named := ask
			named.APU, named.APV = encode("Alice"), encode("Bob")
			if m.alg == jwk.ECDHES {
				yield("compact with apu and apv", encryptionExchange(named, first))
			}
			return
		}
		general := ask
		general.Form = "general"
		if !yield("general", encryptionExchange(general, first, second)) {
			return
		}
		if !m.all {
			return
		}
		compressed := ask
		compressed.Zip = true
		x := encryptionExchange(compressed, first)
		x.oneWay = true // nothing is compressed by us
		yield("compact with zip", x)
	}
}

// encryptionExchange encrypts to all recipients and decrypts as the last.
func encryptionExchange(ask request, recipients ...pair) exchange {
	x := exchange{make: ask, read: ask}
	x.make.Op, x.read.Op = "encrypt", "decrypt"
	x.make.Payload = encode(message)
	for _, r := range recipients {
		x.make.Keys = append(x.make.Keys, r.public)
		x.read.Keys = []json.RawMessage{r.private}
	}
	return x
}

// nestings are pairs for tokens that are signed and then encrypted.
var nestings = []struct {
	sign    jwk.Algorithm
	encrypt management
	content jwe.Encryption
}{
	{jwk.ES256, management{alg: jwk.ECDHESA256KW, curve: "P-256"}, jwe.A256GCM},
	{jwk.RS256, management{alg: jwk.RSAOAEP256}, jwe.A128CBCHS256},
	{jwk.PS384, management{alg: jwk.A256GCMKW}, jwe.A192GCM},
	{jwk.HS256, management{alg: jwk.Dir}, jwe.A256GCM},
	{jwk.EdDSA, management{alg: jwk.ECDHES, curve: "X25519"}, jwe.A128GCM},
}

// nested exchanges tokens of RFC 7519, Appendix A.2. The peers look at the clock.
func (r *report) nested(t *testing.T, keys *keys) {
	s := r.section("Nested tokens", "signed", "encrypted", "key", "content")
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"iss":"https://id.example","sub":"alice","aud":"orders","iat":%d,"exp":%d}`, now, now+600)
	for _, n := range nestings {
		signer, recipient := keys.pair(t, jwk.Params{Algorithm: n.sign}, 0), keys.recipient(t, n.encrypt, n.content, 0)
		ask := request{Alg: string(n.sign), KeyAlg: string(n.encrypt.alg), Enc: string(n.content)}
		x := exchange{make: ask, read: ask}
		x.make.Op, x.make.Payload, x.make.Keys = "nest", encode(claims), []json.RawMessage{signer.private, recipient.public}
		x.read.Op, x.read.Keys = "unnest", []json.RawMessage{signer.public, recipient.private}
		row := s.row(string(n.sign), string(n.encrypt.alg), n.encrypt.key(), string(n.content))
		t.Run(fmt.Sprintf("%s in %s", n.sign, n.encrypt.alg), func(t *testing.T) {
			for i, p := range r.peers {
				row.outcomes[i] = x.run(t, p)
			}
		})
	}
}

// keyKinds are the types of keys, each with an algorithm that it can be for.
var keyKinds = []struct {
	name, kty, curve string
	alg              jwk.Algorithm
}{
	{"RSA", "RSA", "", jwk.RS256},
	{"EC, P-256", "EC", "P-256", jwk.ES256},
	{"EC, P-384", "EC", "P-384", jwk.ES384},
	{"EC, P-521", "EC", "P-521", jwk.ES512},
	{"OKP, Ed25519", "OKP", "Ed25519", jwk.EdDSA},
	{"OKP, X25519", "OKP", "X25519", jwk.ECDHES},
	{"oct", "oct", "", jwk.HS512},
	{"AKP, ML-DSA-65", "AKP", "", jwk.MLDSA65},
}

// keys exchanges keys themselves. Both ways: they write again what they read of
// ours, and we what we read of theirs, with the same numbers; the thumbprints are
// equal.
func (r *report) keys(t *testing.T, keys *keys) {
	s := r.section("Keys", "type", "as")
	for _, kind := range keyKinds {
		ask := request{Alg: string(kind.alg), Type: kind.kty, Curve: kind.curve}
		x := keyExchange{ask: ask, own: keys.curve(t, kind.alg, kind.curve, 0)}
		jwkRow, thumbprintRow := s.row(kind.name, "JWK"), s.row(kind.name, "thumbprint")
		t.Run(kind.name, func(t *testing.T) {
			for i, p := range r.peers {
				jwkRow.outcomes[i] = outcome{x.report(t, p, x.rewrite), x.report(t, p, x.generate)}
				same := x.report(t, p, x.thumbprint)
				thumbprintRow.outcomes[i] = outcome{same, same}
			}
		})
		if kind.kty == "oct" {
			continue // PEM has no secrets
		}
		pemRow := s.row(kind.name, "PEM")
		t.Run(kind.name+" in PEM", func(t *testing.T) {
			for i, p := range r.peers {
				same := x.report(t, p, x.pem)
				pemRow.outcomes[i] = outcome{same, same}
			}
		})
	}
}

// A keyExchange is what is done with keys of one type.
type keyExchange struct {
	ask request
	own *jwk.Key
}

func (x keyExchange) report(t *testing.T, p *peer, do func(*peer) error) bool {
	t.Helper()
	err := do(p)
	if err != nil && !errors.Is(err, errUnsupported) {
		t.Errorf("%s: %v", p.name, err)
	}
	return err == nil
}

// rewrite has a peer read our private key and write it.
func (x keyExchange) rewrite(p *peer) error {
	own, err := x.own.MarshalPrivate()
	if err != nil {
		return err
	}
	r := x.ask
	r.Op, r.Keys = "jwk", []json.RawMessage{own}
	written, err := p.ask(r)
	if err != nil {
		return err
	}
	key, err := jwk.ParseAs([]byte(written.Token), jwk.Params{Algorithm: x.own.Algorithm(), KeyID: x.own.KeyID()})
	if err != nil {
		return err
	}
	if !key.IsPrivate() { // all that latchset can write, with key_ops
		if key.Thumbprint() != x.own.Thumbprint() {
			err = errors.New("another key")
		}
		return err
	}
	return x.same(key)
}

// generate has a peer make a key, which we read and write.
func (x keyExchange) generate(p *peer) error {
	r := x.ask
	r.Op = "generate"
	made, err := p.ask(r)
	if err != nil {
		return err
	}
	key, err := jwk.ParseAs([]byte(made.Token), jwk.Params{Algorithm: x.own.Algorithm()})
	if err != nil {
		return err
	}
	written, err := key.MarshalPrivate()
	if err != nil {
		return err
	}
	var got, want map[string]any
	if err := errors.Join(json.Unmarshal(written, &got), json.Unmarshal([]byte(made.Token), &want)); err != nil {
		return err
	}
	for _, name := range []string{"crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi", "k", "pub", "priv"} {
		if got[name] != want[name] {
			return errors.New("another " + name)
		}
	}
	return nil
}

// thumbprint has a peer compute the URI of RFC 9278.
func (x keyExchange) thumbprint(p *peer) error {
	data, err := x.own.MarshalPrivate()
	if err != nil {
		return err
	}
	r := x.ask
	r.Op, r.Keys = "thumbprint", []json.RawMessage{data}
	got, err := p.ask(r)
	if err == nil && got.Token != x.own.ThumbprintURI() {
		err = errors.New("another thumbprint: " + got.Token)
	}
	return err
}

// pem has a peer read both our keys in PEM and write them, which we read.
func (x keyExchange) pem(p *peer) error {
	private, err := x.own.MarshalPrivatePEM()
	if err != nil {
		return err
	}
	public, err := x.own.MarshalPEM()
	if err != nil {
		return err
	}
	for _, data := range [][]byte{private, public} {
		r := x.ask
		r.Op, r.Token = "pem", string(data)
		written, err := p.ask(r)
		if err != nil {
			return err
		}
		key, err := jwk.ParsePEM([]byte(written.Token), jwk.Params{Algorithm: x.own.Algorithm(), KeyID: x.own.KeyID()})
		if err != nil {
			return err
		}
		if err := x.same(key); err != nil {
			return err
		}
	}
	return nil
}

// same compares a key with our own, or with its public half.
func (x keyExchange) same(key *jwk.Key) error {
	own := x.own
	if !key.IsPrivate() {
		var err error
		if own, err = own.Public(); err != nil {
			return err
		}
	}
	want, err := own.MarshalPrivate()
	if err != nil {
		return err
	}
	if got, err := key.MarshalPrivate(); err != nil || string(got) != string(want) {
		return errors.New("other numbers")
	}
	return nil
}
