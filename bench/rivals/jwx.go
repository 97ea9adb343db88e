package rivals

import (
	"encoding/json"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func jwxVerifier(alg, kid string, public any, p Policy) (Verify, error) {
	a, ok := jwa.LookupSignatureAlgorithm(alg)
	if !ok {
		return nil, ErrUnsupported
	}
	options := []jwt.ParseOption{
		jwt.WithKey(a, public), jwt.WithIssuer(p.Issuer), jwt.WithAudience(p.Audience), jwt.WithRequiredClaim("exp"),
		jwt.WithClock(jwt.ClockFunc(p.Now)), jwt.WithTypedClaim("roles", []string{}),
		jwt.WithTypedClaim("rsq", uint64(0)), jwt.WithTypedClaim("auth_time", int64(0)),
	}
	return func(token string) (Claims, error) {
		t, err := jwt.ParseString(token, options...)
		if err != nil {
			return Claims{}, err
		}
		return jwxClaims(t)
	}, nil
}

// jwxClaims copies what a token says into a struct, field by field: the library
// reads into an interface of its own.
func jwxClaims(t jwt.Token) (Claims, error) {
	var c Claims
	c.Issuer, _ = t.Issuer()
	c.Subject, _ = t.Subject()
	c.ID, _ = t.JwtID()
	c.Audience, _ = t.Audience()
	if at, ok := t.Expiration(); ok {
		c.Expiry = at.Unix()
	}
	if at, ok := t.IssuedAt(); ok {
		c.IssuedAt = at.Unix()
	}
	if at, ok := t.NotBefore(); ok {
		c.NotBefore = at.Unix()
	}
	for name, field := range map[string]any{
		"client_id": &c.ClientID, "scope": &c.Scope, "sid": &c.Session, "roles": &c.Roles,
		"tenant": &c.Tenant, "email": &c.Email, "auth_time": &c.AuthTime, "rsq": &c.RSQ,
	} {
		if !t.Has(name) {
			continue
		}
		if err := t.Get(name, field); err != nil {
			return Claims{}, err
		}
	}
	return c, nil
}

func jwxSigner(alg, kid string, private any) (Sign, error) {
	a, ok := jwa.LookupSignatureAlgorithm(alg)
	if !ok {
		return nil, ErrUnsupported
	}
	header, err := jwxHeader(kid)
	if err != nil {
		return nil, err
	}
	option := jwt.WithKey(a, private, jws.WithProtectedHeaders(header))
	return func(c Claims) (string, error) {
		t, err := jwt.NewBuilder().Issuer(c.Issuer).Subject(c.Subject).Audience(c.Audience).JwtID(c.ID).
			Expiration(time.Unix(c.Expiry, 0)).IssuedAt(time.Unix(c.IssuedAt, 0)).
			Claim("client_id", c.ClientID).Claim("scope", c.Scope).Claim("sid", c.Session).Claim("roles", c.Roles).
			Claim("tenant", c.Tenant).Claim("email", c.Email).Claim("auth_time", c.AuthTime).Claim("rsq", c.RSQ).Build()
		if err != nil {
			return "", err
		}
		token, err := jwt.Sign(t, option)
		return string(token), err
	}, nil
}

func jwxHeader(kid string) (jws.Headers, error) {
	header := jws.NewHeaders()
	if err := header.Set(jws.KeyIDKey, kid); err != nil {
		return nil, err
	}
	return header, header.Set(jws.TypeKey, "at+jwt")
}

// jwxJWSVerifier is the shortest way through the library: its package jws with
// the function made for speed, and encoding/json for the claims.
func jwxJWSVerifier(alg, kid string, public any, p Policy) (Verify, error) {
	a, ok := jwa.LookupSignatureAlgorithm(alg)
	if !ok {
		return nil, ErrUnsupported
	}
	return func(token string) (Claims, error) {
		payload, err := jws.VerifyCompactFast(public, []byte(token), a)
		if err != nil {
			return Claims{}, err
		}
		var c plainClaims
		if err := json.Unmarshal(payload, &c); err != nil {
			return Claims{}, err
		}
		return c.check(p)
	}, nil
}

func jwxJWSSigner(alg, kid string, private any) (Sign, error) {
	a, ok := jwa.LookupSignatureAlgorithm(alg)
	if !ok {
		return nil, ErrUnsupported
	}
	header, err := jwxHeader(kid)
	if err != nil {
		return nil, err
	}
	option := jws.WithKey(a, private, jws.WithProtectedHeaders(header))
	return func(c Claims) (string, error) {
		payload, err := json.Marshal(plainClaims{
			Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, Expiry: float64(c.Expiry), IssuedAt: float64(c.IssuedAt), ID: c.ID, Access: c.Access,
		})
		if err != nil {
			return "", err
		}
		token, err := jws.Sign(payload, option)
		return string(token), err
	}, nil
}
