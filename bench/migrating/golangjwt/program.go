// Package golangjwt is the program of docs/migrating.md with golang-jwt, which
// neither reads key sets nor encrypts.
package golangjwt

import (
	"crypto/ecdsa"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Access has all claims.
type Access struct {
	jwt.RegisteredClaims
	Scope string `json:"scope"`
}

// Sign makes an access token.
func Sign(priv *ecdsa.PrivateKey, kid string) (string, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, Access{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    "https://id.example",
			Subject:   "alice",
			Audience:  jwt.ClaimStrings{"orders"},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(15 * time.Minute)),
		},
		Scope: "orders:read",
	})
	token.Header["kid"] = kid
	token.Header["typ"] = "at+jwt"
	return token.SignedString(priv)
}

// Verify checks one with keys that somebody else has read.
func Verify(keys map[string]*ecdsa.PublicKey, token string) (subject, scope string, err error) {
	find := func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key := keys[kid]; key != nil {
			return key, nil
		}
		return nil, errors.New("unknown kid")
	}
	var claims Access
	_, err = jwt.ParseWithClaims(token, &claims, find,
		jwt.WithValidMethods([]string{"ES256"}),
		jwt.WithIssuer("https://id.example"),
		jwt.WithAudience("orders"),
	)
	if err != nil {
		return "", "", err
	}
	return claims.Subject, claims.Scope, nil
}
