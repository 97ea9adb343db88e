package rivals

import (
	"slices"
	"time"

	"github.com/kataras/jwt"
)

var katarasAlgorithms = map[string]jwt.Alg{
	"HS256": jwt.HS256, "HS384": jwt.HS384, "HS512": jwt.HS512,
	"RS256": jwt.RS256, "RS384": jwt.RS384, "RS512": jwt.RS512,
	"PS256": jwt.PS256, "PS384": jwt.PS384, "PS512": jwt.PS512,
	"ES256": jwt.ES256, "ES384": jwt.ES384, "ES512": jwt.ES512,
	"EdDSA": jwt.EdDSA,
}

type katarasClaims struct {
	jwt.Claims
	Access
}

type katarasHeader struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// katarasVerifier reads the clock of p for the whole process: the library has one.
func katarasVerifier(alg, kid string, public any, p Policy) (Verify, error) {
	a, ok := katarasAlgorithms[alg]
	if !ok {
		return nil, ErrUnsupported
	}
	jwt.Clock = func() time.Time { return p.Now() }
	keys := jwt.Keys{}
	keys.Register(a, kid, public, nil)
	inAudience := jwt.TokenValidatorFunc(func(_ []byte, c jwt.Claims, err error) error {
		switch {
		case err != nil:
			return err
		case !slices.Contains(c.Audience, p.Audience):
			return errAudience
		case c.Expiry == 0:
			return errExpired
		}
		return nil
	})
	expected := jwt.Expected{Issuer: p.Issuer}
	return func(token string) (Claims, error) {
		var c katarasClaims
		if err := keys.VerifyToken([]byte(token), &c, expected, inAudience); err != nil {
			return Claims{}, err
		}
		return Claims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience, Access: c.Access,
			Expiry: c.Expiry, IssuedAt: c.IssuedAt, NotBefore: c.NotBefore,
		}, nil
	}, nil
}

func katarasSigner(alg, kid string, private any) (Sign, error) {
	a, ok := katarasAlgorithms[alg]
	if !ok {
		return nil, ErrUnsupported
	}
	header := katarasHeader{Alg: alg, Kid: kid, Typ: "at+jwt"}
	return func(c Claims) (string, error) {
		token, err := jwt.SignWithHeader(a, private, katarasClaims{Access: c.Access, Claims: jwt.Claims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience, Expiry: c.Expiry, IssuedAt: c.IssuedAt,
		}}, header)
		return string(token), err
	}, nil
}
