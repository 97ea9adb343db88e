// Command shared-secret is the smallest life of a token: one program that signs
// and verifies with a secret of its own, and no issuer.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// Order is what the token says beside the registered claims.
type Order struct {
	Number int `json:"order"`
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer) error {
	secret, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256}) // 32 random bytes; keep them with secret.MarshalPrivate
	if err != nil {
		return err
	}
	now := time.Now()
	token, err := jwt.Sign(secret, "order+jwt", jwt.Claims{
		Issuer:   "https://shop.example",
		Subject:  "ada",
		Audience: []string{"warehouse"},
		IssuedAt: now,
		Expiry:   now.Add(5 * time.Minute),
	}, Order{Number: 42})
	if err != nil {
		return err
	}

	policy := jwt.Policy{Issuer: "https://shop.example", Audience: "warehouse", Type: "order+jwt", Now: time.Now}
	tok, err := jwt.Verify[Order](policy, secret, token)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "order %d of %s\n", tok.Claims().Number, tok.Subject())

	policy.Audience = "accounting"
	_, err = jwt.Verify[Order](policy, secret, token)
	fmt.Fprintln(out, "elsewhere:", err)

	policy.Audience, policy.Now = "warehouse", func() time.Time { return now.Add(time.Hour) }
	if _, err = jwt.Verify[Order](policy, secret, token); errors.As(err, new(*jwt.ExpiredError)) {
		fmt.Fprintln(out, "an hour later: expired")
	}
	return nil
}
