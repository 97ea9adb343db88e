// Package rivals verifies and signs the same token with other people's
// libraries, each used as its own documentation says: the algorithm pinned,
// "iss" and "aud" compared, "exp" required, and the claims read into a struct.
//
//	verify, err := lib.Verifier("ES256", &key.PublicKey, policy)
//	claims, err := verify(token)
//
// It serves measuring and comparing, and proves nothing about a token.
package rivals

import (
	"errors"
	"time"
)

// ErrUnsupported reports an algorithm that a library does not have.
var ErrUnsupported = errors.New("the library has no such algorithm")

// What a library leaves to its caller is checked with these errors.
var (
	errIssuer   = errors.New("another issuer")
	errAudience = errors.New("another audience")
	errExpired  = errors.New("expired, or never expires")
	errKeyID    = errors.New("another kid")
)

// Access is what an application adds to the registered claims.
type Access struct {
	ClientID string   `json:"client_id,omitempty"`
	Scope    string   `json:"scope,omitempty"`
	Session  string   `json:"sid,omitempty"`
	Roles    []string `json:"roles,omitempty"`
	Tenant   string   `json:"tenant,omitempty"`
	Email    string   `json:"email,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"`
	RSQ      uint64   `json:"rsq,omitempty"`
}

// Claims are those that every library reads alike. Times are in seconds.
type Claims struct {
	Issuer, Subject, ID         string
	Audience                    []string
	Expiry, IssuedAt, NotBefore int64
	Access
}

// A Policy says what a verifier wants.
type Policy struct {
	Issuer, Audience string
	Now              func() time.Time
}

// Verify verifies a token and returns its claims.
type Verify func(token string) (Claims, error)

// Sign returns a token with these claims.
type Sign func(Claims) (string, error)

// A Library is a module and the way to use it. Keys are those of crypto/rsa,
// crypto/ecdsa and crypto/ed25519, or []byte for an HMAC. In a token they all
// know Ed25519 as "EdDSA", and most of them by no other name.
type Library struct {
	Name, Version string

	// Verifier prepares whatever can be prepared once for a key.
	Verifier func(alg, kid string, public any, p Policy) (Verify, error)
	// Signer does so for a signature.
	Signer func(alg, kid string, private any) (Sign, error)
}

// JWT are the libraries for compact signed tokens.
var JWT = []Library{
	{"golang-jwt", "5.3.1", golangVerifier, golangSigner},
	{"go-jose", "4.1.8", goJoseVerifier, goJoseSigner},
	{"jwx", "3.3.0", jwxVerifier, jwxSigner},
	{"jwx, jws only", "3.3.0", jwxJWSVerifier, jwxJWSSigner},
	{"kataras", "0.1.12", katarasVerifier, katarasSigner},
	{"gbrlsnchs", "3.0.1", gbrlsnchsVerifier, gbrlsnchsSigner},
	{"cristalhq", "5.4.0", cristalhqVerifier, cristalhqSigner},
}
