// Package gojose is the program of docs/migrating.md with go-jose.
package gojose

import (
	"crypto/ecdsa"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Access is what the program wants to know beyond the registered claims.
type Access struct {
	Scope string `json:"scope"`
}

// Sign makes an access token.
func Sign(priv *ecdsa.PrivateKey, kid string) (string, error) {
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: priv}, options)
	if err != nil {
		return "", err
	}
	now := time.Now()
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer:   "https://id.example",
		Subject:  "alice",
		Audience: jwt.Audience{"orders"},
		IssuedAt: jwt.NewNumericDate(now),
		Expiry:   jwt.NewNumericDate(now.Add(15 * time.Minute)),
	}).Claims(Access{Scope: "orders:read"}).Serialize()
}

// Verify checks one with the keys of a JWK Set.
func Verify(set []byte, token string) (subject, scope string, err error) {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		return "", "", err
	}
	tok, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", "", err
	}
	var claims jwt.Claims
	var access Access
	if err := tok.Claims(&keys, &claims, &access); err != nil {
		return "", "", err
	}
	err = claims.Validate(jwt.Expected{
		Issuer:      "https://id.example",
		AnyAudience: jwt.Audience{"orders"},
		Time:        time.Now(),
	})
	if err != nil {
		return "", "", err
	}
	return claims.Subject, access.Scope, nil
}

// Encrypt seals a text for the holder of a key.
func Encrypt(pub *ecdsa.PublicKey, plaintext []byte) (string, error) {
	to := jose.Recipient{Algorithm: jose.ECDH_ES_A128KW, Key: pub, KeyID: "box"}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, to, (&jose.EncrypterOptions{}).WithContentType("text/plain"))
	if err != nil {
		return "", err
	}
	message, err := encrypter.Encrypt(plaintext)
	if err != nil {
		return "", err
	}
	return message.CompactSerialize()
}

// Decrypt opens what somebody has sealed.
func Decrypt(priv *ecdsa.PrivateKey, token string) ([]byte, error) {
	message, err := jose.ParseEncryptedCompact(token,
		[]jose.KeyAlgorithm{jose.ECDH_ES_A128KW}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, err
	}
	return message.Decrypt(priv)
}
