package hpke_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// A token that is signed with ML-DSA and encrypted with HPKE, in one call each way.
func TestNestedToken(t *testing.T) {
	signer := generate(t, jwk.MLDSA65)
	for _, p := range policies() {
		box := generate(t, p.Algorithm)
		to, err := jwe.NewEncrypter(box, p.Encryption, jwe.Header{ContentType: "JWT"})
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.SignNested(signer, "JWT", jwt.Claims{
			Issuer: "https://id.example", Subject: "alice", Audience: []string{"orders"}, Expiry: time.Now().Add(time.Minute),
		}, nil, to)
		if err != nil {
			t.Fatal(err)
		}
		policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "JWT", Now: time.Now}
		tok, err := jwt.VerifyNested[struct{}](policy, signer, p, box, token)
		if err != nil || tok.Subject() != "alice" {
			t.Errorf("%s: %v", p.Algorithm, err)
		}
		if _, err := jwt.VerifyNested[struct{}](policy, generate(t, jwk.MLDSA65), p, box, token); err == nil {
			t.Errorf("%s: signed by somebody else", p.Algorithm)
		}
	}
}
