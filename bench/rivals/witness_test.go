package rivals_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
)

// witnessed makes an access token with a tag and a witness, and returns it beside
// what it would be under the same header without the witness.
func witnessed(t *testing.T, alg string, private any) (token, header string) {
	t.Helper()
	local := notary.NewLocal(notary.Secret{1})
	key, err := jwk.New(private, jwk.Params{Algorithm: jwk.Algorithm(alg), KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jws.NewSigner(key, jws.Header{Type: "at+jwt"})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := json.Marshal(map[string]any{
		"iss": policy.Issuer, "sub": "alice", "aud": policy.Audience, "iat": now.Unix() - 10, "exp": now.Unix() + 300, "rsq": uint64(1) << 47,
	})
	if err != nil {
		t.Fatal(err)
	}
	rest[0] = ','
	jti, witness, err := local.TagWitness(t.Context(), "k", signer.Header(), rest)
	if err != nil {
		t.Fatal(err)
	}
	with, err := signer.With(notary.WitnessHeader, witness)
	if err != nil {
		t.Fatal(err)
	}
	if token, err = with.Sign(notary.Join(jti, rest)); err != nil {
		t.Fatal(err)
	}
	return token, signer.Header()
}

// A token with a witness in its header is a token like any other to libraries that
// know nothing of it, and the witness is under the signature.
func TestWitnessedTokenIsAnOrdinaryOne(t *testing.T) {
	for alg, key := range keys(t) {
		if strings.HasPrefix(alg, "HS") {
			continue // an issuer signs no tokens so
		}
		token, header := witnessed(t, alg, key[0])
		_, rest, _ := strings.Cut(token, ".")
		for _, lib := range rivals.JWT {
			verify, err := lib.Verifier(alg, "k", key[1], policy)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := verify(token)
			if err != nil || claims.Subject != "alice" || len(claims.ID) != notary.IDSize || claims.RSQ != 1<<47 {
				t.Errorf("%s %s: %+v %v", lib.Name, alg, claims, err)
			}
			if _, err := verify(header + "." + rest); err == nil {
				t.Errorf("%s %s: accepted without its witness", lib.Name, alg)
			}
		}
	}
}
