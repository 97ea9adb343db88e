// Package counterfoil is the program of docs/migrating.md with this module.
package counterfoil

import (
	"crypto/ecdsa"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// Access is what the program wants to know beyond the registered claims.
type Access struct {
	Scope string `json:"scope"`
}

// Sign makes an access token.
func Sign(priv *ecdsa.PrivateKey, kid string) (string, error) {
	key, err := jwk.New(priv, jwk.Params{Algorithm: jwk.ES256, KeyID: kid})
	if err != nil {
		return "", err
	}
	now := time.Now()
	return jwt.Sign(key, "at+jwt", jwt.Claims{
		Issuer:   "https://id.example",
		Subject:  "alice",
		Audience: []string{"orders"},
		IssuedAt: now,
		Expiry:   now.Add(15 * time.Minute),
	}, Access{Scope: "orders:read"})
}

// Verify checks one with the keys of a JWK Set.
func Verify(set []byte, token string) (subject, scope string, err error) {
	keys, err := jwk.ParseSet(set)
	if err != nil {
		return "", "", err
	}
	policy := jwt.Policy{Issuer: "https://id.example", Audience: "orders", Type: "at+jwt", Now: time.Now}
	tok, err := jwt.Verify[Access](policy, keys, token)
	if err != nil {
		return "", "", err
	}
	return tok.Subject(), tok.Claims().Scope, nil
}

// Encrypt seals a text for the holder of a key.
func Encrypt(pub *ecdsa.PublicKey, plaintext []byte) (string, error) {
	key, err := jwk.New(pub, jwk.Params{Algorithm: jwk.ECDHESA128KW, KeyID: "box"})
	if err != nil {
		return "", err
	}
	return jwe.Encrypt(key, jwe.A256GCM, "text/plain", plaintext)
}

// Decrypt opens what somebody has sealed.
func Decrypt(priv *ecdsa.PrivateKey, token string) ([]byte, error) {
	key, err := jwk.New(priv, jwk.Params{Algorithm: jwk.ECDHESA128KW, KeyID: "box"})
	if err != nil {
		return nil, err
	}
	return jwe.Decrypt(key, jwe.Policy{Algorithm: jwk.ECDHESA128KW, Encryption: jwe.A256GCM}, token)
}
