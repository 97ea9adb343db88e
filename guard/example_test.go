package guard_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/verifier"
)

// A guard in front of a service whose issuer has no discovery: the key is given.
func Example() {
	const issuer = "https://id.example"
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwk.NewSet(key)
	if err != nil {
		log.Fatal(err)
	}
	v, err := verifier.Open(context.Background(), verifier.Config{Issuer: issuer, Audience: "orders", Keys: keys})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	g, err := guard.New(guard.Config{Verifiers: map[string]*verifier.Verifier{issuer: v}})
	if err != nil {
		log.Fatal(err)
	}

	now := time.Now()
	token, err := jwt.Sign(key, "at+jwt", jwt.Claims{
		Issuer: issuer, Subject: "u1", Audience: []string{"orders"}, IssuedAt: now, Expiry: now.Add(time.Minute), ID: "1",
	}, map[string]string{"client_id": "app", "scope": "read"})
	if err != nil {
		log.Fatal(err)
	}
	ask := httptest.NewRequest("GET", "/auth", nil)
	ask.Header.Set("Authorization", "Bearer "+token)
	answer := httptest.NewRecorder()
	g.Handler().ServeHTTP(answer, ask)
	fmt.Println(answer.Code, answer.Header().Get("Auth-Subject"), answer.Header().Get("Auth-Scope"))

	ask.Header.Set("Auth-Subject", "root")
	answer = httptest.NewRecorder()
	g.Handler().ServeHTTP(answer, ask)
	fmt.Println(answer.Code, answer.Header().Get(guard.StatusHeader))
	// Output:
	// 200 u1 read
	// 403 400
}
