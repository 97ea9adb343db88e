package jwt

import (
	"errors"
	"fmt"
	"strings"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// MaxNested is the longest token that VerifyNested reads, in bytes: encrypted, a
// token of [jws.MaxToken] has three quarters of it.
const MaxNested = 2 * jws.MaxToken

// errNotNested reports a JWE whose content does not claim to be a token.
var errNotNested = fmt.Errorf("%w: encrypted token does not have the content type JWT", ErrMalformed)

// SignNested returns a token as [Sign] makes it, encrypted for the key of to: only
// its holder reads the claims, and he can verify who made them. to has the content
// type "JWT" in its header (RFC 7519, Section 5.2); one [jwe.Encrypter] serves for
// all tokens.
//
//	to, err := jwe.NewEncrypter(recipient, jwe.A256GCM, jwe.Header{ContentType: "JWT"})
func SignNested(key *jwk.Key, typ string, c Claims, extra any, to *jwe.Encrypter) (string, error) {
	if to == nil || !isJWT(to.Header().ContentType) {
		return "", errors.New("jwt: sign: a nested token is encrypted with the content type JWT")
	}
	token, err := Sign(key, typ, c, extra)
	if err != nil {
		return "", err
	}
	return to.Encrypt([]byte(token))
}

// VerifyNested decrypts token under dp with a key of decrypt, and checks what was
// inside as [Verify] does under p with keys. Anybody can encrypt for a public key:
// all that a caller may rely on is the signature of the token inside, and without
// a valid one there is no [Token]. Inside must be a JWS; another JWE is refused.
//
// Errors are those of [jwe.Decrypt] and of [Verify].
func VerifyNested[T any](p Policy, keys jwk.Source, dp jwe.Policy, decrypt jwk.Source, token string) (*Token[T], error) {
	if err := p.check(keys); err != nil {
		return nil, err
	}
	if decrypt == nil {
		return nil, &PolicyError{"decrypt", "is required"}
	}
	if len(token) > MaxNested {
		return nil, jws.ErrTooLarge
	}
	m, err := jwe.DecryptMessage(decrypt, dp, token)
	if err != nil {
		return nil, err
	}
	if !isJWT(m.Header().ContentType) {
		return nil, errNotNested
	}
	return verify[T](p, keys, string(m.Plaintext()))
}

// isJWT reports whether "cty" says that the content is a token. Upper case is
// recommended, not required.
func isJWT(contentType string) bool {
	return strings.EqualFold(contentType, "JWT") || strings.EqualFold(contentType, "application/jwt")
}
