package rivals

import (
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type golangClaims struct {
	jwt.RegisteredClaims
	Access
}

func golangVerifier(alg, kid string, public any, p Policy) (Verify, error) {
	if jwt.GetSigningMethod(alg) == nil {
		return nil, ErrUnsupported
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(p.Issuer), jwt.WithAudience(p.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(p.Now))
	keyOf := func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != kid {
			return nil, errKeyID
		}
		return public, nil
	}
	return func(token string) (Claims, error) {
		var c golangClaims
		if _, err := parser.ParseWithClaims(token, &c, keyOf); err != nil {
			return Claims{}, err
		}
		return Claims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience, Access: c.Access,
			Expiry: golangSeconds(c.ExpiresAt), IssuedAt: golangSeconds(c.IssuedAt), NotBefore: golangSeconds(c.NotBefore),
		}, nil
	}, nil
}

func golangSigner(alg, kid string, private any) (Sign, error) {
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		return nil, ErrUnsupported
	}
	return func(c Claims) (string, error) {
		t := jwt.NewWithClaims(method, golangClaims{Access: c.Access, RegisteredClaims: jwt.RegisteredClaims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience,
			ExpiresAt: jwt.NewNumericDate(time.Unix(c.Expiry, 0)), IssuedAt: jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)),
		}})
		t.Header["kid"], t.Header["typ"] = kid, "at+jwt"
		return t.SignedString(private)
	}, nil
}

func golangSeconds(d *jwt.NumericDate) int64 {
	if d == nil {
		return 0
	}
	return d.Unix()
}
