package hpke_test

import (
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwe/hpke"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func Example() {
	key, err := jwk.Generate(jwk.Params{Algorithm: hpke.HPKE3})
	if err != nil {
		log.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := jwe.Encrypt(public, hpke.Integrated, "text/plain", []byte("for your eyes only"))
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := jwe.Decrypt(key, jwe.Policy{Algorithm: hpke.HPKE3}, sealed)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", plaintext)
	// Output: for your eyes only
}

// The content encryption key is encrypted, so that there can be several
// recipients.
func Example_keyEncryption() {
	key, err := jwk.Generate(jwk.Params{Algorithm: hpke.HPKE3KE})
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := jwe.Encrypt(key, jwe.A256GCM, "text/plain", []byte("for your eyes only"))
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := jwe.Decrypt(key, jwe.Policy{Algorithm: hpke.HPKE3KE, Encryption: jwe.A256GCM}, sealed)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", plaintext)
	// Output: for your eyes only
}
