package conformance_test

import (
	"encoding/json"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

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
