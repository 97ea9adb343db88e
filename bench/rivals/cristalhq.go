package rivals

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"time"

	"github.com/cristalhq/jwt/v5"
)

type cristalhqClaims struct {
	jwt.RegisteredClaims
	Access
}

func cristalhqVerifier(alg, kid string, public any, p Policy) (Verify, error) {
	verifier, err := cristalhqKey(alg, public)
	if err != nil {
		return nil, err
	}
	return func(token string) (Claims, error) {
		t, err := jwt.Parse([]byte(token), verifier)
		if err != nil {
			return Claims{}, err
		}
		if t.Header().KeyID != kid {
			return Claims{}, errKeyID
		}
		var c cristalhqClaims
		if err := t.DecodeClaims(&c); err != nil {
			return Claims{}, err
		}
		switch now := p.Now(); {
		case !c.IsIssuer(p.Issuer):
			return Claims{}, errIssuer
		case !c.IsForAudience(p.Audience):
			return Claims{}, errAudience
		case c.ExpiresAt == nil || !c.IsValidAt(now):
			return Claims{}, errExpired
		}
		return Claims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience, Access: c.Access,
			Expiry: cristalhqSeconds(c.ExpiresAt), IssuedAt: cristalhqSeconds(c.IssuedAt), NotBefore: cristalhqSeconds(c.NotBefore),
		}, nil
	}, nil
}

func cristalhqKey(alg string, public any) (jwt.Verifier, error) {
	switch key := public.(type) {
	case []byte:
		return jwt.NewVerifierHS(jwt.Algorithm(alg), key)
	case *rsa.PublicKey:
		if alg[0] == 'P' {
			return jwt.NewVerifierPS(jwt.Algorithm(alg), key)
		}
		return jwt.NewVerifierRS(jwt.Algorithm(alg), key)
	case *ecdsa.PublicKey:
		return jwt.NewVerifierES(jwt.Algorithm(alg), key)
	case ed25519.PublicKey:
		return jwt.NewVerifierEdDSA(key)
	}
	return nil, ErrUnsupported
}

// cristalhqSigner makes tokens of "typ": "JWT", as the library always does.
func cristalhqSigner(alg, kid string, private any) (Sign, error) {
	var signer jwt.Signer
	var err error
	switch key := private.(type) {
	case []byte:
		signer, err = jwt.NewSignerHS(jwt.Algorithm(alg), key)
	case *rsa.PrivateKey:
		if alg[0] == 'P' {
			signer, err = jwt.NewSignerPS(jwt.Algorithm(alg), key)
		} else {
			signer, err = jwt.NewSignerRS(jwt.Algorithm(alg), key)
		}
	case *ecdsa.PrivateKey:
		signer, err = jwt.NewSignerES(jwt.Algorithm(alg), key)
	case ed25519.PrivateKey:
		signer, err = jwt.NewSignerEdDSA(key)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	builder := jwt.NewBuilder(signer, jwt.WithKeyID(kid))
	return func(c Claims) (string, error) {
		t, err := builder.Build(cristalhqClaims{Access: c.Access, RegisteredClaims: jwt.RegisteredClaims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience,
			ExpiresAt: jwt.NewNumericDate(time.Unix(c.Expiry, 0)), IssuedAt: jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)),
		}})
		if err != nil {
			return "", err
		}
		return t.String(), nil
	}, nil
}

func cristalhqSeconds(d *jwt.NumericDate) int64 {
	if d == nil {
		return 0
	}
	return d.Unix()
}
