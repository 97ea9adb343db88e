package ed448_test

import (
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/contrib/ed448"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func Example() {
	key, err := jwk.Generate(jwk.Params{
		Algorithm:  ed448.Algorithm,
		KeyID:      "2026-01",
		Extensions: []jwk.Extension{ed448.Extension()},
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := jws.Sign(key, jws.Header{}, []byte("to whom it may concern"))
	if err != nil {
		log.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		log.Fatal(err)
	}
	message, err := jws.Verify(public, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", message.Key(), message.Payload())
	// Output: jwk.Key{alg: Ed448, kid: "2026-01"}: to whom it may concern
}
