package jwe_test

import (
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func Example() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := jwe.Encrypt(key, jwe.A256GCM, "text/plain", []byte("for your eyes only"))
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := jwe.Decrypt(key, jwe.Policy{Algorithm: "A256GCMKW", Encryption: jwe.A256GCM}, sealed)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", plaintext)
	// Output: for your eyes only
}
