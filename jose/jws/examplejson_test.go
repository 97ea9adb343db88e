package jws_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// mustGenerate keeps the examples short.
func mustGenerate(alg jwk.Algorithm, kid string) *jwk.Key {
	key, err := jwk.Generate(jwk.Params{Algorithm: alg, KeyID: kid})
	if err != nil {
		panic(err)
	}
	return key
}

func mustSigner(key *jwk.Key, h jws.Header) *jws.Signer {
	s, err := jws.NewSigner(key, h)
	if err != nil {
		panic(err)
	}
	return s
}

// Two people sign one contract. Whoever wants both to have signed asks for each:
// signatures can be taken away from a token, and one person can add two.
func ExampleSignJSON() {
	alice, bob := mustGenerate(jwk.ES256, "alice"), mustGenerate(jwk.Ed25519, "bob")
	contract, err := jws.SignJSON([]byte("ten apples a day"), mustSigner(alice, jws.Header{}), mustSigner(bob, jws.Header{}))
	if err != nil {
		panic(err)
	}

	for _, party := range []*jwk.Key{alice, bob} {
		msg, err := jws.VerifyJSON(party, contract)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%q: signature %d by %s\n", msg.Payload(), msg.Index(), msg.Key().KeyID())
	}
	_, err = jws.VerifyJSON(mustGenerate(jwk.ES256, "carol"), contract)
	fmt.Println(err)
	// Output:
	// "ten apples a day": signature 0 by alice
	// "ten apples a day": signature 1 by bob
	// signature 0: jwk: no such key; signature 1: jwk: no such key
}

// Three keys of one set have signed; all three must be right.
func ExampleVerifyAll() {
	var keys []*jwk.Key
	var signers []*jws.Signer
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.PS256, jwk.MLDSA65} {
		key := mustGenerate(alg, string(alg))
		keys, signers = append(keys, key), append(signers, mustSigner(key, jws.Header{}))
	}
	set, err := jwk.NewSet(keys...)
	if err != nil {
		panic(err)
	}
	token, err := jws.SignJSON([]byte("release 1.0"), signers...)
	if err != nil {
		panic(err)
	}

	messages, err := jws.VerifyAll(set, token)
	if err != nil {
		panic(err)
	}
	for _, msg := range messages {
		fmt.Println(msg.Index(), msg.Header().Algorithm)
	}
	// Output:
	// 0 ES256
	// 1 PS256
	// 2 ML-DSA-65
}

// The payload is elsewhere already, and only the signature travels.
func ExampleVerifyDetached() {
	key := mustGenerate(jwk.ES256, "k")
	body := []byte(`{"amount":"17.50"}`)
	signature, err := mustSigner(key, jws.Header{}).SignDetached(body)
	if err != nil {
		panic(err)
	}

	_, err = jws.VerifyDetached(key, signature, body)
	fmt.Println(err)
	_, err = jws.VerifyDetached(key, signature, []byte(`{"amount":"99.99"}`))
	fmt.Println(err)
	// Output:
	// <nil>
	// jwk: signature does not verify
}

// A file of any size is read once, to sign it and to verify it. Without base64url
// (RFC 7797) it is hashed as it is.
func ExampleOptions_VerifyReader() {
	key := mustGenerate(jwk.ES256, "k")
	file := strings.Repeat("many gigabytes\n", 100_000)
	signature, err := mustSigner(key, jws.Header{}.WithUnencoded()).SignReader(strings.NewReader(file))
	if err != nil {
		panic(err)
	}

	accept := jws.Options{Unencoded: true}
	msg, err := accept.VerifyReader(key, signature, strings.NewReader(file))
	if err != nil {
		panic(err)
	}
	fmt.Println(msg.Header().Unencoded(), len(msg.Payload()))
	// Output: true 0
}

// An extension that everybody has to understand: whoever does not must refuse.
func ExampleOptions_critical() {
	key := mustGenerate(jwk.HS256, "k")
	header, err := jws.Header{}.WithCritical("region", "eu")
	if err != nil {
		panic(err)
	}
	token, err := jws.Sign(key, header, []byte("payload"))
	if err != nil {
		panic(err)
	}

	here := jws.Options{Critical: map[string]func(jws.Header, jsontext.Value) error{
		"region": func(_ jws.Header, value jsontext.Value) error {
			if string(value) != `"eu"` {
				return errors.New("not for this region")
			}
			return nil
		},
	}}
	_, err = here.Verify(key, token)
	fmt.Println(err)
	_, err = jws.Verify(key, token)
	fmt.Println(errors.Is(err, jws.ErrCritical))
	// Output:
	// <nil>
	// true
}
