package es256k_test

import (
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/contrib/es256k"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func Example() {
	extensions := []jwk.Extension{es256k.Extension()}
	key, err := jwk.Generate(jwk.Params{Algorithm: es256k.Algorithm, KeyID: "wallet", Extensions: extensions})
	if err != nil {
		log.Fatal(err)
	}
	token, err := jws.Sign(key, jws.Header{}, []byte("to whom it may concern"))
	if err != nil {
		log.Fatal(err)
	}

	// Somebody else has the public key, in a set.
	public, err := key.MarshalJSON()
	if err != nil {
		log.Fatal(err)
	}
	set, err := jwk.ParseSetAs([]byte(`{"keys":[`+string(public)+`]}`), jwk.Params{Extensions: extensions})
	if err != nil {
		log.Fatal(err)
	}
	message, err := jws.Verify(set, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", message.Key(), message.Payload())
	// Output: jwk.Key{alg: ES256K, kid: "wallet"}: to whom it may concern
}
