package jwk_test

import (
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// The key of RFC 8410, Section 10.3.
const privatePEM = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
`

func ExampleParsePEM() {
	key, err := jwk.ParsePEM([]byte(privatePEM), jwk.Params{})
	if err != nil {
		log.Fatal(err)
	}
	public, err := key.MarshalJSON() // of a private key too: only the public half
	if err != nil {
		log.Fatal(err)
	}
	pem, err := key.MarshalPEM()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n%s", public, pem)
	// Output:
	// {"kty":"OKP","kid":"3YZxBJ12jO3n_mXt_q-j_Z-TFP1vt-NiI3OCf-fEnHQ","use":"sig","alg":"Ed25519","crv":"Ed25519","x":"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE","counterfoil":{"also":"EdDSA"}}
	// -----BEGIN PUBLIC KEY-----
	// MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
	// -----END PUBLIC KEY-----
}

// Keys rotate in three steps: the next one is published, then it signs, then the old
// one is withdrawn. Tokens name their key by "kid", so that both verify meanwhile.
func ExampleNewSet() {
	older, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: "2026-01"})
	if err != nil {
		log.Fatal(err)
	}
	newer, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: "2026-02"})
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range []struct {
		published []*jwk.Key
		signs     *jwk.Key
	}{
		{[]*jwk.Key{older, newer}, older}, // until every verifier has loaded the set
		{[]*jwk.Key{older, newer}, newer}, // until the last token of the older has expired
		{[]*jwk.Key{newer}, newer},
	} {
		var public []*jwk.Key
		for _, key := range step.published {
			half, err := key.Public()
			if err != nil {
				log.Fatal(err)
			}
			public = append(public, half)
		}
		set, err := jwk.NewSet(public...)
		if err != nil {
			log.Fatal(err)
		}
		_, errOlder := set.Find("2026-01", "ES256")
		_, errNewer := set.Find("2026-02", "ES256")
		fmt.Println(step.signs.KeyID(), "signs; verify:", errOlder == nil, errNewer == nil)
	}
	// Output:
	// 2026-01 signs; verify: true true
	// 2026-02 signs; verify: true true
	// 2026-02 signs; verify: false true
}
