package jwt_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// Access is what this service wants to know beyond the registered claims.
type Access struct {
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
}

func Example() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		panic(err)
	}
	token, err := jwt.Sign(key, "at+jwt", jwt.Claims{
		Issuer:   "https://id.example",
		Subject:  "alice",
		Audience: []string{"orders"},
		IssuedAt: time.Now(),
		Expiry:   time.Now().Add(15 * time.Minute),
	}, Access{ClientID: "web", Scope: "orders:read"})
	if err != nil {
		panic(err)
	}

	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "at+jwt", Now: time.Now}
	tok, err := jwt.Verify[Access](policy, key, token)
	if err != nil {
		panic(err)
	}
	fmt.Println(tok.Subject(), "by", tok.Claims().ClientID, "may", tok.Claims().Scope)

	policy.Audience = "billing"
	_, err = jwt.Verify[Access](policy, key, token)
	fmt.Println(err)
	// Output:
	// alice by web may orders:read
	// aud does not name the audience wanted
}

// One verified token, read as two types.
func ExampleAs() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256})
	if err != nil {
		panic(err)
	}
	token, err := jwt.Sign(key, "JWT", jwt.Claims{
		Issuer: "https://id.example", Audience: []string{"orders"}, Expiry: time.Now().Add(time.Minute),
	}, map[string]any{"scope": "orders:read", "tenant": "acme"})
	if err != nil {
		panic(err)
	}

	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "JWT", Now: time.Now}
	tok, err := jwt.Verify[Access](policy, key, token)
	if err != nil {
		panic(err)
	}
	tenant, err := jwt.As[struct {
		Tenant string `json:"tenant"`
	}](tok)
	if err != nil {
		panic(err)
	}
	fmt.Println(tok.Claims().Scope, "at", tenant.Claims().Tenant)
	// Output: orders:read at acme
}

// A look into a token before it is known which issuer's keys could verify it.
func ExampleParseUnverified() {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLCJhZG1pbiI6dHJ1ZX0.c2lnbmF0dXJl"
	u, err := jwt.ParseUnverified(token)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s would say %s\n", u.UnverifiedIssuer(), u.UnverifiedClaims())
	// Output: joe would say {"iss":"joe","admin":true}
}

// Errors that a service answers differently.
func ExampleVerify_expired() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256})
	if err != nil {
		panic(err)
	}
	yesterday := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	token, err := jwt.Sign(key, "at+jwt", jwt.Claims{
		Issuer: "https://id.example", Audience: []string{"orders"}, Expiry: yesterday,
	}, nil)
	if err != nil {
		panic(err)
	}

	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "at+jwt", Now: time.Now}
	_, err = jwt.Verify[Access](policy, key, token)
	var expired *jwt.ExpiredError
	fmt.Println(errors.As(err, &expired), err)
	// Output: true token expired at 2026-01-02T15:04:05Z
}
