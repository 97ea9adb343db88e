package jwk_test

import (
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Signatures that a quantum computer does not forge are long: a token has no
// smaller one than this.
func Example_mldsa() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.MLDSA44, KeyID: "2026-01"})
	if err != nil {
		log.Fatal(err)
	}
	sig, err := key.Sign([]byte("to whom it may concern"))
	if err != nil {
		log.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(public, len(sig), public.Verify([]byte("to whom it may concern"), sig))
	// Output: jwk.Key{alg: ML-DSA-44, kid: "2026-01"} 2420 <nil>
}
