package rivals

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"time"

	"github.com/gbrlsnchs/jwt/v3"
)

type gbrlsnchsClaims struct {
	jwt.Payload
	Access
}

func gbrlsnchsVerifier(alg, kid string, public any, p Policy) (Verify, error) {
	a, err := gbrlsnchsAlgorithm(alg, public)
	if err != nil {
		return nil, err
	}
	issuer, inAudience := jwt.IssuerValidator(p.Issuer), jwt.AudienceValidator(jwt.Audience{p.Audience})
	return func(token string) (Claims, error) {
		var c gbrlsnchsClaims
		now := p.Now()
		valid := jwt.ValidatePayload(&c.Payload, issuer, inAudience,
			jwt.ExpirationTimeValidator(now), jwt.NotBeforeValidator(now), jwt.IssuedAtValidator(now))
		header, err := jwt.Verify([]byte(token), a, &c, jwt.ValidateHeader, valid)
		if err != nil {
			return Claims{}, err
		}
		if header.KeyID != kid {
			return Claims{}, errKeyID
		}
		return Claims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.JWTID, Audience: c.Audience, Access: c.Access,
			Expiry: gbrlsnchsSeconds(c.ExpirationTime), IssuedAt: gbrlsnchsSeconds(c.IssuedAt), NotBefore: gbrlsnchsSeconds(c.NotBefore),
		}, nil
	}, nil
}

// gbrlsnchsSigner makes tokens of "typ": "JWT", as the library always does.
func gbrlsnchsSigner(alg, kid string, private any) (Sign, error) {
	a, err := gbrlsnchsAlgorithm(alg, private)
	if err != nil {
		return nil, err
	}
	return func(c Claims) (string, error) {
		token, err := jwt.Sign(gbrlsnchsClaims{Access: c.Access, Payload: jwt.Payload{
			Issuer: c.Issuer, Subject: c.Subject, JWTID: c.ID, Audience: c.Audience,
			ExpirationTime: jwt.NumericDate(time.Unix(c.Expiry, 0)), IssuedAt: jwt.NumericDate(time.Unix(c.IssuedAt, 0)),
		}}, a, jwt.KeyID(kid))
		return string(token), err
	}, nil
}

func gbrlsnchsAlgorithm(alg string, key any) (jwt.Algorithm, error) {
	switch key := key.(type) {
	case []byte:
		return gbrlsnchsHMAC(alg, key)
	case *rsa.PublicKey:
		return gbrlsnchsRSA(alg, jwt.RSAPublicKey(key))
	case *rsa.PrivateKey:
		return gbrlsnchsRSA(alg, jwt.RSAPrivateKey(key))
	case *ecdsa.PublicKey:
		return gbrlsnchsECDSA(alg, jwt.ECDSAPublicKey(key))
	case *ecdsa.PrivateKey:
		return gbrlsnchsECDSA(alg, jwt.ECDSAPrivateKey(key))
	case ed25519.PublicKey:
		return jwt.NewEd25519(jwt.Ed25519PublicKey(key)), nil
	case ed25519.PrivateKey:
		return jwt.NewEd25519(jwt.Ed25519PrivateKey(key)), nil
	}
	return nil, ErrUnsupported
}

func gbrlsnchsHMAC(alg string, key []byte) (jwt.Algorithm, error) {
	switch alg {
	case "HS256":
		return jwt.NewHS256(key), nil
	case "HS384":
		return jwt.NewHS384(key), nil
	case "HS512":
		return jwt.NewHS512(key), nil
	}
	return nil, ErrUnsupported
}

func gbrlsnchsRSA(alg string, key func(*jwt.RSASHA)) (jwt.Algorithm, error) {
	switch alg {
	case "RS256":
		return jwt.NewRS256(key), nil
	case "RS384":
		return jwt.NewRS384(key), nil
	case "RS512":
		return jwt.NewRS512(key), nil
	case "PS256":
		return jwt.NewPS256(key), nil
	case "PS384":
		return jwt.NewPS384(key), nil
	case "PS512":
		return jwt.NewPS512(key), nil
	}
	return nil, ErrUnsupported
}

func gbrlsnchsECDSA(alg string, key func(*jwt.ECDSASHA)) (jwt.Algorithm, error) {
	switch alg {
	case "ES256":
		return jwt.NewES256(key), nil
	case "ES384":
		return jwt.NewES384(key), nil
	case "ES512":
		return jwt.NewES512(key), nil
	}
	return nil, ErrUnsupported
}

func gbrlsnchsSeconds(d *jwt.Time) int64 {
	if d == nil {
		return 0
	}
	return d.Unix()
}
