package jwk_test

import (
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

func Example() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: "2026-01"})
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
	fmt.Println(public)
	fmt.Println(public.Verify([]byte("to whom it may concern"), sig))
	fmt.Println(public.Verify([]byte("to someone else"), sig))
	// Output:
	// jwk.Key{alg: ES256, kid: "2026-01"}
	// <nil>
	// jwk: signature does not verify
}

func ExampleParseSet() {
	set, err := jwk.ParseSet([]byte(`{"keys":[
		{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
		{"kty":"oct","kid":"b","alg":"HS256","k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}]}`))
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range set.Skipped() {
		fmt.Println(s.Index, s.KeyID, s.Err)
	}
	key, err := set.Find("a", "EdDSA")
	fmt.Println(key, err)
	// Output:
	// 1 b jwk: private key where a public one belongs
	// jwk.Key{alg: Ed25519, kid: "a"} <nil>
}
