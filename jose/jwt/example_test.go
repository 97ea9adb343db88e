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

// A service that has the key set of its issuer, and wants access tokens of RFC
// 9068 and no others.
func ExampleVerify_keySet() {
	const published = `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"2026-01",
		"x":"I3HWm_0Ds1dPMI-IWmf4mBmH-YaeAVbPVu7vB27CxXo","y":"6N_d5Elj9bs1htgV3okJKIdbHEpkgTmAluYKJemzn1M"}]}`
	keys, err := jwk.ParseSet([]byte(published)) // package jwks keeps a remote set up to date
	if err != nil {
		panic(err)
	}
	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Profile: jwt.AccessToken{}, Now: time.Now}

	stranger, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: "2026-01"})
	if err != nil {
		panic(err)
	}
	forged, err := jwt.Sign(stranger, jwt.TypeAccessToken, jwt.Claims{Issuer: "https://id.example", Audience: []string{"orders"}}, nil)
	if err != nil {
		panic(err)
	}
	_, err = jwt.Verify[Access](policy, keys, forged)
	fmt.Println(err)
	// Output: jwk: signature does not verify
}

// The client of an OpenID provider: the answer to one authentication request.
func ExampleIDToken() {
	provider, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		panic(err)
	}
	token, err := jwt.Sign(provider, jwt.TypeJWT, jwt.Claims{
		Issuer: "https://id.example", Subject: "24400320", Audience: []string{"web"}, IssuedAt: time.Now(), Expiry: time.Now().Add(time.Minute),
	}, map[string]any{"nonce": "n-0S6_WzA2Mj", "email": "ada@example.com"})
	if err != nil {
		panic(err)
	}

	policy := jwt.Policy{
		Issuer: "https://id.example", Audience: "web", Now: time.Now,
		Profile: jwt.IDToken{Nonce: "n-0S6_WzA2Mj"}, // the one of the browser's session
	}
	tok, err := jwt.Verify[struct {
		Email string `json:"email"`
	}](policy, provider, token)
	if err != nil {
		panic(err)
	}
	fmt.Println(tok.Subject(), tok.Claims().Email)

	policy.Profile = jwt.IDToken{Nonce: "of another session"}
	_, err = jwt.Verify[struct{}](policy, provider, token)
	fmt.Println(err)

	policy.Profile = jwt.AccessToken{}
	_, err = jwt.Verify[struct{}](policy, provider, token)
	fmt.Println(err)
	// Output:
	// 24400320 ada@example.com
	// nonce is not the one wanted
	// typ is not the type wanted
}

// A client is told by its OpenID provider that a session has ended.
func ExampleLogoutToken() {
	provider, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		panic(err)
	}
	token, err := jwt.Sign(provider, jwt.TypeLogoutToken, jwt.Claims{
		Issuer: "https://id.example", Audience: []string{"web"}, ID: "bWJq", IssuedAt: time.Now(), Expiry: time.Now().Add(2 * time.Minute),
	}, map[string]any{"sid": "08a5019c", "events": map[string]any{jwt.BackChannelLogout: struct{}{}}})
	if err != nil {
		panic(err)
	}

	policy := jwt.Policy{Issuer: "https://id.example", Audience: "web", Profile: jwt.LogoutToken{}, Now: time.Now}
	tok, err := jwt.Verify[struct {
		SessionID string `json:"sid"`
	}](policy, provider, token)
	if err != nil {
		panic(err)
	}
	fmt.Println("end session", tok.Claims().SessionID, "unless", tok.ID(), "was seen before")
	// Output: end session 08a5019c unless bWJq was seen before
}

// One error, for the program, for its log and for the client.
func ExampleExplain() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256})
	if err != nil {
		panic(err)
	}
	token, err := jwt.Sign(key, "at+jwt", jwt.Claims{
		Issuer: "https://id.example/", Audience: []string{"orders"}, Expiry: time.Now().Add(time.Minute),
	}, nil)
	if err != nil {
		panic(err)
	}
	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "at+jwt", Now: time.Now}
	_, err = jwt.Verify[Access](policy, key, token)

	e := jwt.Explain(err)
	fmt.Println(e.Stage, e.Reason, e.Claim)
	fmt.Println(e)
	fmt.Println(e.Client())
	// Output:
	// claims mismatch iss
	// iss is not the issuer wanted (compare the policy's issuer with the issuer's own metadata, byte for byte: a slash at the end counts)
	// invalid_token the token is not good here
}
