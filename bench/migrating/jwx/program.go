// Package jwx is the program of docs/migrating.md with jwx.
package jwx

import (
	"crypto/ecdsa"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// Sign makes an access token.
func Sign(priv *ecdsa.PrivateKey, kid string) (string, error) {
	now := time.Now()
	token, err := jwt.NewBuilder().
		Issuer("https://id.example").
		Subject("alice").
		Audience([]string{"orders"}).
		IssuedAt(now).
		Expiration(now.Add(15*time.Minute)).
		Claim("scope", "orders:read").
		Build()
	if err != nil {
		return "", err
	}
	header := jws.NewHeaders()
	if err := header.Set(jws.KeyIDKey, kid); err != nil {
		return "", err
	}
	if err := header.Set(jws.TypeKey, "at+jwt"); err != nil {
		return "", err
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.ES256(), priv, jws.WithProtectedHeaders(header)))
	return string(signed), err
}

// Verify checks one with the keys of a JWK Set.
func Verify(set []byte, token string) (subject, scope string, err error) {
	keys, err := jwk.Parse(set)
	if err != nil {
		return "", "", err
	}
	tok, err := jwt.ParseString(token,
		jwt.WithKeySet(keys),
		jwt.WithIssuer("https://id.example"),
		jwt.WithAudience("orders"),
	)
	if err != nil {
		return "", "", err
	}
	subject, _ = tok.Subject()
	if err := tok.Get("scope", &scope); err != nil {
		return "", "", err
	}
	return subject, scope, nil
}

// Encrypt seals a text for the holder of a key.
func Encrypt(pub *ecdsa.PublicKey, plaintext []byte) (string, error) {
	header := jwe.NewHeaders()
	if err := header.Set(jwe.KeyIDKey, "box"); err != nil {
		return "", err
	}
	if err := header.Set(jwe.ContentTypeKey, "text/plain"); err != nil {
		return "", err
	}
	message, err := jwe.Encrypt(plaintext,
		jwe.WithKey(jwa.ECDH_ES_A128KW(), pub),
		jwe.WithContentEncryption(jwa.A256GCM()),
		jwe.WithProtectedHeaders(header),
	)
	return string(message), err
}

// Decrypt opens what somebody has sealed.
func Decrypt(priv *ecdsa.PrivateKey, token string) ([]byte, error) {
	return jwe.Decrypt([]byte(token), jwe.WithKey(jwa.ECDH_ES_A128KW(), priv))
}
