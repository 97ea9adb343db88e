package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

const (
	issuerURL = "https://id.example"
	audience  = "orders"
	keyID     = "2026-11"
	tokenType = "at+jwt"

	// tokenBytes is the length of the token under HS256; under the others only
	// the signature and the name of the algorithm differ.
	tokenBytes = 645
)

// algorithms are those compared, and what is promised of each.
var algorithms = []jwk.Algorithm{jwk.HS256, jwk.RS256, jwk.PS256, jwk.ES256, jwk.ES384, jwk.Ed25519}

// A signer is one key in the forms that the libraries want it in.
type signer struct {
	private, public any
	key, verify     *jwk.Key
}

func newSigner(alg jwk.Algorithm) (s signer, err error) {
	if s.private, s.public, err = material(alg); err != nil {
		return s, err
	}
	if s.key, err = jwk.New(s.private, jwk.Params{Algorithm: alg, KeyID: keyID}); err != nil {
		return s, err
	}
	s.verify, err = jwk.New(s.public, jwk.Params{Algorithm: alg, KeyID: keyID})
	return s, err
}

// under is the same key by another name: some libraries know Ed25519 as EdDSA only.
func (s signer) under(alg jwk.Algorithm) (signer, error) {
	var err error
	s.key, err = jwk.New(s.private, jwk.Params{Algorithm: alg, KeyID: keyID})
	return s, err
}

func material(alg jwk.Algorithm) (private, public any, err error) {
	switch alg {
	case jwk.HS256:
		secret := make([]byte, 32)
		rand.Read(secret)
		return secret, secret, nil
	case jwk.RS256, jwk.PS256:
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, nil, err
		}
		return key, &key.PublicKey, nil
	case jwk.ES256, jwk.ES384:
		curve := elliptic.P256()
		if alg == jwk.ES384 {
			curve = elliptic.P384()
		}
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return key, &key.PublicKey, nil
	case jwk.Ed25519:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		return private, public, err
	}
	return nil, nil, fmt.Errorf("no material for %s", alg)
}

// access is what the token says beside the registered claims.
var access = rivals.Access{
	ClientID: "web-frontend", Scope: "orders:read orders:write profile", Session: "gP0rYhAq8n2QdJm5c1xk2w",
	Roles: []string{"buyer", "approver"}, Tenant: "globex", Email: "firstname.surname@example.org",
	AuthTime: 1795430000, RSQ: 116909000000000,
}

// registered are the claims of a token made half a minute ago.
func registered() jwt.Claims {
	now := time.Now().Truncate(time.Second).Add(-30 * time.Second)
	return jwt.Claims{
		Issuer: issuerURL, Subject: "5f1c2f3e-8d1a-4c57-9a51-1f0c9a5b7e11", Audience: []string{audience, "billing"},
		IssuedAt: now, Expiry: now.Add(2 * time.Hour), ID: "AAECAwQFBgcICQoLDA0ODxAREhM",
	}
}

// rivalClaims are the same claims for the other libraries.
func rivalClaims(c jwt.Claims) rivals.Claims {
	return rivals.Claims{
		Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience,
		IssuedAt: c.IssuedAt.Unix(), Expiry: c.Expiry.Unix(), Access: access,
	}
}

var (
	policy      = jwt.Policy{Issuer: issuerURL, Audience: audience, Type: tokenType, Now: time.Now}
	rivalPolicy = rivals.Policy{Issuer: issuerURL, Audience: audience, Now: time.Now}
)

// signToken makes the token of which everything here is measured.
func signToken(key *jwk.Key) (string, error) {
	token, err := jwt.Sign(key, tokenType, registered(), access)
	if err == nil && key.Algorithm() == jwk.HS256 && len(token) != tokenBytes {
		err = fmt.Errorf("the token has %d bytes and should have %d", len(token), tokenBytes)
	}
	return token, err
}
