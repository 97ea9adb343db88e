package rivals

import (
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// goJoseAlgorithms are those of RFC 7518 and RFC 8037; the library signs with no others.
var goJoseAlgorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

func goJoseVerifier(alg, kid string, public any, p Policy) (Verify, error) {
	if !slices.Contains(goJoseAlgorithms, alg) {
		return nil, ErrUnsupported
	}
	algs := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)}
	want := jwt.Expected{Issuer: p.Issuer, AnyAudience: jwt.Audience{p.Audience}}
	return func(token string) (Claims, error) {
		t, err := jwt.ParseSigned(token, algs)
		if err != nil {
			return Claims{}, err
		}
		if t.Headers[0].KeyID != kid {
			return Claims{}, errKeyID
		}
		var c jwt.Claims
		var access Access
		if err := t.Claims(public, &c, &access); err != nil {
			return Claims{}, err
		}
		if c.Expiry == nil {
			return Claims{}, errExpired
		}
		if err := c.ValidateWithLeeway(want.WithTime(p.Now()), 0); err != nil {
			return Claims{}, err
		}
		return Claims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience, Access: access,
			Expiry: goJoseSeconds(c.Expiry), IssuedAt: goJoseSeconds(c.IssuedAt), NotBefore: goJoseSeconds(c.NotBefore),
		}, nil
	}, nil
}

func goJoseSigner(alg, kid string, private any) (Sign, error) {
	if !slices.Contains(goJoseAlgorithms, alg) {
		return nil, ErrUnsupported
	}
	key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: private}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", kid))
	if err != nil {
		return nil, err
	}
	return func(c Claims) (string, error) {
		return jwt.Signed(signer).Claims(jwt.Claims{
			Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience,
			Expiry: jwt.NewNumericDate(time.Unix(c.Expiry, 0)), IssuedAt: jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)),
		}).Claims(c.Access).Serialize()
	}, nil
}

func goJoseSeconds(d *jwt.NumericDate) int64 {
	if d == nil {
		return 0
	}
	return int64(*d)
}
