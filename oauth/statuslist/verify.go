package statuslist

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// A Policy says which list is asked for. URI and Now are required.
type Policy struct {
	URI        string           // what "sub" must be: the "uri" of the token whose status is asked for
	Now        func() time.Time // usually time.Now
	Issuer     string           // what "iss" must be; default not looked at, since the list need not have one
	MaxAge     time.Duration    // of a list, from "iat" on; default 24 h
	Leeway     time.Duration    // as in jwt.Policy
	Algorithms []jwk.Algorithm  // names that "alg" may have; default: whatever the key is for
}

// Verify reads a Status List Token (Sections 5.1 and 8.3): a JWT of type
// statuslist+jwt, signed by one of keys, whose "sub" is the URI asked for. The
// keys are those of the issuer of the tokens that the list is about, or those
// that this issuer has named for it (Section 11.3). The errors are those of
// [jwt.Verify] and [ErrMalformed].
func Verify(p Policy, keys jwk.Source, token string) (*List, error) {
	if p.MaxAge == 0 {
		p.MaxAge = jwt.DefaultMaxLife
	}
	tok, err := jwt.Verify[claims](jwt.Policy{
		Profile: jwt.StatusListToken{URI: p.URI}, Issuer: p.Issuer, Now: p.Now,
		MaxLife: p.MaxAge, Leeway: p.Leeway, Algorithms: p.Algorithms,
	}, keys, token)
	if err != nil {
		return nil, err
	}
	list, err := Parse(tok.Claims().List)
	if err != nil {
		return nil, err
	}
	list.expiry = tok.IssuedAt().Add(p.MaxAge)
	if exp := tok.Expiry(); !exp.IsZero() && exp.Before(list.expiry) {
		list.expiry = exp
	}
	list.ttl = time.Duration(tok.Claims().TTL * float64(time.Second))
	return list, nil
}

// claims are those that make a list. The profile has seen that they are what they
// should be.
type claims struct {
	List jsontext.Value `json:"status_list"`
	TTL  float64        `json:"ttl"` // seconds
}
