package conformance_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// RFC 7520, Section 6: signed with PS256, then encrypted with RSA-OAEP. Its time
// was up in 2011.
func TestCookbookNested(t *testing.T) {
	var v struct {
		Sign    cookbookVector
		Encrypt cookbookMessage
	}
	conformance.ReadVectors(t, "cookbook/6.nesting_signatures_and_encryption.json", &v)
	signer := v.Sign.keys(t)[0]
	recipient, err := v.Encrypt.key(jwk.RSAOAEP, 0)
	if err != nil {
		t.Fatal(err)
	}
	const expiry = 1300819380
	policy := jwt.Policy{
		Issuer: "hobbiton.example", InsecureSkipAudience: true, Type: "JWT",
		Now: func() time.Time { return time.Unix(expiry-60, 0) },
	}
	dp := jwe.Policy{Algorithm: jwk.RSAOAEP, Encryption: v.Encrypt.Input.Enc}
	for form, data := range v.Encrypt.Output {
		if form != "compact" { // a token of RFC 7519 is
			v.Encrypt.recipients(t, form, text(data))
			continue
		}
		token, err := jwt.VerifyNested[struct{}](policy, signer, dp, recipient, text(data))
		if err != nil || string(token.Payload()) != v.Sign.Input.Payload || token.Expiry().Unix() != expiry {
			t.Errorf("%v", err)
		}
		for name, bad := range tampered(text(data)) {
			if _, err := jwt.VerifyNested[struct{}](policy, signer, dp, recipient, bad); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	}
	if len(v.Encrypt.Output) != 3 {
		t.Errorf("%d forms", len(v.Encrypt.Output))
	}
}
