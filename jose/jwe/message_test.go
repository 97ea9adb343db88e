package jwe_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Not even as an unexported field of another struct, where package fmt asks no
// method, and not under a verb that is wrong.
func TestMessageDoesNotPrint(t *testing.T) {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256KW})
	if err != nil {
		t.Fatal(err)
	}
	const secret = "for your eyes only"
	token, err := jwe.Encrypt(key, jwe.A256GCM, "", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	m, err := jwe.DecryptMessage(key, jwe.Policy{Algorithm: jwk.A256KW, Encryption: jwe.A256GCM}, token)
	if err != nil {
		t.Fatal(err)
	}
	type held struct{ m jwe.Message }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%p"} {
		for _, v := range []any{m, *m, held{*m}, &held{*m}} {
			text := fmt.Sprintf(verb, v)
			for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret)), fmt.Sprintf("%#v", []byte(secret))} {
				if strings.Contains(text, strings.Trim(form, "[]")) {
					t.Errorf("%s of %T prints the content", verb, v)
				}
			}
		}
	}
}
