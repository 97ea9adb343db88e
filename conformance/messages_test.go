package conformance_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwe/hpke"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

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
