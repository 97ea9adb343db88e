package verifier_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/verifier"
)

// An issuer with discovery needs no Keys: Issuer and Audience are enough. Here a
// shared secret stands in for it, so that the example runs alone.
func Example() {
	secret := must(jwk.Generate(jwk.Params{Algorithm: jwk.HS256}))
	v, err := verifier.Open(context.Background(), verifier.Config{
		Issuer: "https://id.example", Audience: "orders", Keys: must(jwk.NewSet(secret)),
	})
	if err != nil {
		panic(err)
	}
	defer v.Close()

	handler := v.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tok, _ := verifier.From[verifier.Access](r.Context())
		fmt.Printf("%s may %s\n", tok.Subject(), tok.Claims().Scope)
	}))

	token := must(jwt.Sign(secret, "at+jwt", jwt.Claims{
		Issuer: "https://id.example", Subject: "ada", Audience: []string{"orders"},
		IssuedAt: time.Now(), Expiry: time.Now().Add(time.Minute),
	}, verifier.Access{Scope: "read"}))
	for _, authorization := range []string{"Bearer " + token, "Bearer nonsense", ""} {
		r := httptest.NewRequest("GET", "/orders", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		fmt.Printf("%d %q\n", answer.Code, answer.Header().Get("WWW-Authenticate"))
	}
	// Output:
	// ada may read
	// 200 ""
	// 401 "Bearer error=\"invalid_token\", error_description=\"the token is malformed\""
	// 401 "Bearer"
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
