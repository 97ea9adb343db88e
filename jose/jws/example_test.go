package jws_test

import (
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func Example() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		panic(err)
	}
	token, err := jws.Sign(key, jws.Header{Type: "greeting"}, []byte("hello"))
	if err != nil {
		panic(err)
	}

	public, err := key.Public()
	if err != nil {
		panic(err)
	}
	msg, err := jws.Verify(public, token)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s, signed with %s\n", msg.Payload(), msg.Header().Algorithm)

	_, err = jws.Verify(public, token[:len(token)-4]+"AAAA")
	fmt.Println(errors.Is(err, jwk.ErrSignature))
	// Output:
	// hello, signed with ES256
	// true
}

// A look into a token before it is known whose keys could verify it.
func ExampleParse() {
	const token = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjIwMjYtMDEifQ.aGVsbG8.c2lnbmF0dXJl"
	u, err := jws.Parse(token)
	if err != nil {
		panic(err)
	}
	fmt.Println(u.UnverifiedHeader().KeyID)
	// Output: 2026-01
}
