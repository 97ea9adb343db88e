package jwks_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func Example() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		panic(err)
	}
	set, err := jwk.NewSet(must(key.Public()))
	if err != nil {
		panic(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(must(set.MarshalJSON()))
	}))
	defer srv.Close()

	keys, err := jwks.Open(jwks.Config{URL: srv.URL + "/jwks"})
	if err != nil {
		panic(err)
	}
	defer keys.Close()
	<-keys.Loaded()

	message, err := jws.Verify(keys, must(jws.Sign(key, jws.Header{}, []byte("hello"))))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", message.Payload())
	// Output: hello
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
